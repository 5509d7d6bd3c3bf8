package resource

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/emulator/gateway/httppath"
	"github.com/wiemu/wiemu/emulator/journal"
)

// Bearer returns the token of the request's Authorization header, "" when there
// is none. Source: RFC 6750 §2.1, RFC 9110 §11.1 (the scheme ignores case).
func Bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// Access begins the journal event of a request: who asked for what, and which
// checks were made. The resource adds how it answered.
func Access(r *http.Request, caller Caller, checks []journal.Check) journal.Event {
	return journal.Event{
		Kind:          journal.Access,
		Outcome:       journal.Granted,
		Tenant:        caller.Tenant,
		ClientID:      caller.ClientID,
		ObjectID:      caller.ObjectID,
		Identity:      caller.Name,
		UTI:           caller.UTI,
		Host:          r.Host,
		Method:        r.Method,
		Path:          httppath.Original(r),
		CorrelationID: cmp.Or(r.Header.Get("x-ms-client-request-id"), r.Header.Get("client-request-id")),
		Checks:        checks,
		Detail:        map[string]string{},
	}
}

// Refuse fills in why a token was not accepted. A request without a token is
// marked as a challenge, which clients ask for on purpose.
func Refuse(e *journal.Event, refusal *Refusal) {
	e.Outcome = journal.Denied
	e.Meaning, e.Remedy = refusal.Meaning(), refusal.Remedy()
	if refusal.Reason == Missing {
		e.Detail["challenge"] = "true"
	}
}
