//go:build amd64 || arm64

package timeshift

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/seccomp/seccomptest"
)

// insideName is in the environment of a test that runs in a network of its own.
const insideName = "WIEMU_TEST_IN_A_NETWORK"

// inNetwork runs a test again in a network of its own, as root there, and reports whether this is that.
func inNetwork(t *testing.T) bool {
	t.Helper()
	seccomptest.NeedListeners(t)
	if os.Getenv(insideName) != "" {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideName+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if len(out) == 0 && err != nil && os.Getenv("WIEMU_REQUIRE") == "" {
		t.Skipf("user namespaces are not permitted, in which port 53 is free: %v", err)
	}
	if t.Logf("%s", out); err != nil {
		t.Error(err)
	}
	return false
}

// raiseLoopback has the network's loopback carry packets: ip link set lo up.
func raiseLoopback(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
}

// slowResolver answers what it is asked after a while.
func slowResolver(t *testing.T, after time.Duration) {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 53})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() {
		question := make([]byte, 512)
		for {
			n, from, err := conn.ReadFromUDP(question)
			if err != nil {
				return
			}
			time.Sleep(after) // wall time
			_, _ = conn.WriteToUDP(question[:n], from)
		}
	}()
}

// The five seconds of a resolver's client do not go by while the resolver, of which nobody here knows,
// has not answered.
func TestAResolverIsGivenTime(t *testing.T) {
	if !inNetwork(t) {
		return
	}
	raiseLoopback(t)
	slowResolver(t, 300*time.Millisecond)
	lab := clock.Stopped(start)
	c := launch(t, lab, lab, Options{Arrival: time.Millisecond}, need(t, "python3"), "-c", `
import socket, time
for _ in range(3):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", 53))
        s.settimeout(5)
        s.send(b"question")
        print(s.recv(100).decode(), flush=True)
print(int(time.time()), flush=True)
time.sleep(10)
`)
	c.advance(time.Minute)
	if code := c.wait(); code != 0 || c.output() != strings.Repeat("question\n", 3)+"1930132800\n" {
		t.Errorf("exit code %d: %s", code, c.output())
	}
}

// A socket that stays open holds up nothing.
func TestAResolverIsGivenUp(t *testing.T) {
	if !inNetwork(t) {
		return
	}
	raiseLoopback(t)
	var q questions
	if q.areOpen() {
		t.Error("there is a question before any")
	}
	other, err := net.Dial("udp", "127.0.0.1:5300")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if q.areOpen() {
		t.Error("another socket is taken for a question")
	}
	asks, err := net.Dial("udp", "127.0.0.1:53")
	if err != nil {
		t.Fatal(err)
	}
	if !q.areOpen() || len(q.since) != 1 {
		t.Errorf("the question is not seen: %v", q.since)
	}
	for inode, first := range q.since {
		q.since[inode] = first.Add(-resolverGivenUp)
	}
	if q.areOpen() || len(q.since) != 1 {
		t.Errorf("it is waited for without end, or forgotten: %v", q.since)
	}
	if err := asks.Close(); err != nil {
		t.Fatal(err)
	}
	if q.areOpen() || len(q.since) != 0 {
		t.Errorf("it is not forgotten: %v", q.since)
	}
}
