package projection

import (
	"os"
	"sync"
	"time"

	"github.com/wiemu/wiemu/internal/issuer"
)

// When a kubelet renews a token. Kubernetes: Manager.requiresRefresh,
// pkg/kubelet/token/token_manager.go; the same from 1.20 to 1.37.
const (
	maxAge    = 24 * time.Hour  // a token is renewed when it is this old,
	remaining = 20              // or when this percentage of its lifetime is left,
	maxJitter = 9 * time.Second // or up to this much sooner
)

// refreshDue reports whether a token is due for renewal, and why.
func refreshDue(t issuer.Token, now time.Time, jitter time.Duration) (reason string, due bool) {
	byAge, byLifetime := refreshTimes(t)
	switch {
	case now.After(byAge.Add(-jitter)):
		return "24 hours old", true
	case now.After(byLifetime.Add(-jitter)):
		return "80 % of its lifetime over", true
	}
	return "", false
}

func refreshTimes(t issuer.Token) (byAge, byLifetime time.Time) {
	// In whole seconds, as expirationSeconds is.
	seconds := int64(t.ExpiresAt.Sub(t.IssuedAt) / time.Second)
	return t.IssuedAt.Add(maxAge), t.ExpiresAt.Add(-time.Duration(seconds*remaining/100) * time.Second)
}

// jitter is drawn anew at every check: whole seconds from 0 to 9.
func (v *Volume) jitter() time.Duration {
	return time.Duration(v.random.Int64N(int64(maxJitter/time.Second)+1)) * time.Second
}

// schedule sets the timer for the next synchronisation that can change something; v.mu is held. The
// pod's other synchronisations leave the volume as it is, so they are drawn but not waited for.
func (v *Volume) schedule() {
	if v.closed {
		return
	}
	if v.timer != nil {
		v.timer.Stop()
	}
	now := v.clock.Now()
	byAge, byLifetime := refreshTimes(v.token)
	at := now.Add(v.lag())
	idle := func() bool {
		return at.Before(v.leftOut) || !v.hasEarly(at) && !at.After(byAge.Add(-maxJitter)) && !at.After(byLifetime.Add(-maxJitter))
	}
	for v.laid && at.Sub(now) < maxAge && idle() {
		at = at.Add(v.lag())
	}
	v.timer = v.clock.AfterFunc(at.Sub(now), v.sync)
}

// lag is the time to the pod's next synchronisation.
func (v *Volume) lag() time.Duration {
	return v.opts.MinLag + time.Duration(v.random.Float64()*float64(v.opts.MaxLag-v.opts.MinLag))
}

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
