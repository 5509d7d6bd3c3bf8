package entra_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/metadata"
)

const githubURL = "https://token.actions.githubusercontent.com"

// A flexible credential trusts every subject that its expression matches.
func TestFlexibleCredential(t *testing.T) {
	l := newLab(t)
	must(t, l.directory.Put(tenantID, directory.Principal{
		Kind: directory.Application, ClientID: "44444444-aaaa-4bbb-8ccc-222222222222", DisplayName: "deployer",
		FederatedCredentials: []directory.FederatedCredential{{
			Name: "all-branches", Issuer: githubURL, Audience: audience,
			ClaimsMatching: "claims['sub'] matches 'repo:contoso/app:ref:refs/heads/*' and claims['job_workflow_ref'] matches 'contoso/*'",
		}},
	}))
	for _, c := range []struct {
		subject, workflow string
		want              int
	}{
		{"repo:contoso/app:ref:refs/heads/feature", "contoso/ci/x.yml@refs/heads/main", 501661}, // trusted; nobody is there
		{"repo:contoso/app:ref:refs/heads/feature", "", 700213},
		{"repo:contoso/other:ref:refs/heads/main", "contoso/ci/x.yml@refs/heads/main", 700213},
		{"repo:contoso/app:ref:refs/heads/feature", "evil/ci/x.yml@refs/heads/main", 700213},
	} {
		a := l.federated()
		a.form.Set("client_id", "44444444-aaaa-4bbb-8ccc-222222222222")
		a.claims["iss"], a.claims["sub"] = githubURL, c.subject
		if c.workflow != "" {
			a.claims["job_workflow_ref"] = c.workflow
		}
		if got := l.send(t, a); got.code() != c.want {
			t.Errorf("%s, %s: expected %d, found %s", c.subject, c.workflow, c.want, got.raw)
		}
	}
}

func TestNoServicePrincipal(t *testing.T) {
	l := newLab(t)
	must(t, l.directory.Put(tenantID, directory.Principal{Kind: directory.Application, ClientID: "44444444-aaaa-4bbb-8ccc-222222222222", NoServicePrincipal: true}))
	a := l.federated()
	a.form.Set("client_id", "44444444-aaaa-4bbb-8ccc-222222222222")
	if got := l.send(t, a); got.code() != 7000229 || got.status != 401 || !strings.Contains(got.Text, "missing service principal in the tenant "+tenantID) {
		t.Error(got.raw)
	}
}

// Limits are off unless somebody asks for them, and count lab time.
func TestLimits(t *testing.T) {
	l := newLab(t)
	l.limit(entra.Limits{Requests: 6, Repeated: 3})
	same := l.federated()
	for n := range 3 {
		if got := l.send(t, same); got.status != 200 {
			t.Fatalf("request %d: %s", n, got.raw)
		}
	}
	if got := l.send(t, same); got.code() != 50196 || got.status != 400 || got.Error != "invalid_grant" {
		t.Errorf("the fourth equal request: %s", got.raw)
	}
	other := func() *attempt {
		a := l.federated()
		a.claims["jti"] = rand.Text()
		return a
	}
	for range 2 {
		if got := l.send(t, other()); got.status != 200 {
			t.Error(got.raw)
		}
	}
	got := l.send(t, other())
	if got.code() != 90055 || got.status != 429 || got.header.Get("Retry-After") != "60" {
		t.Errorf("the seventh request: %s, Retry-After %q", got.raw, got.header.Get("Retry-After"))
	}
	l.advance(t, time.Minute)
	if got := l.send(t, l.federated()); got.status != 200 {
		t.Errorf("a minute later: %s", got.raw)
	}
}

// limit starts the token service again, with limits.
func (l *lab) limit(limits entra.Limits) {
	l.service = entra.New(entra.Config{
		Directory: l.directory, Keys: l.keys, Clock: l.clock, Journal: l.journal, Limits: limits,
		Issuers: metadata.New(l.clock, metadata.Options{Transport: l, Journal: l.journal}),
	})
	l.handler = l.service.Handler()
}
