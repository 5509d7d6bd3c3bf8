package isolation

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if IsHelperProcess() {
		go collectOn(unix.SIGUSR1)
		RunHelper()
	}
	os.Exit(m.Run())
}

// collectOn has this process collect its garbage at each signal, and say so when what was found has
// been cleaned up.
func collectOn(s os.Signal) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, s)
	_, _ = os.Stdout.WriteString("ready\n")
	for range signals {
		for range 2 { // what one finds, the next frees
			type garbage struct{ _ [64]byte }
			cleaned := make(chan struct{})
			runtime.AddCleanup(&garbage{}, func(c chan struct{}) { close(c) }, cleaned)
			runtime.GC()
			<-cleaned
		}
		_, _ = os.Stdout.WriteString("clean\n")
	}
}

// What connects to published ports goes on doing so when its garbage has been collected.
func TestPublishedPortsStayOpen(t *testing.T) {
	program, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	go func() {
		for {
			conn, err := program.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}
	}()
	publisher, err := newPublisher([]Publication{{Listen: "127.0.0.1:0", Port: uint16(program.Addr().(*net.TCPAddr).Port)}})
	if err != nil {
		t.Fatal(err)
	}
	connector := exec.Command("/proc/self/exe")
	connector.Args, connector.ExtraFiles, connector.Stderr = []string{dialName}, []*os.File{publisher.inside}, os.Stderr
	said, err := connector.StdoutPipe()
	if err == nil {
		err = connector.Start()
	}
	if err != nil {
		t.Fatal(errors.Join(err, publisher.close()))
	}
	defer func() {
		if err := errors.Join(publisher.close(), connector.Wait()); err != nil {
			t.Error(err)
		}
	}()
	line := make([]byte, 6)
	if _, err := io.ReadFull(said, line); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		client, err := net.Dial("tcp", publisher.listeners[0].Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		err = client.SetDeadline(time.Now().Add(10 * time.Second)) // wall time: input and output
		if err == nil {
			_, err = client.Write([]byte("x"))
		}
		if err = errors.Join(err, client.(*net.TCPConn).CloseWrite()); err != nil {
			t.Errorf("connection %d: %v", n, err)
		}
		if echo, err := io.ReadAll(client); err != nil || string(echo) != "x" {
			t.Errorf("connection %d: read %q, %v", n, echo, err)
		}
		_ = client.Close()
		if err := connector.Process.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(said, line); err != nil {
			t.Fatalf("it ended after connection %d: %v", n, err)
		}
	}
}
