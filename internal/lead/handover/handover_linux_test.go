package handover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// seen is a receiver that keeps what it is handed.
type seen struct {
	accepted chan accepted
	permit   func(Target, Program) bool
}

type accepted struct {
	conn net.Conn
	to   Target
	by   Program
}

func (s *seen) Accept(conn net.Conn, to Target, by Program) { s.accepted <- accepted{conn, to, by} }

func (s *seen) Permits(to Target, by Program) bool { return s.permit(to, by) }

func (s *seen) Allows(host string) bool { return s.permit(Target{Host: host}, Program{}) }

// serve starts a lab's end, which is closed with the test.
func serve(t *testing.T) (*Listener, *seen) {
	t.Helper()
	return serveWith(t, func(to Target, _ Program) bool { return to.Host == "allowed.example" })
}

func serveWith(t *testing.T, permit func(Target, Program) bool) (*Listener, *seen) {
	t.Helper()
	l, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	r := &seen{accepted: make(chan accepted, 128), permit: permit}
	served := make(chan error, 1)
	go func() { served <- Serve(l, r) }()
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return l, r
}

func dial(t *testing.T, l *Listener) *Client {
	t.Helper()
	c, err := Dial(l.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // closed by some tests
	return c
}

// dialBare is dial without a client, once the lab has counted it.
func dialBare(t *testing.T, l *Listener) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: l.Address(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the lab may have closed it
	buffer := make([]byte, maxMessage)
	n, err := conn.Read(buffer)
	if m, rest, failed := decode(buffer[:n]); err != nil || failed != nil || m.Verb != ready || len(rest) > 0 {
		t.Fatalf("expected that the lab is ready, found %q, %v", buffer[:n], err)
	}
	return conn
}

// connect returns the program's end of a connection of TCP, and the supervisor's.
func connect(t *testing.T) (program net.Conn, supervisor *os.File) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	program, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if supervisor, err = conn.(*net.TCPConn).File(); err != nil {
		t.Fatal(err)
	}
	return program, supervisor
}

func TestAConnectionIsHandedOver(t *testing.T) {
	l, r := serve(t)
	c := dial(t, l)
	program, file := connect(t)
	by := Program{PID: 4711, Executable: "/usr/bin/node", Name: "node"}
	if err := c.Accept(file, Target{"Login.Microsoftonline.com.", 443}, by); err != nil {
		t.Fatal(err)
	}
	got := <-r.accepted
	defer got.conn.Close()
	if want := (Target{"login.microsoftonline.com", 443}); got.to != want || got.by != by {
		t.Errorf("expected %v by %v, found %v by %v", want, by, got.to, got.by)
	}
	if got.conn.RemoteAddr().String() != program.LocalAddr().String() {
		t.Errorf("expected the connection of %v, found that of %v", program.LocalAddr(), got.conn.RemoteAddr())
	}
	if _, err := io.WriteString(program, "ping"); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 4)
	if _, err := io.ReadFull(got.conn, buffer); err != nil || string(buffer) != "ping" {
		t.Fatalf("expected ping, found %q, %v", buffer, err)
	}
	if err := got.conn.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := program.Read(buffer); !errors.Is(err, io.EOF) {
		t.Errorf("the lab closed the only connection: expected EOF, found %d bytes, %v", n, err)
	}
}

// Whether a host may be reached is asked by name alone.
func TestAHostIsAskedFor(t *testing.T) {
	l, _ := serve(t)
	c := dial(t, l)
	for host, want := range map[string]bool{"allowed.example": true, "Allowed.Example.": true, "refused.example": false} {
		if allowed, err := c.Allows(t.Context(), host); err != nil || allowed != want {
			t.Errorf("%s: expected %v, found %v, %v", host, want, allowed, err)
		}
	}
	if _, err := c.Allows(t.Context(), "a b.example"); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("expected an error about the host, found %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if allowed, err := c.Allows(t.Context(), "allowed.example"); allowed || !errors.Is(err, ErrGone) {
		t.Errorf("without the lab: expected that it has ended, found %v, %v", allowed, err)
	}
}

// Texts about a program are cut, and a message that cannot be sent ends nothing else.
func TestTextsThatDoNotFit(t *testing.T) {
	l, r := serve(t)
	c := dial(t, l)
	long := strings.Repeat("\x01ä", 4096) // JSON writes the first of them with six bytes
	by := Program{PID: 4711, Executable: long, Name: long}
	_, file := connect(t)
	if err := c.Accept(file, Target{"a b.example", 443}, by); err == nil || errors.Is(err, ErrGone) {
		t.Errorf("expected an error about the host, found %v", err)
	}
	if permitted, err := c.Permits(t.Context(), Target{"allowed.example", 443}, by); !permitted {
		t.Errorf("expected a permission, found %v", err)
	}
	_, file = connect(t)
	if err := c.Accept(file, Target{"a.example", 443}, by); err != nil {
		t.Fatal(err)
	}
	got := <-r.accepted
	_ = got.conn.Close()
	if n := len(got.by.Name); n > maxText || n < maxText-2 || !strings.HasPrefix(long, got.by.Name) || got.by.Executable != got.by.Name {
		t.Errorf("expected the first %d bytes, found %d", maxText, n)
	}
}

func TestQuestionsAndConnectionsAtTheSameTime(t *testing.T) {
	l, r := serve(t)
	c := dial(t, l)
	var all sync.WaitGroup
	for i := range 100 {
		program, file := connect(t)
		all.Go(func() {
			host := fmt.Sprintf("host-%d.test", i)
			if i%2 == 0 {
				host = "allowed.example"
			}
			permitted, err := c.Permits(t.Context(), Target{host, 443}, Program{PID: i + 1})
			if err != nil || permitted != (i%2 == 0) {
				t.Errorf("%s: expected %v, found %v, %v", host, i%2 == 0, permitted, err)
			}
			if err := c.Accept(file, Target{program.LocalAddr().(*net.TCPAddr).IP.String(), uint16(program.LocalAddr().(*net.TCPAddr).Port)}, Program{PID: i + 1}); err != nil {
				t.Error(err)
			}
		})
	}
	for range 100 {
		got := <-r.accepted
		if got.to.String() != got.conn.RemoteAddr().String() {
			t.Errorf("expected the connection of %s, found that of %s", got.to, got.conn.RemoteAddr())
		}
		_ = got.conn.Close()
	}
	all.Wait()
}

func TestALabThatEnds(t *testing.T) {
	asked := make(chan struct{})
	held := make(chan struct{})
	l, _ := serveWith(t, func(Target, Program) bool { close(asked); <-held; return true })
	c := dial(t, l)
	answer := make(chan error, 1)
	go func() {
		_, err := c.Permits(context.Background(), Target{"x.example", 443}, Program{PID: 1})
		answer <- err
	}()
	<-asked
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }()
	if err := <-answer; !errors.Is(err, ErrGone) {
		t.Errorf("expected %v, found %v", ErrGone, err)
	}
	close(held)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if _, err := c.Permits(t.Context(), Target{"x.example", 443}, Program{PID: 1}); err == nil {
		t.Error("a lab that has ended: expected an error")
	}
	program, file := connect(t)
	if err := c.Accept(file, Target{"x.example", 443}, Program{PID: 1}); err == nil {
		t.Error("a connection for a lab that has ended: expected an error")
	}
	if _, err := program.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a connection that nobody takes: expected it closed, found %v", err)
	}
	if _, err := Dial(l.Address()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("expected the socket to be gone, found %v", err)
	}
}

func TestAQuestionThatIsNotAnsweredInTime(t *testing.T) {
	held := make(chan struct{})
	l, _ := serveWith(t, func(Target, Program) bool { <-held; return true })
	c := dial(t, l)
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errors.New("no time")) // wall time: input and output
	defer cancel()
	if permitted, err := c.Permits(ctx, Target{"x.example", 443}, Program{PID: 1}); permitted || err == nil || !strings.Contains(err.Error(), "no time") {
		t.Errorf("expected an error that says why, found %v, %v", permitted, err)
	}
	close(held)
	if permitted, err := c.Permits(t.Context(), Target{"x.example", 443}, Program{PID: 1}); !permitted || err != nil { // a late answer is not taken for another question's
		t.Errorf("expected an answer to the next question, found %v, %v", permitted, err)
	}
}

// What is no message, or comes without what it needs, ends the connection and reaches nobody.
func TestMalformedInput(t *testing.T) {
	good, err := encode(message{Verb: accept, To: Target{"a.test", 443}, By: Program{PID: 1}})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := encode(message{Verb: yes, ID: 1})
	if err != nil {
		t.Fatal(err)
	}
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(ends[0])
	defer syscall.Close(ends[1])
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for name, sent := range map[string]struct {
		data []byte
		fds  []int
	}{
		"HTTP":                                {[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), nil},
		"a message without its connection":    {good, nil},
		"a message with a file":               {good, []int{int(null.Fd())}},
		"a message with another socket":       {good, []int{ends[0]}},
		"an answer to no question":            {answer, nil},
		"a length that is too much":           {[]byte("\xff\xff"), nil},
		"more files than there are messages":  {[]byte("\x00"), []int{ends[0], ends[0], ends[0], ends[0], ends[0]}},
		"more files than a message can bring": {good, []int{ends[0], ends[0], ends[0], ends[0], ends[0], ends[0], ends[0], ends[0]}},
	} {
		l, r := serve(t)
		conn := dialBare(t, l)
		if _, _, err := conn.WriteMsgUnix(sent.data, syscall.UnixRights(sent.fds...), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) { // reset if something was left unread
			t.Errorf("%s: expected the connection to be closed, found %v", name, err)
		}
		if n := len(r.accepted); n != 0 {
			t.Errorf("%s: expected no connection, found %d", name, n)
		}
	}
}

func TestAMessageInPieces(t *testing.T) {
	l, r := serve(t)
	data, err := encode(message{Verb: accept, To: Target{"a.test", 443}, By: Program{PID: 1}})
	if err != nil {
		t.Fatal(err)
	}
	conn := dialBare(t, l)
	_, file := connect(t)
	defer file.Close()
	if _, _, err := conn.WriteMsgUnix(data[:1], syscall.UnixRights(int(file.Fd())), nil); err != nil {
		t.Fatal(err)
	}
	for _, b := range data[1:] {
		if _, err := conn.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	got := <-r.accepted
	if err := got.conn.Close(); err != nil || got.to.Host != "a.test" {
		t.Errorf("expected a connection to a.test, found one to %s, %v", got.to, err)
	}
}

// What a supervisor has sent is arriving from then on until the receiver has it.
func TestArriving(t *testing.T) {
	held, entered := make(chan struct{}), make(chan struct{})
	l, _ := serveWith(t, func(Target, Program) bool { close(entered); <-held; return true })
	conn := dialBare(t, l)
	data, err := encode(message{Verb: permits, ID: 1, To: Target{"a.test", 443}, By: Program{PID: 1}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(data); err != nil {
		t.Fatal(err)
	}
	<-entered
	if !l.Arriving() {
		t.Error("a question that is being answered: expected it to be arriving")
	}
	close(held)
	if _, err := conn.Read(make([]byte, maxMessage)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); l.Arriving(); time.Sleep(time.Millisecond) { // wall time: the goroutine goes back to waiting
		if time.Now().After(deadline) {
			t.Fatal("everything was answered: expected nothing to be arriving")
		}
	}
}

// That is so for the first thing that a supervisor sends, too: it is counted before it sends.
func TestTheFirstConnectionIsSeenToArrive(t *testing.T) {
	l, r := serve(t)
	for range 500 {
		c := dial(t, l)
		_, file := connect(t)
		if err := c.Accept(file, Target{"a.test", 443}, Program{PID: 1}); err != nil {
			t.Fatal(err)
		}
		for {
			arriving := l.Arriving()
			if len(r.accepted) > 0 {
				break
			}
			if !arriving {
				t.Fatal("a connection that was sent and not received: expected it to be arriving")
			}
		}
		got := <-r.accepted
		if err := errors.Join(got.conn.Close(), c.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// When a supervisor's connections are settled, the receiver has them all.
func TestSettled(t *testing.T) {
	l, r := serve(t)
	c := dial(t, l)
	for range 50 {
		_, file := connect(t)
		if err := c.Accept(file, Target{"a.test", 443}, Program{PID: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(r.accepted); n != 50 {
		t.Errorf("expected 50 connections with the receiver, found %d", n)
	}
	for range len(r.accepted) {
		got := <-r.accepted
		_ = got.conn.Close()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Settle(t.Context()); !errors.Is(err, ErrGone) {
		t.Errorf("a lab that has ended: expected %v, found %v", ErrGone, err)
	}
}

// A lab that serves as many supervisors as it may says so to the next one.
func TestTooManySupervisors(t *testing.T) {
	l, _ := serve(t)
	for range maxClients {
		dial(t, l)
	}
	if _, err := Dial(l.Address()); err == nil || !strings.Contains(err.Error(), "no more supervisors") {
		t.Errorf("expected an error that says why, found %v", err)
	}
}

func TestOnlyTheSameUserAndRootAreServed(t *testing.T) {
	for _, row := range []struct {
		peer   int
		own    int
		served bool
	}{{1000, 1000, true}, {0, 1000, true}, {1001, 1000, false}, {1000, 0, false}, {65534, 1000, false}} {
		if got := serves(row.own, row.peer); got != row.served {
			t.Errorf("user %d at a lab of user %d: expected %v, found %v", row.peer, row.own, row.served, got)
		}
	}
}

// dialAs is the environment variable that has this test program dial the socket that it names.
const dialAs = "HANDOVER_TEST_DIAL"

func TestMain(m *testing.M) {
	if address := os.Getenv(dialAs); address != "" {
		os.Exit(dialAndAsk(address))
	}
	os.Exit(m.Run())
}

func dialAndAsk(address string) int {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	n, _ := conn.Read(make([]byte, maxMessage))
	_ = conn.Close()
	fmt.Printf("%d bytes;", n)
	c, err := Dial(address)
	if err == nil {
		_, err = c.Permits(context.Background(), Target{"allowed.example", 443}, Program{PID: os.Getpid()})
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func TestAnotherUserIsSentAway(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can start a program of another user")
	}
	dir, err := os.MkdirTemp("/tmp", "wiemu-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "dial")
	if err := errors.Join(os.WriteFile(program, self, 0o755), os.Chmod(program, 0o755), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	l, _ := serve(t)
	cmd := exec.Command(program)
	cmd.Env = []string{dialAs + "=" + l.Address()}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("root: expected an answer, found %v: %s", err, out)
	}
	cmd = exec.Command(program)
	cmd.Env = []string{dialAs + "=" + l.Address()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || !strings.HasPrefix(string(out), "0 bytes;") || !strings.Contains(string(out), "it is of the user 0") {
		t.Errorf("another user: expected to be sent away, and to be told whose the lab is, found %v: %s", err, out)
	}
}
