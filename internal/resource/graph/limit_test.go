package graph_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/lab"
)

// Who is throttled is told for how long, why, and for whom.
func TestThrottled(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.do("GET /v1.0/applications", "") // for the token
	for request, row := range map[string]struct{ body, limit, why string }{
		"GET /v1.0/applications":  {"", "ReadWrite", "ResourceUnitLimitExceeded"},
		"POST /v1.0/applications": {`{"displayName": "x"}`, "Write", "WriteLimitExceeded"},
	} {
		w.inject("throttled,retry-after=7s,for.resource=graph,when.count=1")
		got := w.ask(terraformID, request, row.body)
		scope := "Tenant_Application/" + row.limit + "/" + terraformID + "/" + w.Directory().Tenants()[0].ID
		if got.status != http.StatusTooManyRequests || got.value("error", "code") != "TooManyRequests" || got.header.Get("Retry-After") != "7" ||
			got.header.Get("X-Ms-Throttle-Scope") != scope || got.header.Get("X-Ms-Throttle-Information") != row.why {
			t.Errorf("%s: %d %v %s", request, got.status, got.header, got.text)
		}
		if got := w.do(request, row.body); got.header.Get("X-Ms-Throttle-Scope") != "" {
			t.Errorf("%s without the fault: %v", request, got.header)
		}
	}
}

// An application has a hundred owners at most, however they are given.
func TestOwnersAreBounded(t *testing.T) {
	w := newWorld(t, lab.Options{})
	var addresses []string
	for n := range 101 {
		app := w.do("POST /v1.0/applications", fmt.Sprintf(`{"displayName": "owner %d"}`, n))
		principal := w.do("POST /v1.0/servicePrincipals", `{"appId": "`+app.value("appId")+`"}`)
		addresses = append(addresses, "https://graph.microsoft.com/v1.0/directoryObjects/"+principal.value("id"))
	}
	bound := func(n int) string {
		return `{"displayName": "owned", "owners@odata.bind": ["` + strings.Join(addresses[:n], `","`) + `"]}`
	}
	const code = "Directory_ResourceSizeExceeded"
	if got := w.ask(terraformID, "POST /v1.0/applications", bound(101)); got.status != http.StatusForbidden || got.value("error", "code") != code {
		t.Errorf("101 at once: %d %s", got.status, got.text)
	}
	at := "/v1.0/applications/" + w.do("POST /v1.0/applications", bound(99)).value("id") + "/owners/$ref"
	before := strings.Count(w.do("GET "+at+"?$top=200", "").text, "directoryObjects")
	for n, address := range addresses[99:] {
		want := before + n + 1
		got := w.ask(terraformID, "POST "+at, `{"@odata.id": "`+address+`"}`)
		if want <= 100 && got.status != http.StatusNoContent || want > 100 && (got.status != http.StatusForbidden || got.value("error", "code") != code) {
			t.Errorf("owner %d: %d %s", want, got.status, got.text)
		}
	}
}
