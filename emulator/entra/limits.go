package entra

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/entra/aadsts"
)

// Limits are how much the token service puts up with in a minute of lab time.
// Entra ID's own numbers are not published; 0 is no limit, since a clock that
// stands would have every client run into one.
type Limits struct {
	Requests int // of one tenant; more are answered with 429
	Same     int // requests of one client for the same resource with the same credential; more are a loop
}

// limitWindow is the time in which requests are counted.
const limitWindow = time.Minute

// maxCounted bounds the counters that are kept.
const maxCounted = 1 << 14

// counters count requests by what they are counted for.
type counters struct {
	mu    sync.Mutex
	count map[string]counter
}

type counter struct {
	start time.Time
	n     int
}

// add counts one more, and returns how many there are in the window and when it
// ends.
func (c *counters) add(what string, now time.Time) (n int, ends time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.count == nil || len(c.count) >= maxCounted {
		c.count = map[string]counter{} // forgetting lets some through, which harms nobody
	}
	at := c.count[what]
	if at.n == 0 || now.Sub(at.start) >= limitWindow {
		at = counter{start: now}
	}
	at.n++
	c.count[what] = at
	return at.n, at.start.Add(limitWindow)
}

func checkThrottling(_ context.Context, x *exchange) finding {
	limit := x.service.limits.Requests
	if limit == 0 {
		return finding{expected: "any number of requests"}
	}
	n, ends := x.service.counted.add("tenant "+x.tenant.ID, x.now)
	f := finding{expected: fmt.Sprintf("at most %d requests of the tenant in a minute", limit), presented: fmt.Sprint(n)}
	if n > limit {
		f.refusal = aadsts.TooManyRequests(ends.Sub(x.now))
	}
	return f
}

// checkLoop counts requests that ask for the same with the same credential: a
// client that cached its token would not.
func checkLoop(_ context.Context, x *exchange) finding {
	limit := x.service.limits.Same
	if limit == 0 {
		return finding{expected: "any number of equal requests"}
	}
	r := &x.request
	same := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q", x.tenant.ID, r.ClientID, x.target.asked, r.ClientSecret, r.Assertion))
	n, _ := x.service.counted.add("request "+string(same[:]), x.now)
	f := finding{expected: fmt.Sprintf("at most %d equal requests in a minute", limit), presented: fmt.Sprint(n)}
	if n > limit {
		f.refusal = aadsts.RequestLoop()
	}
	return f
}
