//go:build amd64 || arm64

package lead

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Suits returns why a program, by its path, would not work if it was led: it gains
// privileges by being executed, which a seccomp filter of somebody without privileges rules
// out (no_new_privs). That is so for setuid and setgid programs, such as sudo, for those
// with capabilities of their file, such as ping, and for snaps, whose confinement is set up
// by such a program. Scripts are judged by their interpreter. Source: prctl(2),
// PR_SET_NO_NEW_PRIVS.
//
// What the program starts itself is not known beforehand.
func Suits(path string) error {
	return suits(path, os.Geteuid())
}

// suits is Suits for a user.
func suits(path string, uid int) error {
	const scripts = 5 // so many interpreters the kernel follows: BINPRM_MAX_RECURSION
	for range scripts {
		if err := suitsItself(path, uid); err != nil {
			return err
		}
		interpreter := interpreterOf(path)
		if interpreter == "" {
			return nil
		}
		path = interpreter
	}
	return nil
}

// suitsItself is suits for the file itself.
func suitsItself(path string, uid int) error {
	for at, n := path, 0; n < 40; n++ { // a link of /snap/bin has the name of the program and leads to snap itself
		if isSnap(at) {
			return fmt.Errorf("%s is a snap, which is confined when it starts: that takes privileges which a program that is led cannot gain (no_new_privs)", path)
		}
		to, err := os.Readlink(at)
		if err != nil {
			break
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(at), to)
		}
		at = filepath.Clean(to)
	}
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return nil //nolint:nilerr // whoever starts it says so
	}
	const cannotGain = "privileges that a program which is led cannot gain (no_new_privs)"
	switch {
	case st.Mode&unix.S_ISUID != 0 && int(st.Uid) != uid:
		return fmt.Errorf("%s is a setuid program: its owner's are %s", path, cannotGain)
	case st.Mode&unix.S_ISGID != 0 && st.Mode&0o010 != 0 && uid != 0:
		return fmt.Errorf("%s is a setgid program: its group's are %s", path, cannotGain)
	}
	var capabilities [64]byte // struct vfs_ns_cap_data has 24
	if n, err := unix.Getxattr(path, "security.capability", capabilities[:]); err == nil && n > 0 && uid != 0 {
		return fmt.Errorf("%s has capabilities (getcap): these are %s", path, cannotGain)
	}
	return nil
}

// isSnap reports whether a path is one of snapd's.
func isSnap(path string) bool {
	return strings.HasPrefix(path, "/snap/") || strings.HasPrefix(path, "/var/lib/snapd/snap/") || path == "/usr/bin/snap"
}

// interpreterOf is the path of a script's interpreter; "" if it is no script.
func interpreterOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "" // a program need not be readable
	}
	defer f.Close()
	const lineSize = 256 // BINPRM_BUF_SIZE
	line, _ := bufio.NewReaderSize(io.LimitReader(f, lineSize), lineSize).ReadSlice('\n')
	line, isScript := bytes.CutPrefix(line, []byte("#!"))
	if !isScript {
		return ""
	}
	words := strings.Fields(string(line))
	if len(words) == 0 {
		return ""
	}
	if filepath.Base(words[0]) != "env" {
		return words[0]
	}
	for _, word := range words[1:] {
		if strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
			continue
		}
		found, err := exec.LookPath(word)
		if err != nil {
			return ""
		}
		return found
	}
	return ""
}
