//go:build unix

package scenario

import (
	"bytes"
	"context"
	"github.com/wiemu/wiemu/internal/scenario/report"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Ctrl-C ends the programs, with what they started, and leaves nothing behind.
func TestCancellationCleansUp(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pids")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	temporary(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pids := make(chan []string, 1)
	go func() {
		text, _ := os.ReadFile(pipe) // an empty answer fails the test below
		pids <- strings.Fields(string(text))
		cancel()
	}()
	var shown bytes.Buffer
	o := play(t, ctx, "", `
  - run: {workload: web, shell: 'sleep 300 & echo $$ $! > "$PIDS"; wait', env: {PIDS: '`+pipe+`'}}
  - expect: ['true']
`, Options{Out: &shown})
	if shown.Len() > 0 {
		t.Errorf("a scenario that did not come to its end is shown: %s", &shown)
	}
	if o.Outcome != report.Interrupted || len(o.Failures) != 1 || !strings.Contains(o.Failures[0].Message, context.Canceled.Error()) {
		t.Errorf("expected a scenario that was canceled, got %+v", o)
	}
	started := <-pids
	if len(started) != 2 {
		t.Fatalf("expected two processes, got %v", started)
	}
	for _, pid := range started {
		if state := stateOf(pid); state != "" && state != "Z" {
			t.Errorf("process %s is still there (%s)", pid, state)
		}
	}
	if o := play(t, ctx, "", "  - expect: ['true']\n", Options{}); o.Outcome != report.Interrupted || !strings.Contains(o.Failures[0].Message, "not run") {
		t.Errorf("expected a scenario that was not run, got %+v", o)
	}
}

// stateOf is the state letter of a process, "" if there is none. A process whose
// parent was killed stays a zombie (Z) where nobody reaps it.
func stateOf(pid string) string {
	stat, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return rest[:1]
}
