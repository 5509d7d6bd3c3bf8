//go:build amd64 || arm64

package timeshift

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/lead/handover"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/seccomp"
	"github.com/wiemu/wiemu/internal/seccomp/seccomptest"
)

// arrivals are the connections that were handed over.
type arrivals struct {
	mu  sync.Mutex
	all []string
}

func (a *arrivals) Accept(conn net.Conn, to handover.Target, by handover.Program) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, to.String()+" by "+filepath.Base(by.Name))
	_ = conn.Close()
}

func (*arrivals) Permits(handover.Target, handover.Program) bool { return false }

func (*arrivals) Allows(string) bool { return false }

// serve takes the connections that are handed over at an address, which found tells once
// nobody hands over any more.
func serve(t *testing.T) (at string, found func() []string) {
	t.Helper()
	listener, err := handover.Listen()
	if err != nil {
		t.Fatal(err)
	}
	var all arrivals
	served := make(chan error, 1)
	go func() { served <- handover.Serve(listener, &all) }()
	end := sync.OnceFunc(func() {
		if err := errors.Join(listener.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	return listener.Address(), func() []string { end(); return all.all }
}

// A program on the lab clock is led, too: it connects when lab time says so, and time does
// not move on while it looks a name up or connects.
func TestConnectionsAreLed(t *testing.T) {
	at, found := serve(t)
	lab := clock.Stopped(start)
	const times = 24
	c := launch(t, lab, lab, Options{Lead: &lead.Options{Names: []string{"login.example.test"}, Handover: at}}, compile(t, "led"), "login.example.test", "24")
	c.has("12:00:00\n")
	c.advance(times * time.Hour)
	if code := c.wait(); code != 0 {
		t.Errorf("exit code %d: %s", code, c.said())
	}
	var want strings.Builder
	for i := range times {
		want.WriteString(start.Add(time.Duration(i)*time.Hour).Format("15:04:05") + "\n")
	}
	if c.output() != want.String() {
		t.Errorf("it connected at\n%s\nwant\n%s", c.output(), want.String())
	}
	if led := c.shift.Led(); led.Way != lead.Getfd || len(led.Unled) != 0 {
		t.Errorf("found %+v", led)
	}
	if all := found(); len(all) != times || all[0] != "login.example.test:443 by led" {
		t.Errorf("%d connections were handed over, want %d: %v", len(all), times, all)
	}
}

// deniedNetworkProgram is the name under which this program runs another on the lab clock, and
// leads it, where copies of its sockets are not permitted, as in Docker's default profile. Its
// arguments are where connections are handed over, and the program's.
const deniedNetworkProgram = "test: be led where sockets cannot be copied"

func deniedNetworkMain() {
	deny(unix.SYS_PIDFD_GETFD, uint32(unix.EPERM))
	shift, err := Start(clock.Stopped(start), Options{Lead: &lead.Options{Names: []string{"login.example.test"}, Handover: os.Args[1]}})
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdout = os.Stdout
	err = shift.Prepare(cmd)
	if err == nil {
		err = cmd.Run()
	}
	fmt.Println(errors.Join(err, shift.Close()), shift.Led())
}

// Where copies of sockets are not permitted, addresses are rewritten.
func TestConnectionsAreLedByRewriting(t *testing.T) {
	at, found := serve(t)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Args = []string{deniedNetworkProgram, at, compile(t, "led"), "login.example.test", "1"}
	out, err := cmd.CombinedOutput()
	if want := fmt.Sprintln("12:00:00\n<nil>", lead.Report{Way: lead.Rewrite}); err != nil || string(out) != want {
		t.Errorf("error %v, it said %q, want %q", err, out, want)
	}
	if all := found(); !slices.Equal(all, []string{"login.example.test:443 by led"}) {
		t.Errorf("handed over were %v", all)
	}
}

// No connect(2) is interrupted before it has begun, as one may be without a tracer: see
// TestStormOfSignals in package lead, whose program it is.
func TestStormOfSignalsInLockstep(t *testing.T) {
	program := compile(t, "../../lead/testdata/storm")
	for _, restart := range []string{"0", "1"} {
		for _, way := range []lead.Way{lead.Getfd, lead.Rewrite} {
			t.Run(string(way)+" "+restart, func(t *testing.T) {
				at, _ := serve(t)
				args := []string{program, "login.example.test", "20", restart}
				var out string
				if way == lead.Getfd {
					lab := clock.Stopped(start)
					c := launch(t, lab, lab, Options{Lead: &lead.Options{Names: []string{"login.example.test"}, Handover: at}}, args...)
					if code := c.wait(); code != 0 {
						t.Errorf("exit code %d: %s", code, c.said())
					}
					out = c.output()
				} else {
					cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
					cmd.Args = append([]string{deniedNetworkProgram, at}, args...)
					said, err := cmd.CombinedOutput()
					if err != nil {
						t.Errorf("%v: %s", err, said)
					}
					out = string(said)
				}
				t.Log(out)
				// With a rewritten address it is the kernel that connects, which may be interrupted then.
				if !strings.Contains(out, " late 0 unconnected 0\n") || way == lead.Getfd && strings.Contains(out, "EINTR") {
					t.Errorf("it said %s", out)
				}
			})
		}
	}
}

// A lab that is not there is told, and nothing starts.
func TestConnectionsAreLedToNoLab(t *testing.T) {
	lab := clock.Stopped(start)
	c := launch(t, lab, lab, Options{Lead: &lead.Options{Names: []string{"login.example.test"}, Handover: filepath.Join(t.TempDir(), "none")}}, "echo", "started")
	<-c.done
	if err := c.shift.Close(); err == nil || !strings.Contains(err.Error(), "connect to the lab") || c.output() != "" || c.code != process.Failed {
		t.Errorf("error %v, code %d, output %q", err, c.code, c.output())
	}
	if _, err := Start(lab, Options{Lead: &lead.Options{Names: []string{"login.example.test"}}}); err == nil || !strings.Contains(err.Error(), "Handover is required") {
		t.Errorf("without Handover: error %v", err)
	}
}

// noLabProgram is the name under which this program leads another to no lab, where a process that
// sends by the number of shimFile is killed: by then it is not the shim's any more.
const noLabProgram = "test: be led to no lab"

func noLabMain() {
	kill := program{seccomp.Load(seccomp.Number), seccomp.Jump(unix.BPF_JEQ, unix.SYS_SENDTO, 0, 3)}
	kill = append(kill, seccomp.Load(seccomp.Low(0)), seccomp.Jump(unix.BPF_JEQ, shimFile, 0, 1), seccomp.Return(unix.SECCOMP_RET_KILL_PROCESS), seccomp.Return(seccomp.Allow))
	if err := errors.Join(unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), setFilter(kill)); err != nil {
		panic(err)
	}
	shift, err := Start(clock.Stopped(start), Options{Lead: &lead.Options{Names: []string{"login.example.test"}, Handover: os.Args[1]}})
	if err != nil {
		panic(err)
	}
	cmd := exec.Command("echo", "started")
	cmd.Stdout = os.Stdout
	if err = shift.Prepare(cmd); err == nil {
		err = cmd.Run()
	}
	fmt.Println(err, shift.Close() != nil, shift.supervisor.ProcessState)
}

// The supervisor that has found no lab does not use the number of a file that it has closed.
func TestTheShimsFileIsClosedOnce(t *testing.T) {
	seccomptest.NeedListeners(t)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Args = []string{noLabProgram, filepath.Join(t.TempDir(), "none")}
	out, err := cmd.CombinedOutput()
	if want := fmt.Sprintf("exit status %d true exit status 0\n", process.Failed); err != nil || string(out) != want {
		t.Errorf("error %v, it said %q, want %q", err, out, want)
	}
}
