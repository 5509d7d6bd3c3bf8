package entra

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

// The effects of faults on a token request, in the order in which they happen. They do
// not apply to Examine, which reports what the result would be without faults.

// interruption is how a request is refused that a fault hit on arrival; nil when
// none did.
func interruption(ctx context.Context) *aadsts.Error {
	status, after, refused := faults.Refusal(ctx)
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

func checkInterruption(_ context.Context, x *exchange) result {
	return result{expected: "a service that answers", presented: "a fault that was injected", refusal: x.interrupted}
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

// faultSubject is what is known of the exchange when the assertion has been read.
func (x *exchange) faultSubject() faults.Subject {
	about := faults.Subject{Component: faults.Entra, Host: x.request.Host, Client: x.request.ClientID, Resource: x.target.asked}
	if x.principal != nil {
		about.Client = x.principal.ClientID
	}
	if a := x.assertion; a != nil {
		about.Issuer, about.Kid = a.Issuer, a.KeyID()
		about.Workload = x.service.config.Faults.WorkloadOf(a.Subject)
	}
	if h := x.request.host; h != nil {
		about.Workload = h.Workload
	}
	return about
}

// visibleCredentials returns the federated credentials that the server that was asked knows:
// all of them, or those from before the latest changes.
func (x *exchange) visibleCredentials(ctx context.Context) []directory.FederatedCredential {
	now := x.principal.FederatedCredentials
	if x.examining || !x.service.config.Faults.Any() {
		return now
	}
	before := func(h faults.Hit) []directory.FederatedCredential {
		return x.service.config.Directory.FederatedCredentialsAsOf(x.tenant.ID, x.principal.ClientID, x.now.Add(-h.Duration("delay")))
	}
	h, hit := x.service.config.Faults.HitCall(ctx, faultkind.Propagation, x.faultSubject(), func(h faults.Hit) bool { return !slices.Equal(before(h), now) })
	if !hit {
		return now
	}
	return before(h)
}

// matchHidden reports whether a fault hides that a credential matches the subject.
func (x *exchange) matchHidden(ctx context.Context) bool {
	if x.examining || !slices.ContainsFunc(x.candidates, func(c directory.FederatedCredential) bool { return x.trusts(&c) }) {
		return false // it is refused anyway
	}
	_, hit := x.service.config.Faults.HitCall(ctx, faultkind.Intermittent700213, x.faultSubject(), nil)
	return hit
}

// applyFaults changes the times and the form of a token that is about to be issued.
func (x *exchange) applyFaults(ctx context.Context, t *Token) {
	if !x.service.config.Faults.Any() {
		return
	}
	about := x.faultSubject()
	by := func(name string) (faults.Hit, bool) { return x.service.config.Faults.HitCall(ctx, name, about, nil) }
	lifetime := t.ExpiresAt.Sub(t.NotBefore)
	if h, hit := by(faultkind.ExpiredToken); hit {
		t.ExpiresAt = x.now.Add(-h.Duration("ago")).Truncate(time.Second)
		t.NotBefore = t.ExpiresAt.Add(-lifetime)
	} else if h, hit := by(faultkind.NotYetValidToken); hit {
		t.NotBefore = x.now.Add(h.Duration("ahead")).Truncate(time.Second)
		t.ExpiresAt = t.NotBefore.Add(lifetime)
	}
	if x.request.Version != 1 { // there it is so anyway
		_, t.InStrings = by(faultkind.ExpiresInString)
	}
}

// rotateKeyOnFault rotates the service's signing key after a token was issued, if a fault
// says so.
func (x *exchange) rotateKeyOnFault(ctx context.Context) {
	if x.refusal != nil {
		return
	}
	if _, hit := x.service.config.Faults.HitCall(ctx, faultkind.EntraKeyRotated, x.faultSubject(), nil); hit {
		if err := x.service.config.Keys.StepRotation(ctx, 0); err != nil {
			x.service.config.Journal.Record(journal.Event{Kind: journal.KeyRotation, Outcome: journal.Failed, Component: "entra", Summary: "the key that was to change goes on signing: " + err.Error()})
		}
	}
}
