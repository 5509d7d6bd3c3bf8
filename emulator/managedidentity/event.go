package managedidentity

import (
	"fmt"
	"strings"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
)

// refused writes down why a machine handed out no token. What Entra ID refuses
// is in its own event.
func (m *machine) refused(q request, status int, text, meaning, remedy string) {
	e := m.event(q)
	e.Outcome, e.Status, e.Error, e.Message = journal.Denied, status, "invalid_request", text
	e.Summary = fmt.Sprintf("%s: %s: %s", e.Part, m.Name, text)
	e.Meaning, e.Remedy = meaning, remedy
	_, known := q.selector.find(m.assigned())
	e.Checks = []journal.Check{{Name: "managed identity", Outcome: journal.Failed, Expected: strings.Join(known, " or "), Presented: clipped(q.selector.String()), Note: text}}
	if q.service == "IMDS" && q.Header.Get("Metadata") == "" {
		e.Checks = nil
		e.Detail["challenge"] = "Metadata: true" // by which .NET and others learn that IMDS is there
	}
	fault.Note(q.Context(), &e)
	m.service.config.Journal.Record(e)
}

// granted writes down that a token was handed out again; the first time is
// Entra ID's event.
func (m *machine) granted(q request, t issued) {
	if !t.fromCache {
		return
	}
	e := m.event(q)
	e.Outcome, e.Status, e.UTI = journal.Granted, 200, t.token.UTI
	e.ClientID, e.Identity, e.ExpiresAt = t.clientID, t.identity, &t.token.ExpiresAt
	e.Summary = fmt.Sprintf("%s: %s: the token of %s for %s once more, from its cache", e.Part, m.Name, t.identity, clipped(q.resource))
	fault.Note(q.Context(), &e)
	m.service.config.Journal.Record(e)
}

func (m *machine) event(q request) journal.Event {
	return journal.Event{
		Kind: journal.Access, Part: q.service, Workload: m.Name, Tenant: m.Tenant, ClientID: q.selector.clientID,
		Resource: q.resource, Host: q.Host, Method: q.Method, Path: q.URL.Path, Detail: map[string]string{"asked for": clipped(q.selector.String())},
	}
}

// clipped bounds what a client sent.
func clipped(s string) string {
	const most = 512
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
