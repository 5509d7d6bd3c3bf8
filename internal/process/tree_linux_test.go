package process

import (
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"
)

// At the second of two looks shortly after one another, only what was started between them is read
// again, and what has been a member at the first; a later one reads all.
func TestStrangersAreReadOnce(t *testing.T) {
	start := func(group int) int {
		t.Helper()
		cmd := exec.Command("sleep", "60")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: group}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		return cmd.Process.Pid
	}
	child := start(0)
	tree := newProcessTree(true, nil)
	if err := tree.adopt(&os.Process{Pid: child}); err != nil {
		t.Fatal(err)
	}
	members := func() (pids []int) {
		tree.mu.Lock()
		defer tree.mu.Unlock()
		for _, m := range tree.members() {
			pids = append(pids, m.pid)
		}
		slices.Sort(pids)
		return pids
	}
	first := start(child)
	if got := members(); !slices.Equal(got, []int{first}) {
		t.Fatalf("expected %d, found %v", first, got)
	}
	if tree.strangers[child] || tree.strangers[first] || !tree.strangers[os.Getpid()] {
		t.Errorf("expected strangers with this process %d, and without %d and %d, found %v", os.Getpid(), child, first, tree.strangers)
	}
	for _, m := range processes(tree.strangers) {
		if m.pid == os.Getpid() {
			t.Error("a stranger was read again")
		}
	}
	second := start(child)
	tree.looked = time.Now() // however long that took on a busy machine
	if got := members(); len(got) != 2 || !slices.Contains(got, first) || !slices.Contains(got, second) {
		t.Errorf("expected %d and %d, found %v", first, second, got)
	}
	tree.strangers[second], tree.looked = true, time.Now().Add(-2*strangerTime)
	if got := members(); len(got) != 2 {
		t.Errorf("expected all to be read after a while, found %v", got)
	}
}
