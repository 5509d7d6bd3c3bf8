//go:build amd64 || arm64

package lead

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/lead/handover"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/seccomp/seccomptest"
)

func TestMain(m *testing.M) {
	switch os.Args[0] {
	case deniedName:
		deniedMain()
	case starterName:
		starterMain()
	}
	code := m.Run()
	_ = os.RemoveAll(programs.dir)
	os.Exit(code)
}

// guard is how long, on the wall clock, anything may take that does not hang.
const guard = 5 * time.Minute

// A lab answers every connection that it is handed with its target and the name of the
// program, a line, and closes it. It lets the host through that is allowed.
type lab struct {
	listener *handover.Listener

	mu      sync.Mutex
	arrived []arrival
	escaped []arrival
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l, err := handover.Listen()
	if err != nil {
		t.Fatal(err)
	}
	all := &lab{listener: l}
	done := make(chan error, 1)
	go func() { done <- handover.Serve(l, all) }()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return all
}

func (l *lab) Accept(conn net.Conn, to handover.Target, by handover.Program) {
	l.mu.Lock()
	l.arrived = append(l.arrived, arrival{to, by})
	l.mu.Unlock()
	go func() {
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "%v by %s\n", to, filepath.Base(by.Name))
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn)
	}()
}

func (l *lab) Permits(to handover.Target, by handover.Program) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.escaped = append(l.escaped, arrival{to, by})
	return to.Host == allowed
}

func (*lab) Allows(host string) bool { return host == allowedName }

func (l *lab) seen() (arrived, escaped []arrival) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]arrival(nil), l.arrived...), append([]arrival(nil), l.escaped...)
}

// allowed is an address outside the lab that may be reached.
const allowed = "203.0.113.8"

// allowedName is a host outside the lab that may be reached.
const allowedName = "allowed.example.test"

// emulated are the names of the tests.
var emulated = []string{"login.example.test", ".vault.example.test"}

func (l *lab) options() Options {
	return Options{Names: emulated, Handover: l.listener.Address(), Literals: map[netip.AddrPort]netip.AddrPort{}}
}

// A run is what became of a program.
type run struct {
	out    string
	code   int
	err    error // of process.Run
	closed error // of Close
	report Report
}

// launch runs a program that is led, in one of the ways.
func launch(t testing.TB, way Way, opts Options, args ...string) run {
	t.Helper()
	var without []denial
	if way == Rewrite {
		without = docker
	}
	l := startWithout(t, without, opts)
	return finish(t, l, []process.Wrapper{l}, args...)
}

// startWithout is Start with a supervisor that may not use some system calls.
func startWithout(t testing.TB, without []denial, opts Options) *Lead {
	t.Helper()
	seccomptest.NeedListeners(t)
	supervisor := supervisorCommand()
	if len(without) > 0 {
		if err := denied(without).Prepare(supervisor); err != nil {
			t.Fatal(err)
		}
	}
	l, err := start(opts, supervisor)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// finish runs a program and closes its Lead.
func finish(t testing.TB, l *Lead, wrappers []process.Wrapper, args ...string) run {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	var out bytes.Buffer
	var r run
	r.code, r.err = process.Run(ctx, process.Command{Args: args, Env: os.Environ(), Stdout: &out, Stderr: &out, Background: true, Wrappers: wrappers})
	r.closed = l.Close()
	r.out, r.report = out.String(), l.Report()
	return r
}

// mustRun is launch of a program that succeeds, by the way that is named.
func mustRun(t testing.TB, way Way, opts Options, args ...string) run {
	t.Helper()
	r := launch(t, way, opts, args...)
	if r.code != 0 || r.err != nil || r.closed != nil {
		t.Fatalf("%v: code %d, error %v, closing %v:\n%s", args, r.code, r.err, r.closed, r.out)
	}
	if r.report.Way != way {
		t.Fatalf("way %s, want %s", r.report.Way, way)
	}
	if len(r.report.Unled) > 0 {
		t.Fatalf("not led: %v", r.report.Unled)
	}
	return r
}

// eachWay runs a test with both ways.
func eachWay(t *testing.T, test func(t *testing.T, way Way)) {
	t.Helper()
	for _, way := range []Way{Getfd, Rewrite} {
		t.Run(string(way), func(t *testing.T) { t.Parallel(); test(t, way) })
	}
}

// programs are compiled once.
var programs struct {
	sync.Mutex
	dir  string
	made map[string]error
}

// compiled is the path of a C program of testdata.
func compiled(t testing.TB, name string, flags ...string) string {
	t.Helper()
	seccomptest.NeedListeners(t)
	if _, err := exec.LookPath("gcc"); err != nil {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal("gcc is missing")
		}
		t.Skip("gcc is missing, with which the programs of this test are made")
	}
	programs.Lock()
	defer programs.Unlock()
	if programs.made == nil {
		dir, err := os.MkdirTemp("", "wiemu-lead-")
		if err != nil {
			t.Fatal(err)
		}
		programs.dir, programs.made = dir, map[string]error{}
	}
	path := filepath.Join(programs.dir, name+strings.Join(flags, ""))
	err, known := programs.made[path]
	if !known {
		args := append([]string{"-O1", "-Wall", "-o", path, filepath.Join("testdata", name+".c"), "-pthread"}, flags...)
		var out []byte
		if out, err = exec.Command("gcc", args...).CombinedOutput(); err != nil {
			err = fmt.Errorf("%w:\n%s", err, out)
		}
		programs.made[path] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
