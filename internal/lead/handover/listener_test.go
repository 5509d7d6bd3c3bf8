package handover

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

type unexpected struct{ t *testing.T }

func (u unexpected) Accept(_ net.Conn, to Target, _ Program) {
	u.t.Errorf("a connection to %s was accepted, which never came along", to)
}

func (u unexpected) Permits(Target, Program) bool { return false }

func (u unexpected) Allows(string) bool { return false }

// A connection that could not be taken, because this process has too many open files, costs
// only itself.
func TestTooManyOpenFiles(t *testing.T) {
	c := &client{receiver: unexpected{t}, files: []*os.File{nil}}
	if err := c.handle(message{Verb: accept, To: Target{"a.example", 443}, By: Program{PID: 1}}); err != nil {
		t.Errorf("the supervisor's connection ends: %v", err)
	}
}

// A supervisor that does not read what it asked for keeps nobody waiting for long.
func TestASupervisorThatDoesNotRead(t *testing.T) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "socket"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	supervisor, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer supervisor.Close()
	conn, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &client{conn: conn, receiver: unexpected{t}, patience: time.Millisecond}
	for err == nil {
		err = c.handle(message{Verb: settled})
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("expected an answer that could not be written in time, found %v", err)
	}
}
