//go:build unix

package local

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// who is the user that PostgreSQL runs as if wiemu is root; nil if it is not.
func who() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody")
}

// place is where the data goes: "" for the directory of temporary files, or /tmp if the user that
// PostgreSQL runs as cannot get there, since it is root's own.
func place() string {
	dir, err := filepath.Abs(os.TempDir())
	if as, _ := who(); err != nil || as == nil { // own tells who's error
		return ""
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode()&0o001 == 0 {
			return "/tmp"
		}
	}
	return ""
}

// own gives a directory to the user that PostgreSQL runs as.
func own(dir string) error {
	as, err := who()
	if err != nil || as == nil {
		return err
	}
	if err := os.Chown(dir, int(as.Uid), int(as.Gid)); err != nil {
		return fmt.Errorf("give its directory to user %d: %w", as.Uid, err)
	}
	return nil
}

// unprivileged has a command not run as root, and in a group of its own, so that Ctrl-C ends
// wiemu first.
func unprivileged(c *exec.Cmd) {
	as, _ := who() // own has asked already
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: as}
}

func fastShutdown(p *os.Process)      { _ = p.Signal(syscall.SIGINT) }  // it may have ended
func immediateShutdown(p *os.Process) { _ = p.Signal(syscall.SIGQUIT) } // it may have ended

// reaping waits until wiemu has ended, however it did, and leaves nothing of PostgreSQL:
// neither the process (which its file names), if the kernel has not ended it, nor its files.
const reaping = `cat >/dev/null
if pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null); then
	kill -QUIT "$pid" 2>/dev/null
	n=0; while kill -0 "$pid" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n+1)); done
fi
case "$1" in */wiemu-postgres-*) rm -rf -- "$1";; esac`

// reap starts what removes dir when this process has ended. Closing it ends it.
func reap(dir string) (io.Closer, error) {
	c := exec.Command("/bin/sh", "-c", reaping, "wiemu-postgres", dir)
	c.Dir, c.Env = "/", environment()
	unprivileged(c)
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		return nil, err
	}
	return &reaper{in, c}, nil
}

type reaper struct {
	in io.Closer
	c  *exec.Cmd
}

// Close implements io.Closer.
func (r *reaper) Close() error {
	_ = r.in.Close() // it reads no more then
	return r.c.Wait()
}
