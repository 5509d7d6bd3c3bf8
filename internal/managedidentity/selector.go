package managedidentity

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/truncate"
)

type selector struct{ clientID, objectID, resourceID string }

// selectorOf reads the parameters by which a request names an identity. IMDS takes
// msi_res_id and mi_res_id, App Service mi_res_id, and principal_id for object_id.
// Source: how-to-use-vm-token.md; app-service/overview-managed-identity.md.
func selectorOf(r *http.Request) selector {
	q := r.URL.Query()
	return selector{
		clientID:   q.Get("client_id"),
		objectID:   first(q, "object_id", "principal_id"),
		resourceID: first(q, "msi_res_id", "mi_res_id"),
	}
}

func first(q url.Values, names ...string) string {
	for _, name := range names {
		if v := q.Get(name); v != "" {
			return v
		}
	}
	return ""
}

func (s selector) empty() bool { return s == selector{} }

func (s selector) String() string {
	var parts []string
	for _, p := range []struct{ name, value string }{{"client_id", s.clientID}, {"object_id", s.objectID}, {"msi_res_id", s.resourceID}} {
		if p.value != "" {
			parts = append(parts, p.name+"="+p.value)
		}
	}
	if len(parts) == 0 {
		return "no identity named"
	}
	return strings.Join(parts, " ")
}

// find returns the assigned identities that match, and a description of each assigned
// one.
func (s selector) find(assigned []*directory.Principal) (fitting []*directory.Principal, known []string) {
	for _, p := range assigned {
		known = append(known, p.ClientID+" ("+p.DisplayName+")")
		if s.clientID != "" && !strings.EqualFold(s.clientID, p.ClientID) ||
			s.objectID != "" && !strings.EqualFold(s.objectID, p.ObjectID) ||
			s.resourceID != "" && !strings.EqualFold(s.resourceID, p.ResourceID) {
			continue
		}
		fitting = append(fitting, p)
	}
	return fitting, known
}

// refused records why a machine returned no token. What Entra ID refuses has its own
// event.
func (m *machine) refused(q request, status int, text, meaning, remedy string) {
	e := m.event(q)
	e.Outcome, e.Status, e.Error, e.Message = journal.Denied, status, "invalid_request", text
	e.Summary = fmt.Sprintf("%s: %s: %s", e.Component, m.Name, text)
	e.Meaning, e.Remedy = meaning, remedy
	_, known := q.selector.find(m.assigned())
	e.Checks = []journal.Check{{Name: "managed identity", Outcome: journal.Failed, Expected: strings.Join(known, " or "), Presented: clipped(q.selector.String()), Note: text}}
	if q.service == "IMDS" && q.Header.Get("Metadata") == "" {
		e.Checks = nil
		e.Detail["challenge"] = "Metadata: true" // with which .NET and others probe for IMDS
	}
	faults.Note(q.Context(), &e)
	m.service.config.Journal.Record(e)
}

// granted records that a token was returned from the cache. The first time, Entra ID's
// exchange is the event.
func (m *machine) granted(q request, t issued) {
	if !t.fromCache {
		return
	}
	e := m.event(q)
	e.Outcome, e.Status, e.UTI = journal.Granted, 200, t.token.UTI
	e.ClientID, e.Identity, e.ExpiresAt = t.clientID, t.identity, &t.token.ExpiresAt
	e.Summary = fmt.Sprintf("%s: %s: the token of %s for %s once more, from its cache", e.Component, m.Name, t.identity, clipped(q.resource))
	faults.Note(q.Context(), &e)
	m.service.config.Journal.Record(e)
}

func (m *machine) event(q request) journal.Event {
	return journal.Event{
		Kind: journal.Access, Component: q.service, Workload: m.Name, Tenant: m.Tenant, ClientID: q.selector.clientID,
		Resource: q.resource, Host: q.Host, Method: q.Method, Path: q.URL.Path, Detail: map[string]string{"asked for": clipped(q.selector.String())},
	}
}

func clipped(s string) string { return truncate.Bytes(s, 512) }
