package azurite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// Azurite ends with a wiemu that crashes.
func TestItEndsWithItsParent(t *testing.T) {
	if os.Getenv("WIEMU_TEST_PARENT") != "" {
		a, err := Start(context.Background(), []string{"sh", "-c", listens}, nil, clock.Running())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("child", a.process.cmd.Process.Pid)
		select {}
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestItEndsWithItsParent$")
	parent.Env = append(os.Environ(), "WIEMU_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	child := 0
	for lines := bufio.NewScanner(out); child == 0 && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "child ") {
			_, _ = fmt.Sscanf(lines.Text(), "child %d", &child)
		}
	}
	if child == 0 {
		t.Fatal("the parent started nothing")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	for range 500 {
		if errors.Is(syscall.Kill(child, 0), syscall.ESRCH) || zombie(child) {
			return
		}
		time.Sleep(10 * time.Millisecond) // wall time: a process
	}
	_ = syscall.Kill(child, syscall.SIGKILL)
	t.Errorf("process %d outlived its parent", child)
}

// zombie says whether a process has ended and nobody has waited for it: an init process
// that does not reap leaves it so.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}
