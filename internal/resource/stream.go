package resource

import (
	"context"
	"net"
	"slices"
	"time"

	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/hostmux"
)

// Login takes the login of a client on a stream of bytes the way of every request, and
// writes it into the journal: to a call that has the host and the token that the
// protocol brought. It returns nil if the client may go on; else the resource says so in its
// protocol, and closes the connection. A fault that resets connections has closed
// it already. conn is the client's, or what goes over it, such as TLS.
func (k Kit) Login(ctx context.Context, conn net.Conn, c *Call, a Access) *Failure {
	ctx = k.Faults.WithTrail(ctx)
	c.login = ctx
	failed := k.admit(ctx, c, a)
	cut := isReset(ctx)
	if cut {
		failed = reset()
	}
	k.record(ctx, c, a, 0, failed)
	if cut {
		hostmux.Reset(conn)
		_ = conn.Close() // the client learns it from its next read
	}
	return failed
}

// hit lets faults hit a login: those that a protocol other than HTTP can show.
func (k Kit) hit(ctx context.Context, c *Call) {
	if !k.Faults.Any() {
		return
	}
	for _, kind := range []string{faultkind.Slow, faultkind.ConnectionReset, faultkind.Throttled, faultkind.ServerError} {
		h, ok := k.Hit(ctx, c, kind, nil)
		if !ok {
			continue
		}
		if kind != faultkind.Slow {
			return
		}
		timer := time.NewTimer(h.Duration("latency")) // on the machine's clock: it delays input and output
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// Disturb lets faults hit a request on a stream that has logged in with c, and writes it into the
// journal if one does. It returns how the resource refuses then, or that the connection was
// reset. Requests that are not disturbed are not written down.
func (k Kit) Disturb(ctx context.Context, conn net.Conn, c *Call, a Access) (failed *Failure, closed bool) {
	if !k.Faults.Any() {
		return nil, false
	}
	ctx = k.Faults.WithTrail(ctx)
	k.hit(ctx, c)
	if status, after, interrupted := faults.Refusal(ctx); interrupted {
		failed = a.Interrupt(status, after)
	}
	if closed = isReset(ctx); closed {
		failed = reset()
	}
	if failed != nil {
		k.record(ctx, c, a, 0, failed)
	}
	if closed {
		hostmux.Reset(conn)
		_ = conn.Close() // the client learns it from its next read
	}
	return failed, closed
}

// Record writes into the journal what became of a stream after its login with c, such as a
// refused request.
func (k Kit) Record(ctx context.Context, c *Call, a Access, failed *Failure) {
	k.record(ctx, c, a, 0, failed)
}

func isReset(ctx context.Context) bool {
	return slices.ContainsFunc(faults.Hits(ctx), func(h faults.Hit) bool { return h.Name() == faultkind.ConnectionReset })
}

func reset() *Failure {
	return &Failure{Code: "ConnectionReset", Message: "the connection was reset", Meaning: "A fault took the place of the service's answer.", Remedy: "A robust client connects again, with growing pauses."}
}
