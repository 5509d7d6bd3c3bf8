package process_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTheChildDiesWhenWiemuIsKilled(t *testing.T) {
	held, lines := pipe(t)
	cmd := wiemu(t, "echo ready; exec sleep 60")
	cmd.Stdout = held
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	expect(t, lines, "ready")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	allGone(t, held, lines)
}

// terminal starts a script as wiemu's child on a terminal of its own, and gives
// the keyboard and what the screen shows.
func terminal(t *testing.T, script string) (keyboard *os.File, screen *bufio.Reader, wait func() int) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("left out: no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	cmd := wiemu(t, script)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() }) // wall time: of the test
	t.Cleanup(func() { guard.Stop() })
	return master, bufio.NewReader(master), func() int {
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
}

func shows(t *testing.T, screen *bufio.Reader, want string) {
	t.Helper()
	for {
		line, err := screen.ReadString('\n')
		if err != nil {
			t.Fatalf("the terminal ended before it showed %q: %v", want, err)
		}
		if strings.HasSuffix(strings.TrimSpace(line), want) { // behind ^C, if that was typed
			return
		}
	}
}

func TestATerminalStaysATerminal(t *testing.T) {
	keyboard, screen, wait := terminal(t, `test -t 0 && test -t 1 && echo ready; read line; echo "read $line"; read line </dev/tty; echo "again $line"; exit 6`)
	shows(t, screen, "ready")
	fmt.Fprintln(keyboard, "hello")
	shows(t, screen, "read hello")
	fmt.Fprintln(keyboard, "you")
	shows(t, screen, "again you")
	if code := wait(); code != 6 {
		t.Errorf("exit code %d", code)
	}
}

func TestCtrlCIsTheChilds(t *testing.T) {
	keyboard, screen, wait := terminal(t, `n=0; trap 'n=$((n+1)); echo "got $n"; test $n = 2 && exit 5' INT; echo ready; while :; do sleep 60 & wait; done`)
	shows(t, screen, "ready")
	fmt.Fprint(keyboard, "\x03")
	shows(t, screen, "got 1") // once: wiemu does not hand it on
	fmt.Fprint(keyboard, "\x03")
	shows(t, screen, "got 2")
	if code := wait(); code != 5 {
		t.Errorf("exit code %d", code)
	}
}

func TestAShellWithJobControlWorks(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("left out: there is no bash here")
	}
	keyboard, screen, wait := terminal(t, `exec bash --norc --noprofile --noediting -i`)
	fmt.Fprintln(keyboard, "sh -c 'echo star''ted; exec sleep 60'")
	shows(t, screen, "started")
	fmt.Fprint(keyboard, "\x03") // ends sleep, not the shell
	fmt.Fprintln(keyboard, "echo sta''tus $?")
	shows(t, screen, "status 130")
	fmt.Fprintln(keyboard, "exit 8")
	if code := wait(); code != 8 {
		t.Errorf("exit code %d", code)
	}
}
