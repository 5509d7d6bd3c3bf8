// Package local runs a PostgreSQL of this machine for a lab: with data of its own in a
// temporary directory, reached by a socket in that, and gone with the lab (a template of it, of a
// process with several, is gone with the process). PostgreSQL does not run as root; if wiemu does,
// it runs as the user postgres, or nobody.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/truncate"
)

// HowToInstall is what to do where there is no PostgreSQL.
const HowToInstall = "install PostgreSQL (Debian and Ubuntu: apt-get install postgresql; macOS: brew install postgresql), or put the directory of its initdb and postgres on PATH, or name one that runs, such as a container, with url of the server in wiemu.yaml"

// ErrMissing is returned where there is no PostgreSQL.
var ErrMissing = errors.New("find PostgreSQL")

// Wall time, as all of this is about a child process.
const (
	startTime = 2 * time.Minute // how long PostgreSQL may take until it answers
	endTime   = 5 * time.Second // and until it has ended
	pause     = 5 * time.Millisecond
)

// Server is a PostgreSQL that was started.
type Server struct {
	bin, dir string
	reaper   io.Closer // removes dir when it is closed, also by this process's end

	mu      sync.Mutex
	process *exec.Cmd
	gone    chan struct{} // closed when the process has ended
	said    truncate.Tail
}

// places are where PostgreSQL's programs are, if not on PATH: of Debian, of Red Hat, and of
// Homebrew.
func places() []string {
	return []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin"}
}

// Find returns the directory of PostgreSQL's programs: of PATH, else the newest of the usual
// places. If there are none, the error is ErrMissing.
func Find() (string, error) {
	var all []string
	if found, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(found); err == nil {
			all = append(all, filepath.Dir(real))
		}
	}
	for _, pattern := range places() {
		found, _ := filepath.Glob(pattern) // a pattern that is right
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(version(b), version(a)) })
		all = append(all, found...)
	}
	for _, dir := range all {
		if isProgram(filepath.Join(dir, "initdb")) && isProgram(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%w: initdb is neither on PATH nor in %s; %s", ErrMissing, strings.Join(places(), ", "), HowToInstall)
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

var number = lazyregexp.New(`\d+`)

// version is the first number of a path, such as 17.
func version(path string) int {
	n, _ := strconv.Atoi(number().FindString(path)) // none is 0
	return n
}

// Start makes a cluster of databases and runs it. The caller closes it.
func Start(ctx context.Context) (_ *Server, err error) {
	bin, err := Find()
	if err != nil {
		return nil, err
	}
	s, err := reserve(bin)
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.create(ctx); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := s.run(); err != nil {
		return nil, err
	}
	return s, s.ready(ctx)
}

// reserve makes the directory of a server, which ends with this process.
func reserve(bin string) (_ *Server, err error) {
	dir, err := os.MkdirTemp(place(), "wiemu-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := own(dir); err != nil {
		return nil, err
	}
	s.reaper, err = reap(dir)
	return s, err
}

// superuser is the role that wiemu has in it.
const superuser = "wiemu"

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command is a program of PostgreSQL in an environment of its own.
func (s *Server) command(ctx context.Context, program string, arguments ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, filepath.Join(s.bin, program), arguments...) //nolint:gosec // found on PATH or where packages install it
	c.Dir = s.dir
	c.Env = environment()
	unprivileged(c)
	return c
}

// environment is what the programs get of wiemu's: what they need to be found and to load. Not
// all of it, since another user may read it in /proc if wiemu runs as root.
func environment() []string {
	var env []string
	for _, name := range []string{"PATH", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LOCPATH", "LOCALE_ARCHIVE"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// run starts postgres. Nothing of it has to outlive a crash of the machine, but what was committed
// outlives a crash of postgres, so that commits are synchronous.
func (s *Server) run() error {
	arguments := []string{"-D", s.data(), "-k", s.dir}
	for _, setting := range []string{"listen_addresses=", "fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=100", "jit=off", "autovacuum_naptime=1h", "logging_collector=off", "log_min_messages=warning"} {
		arguments = append(arguments, "-c", setting)
	}
	c := s.command(context.Background(), "postgres", arguments...)
	c.Stdout, c.Stderr = &s.said, &s.said
	c.WaitDelay = endTime // a session that goes on without postgres holds its output open
	endWithParent(c)
	started, gone := make(chan error), make(chan struct{})
	go func() {
		// On Linux the signal at the parent's end is sent when the thread that started the child
		// ends, so the thread is kept until the child has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.Start()
		started <- err
		if err == nil {
			_ = c.Wait() // how it ended is in what it said
			close(gone)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	s.process, s.gone = c, gone
	return nil
}

// ready waits until it answers.
func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		conn, err := pgconn.Connect(ctx, s.ConnString())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.gone:
			return fmt.Errorf("PostgreSQL ended while it started: %s", s.said.String())
		case <-ctx.Done():
			return fmt.Errorf("PostgreSQL does not answer: %w: %s", err, s.said.String())
		case <-time.After(pause):
		}
	}
}

// ConnString is how a superuser connects. It leaves nothing to libpq's variables.
func (s *Server) ConnString() string {
	quoted := "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s.dir) + "'"
	return "host=" + quoted + " port=5432 user=" + superuser + " password='' dbname=postgres sslmode=disable passfile='' options='' target_session_attrs=any connect_timeout=10"
}

// Restart starts it again if it has ended, with what it had stored.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.gone:
	default:
		return nil
	}
	if err := s.run(); err != nil {
		return err
	}
	return s.ready(ctx)
}

// Close ends it and removes its data.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		fastShutdown(s.process.Process)
		select {
		case <-s.gone:
		case <-time.After(endTime):
			immediateShutdown(s.process.Process)
			<-s.gone
		}
	}
	err := os.RemoveAll(s.dir)
	if s.reaper != nil {
		err = errors.Join(err, s.reaper.Close())
	}
	return err
}
