package projection

import (
	"time"

	"github.com/wiemu/wiemu/emulator/issuer"
)

// When a kubelet renews a token. Kubernetes: Manager.requiresRefresh,
// pkg/kubelet/token/token_manager.go; the same from 1.20 to 1.37.
const (
	maxAge    = 24 * time.Hour  // a token is renewed when it is this old,
	remaining = 20              // or when this percentage of its lifetime is left,
	maxJitter = 9 * time.Second // or up to this much sooner
)

// refreshDue tells whether a token is to be renewed, and why.
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

// schedule sets the timer for the next synchronisation that can change
// something; v.mu is held. The pod's other synchronisations leave the volume as
// it is, so they are drawn but not waited for.
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
