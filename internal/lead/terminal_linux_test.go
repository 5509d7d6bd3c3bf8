//go:build amd64 || arm64

package lead

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The keys of a terminal reach the program as if it was not led: Ctrl-C once, and Ctrl-Z,
// where no shell could continue it, not at all.
func TestKeysOfTheTerminal(t *testing.T) {
	shapes(t, func(t *testing.T, opts Options) {
		master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer master.Close()
		if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
			t.Fatal(err)
		}
		number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
		if err != nil {
			t.Fatal(err)
		}
		terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(opts)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Args = []string{starterName, string(text), "sh", "-c", `trap 'echo interrupted' INT; trap 'echo end; exit 5' TERM; echo begun; while :; do sleep 0.01; done`}
		cmd.Env = append(os.Environ(), foreground+"=1")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		overdue := time.AfterFunc(guard, func() { _ = cmd.Process.Kill() }) // wall time: of the test
		defer func() { overdue.Stop(); _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		_ = terminal.Close()
		lines := bufio.NewScanner(master)
		for _, step := range []struct{ want, keys string }{{"begun", "\x03"}, {"interrupted", "\x1a\x03"}, {"interrupted", ""}} {
			if !lines.Scan() || strings.TrimLeft(lines.Text(), "^CZ") != step.want {
				t.Fatalf("it said %q, want %q", lines.Text(), step.want)
			}
			if _, err := master.WriteString(step.keys); err != nil {
				t.Fatal(err)
			}
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"end", "code 5 <nil>"} {
			if !lines.Scan() || lines.Text() != want {
				t.Fatalf("it said %q, want %q", lines.Text(), want)
			}
		}
	})
}
