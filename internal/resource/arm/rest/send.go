package rest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/wiemu/wiemu/internal/hostmux"
)

// Sent is what Resource Manager answered to a request that it made itself.
type Sent struct {
	Status int
	Header http.Header
	Body   []byte
}

type chainKey struct{}

// Chain is what the context of Send has for all requests that came of one.
func Chain(ctx context.Context) any { return ctx.Value(chainKey{}) }

// Sibling is the chain of a request beside which others are made, of which the service decides how
// they overlap.
type Sibling interface {
	// Pause returns when the others have come as far, or are done.
	Pause()
}

// Overlap lets requests come that are made at the same time as this one: those beside it, and else
// any for a while (wall time: it delays input and output). c is a write that is neither Alone nor
// Composed.
func (c *Call) Overlap(latency time.Duration) {
	if s, ok := Chain(c.Context()).(Sibling); ok {
		c.writes.RUnlock() // the others are writes, too, and none begins while one that is Alone waits for this one
		defer c.writes.RLock()
		s.Pause()
		return
	}
	timer := time.NewTimer(latency)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.Context().Done():
	}
}

// Send makes a request in the name of the caller of this one, all the way: with its token, its
// roles, and an entry in the journal. Faults hit the work of providers, not the way there. It goes
// on if the client has gone, as Azure does. path has the query. chain is for those that come of it.
func (c *Call) Send(method, path string, body []byte, chain any) Sent {
	u, err := url.Parse("https://" + c.Host + path)
	if err != nil {
		return Sent{Status: http.StatusBadRequest}
	}
	ctx := c.Kit.Faults.WithTrail(context.WithValue(context.Background(), chainKey{}, chain)) // nothing of this request: its path is another one
	r, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return Sent{Status: http.StatusBadRequest}
	}
	for _, name := range []string{"Authorization", "X-Ms-Correlation-Request-Id", "X-Ms-Client-Request-Id", "Client-Request-Id"} {
		if v := c.Request.Header.Get(name); v != "" {
			r.Header.Set(name, v)
		}
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	answer := hostmux.Answer(c.Handler, hostmux.Received(r))
	defer answer.Body.Close()          // it is in memory
	data, _ := io.ReadAll(answer.Body) // it is in memory
	return Sent{answer.StatusCode, answer.Header, data}
}
