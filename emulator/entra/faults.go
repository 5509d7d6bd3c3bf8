package entra

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/entra/aadsts"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
)

// What faults do to a token request, in the order in which they can. Requests
// that are only examined are spared: Examine tells what would be without faults.

// interruption is how a request is refused that a fault hit on arrival; nil when
// none did.
func interruption(ctx context.Context) *aadsts.Error {
	status, after, refused := fault.Refusal(ctx)
	switch {
	case !refused:
		return nil
	case status == http.StatusTooManyRequests:
		return aadsts.TooManyRequests(after)
	}
	e := aadsts.Unavailable()
	e.Status, e.RetryAfter = status, after
	return e
}

func checkInterruption(_ context.Context, x *exchange) finding {
	return finding{expected: "a service that answers", presented: "a fault that was injected", refusal: x.interrupted}
}

// interruptible lets faults refuse a metadata request, too.
func (s *Service) interruptible(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		refusal := interruption(r.Context())
		if refusal == nil {
			next(w, r)
			return
		}
		s.refuse(w, r, refusal, refusal.Status, "a client asked for metadata")
	}
}

// subject is what is known of the exchange when the assertion has been read.
func (x *exchange) subject() fault.Subject {
	about := fault.Subject{Part: fault.PartEntra, Host: x.request.Host, Client: x.request.ClientID, Resource: x.target.asked}
	if x.principal != nil {
		about.Client = x.principal.ClientID
	}
	if a := x.assertion; a != nil {
		about.Issuer, about.Kid = a.issuer, a.keyID()
		if account, ok := parseSubject(a.subject); ok {
			about.Workload = account.namespace + "/" + account.name
		}
	}
	if h := x.request.host; h != nil {
		about.Workload = h.Workload
	}
	return about
}

// known are the federated credentials that the server knows of that was asked:
// all of them, or those from before the latest changes.
func (x *exchange) known(ctx context.Context) []directory.FederatedCredential {
	now := x.principal.FederatedCredentials
	if x.examining || !x.service.faults.Any() {
		return now
	}
	before := func(h fault.Hit) []directory.FederatedCredential {
		return x.service.directory.FederatedCredentialsAsOf(x.tenant.ID, x.principal.ClientID, x.now.Add(-h.Duration("delay")))
	}
	h, hit := x.service.faults.HitBy(fault.Propagation, x.subject(), func(h fault.Hit) bool { return !slices.Equal(before(h), now) })
	if !hit {
		return now
	}
	fault.Add(ctx, h)
	return before(h)
}

// overlooked reports whether a fault hides that a credential matches the subject.
func (x *exchange) overlooked(ctx context.Context) bool {
	if x.examining || !slices.ContainsFunc(x.candidates, func(c directory.FederatedCredential) bool { return x.trusts(&c) }) {
		return false // it is refused anyway
	}
	h, hit := x.service.faults.HitBy(fault.Intermittent700213, x.subject(), nil)
	if hit {
		fault.Add(ctx, h)
	}
	return hit
}

// spoil is what faults do to the token that is about to be made.
func (x *exchange) spoil(ctx context.Context, t *Token) {
	if !x.service.faults.Any() {
		return
	}
	about := x.subject()
	by := func(name string) (fault.Hit, bool) {
		h, hit := x.service.faults.HitBy(name, about, nil)
		if hit {
			fault.Add(ctx, h)
		}
		return h, hit
	}
	lifetime := t.ExpiresAt.Sub(t.NotBefore)
	if h, hit := by(fault.ExpiredToken); hit {
		t.ExpiresAt = x.now.Add(-h.Duration("ago")).Truncate(time.Second)
		t.NotBefore = t.ExpiresAt.Add(-lifetime)
	} else if h, hit := by(fault.NotYetValidToken); hit {
		t.NotBefore = x.now.Add(h.Duration("ahead")).Truncate(time.Second)
		t.ExpiresAt = t.NotBefore.Add(lifetime)
	}
	if x.request.Version != 1 { // there it is so anyway
		_, t.InStrings = by(fault.ExpiresInString)
	}
}

// moveOn lets the service's next key sign, after a token was made, if a fault
// says so.
func (x *exchange) moveOn(ctx context.Context) {
	if x.refusal != nil {
		return
	}
	if h, hit := x.service.faults.HitBy(fault.EntraKeyRotated, x.subject(), nil); hit {
		fault.Add(ctx, h)
		if err := x.service.keys.Turn(ctx, 0); err != nil {
			x.service.journal.Record(journal.Event{Kind: journal.KeyRotation, Outcome: journal.Failed, Part: "entra", Summary: "the key that was to change goes on signing: " + err.Error()})
		}
	}
}
