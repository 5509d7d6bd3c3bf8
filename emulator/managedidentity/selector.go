package managedidentity

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
)

// selector is which of a machine's identities a request asks for.
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

// String is the selector as a request has it.
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

// find returns the identities that fit, and how the others are called.
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
