//go:build unix

package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// Write permissions of others than the owner.
const (
	groupWrites  = 0o020
	othersWrites = 0o002
)

// verify refuses what another user can have written. In a volume the group may write.
func verify(path string, info fs.FileInfo, volume bool) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: expected to learn who owns it, found that this system does not say", path)
	}
	caller := os.Geteuid()
	if owner := int(stat.Uid); owner != caller && owner != 0 {
		whose := fmt.Sprintf("user %d, who runs this, or to root", caller)
		if caller == 0 {
			whose = "root, who runs this"
		}
		return fmt.Errorf("%s: expected it to belong to %s, found that it belongs to user %d, who can have put anything there; choose another directory, or remove this if nobody needs it", path, whose, owner)
	}
	forbidden := fs.FileMode(groupWrites | othersWrites)
	if volume {
		forbidden = othersWrites
	}
	if info.Mode().Perm()&forbidden != 0 {
		remedy := "choose another directory, or if nothing in it is another user's, run: chmod go-w " + path
		if info.IsDir() {
			remedy += " (a Kubernetes volume needs the pod's securityContext.fsGroup; or name a directory below it, which is made as it should be)"
		}
		return fmt.Errorf("%s: expected that only its owner can write it, found mode %v; %s", path, info.Mode(), remedy)
	}
	return nil
}

// isVolume reports whether a directory is a volume of Kubernetes, or one that a
// process like this has made in such a volume; see the package's comment. A sticky
// one (/tmp, /dev/shm) is none: kubelet makes none.
func isVolume(path string, info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode()&fs.ModeSticky != 0 || info.Mode().Perm()&(groupWrites|othersWrites) == 0 {
		return false
	}
	fsGroup := info.Mode()&fs.ModeSetgid != 0 && inGroup(int(stat.Gid))
	parent, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return false
	}
	above, ok := parent.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return false
	case stat.Uid == 0:
		return fsGroup || stat.Dev != above.Dev
	case int(stat.Uid) == os.Geteuid():
		return fsGroup && info.Mode().Perm()&othersWrites == 0 && stat.Gid == above.Gid && isVolume(filepath.Dir(path), parent)
	}
	return false
}

func inGroup(gid int) bool {
	groups, err := os.Getgroups()
	return gid == os.Getegid() || err == nil && slices.Contains(groups, gid)
}

// sync waits until the entries of a directory are on disk.
func (d *Dir) sync(name string) error {
	f, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
