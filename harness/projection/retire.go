package projection

import (
	"os"
	"sync"
	"time"
)

// grace is how long a directory outlives the link to it, in wall time. A kubelet
// removes it at once, so a reader that the machine interrupts between following
// the link and opening the file finds nothing: too rare to be worth showing.
const grace = 100 * time.Millisecond

// retired directories are removed a moment after the last reader can have begun
// to open a file in them.
type retired struct {
	mu     sync.Mutex
	timers map[string]*time.Timer
}

func (r *retired) add(dir string, grace time.Duration) {
	if grace == 0 {
		_ = os.RemoveAll(dir) // what stays is removed by close
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.timers == nil {
		r.timers = map[string]*time.Timer{}
	}
	r.timers[dir] = time.AfterFunc(grace, func() { // wall time: readers live in it
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, waiting := r.timers[dir]; waiting {
			delete(r.timers, dir)
			_ = os.RemoveAll(dir)
		}
	})
}

func (r *retired) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, timer := range r.timers {
		timer.Stop()
	}
	clear(r.timers)
}
