package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// template is a cluster of databases that initdb made and that is never run. A process that starts
// a second server goes on to start more, as test suites and runs of many scenarios do. So the
// second makes it, and that one and those after it are copies, for a fifth of initdb's processor
// time. It is of the process, since labs do not know of each other, and its reaper removes it with
// the process.
var template struct {
	sync.Mutex
	made   string  // with which programs, in which environment: initdb finds the time zone in it
	server *Server // nil before the second start
	files  int     // how many its cluster has
}

// create makes the cluster of databases.
func (s *Server) create(ctx context.Context) error {
	template.Lock()
	defer template.Unlock()
	with := strings.Join(append(environment(), s.bin), "\x00")
	if template.made != with {
		template.made = with
		return errors.Join(dropTemplate(), s.initdb(ctx))
	}
	if template.server == nil {
		if err := makeTemplate(ctx, s.bin); err != nil {
			return err
		}
	}
	if s.copyTemplate(ctx) == nil {
		return nil
	}
	// Something of it is gone, such as by what cleans the directory of temporary files.
	if err := errors.Join(ctx.Err(), dropTemplate(), os.RemoveAll(s.data())); err != nil {
		return err
	}
	return s.initdb(ctx)
}

// initdb makes the cluster by PostgreSQL's program.
func (s *Server) initdb(ctx context.Context) error {
	locale := "C"
	if runtime.GOOS == "linux" {
		locale = "C.UTF-8"
	}
	// Whoever may enter the directory may be anybody: the same user, whose processes could as
	// well read this one's memory. A password for each would make each login a hash slower.
	return output(s.command(ctx, "initdb", "-D", s.data(), "-U", superuser, "--auth=trust", "--no-sync", "--no-instructions", "-E", "UTF8", "--locale="+locale))
}

func makeTemplate(ctx context.Context, bin string) error {
	s, err := reserve(bin)
	if err != nil {
		return err
	}
	if err := s.initdb(ctx); err != nil {
		return errors.Join(err, s.Close())
	}
	template.server, template.files = s, files(s.data())
	return nil
}

func dropTemplate() error {
	s := template.server
	template.server = nil
	if s == nil {
		return nil
	}
	return s.Close()
}

// copyTemplate makes the cluster by a copy, by the user that PostgreSQL runs as, so that owners
// and permissions are what it asks for. An incomplete one is an error.
func (s *Server) copyTemplate(ctx context.Context) error {
	c := exec.CommandContext(ctx, "cp", "-Rp", template.server.data(), s.data()) //nolint:gosec // directories of this package
	c.Dir, c.Env = s.dir, environment()
	unprivileged(c)
	if err := output(c); err != nil {
		return err
	}
	if found := files(s.data()); found != template.files {
		return fmt.Errorf("copy a cluster: expected %d files, found %d", template.files, found)
	}
	return nil
}

// files is how many files and directories there are below one.
func files(dir string) (n int) {
	_ = filepath.WalkDir(dir, func(_ string, _ fs.DirEntry, err error) error {
		if err == nil {
			n++
		}
		return nil
	})
	return n
}

// output runs a program whose output is of interest only if it fails.
func output(c *exec.Cmd) error {
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", c.Path, err, strings.Join(strings.Fields(string(out)), " "))
	}
	return nil
}
