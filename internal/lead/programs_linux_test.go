//go:build amd64 || arm64

package lead

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/process"
)

// A program that looks names up with libc is led by name and port, and named.
func TestNamesAreLed(t *testing.T) {
	eachWay(t, func(t *testing.T, way Way) {
		lab := newLab(t)
		r := mustRun(t, way, lab.options(), compiled(t, "get"), "login.example.test", "a.vault.example.test 8443", "LOGIN.example.test.", "login.example.test")
		const want = "login.example.test:443 by get\na.vault.example.test:8443 by get\nlogin.example.test:443 by get\nlogin.example.test:443 by get\n"
		if r.out != want {
			t.Errorf("found\n%s\nwant\n%s", r.out, want)
		}
		arrived, escaped := lab.seen()
		if len(arrived) != 4 || len(escaped) != 0 {
			t.Fatalf("%d connections and %d escapes arrived, want 4 and none", len(arrived), len(escaped))
		}
		if by := arrived[0].by; by.PID <= 0 || by.Executable != compiled(t, "get") || by.Name != by.Executable {
			t.Errorf("found the program %+v", by)
		}
	})
}

// The same where the supervisor has to be an ancestor.
func TestNamesAreLedByAnAncestor(t *testing.T) {
	lab := newLab(t)
	opts := lab.options()
	opts.Ancestor = true
	r := mustRun(t, Getfd, opts, compiled(t, "processes"), "login.example.test")
	if want := fmt.Sprintf("forks 0, grandchildren 0, spawned 0, vforks 0, execs 0, threads %d\n", notCopied(t, Getfd)); r.out != want {
		t.Errorf("not served: %swant %s", r.out, want)
	}
}

// notCopied is how many connections the program processes makes in threads with files of their
// own that are not led, since this kernel copies files of whole processes alone: before Linux 6.9,
// which brought PIDFD_THREAD. See TestAThreadWithFilesOfItsOwn.
func notCopied(t *testing.T, way Way) int {
	t.Helper()
	if way != Getfd {
		return 0
	}
	pidfd, err := unix.PidfdOpen(os.Getpid(), unix.O_EXCL)
	if errors.Is(err, unix.EINVAL) {
		t.Log("this kernel has no PIDFD_THREAD (Linux 6.9): threads with files of their own are not led")
		return 20
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(pidfd)
	return 0
}

// Sockets keep their state, whatever it is, and what is no connection to an emulated name
// goes on as the program asked for.
func TestSocketsOfEveryState(t *testing.T) {
	eachWay(t, func(t *testing.T, way Way) {
		r := mustRun(t, way, newLab(t).options(), compiled(t, "states"), "login.example.test")
		var want strings.Builder
		for _, state := range []string{
			"plain", "bound", "mapped", "mapped, without a scope", "on a device", "non-blocking", "watched before", "with a time-out", "a second time",
			"with options", "duplicated", "fast open", "fast open by sendto", "fast open by sendmsg", "multipath", "the same address again",
		} {
			if strings.HasPrefix(state, "mapped") && !hasIPv6() {
				continue
			}
			fmt.Fprintf(&want, "%s: login.example.test:443 by states\n", state)
		}
		want.WriteString("datagrams: untouched\nno memory: EFAULT\nno socket: ENOTSOCK\nno file: EBADF\ntoo short: EINVAL\ndisconnected: yes\n")
		if r.out != want.String() {
			t.Errorf("found\n%s\nwant\n%s", r.out, want.String())
		}
	})
}

// hasIPv6 reports whether this machine has sockets of IPv6.
func hasIPv6() bool {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	return unix.Close(fd) == nil
}

// What descends from the program is led, too, in threads and after an exec.
func TestProcessesAndThreads(t *testing.T) {
	eachWay(t, func(t *testing.T, way Way) {
		lab := newLab(t)
		r := mustRun(t, way, lab.options(), compiled(t, "processes"), "login.example.test")
		if want := fmt.Sprintf("forks 0, grandchildren 0, spawned 0, vforks 0, execs 0, threads %d\n", notCopied(t, way)); r.out != want {
			t.Errorf("not served: %swant %s", r.out, want)
		}
		arrived, _ := lab.seen()
		pids := map[int]bool{}
		for _, a := range arrived {
			pids[a.by.PID] = true
		}
		if want := 5*8 + 24*20 - notCopied(t, way); len(arrived) != want {
			t.Errorf("%d connections arrived, want %d", len(arrived), want)
		}
		if want := 5*8 + 1; len(pids) != want {
			t.Errorf("they were of %d processes, want %d", len(pids), want)
		}
	})
}

// A process that executes another program connects by that one's name from then on.
func TestProgramsAreToldByName(t *testing.T) {
	eachWay(t, func(t *testing.T, way Way) {
		r := mustRun(t, way, newLab(t).options(), "env", "AGAIN=another", compiled(t, "get"), "login.example.test", "login.example.test")
		const first, then = "login.example.test:443 by get\n", "login.example.test:443 by another\n"
		if want := first + first + then + then; r.out != want {
			t.Errorf("found %q, want %q", r.out, want)
		}
	})
}

// Before Linux 6.9 the sockets of a thread with files of its own cannot be copied: it is not
// led, which is told, and no other socket of its process is touched in their place.
func TestAThreadWithFilesOfItsOwn(t *testing.T) {
	l := startWithout(t, oldKernel, newLab(t).options())
	r := finish(t, l, []process.Wrapper{l, denied(oldKernel)}, compiled(t, "processes"), "login.example.test")
	if want := "forks 0, grandchildren 0, spawned 0, vforks 0, execs 0, threads 20\n"; r.out != want || r.closed != nil {
		t.Errorf("not served: %swant %s%v", r.out, want, r.closed)
	}
	if len(r.report.Unled) != 1 || r.report.Unled[0].Reason != "its socket may not be copied: function not implemented" {
		t.Errorf("not led were %v", r.report.Unled)
	}
}

// A resolver in the program is answered by the one that it asked; where addresses are
// rewritten at least by somebody, or by that if it is on loopback.
func TestResolversOfPrograms(t *testing.T) {
	forms := []string{"sendto", "non-blocking", "connected", "sendmsg", "sendmmsg"}
	for _, test := range []struct{ name, resolver, host, want string }{
		{"emulated", "192.0.2.53", "login.example.test", "127.77.0.10"},
		{"emulated, by a local one", "127.0.0.153", "login.example.test", "127.77.0.10"},
		{"emulated, by one of IPv6", "2001:db8::53", "login.example.test", "127.77.0.10"},
		{"emulated, by a local one of IPv6", "::1", "login.example.test", "127.77.0.10"},
		{"emulated, by a mapped one", "::ffff:192.0.2.53", "login.example.test", "127.77.0.10"},
		{"another, and there is no resolver", "127.0.0.154", "www.example.test", "127.77.128.1"},
		{"another that may be reached, and there is no resolver", "127.0.0.154", allowedName, "error 2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if strings.Contains(test.resolver, ":") && !hasIPv6() {
				t.Skip("this machine has no IPv6")
			}
			eachWay(t, func(t *testing.T, way Way) {
				r := mustRun(t, way, newLab(t).options(), compiled(t, "resolver"), test.resolver, test.host)
				whom := " of the server"
				if way == Rewrite {
					whom = " of another"
				}
				for _, form := range forms {
					if want := form + ": " + test.want + whom + "\n"; !strings.Contains(r.out, want) {
						t.Errorf("want %s", want)
					}
				}
				for _, want := range []string{"empty: EAGAIN\n", "with a time-out: EAGAIN\n", "stream: " + test.want + "\n"} {
					if !strings.Contains(r.out, want) {
						t.Errorf("want %s", want)
					}
				}
				if t.Failed() {
					t.Logf("found\n%s", r.out)
				}
			})
		})
	}
}

// Connections by TCP to public addresses on 443 and 80 are permitted by the lab, or refused;
// it is told the program. Everything else goes on.
func TestEscapes(t *testing.T) {
	eachWay(t, func(t *testing.T, way Way) {
		lab := newLab(t)
		r := mustRun(t, way, lab.options(), compiled(t, "reach"),
			"203.0.113.7", "443", "203.0.113.7", "80", allowed, "443", "203.0.113.7", "5432",
			"10.1.2.3", "443", "100.64.1.2", "443", "169.254.1.2", "80", "::ffff:203.0.113.9", "443")
		refused := []string{"203.0.113.7 443", "203.0.113.7 80", "::ffff:203.0.113.9 443"}
		if !hasIPv6() {
			refused = refused[:2]
		}
		for _, to := range refused {
			if !strings.Contains(r.out, to+": TCP ECONNREFUSED\n") {
				t.Errorf("%s was not refused", to)
			}
		}
		if n := strings.Count(r.out, "ECONNREFUSED"); n != len(refused) {
			t.Errorf("%d connections were refused, want %d", n, len(refused))
		}
		_, escaped := lab.seen()
		var found []string
		for _, e := range escaped {
			found = append(found, e.to.String())
			if e.by.Executable != compiled(t, "reach") {
				t.Errorf("the lab was told of %+v", e.by)
			}
		}
		want := []string{"203.0.113.7:443", "203.0.113.7:80", "203.0.113.8:443", "203.0.113.9:443"}[:len(refused)+1]
		if !slices.Equal(found, want) {
			t.Errorf("the lab was asked for %v, want %v", found, want)
		}
		if t.Failed() {
			t.Logf("found\n%s", r.out)
		}
	})
}

// Datagrams to public addresses on 443 are permitted by the lab, or refused, where they are sent
// with an address; connecting a socket of UDP sends nothing. The lab is asked once for what it
// permits.
func TestDatagramsThatEscape(t *testing.T) {
	eachWay(t, func(t *testing.T, way Way) {
		lab := newLab(t)
		r := mustRun(t, way, lab.options(), compiled(t, "datagrams"), "203.0.113.7", "443", allowed, "443", "203.0.113.7", "5432", "127.0.0.1", "443")
		for _, to := range []string{"203.0.113.7 443", allowed + " 443", "203.0.113.7 5432"} {
			for _, how := range []string{"sendto", "sendmsg", "connect"} {
				want := "went on"
				if to == "203.0.113.7 443" && how != "connect" {
					want = "refused"
				}
				if line := to + " " + how + ": " + want + "\n"; !strings.Contains(r.out, line) {
					t.Errorf("want %s", line)
				}
			}
		}
		_, escaped := lab.seen()
		var found []string
		for _, e := range escaped {
			found = append(found, e.to.String())
		}
		if want := []string{"203.0.113.7:443", "203.0.113.7:443", allowed + ":443"}; !slices.Equal(found, want) {
			t.Errorf("the lab was asked for %v, want %v", found, want)
		}
		if t.Failed() {
			t.Logf("found\n%s", r.out)
		}
	})
}

// What a program sends to a name that no resolver knows leads nowhere, also where a server
// listens on all addresses; by TCP to 443 and 80 the lab is told the name.
func TestUnknownNamesLeadNowhere(t *testing.T) {
	eachWay(t, func(t *testing.T, way Way) {
		packets, stream, err := listenBoth(netip.IPv4Unspecified())
		if err != nil {
			t.Fatal(err)
		}
		defer packets.Close()
		defer stream.Close()
		port := stream.Addr().(*net.TCPAddr).AddrPort().Port()
		lab := newLab(t)
		r := mustRun(t, way, lab.options(), "sh", "-c", `"$0" 127.0.0.154 www.example.test sendto >/dev/null; shift; exec "$@"`, compiled(t, "resolver"), "",
			compiled(t, "reach"), "127.77.128.1", "443", "127.77.128.1", "80", "::ffff:127.77.128.1", "443", "127.77.128.1", fmt.Sprint(port), "127.77.128.1", "53", "127.77.128.2", fmt.Sprint(port))
		want := "127.77.128.1 443: TCP ECONNREFUSED\n127.77.128.1 443: UDP ECONNREFUSED\n127.77.128.1 80: TCP ECONNREFUSED\n"
		if hasIPv6() {
			want += "::ffff:127.77.128.1 443: TCP ECONNREFUSED\n::ffff:127.77.128.1 443: UDP ECONNREFUSED\n"
		} else {
			want += "::ffff:127.77.128.1 443: TCP no socket\n::ffff:127.77.128.1 443: UDP no socket\n"
		}
		want += fmt.Sprintf("127.77.128.1 %d: TCP ECONNREFUSED\n127.77.128.1 53: TCP ECONNREFUSED\n", port)
		want += fmt.Sprintf("127.77.128.2 %d: TCP EINPROGRESS\n", port) // nobody's name
		if r.out != want {
			t.Errorf("found\n%s\nwant\n%s", r.out, want)
		}
		_, escaped := lab.seen()
		var found []string
		for _, e := range escaped {
			found = append(found, e.to.String())
			if e.by.Executable != compiled(t, "reach") {
				t.Errorf("the lab was told of %+v", e.by)
			}
		}
		names := []string{"www.example.test:443", "www.example.test:80", "www.example.test:443"}
		if !hasIPv6() {
			names = names[:2]
		}
		if !slices.Equal(found, names) {
			t.Errorf("the lab was asked for %v, want %v", found, names)
		}
	})
}

// A literal address is answered where Options say.
func TestLiterals(t *testing.T) {
	eachWay(t, func(t *testing.T, way Way) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte("metadata\n"))
				_ = conn.Close()
			}
		}()
		opts := newLab(t).options()
		opts.Literals[netip.MustParseAddrPort("169.254.169.254:80")] = l.Addr().(*net.TCPAddr).AddrPort()
		r := mustRun(t, way, opts, compiled(t, "get"), "169.254.169.254 80", "::ffff:169.254.169.254 80")
		if want := "metadata\nmetadata\n"; r.out != want {
			t.Errorf("found %q, want %q", r.out, want)
		}
	})
}

// The program's own servers, of TCP and on sockets of the file system, stay where they are.
func TestLocalServers(t *testing.T) {
	eachWay(t, func(t *testing.T, way Way) {
		var args, want []string
		for _, at := range [][2]string{{"tcp4", "127.0.0.1:0"}, {"tcp4", "127.77.200.1:0"}, {"tcp6", "[::1]:0"}, {"unix", filepath.Join(t.TempDir(), "socket")}} {
			if at[0] == "tcp6" && !hasIPv6() {
				continue
			}
			l, err := net.Listen(at[0], at[1])
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if at[0] == "unix" {
				args, want = append(args, at[1], ""), append(want, at[1]+": connected")
				continue
			}
			go func() {
				conn, err := l.Accept()
				if err == nil {
					_ = conn.Close()
				}
			}()
			host, port, _ := net.SplitHostPort(l.Addr().String())
			args, want = append(args, host, port), append(want, host+" "+port+": TCP EINPROGRESS")
		}
		r := mustRun(t, way, newLab(t).options(), append([]string{compiled(t, "reach")}, args...)...)
		if found := strings.Split(strings.TrimSpace(r.out), "\n"); !slices.Equal(found, want) {
			t.Errorf("found\n%s\nwant\n%s", r.out, strings.Join(want, "\n"))
		}
	})
}

// A server in the program is reached from outside, by TCP and UDP, and sees its clients.
func TestServersInside(t *testing.T) {
	eachWay(t, func(t *testing.T, way Way) {
		var without []denial
		if way == Rewrite {
			without = docker
		}
		l := startWithout(t, without, newLab(t).options())
		ctx, cancel := context.WithTimeout(t.Context(), guard)
		defer cancel()
		out, in := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			_, err := process.Run(ctx, process.Command{Args: []string{compiled(t, "serve")}, Env: os.Environ(), Stdout: in, Background: true, Wrappers: []process.Wrapper{l}})
			ended <- errors.Join(err, in.Close(), l.Close())
		}()
		var tcp, udp int
		if _, err := fmt.Fscan(out, &tcp, &udp); err != nil {
			t.Fatal(err)
		}
		var clients []string
		for _, to := range []struct {
			network string
			port    int
		}{{"tcp", tcp}, {"udp", udp}, {"udp", udp}} {
			conn, err := net.Dial(to.network, fmt.Sprintf("127.0.0.1:%d", to.port))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			answer := make([]byte, 4)
			_, err = conn.Write([]byte("ping"))
			if err == nil {
				err = conn.SetReadDeadline(time.Now().Add(guard)) // wall time: input and output
			}
			if err == nil {
				_, err = io.ReadFull(conn, answer)
			}
			if err != nil || string(answer) != "PING" {
				t.Errorf("%s: found %q, %v", to.network, answer, err)
			}
			_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
			clients = append(clients, port)
		}
		said, err := io.ReadAll(out)
		if err = errors.Join(err, <-ended); err != nil {
			t.Fatal(err)
		}
		if found, want := strings.TrimSpace(string(said)), strings.Join(clients, " "); found != want {
			t.Errorf("its clients were %q, want %q", found, want)
		}
	})
}

// c-ares, which Node has for dns.resolve, compares who answered with whom it asked: where
// addresses are rewritten it is content with a resolver on loopback alone.
func TestCares(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip("node is missing, which has c-ares")
	}
	const script = `
		const { Resolver } = require('dns').promises
		const resolver = new Resolver({ timeout: Number(process.argv[2]), tries: 1 })
		resolver.setServers([process.argv[1]])
		resolver.resolve4('login.example.test').then(found => console.log(found[0]), failed => console.log(failed.code))`
	for _, test := range []struct {
		way            Way
		resolver, want string
	}{
		{Getfd, "192.0.2.53", "127.77.0.10"},
		{Getfd, "127.0.0.53", "127.77.0.10"},
		{Rewrite, "192.0.2.53", "ETIMEOUT"},
		{Rewrite, "127.0.0.53", "127.77.0.10"},
	} {
		t.Run(fmt.Sprintf("%s %s", test.way, test.resolver), func(t *testing.T) {
			t.Parallel()
			timeout := "60000" // milliseconds
			if test.want == "ETIMEOUT" {
				timeout = "1000"
			}
			r := mustRun(t, test.way, newLab(t).options(), node, "-e", script, test.resolver, timeout)
			if found := strings.TrimSpace(r.out); found != test.want {
				t.Errorf("found %s, want %s", found, test.want)
			}
		})
	}
}

// io_uring is refused as by a kernel without it, and what a 32-bit program does is
// reported.
func TestCallsThatPassBy(t *testing.T) {
	r := launch(t, Getfd, newLab(t).options(), compiled(t, "calls"))
	want := "io_uring_setup: ENOSYS\n"
	var unled []Unled
	if runtime.GOARCH == "amd64" {
		want += "32-bit connect: EBADF\n"
		unled = []Unled{{Executable: compiled(t, "calls"), Name: compiled(t, "calls"), Reason: "it is a 32-bit program"}}
	}
	if r.out != want || r.code != 0 || r.closed != nil {
		t.Errorf("found %q, code %d, %v", r.out, r.code, r.closed)
	}
	for i := range r.report.Unled {
		if r.report.Unled[i].PID <= 0 {
			t.Errorf("process %d", r.report.Unled[i].PID)
		}
		r.report.Unled[i].PID = 0
	}
	if !slices.Equal(r.report.Unled, unled) {
		t.Errorf("not led were %v, want %v", r.report.Unled, unled)
	}
}

// Signals change nothing: connect(2) succeeds, begins, or was interrupted before it began,
// and nothing is written into a program that does not wait any more.
func TestStormOfSignals(t *testing.T) {
	for _, test := range []struct {
		name    string
		without []denial
		way     Way
		restart bool
	}{
		{"getfd", nil, Getfd, false},
		{"getfd, restarted", nil, Getfd, true},
		{"getfd before Linux 5.19", oldKernel, Getfd, false},
		{"getfd before Linux 5.19, restarted", oldKernel, Getfd, true},
		{"rewrite", docker, Rewrite, false},
		{"rewrite, restarted", docker, Rewrite, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			restart := "0"
			if test.restart {
				restart = "1"
			}
			l := startWithout(t, test.without, newLab(t).options())
			wrappers := []process.Wrapper{l}
			if slices.Equal(test.without, oldKernel) {
				wrappers = append(wrappers, denied(oldKernel))
			}
			r := finish(t, l, wrappers, compiled(t, "storm"), "login.example.test", "300", restart)
			if r.code != 0 || r.closed != nil || r.report.Way != test.way {
				t.Fatalf("code %d, %v, way %s: %s", r.code, r.closed, r.report.Way, r.out)
			}
			t.Log(strings.TrimSpace(r.out))
			first, rest, _ := strings.Cut(strings.TrimSpace(r.out), "\n")
			var signals, late, unconnected int
			if _, err := fmt.Sscanf(first, "signals %d late %d unconnected %d", &signals, &late, &unconnected); err != nil {
				t.Fatal(err)
			}
			results, total := map[string]int{}, 0
			for line := range strings.Lines(rest) {
				var name string
				var n int
				if _, err := fmt.Sscan(line, &name, &n); err != nil {
					t.Fatal(err)
				}
				if name != "ok" && name != "EINPROGRESS" && (name != "EINTR" || test.restart) {
					t.Errorf("connect said %s %d times", name, n)
				}
				results[name] = n
				total += n
			}
			if total != 4*300 || signals < 100 {
				t.Errorf("%d connections and %d signals", total, signals)
			}
			if late != 0 || unconnected > results["EINTR"] {
				t.Errorf("%d addresses were written late, %d sockets not connected", late, unconnected)
			}
		})
	}
}
