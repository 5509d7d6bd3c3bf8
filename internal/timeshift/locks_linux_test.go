//go:build amd64 || arm64

package timeshift

import (
	"testing"
	"time"
)

// Whoever looks at the threads holds their lock and wants that of the waits; who asks for the next
// wait holds that of the waits. A program that asks for a name during a turn has both done at once.
func TestTheNextWaitIsFoundWhileThreadsAreLookedAt(t *testing.T) {
	const tid, due = 7, 5
	ts := newThreads()
	ts.byID[tid] = &thread{process: tid, isIn: true, nr: noCall}
	ws := &waits{byKey: map[waitKey]*wait{{thread: tid}: {tid: tid, due: due}}}
	mayWaitIn := ts.mayWaitIn()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	found := make(chan int64)
	go func() { found <- ws.next(0, mayWaitIn) }()
	select {
	case next := <-found:
		if next != due {
			t.Errorf("expected %d, found %d", due, next)
		}
	case <-time.After(10 * time.Second): // wall time: they wait for each other
		t.Fatal("the next wait was not found while the threads were looked at")
	}
}
