//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user and a group without any rights.
const nobody = 65534

// Isolation needs no root: the tests often run as root, so this one gives it up.
func TestIsolateAsNobody(t *testing.T) {
	c := newCommand(t)
	c.giveToNobody()
	cmd := c.prepare(c.path, "run", "--isolate", "-f", "radixconfig.yaml", "--env", "dev", "web", "--",
		"sh", "-c", "id -u; test -s $AZURE_FEDERATED_TOKEN_FILE && echo token; grep CapEff /proc/self/status; mount -t tmpfs x /mnt || echo no mounts; touch made; ls /var/run/secrets")
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"token\n", "CapEff:\t0000000000000000\n", "no mounts\n", "azure\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("expected %q in\n%s", want, out)
		}
	}
	if left := c.left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The loopback of this machine is no way out, by whatever name it is asked for and
// on whatever port: nothing is connected to it, and attempts are written down.
func TestIsolatedFromLoopback(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	c := newCommand(t)
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	reached := make(chan net.Conn, 100)
	go func() {
		for {
			conn, err := outside.Accept()
			if err != nil {
				return
			}
			fmt.Fprintln(conn, "what listens outside")
			_ = conn.Close()
			reached <- conn
		}
	}()
	_, port, err := net.SplitHostPort(outside.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var attempts []string
	for _, host := range []string{"127.0.0.1.", "127.2.3.4.", "2130706433.", "0x7f.1.", "127.1.", "[::1]", "[::ffff:127.0.0.1]", "localhost.", "0.0.0.0", "192.0.2.1"} {
		attempts = append(attempts, "curl -s -m 5 telnet://"+host+":"+port)
	}
	inside := "curl -s -m 5 http://inside.example:" + port + "/"
	attempts = append(attempts, inside+" || "+inside, "exit 0")
	for _, flags := range [][]string{
		nil,
		{"--allow-host", "outside.example:" + port},
		{"--allow-host", "localhost:" + port, "--allow-host", "127.0.0.1:" + port},
	} {
		args := append([]string{"run", "--isolate", "--fail-on-escape", "-f", "radixconfig.yaml", "--env", "dev"}, flags...)
		cmd := c.prepare(c.path, append(args, "web", "--", "sh", "-c", strings.Join(attempts, "; "))...)
		out, err := cmd.CombinedOutput()
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 125 {
			t.Errorf("%v: expected exit code 125, found %v\n%s", flags, err, out)
		}
		for _, want := range []string{"CONNECT to 192.0.2.1:" + port + " refused", "CONNECT to inside.example:" + port + " refused"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%v: expected %q in\n%s", flags, want, out)
			}
		}
		if strings.Contains(string(out), "what listens outside") || len(reached) > 0 {
			t.Errorf("%v: %d connections to loopback outside\n%s", flags, len(reached), out)
		}
	}
}

// An isolated program can neither type into the terminal that it shares with its
// caller nor reach the host of a virtual machine, in lockstep or not, and not as a
// 32-bit program either.
func TestIsolatedFromTerminalAndHost(t *testing.T) {
	c := newCommand(t)
	programs := map[string]string{} // by architecture
	for _, arch := range []string{runtime.GOARCH, map[string]string{"amd64": "386", "arm64": "arm"}[runtime.GOARCH]} {
		program := filepath.Join(c.dir, "waysout-"+arch)
		build := exec.Command("go", "build", "-o", program, "./testdata/waysout")
		build.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if err := exec.Command(program).Run(); err == nil { // else the kernel runs no 32-bit programs
			programs[arch] = program
		}
	}
	if len(programs) == 0 {
		t.Fatal("no program runs")
	}
	for arch, program := range programs {
		for _, flags := range [][]string{nil, {"--clock", "lockstep"}} {
			args := append([]string{"run", "--isolate", "-f", "radixconfig.yaml", "--env", "dev"}, flags...)
			out := c.output(c.path, append(args, "web", "--", program)...)
			const want = "TIOCSTI: operation not permitted\nTIOCLINUX: operation not permitted\nTIOCGWINSZ: inappropriate ioctl for device\n" +
				"AF_VSOCK: address family not supported by protocol\nAF_INET: invalid argument\nio_uring: function not implemented\n"
			if out != want {
				t.Errorf("%s %v:\n%swant\n%s", arch, flags, out, want)
			}
		}
	}
}
