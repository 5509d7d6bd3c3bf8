package entra

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/wiemu/wiemu/internal/entra/aadsts"
)

// Limits bound the requests in a minute of lab time.
// Entra ID's own numbers are not published; 0, the default, is no limit: with a stopped
// clock every client would reach one.
type Limits struct {
	Requests int // of one tenant; more are answered with 429
	Repeated int // requests of one client for the same resource with the same credential; more are a loop
}

const limitWindow = time.Minute

const maxCounted = 1 << 14

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
		c.count = map[string]counter{} // forgetting lets some through, which does no harm
	}
	at := c.count[what]
	if at.n == 0 || now.Sub(at.start) >= limitWindow {
		at = counter{start: now}
	}
	at.n++
	c.count[what] = at
	return at.n, at.start.Add(limitWindow)
}

func checkThrottling(_ context.Context, x *exchange) result {
	limit := x.service.config.Limits.Requests
	if limit == 0 {
		return result{expected: "any number of requests"}
	}
	n, ends := x.service.counted.add("tenant "+x.tenant.ID, x.now)
	f := result{expected: fmt.Sprintf("at most %d requests of the tenant in a minute", limit), presented: fmt.Sprint(n)}
	if n > limit {
		f.refusal = aadsts.TooManyRequests(ends.Sub(x.now))
	}
	return f
}

// checkLoop counts requests that ask for the same with the same credential: a
// client that cached its token would not.
func checkLoop(_ context.Context, x *exchange) result {
	limit := x.service.config.Limits.Repeated
	if limit == 0 {
		return result{expected: "any number of equal requests"}
	}
	r := &x.request
	same := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %q", x.tenant.ID, r.ClientID, x.target.asked, r.ClientSecret, r.Assertion))
	n, _ := x.service.counted.add("request "+string(same[:]), x.now)
	f := result{expected: fmt.Sprintf("at most %d equal requests in a minute", limit), presented: fmt.Sprint(n)}
	if n > limit {
		f.refusal = aadsts.RequestLoop()
	}
	return f
}
