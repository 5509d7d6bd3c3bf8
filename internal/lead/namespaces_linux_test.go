//go:build amd64 || arm64

package lead

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/seccomp/seccomptest"
)

// namespaces has a command start in namespaces of its own, as root there. It is a
// process.Wrapper.
type namespaces uintptr

func (n namespaces) Prepare(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER | uintptr(n)
	cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	return nil
}

func (namespaces) StartFailed(err error) error { return err }

// needNamespaces leaves a test out where there are none.
func needNamespaces(t *testing.T) {
	t.Helper()
	seccomptest.NeedListeners(t)
	cmd := exec.Command("true")
	if err := namespaces(syscall.CLONE_NEWNS).Prepare(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Run(); err != nil {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skipf("user namespaces are not permitted, in which something else can answer for names: %v", err)
	}
}

// systemd-resolved and nscd are not there for a program that is led, so that it asks by
// DNS; other sockets in /run are.
func TestLookupServicesAreHidden(t *testing.T) {
	needNamespaces(t)
	l := startWithout(t, nil, newLab(t).options())
	r := finish(t, l, []process.Wrapper{l, namespaces(syscall.CLONE_NEWNS)}, compiled(t, "inside"), compiled(t, "reach"),
		"/run/systemd/resolve/io.systemd.Resolve", "", "/run/nscd/socket", "", "/var/run/nscd/socket", "", "/run/other/socket", "")
	want := []string{
		"/run/systemd/resolve/io.systemd.Resolve: ENOENT", "/run/nscd/socket: ENOENT", "/var/run/nscd/socket: ENOENT", "/run/other/socket: connected",
	}
	if found := strings.Split(strings.TrimSpace(r.out), "\n"); r.closed != nil || !slices.Equal(found, want) {
		t.Errorf("%v\nfound\n%s\nwant\n%s", r.closed, r.out, strings.Join(want, "\n"))
	}
}

// What is in another network namespace has another loopback: it is not led there, which is
// told, and its questions go to its own resolver.
func TestAnotherNetworkNamespace(t *testing.T) {
	needNamespaces(t)
	l := startWithout(t, nil, newLab(t).options())
	r := finish(t, l, []process.Wrapper{l, namespaces(syscall.CLONE_NEWNET)}, compiled(t, "get"), "login.example.test")
	if r.closed != nil || r.code != 1 || strings.Contains(r.out, "by get") {
		t.Errorf("code %d, %v: %s", r.code, r.closed, r.out)
	}
	if len(r.report.Unled) != 1 || r.report.Unled[0].Reason != "it is in another network namespace" || r.report.Unled[0].Executable != compiled(t, "get") {
		t.Errorf("not led were %v", r.report.Unled)
	}
	if n := len(r.report.Unled); n > 0 {
		want := "cannot lead " + r.report.Unled[0].Name + ": it is in another network namespace"
		if text := r.report.Unled[0].String(); text != want {
			t.Errorf("found %q, want %q", text, want)
		}
	}
}

// insideName is in the environment of a test that runs in a network of its own.
const insideName = "WIEMU_TEST_IN_A_NETWORK"

// On a machine with an address of IPv6 and none of IPv4, names are looked up, connections
// led, and servers reached as elsewhere, also by getaddrinfo(3) with AI_ADDRCONFIG.
func TestAMachineWithIPv6Only(t *testing.T) {
	if os.Getenv(insideName) == "" {
		needNamespaces(t)
		cmd := exec.Command("/proc/self/exe", "-test.run", "^TestAMachineWithIPv6Only$", "-test.v")
		cmd.Env = append(os.Environ(), insideName+"=1", "ADDRCONFIG=1")
		if err := namespaces(syscall.CLONE_NEWNET).Prepare(cmd); err != nil {
			t.Fatal(err)
		}
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Error(err)
		}
		if bytes.Contains(out, []byte("--- SKIP")) {
			t.Skip("this machine has no IPv6")
		}
		return
	}
	if !hasIPv6() {
		t.Skip("this machine has no IPv6")
	}
	addIPv6(t)
	if !onlyIPv6() {
		t.Error("there is another address")
	}
	eachWay(t, func(t *testing.T, way Way) {
		r := mustRun(t, way, newLab(t).options(), compiled(t, "get"), "login.example.test", "a.vault.example.test")
		if want := "login.example.test:443 by get\na.vault.example.test:443 by get\n"; r.out != want {
			t.Errorf("found %q, want %q", r.out, want)
		}
		l, err := net.Listen("tcp6", "[fd00::7]:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			conn, err := l.Accept()
			if err == nil {
				_, _ = conn.Write([]byte("a server\n"))
				_ = conn.Close()
			}
		}()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		if r := mustRun(t, way, newLab(t).options(), compiled(t, "get"), "fd00::7 "+port); r.out != "a server\n" {
			t.Errorf("found %q", r.out)
		}
	})
}

// addIPv6 gives the loopback interface fd00::7. Source: netdevice(7), struct in6_ifreq in
// linux/ipv6.h.
func addIPv6(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	up, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	up.SetUint16(unix.IFF_UP)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(up))); errno != 0 {
		t.Fatal(errno)
	}
	request := struct {
		address [16]byte
		prefix  uint32
		device  int32
	}{netip.MustParseAddr("fd00::7").As16(), 128, 1}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(&request))); errno != 0 {
		t.Fatal(errno)
	}
}
