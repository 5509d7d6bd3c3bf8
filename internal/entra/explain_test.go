package entra_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
)

// For a token that matches no federated credential the journal names the one
// that comes nearest, in which way they differ, and what to change.
func TestNearestCredential(t *testing.T) {
	claim := func(name string, value any) func(*attempt) { return func(a *attempt) { a.claims[name] = value } }
	for _, r := range []struct {
		when  string
		do    func(*attempt)
		kinds string // field: kind, …
		fix   string // a part of the first fix
	}{
		{"the slash is missing", claim("iss", strings.TrimSuffix(issuerURL, "/")), "issuer: trailing slash", "without the slash at the end"},
		{"the issuer's case differs", claim("iss", strings.Replace(issuerURL, "europe", "Europe", 1)), "issuer: case", "upper and lower case count"},
		{"another cluster", claim("iss", "https://norway.oic.wiemu.test/tenant/cluster/"), "issuer: host", "another cluster. Add a second federated credential with issuer https://norway.oic.wiemu.test/tenant/cluster/"},
		{"a host with a typing error", claim("iss", strings.Replace(issuerURL, "europe", "eurpoe", 1)), "issuer: host", "2 characters differ: a typing error?"},
		{"another cluster of the same host", claim("iss", "https://europe.oic.wiemu.test/tenant/00000000/"), "issuer: other", "another issuer on the same host"},
		{"an issuer without TLS", claim("iss", "http://europe.oic.wiemu.test/tenant/cluster/"), "issuer: other", "no https address"},
		{"white space in the issuer", claim("iss", issuerURL+" "), "issuer: white space", "white space around it"},
		{"another environment", claim("sub", "system:serviceaccount:my-radix-app-prod:web-sa"), "subject: namespace", "the token is of namespace my-radix-app-prod, the credential trusts my-radix-app-dev: set the credential's subject to system:serviceaccount:my-radix-app-prod:web-sa"},
		{"a namespace with a typing error", claim("sub", "system:serviceaccount:my-radix-ap-dev:web-sa"), "subject: namespace", "one character differs: a typing error?"},
		{"another service account", claim("sub", "system:serviceaccount:my-radix-app-dev:api-sa"), "subject: service account", "or run the workload as service account web-sa"},
		{"both", claim("sub", "system:serviceaccount:x:y"), "subject: namespace, subject: service account", ""},
		{"the subject's case", claim("sub", "system:serviceaccount:my-radix-app-dev:Web-sa"), "subject: case", "since August 2024"},
		{"a subject of GitHub", claim("sub", "repo:org/name:ref:refs/heads/main"), "subject: other", "no service account's"},
		{"the audience's case", claim("aud", "api://azureADTokenExchange"), "audience: case", "api://AzureADTokenExchange"},
		{"the audience without api://", claim("aud", "AzureADTokenExchange"), "audience: audience form", "written exactly so"},
		{"the audience with a slash", claim("aud", audience+"/"), "audience: trailing slash", "a slash at the end counts"},
		{"another cloud's audience", claim("aud", audience+"USGov"), "audience: audience form", "another cloud's"},
		{"the identity binding's audience", claim("aud", "api://AKSIdentityBinding"), "audience: audience form", "EnableAzureProxy"},
		{"the API server's own token", claim("aud", "https://kubernetes.default.svc.cluster.local"), "audience: audience form", "not of /var/run/secrets/kubernetes.io"},
		{"all three", func(a *attempt) { a.claims["iss"], a.claims["sub"], a.claims["aud"] = "https://x.test", "x", "x" }, "issuer: host, subject: other, audience: other", ""},
	} {
		t.Run(r.when, func(t *testing.T) {
			l := newLab(t)
			a := l.federated()
			r.do(a)
			l.send(t, a)
			n := l.last(t).Nearest
			if n == nil || n.Credential != "my-radix-app_dev_web" {
				t.Fatalf("nearest %+v", n)
			}
			var kinds []string
			for _, d := range n.Differences {
				kinds = append(kinds, d.Field+": "+d.Kind)
				if d.Fix == "" || d.Expected == d.Presented {
					t.Errorf("difference %+v", d)
				}
			}
			if got := strings.Join(kinds, ", "); got != r.kinds {
				t.Errorf("differences %q, want %q", got, r.kinds)
			}
			if !strings.Contains(n.Differences[0].Fix, r.fix) {
				t.Errorf("fix %q does not say %q", n.Differences[0].Fix, r.fix)
			}
		})
	}
}

func TestOfSeveralCredentialsTheMostAlikeIsShown(t *testing.T) {
	l := newLab(t)
	must(t, l.directory.Update(tenantID, bareID, func(p *directory.Principal) error {
		p.FederatedCredentials = []directory.FederatedCredential{
			{Name: "github", Issuer: "https://token.actions.githubusercontent.com", Subject: "repo:a/b", Audience: audience},
			{Name: "web-prod", Issuer: issuerURL, Subject: "system:serviceaccount:my-radix-app-prod:web-sa", Audience: audience},
			{Name: "web-qa", Issuer: issuerURL, Subject: "system:serviceaccount:my-radix-app-qa:web-sa", Audience: audience},
		}
		return nil
	}))
	a := l.federated()
	a.form.Set("client_id", bareID)
	got := l.send(t, a)
	e := l.last(t)
	if got.code() != 700213 || e.Nearest.Credential != "web-qa" {
		t.Errorf("%d, nearest %+v", got.code(), e.Nearest)
	}
	if want := "The federated credential my-radix-app_dev_web of managed identity my-radix-app matches this token: set AZURE_CLIENT_ID to " + identityID; !strings.Contains(e.Remedy, want) {
		t.Errorf("remedy %q does not say %q", e.Remedy, want)
	}
	for _, c := range e.Checks {
		if c.Name == "subject" && c.Expected != "system:serviceaccount:my-radix-app-prod:web-sa or system:serviceaccount:my-radix-app-qa:web-sa" {
			t.Errorf("the subject check expected %q", c.Expected)
		}
	}
}

func TestAClientOfAnotherTenantIsTold(t *testing.T) {
	l := newLab(t)
	a := l.federated()
	a.form.Set("client_id", elsewhere)
	l.send(t, a)
	if e := l.last(t); !strings.HasPrefix(e.Remedy, "Set AZURE_TENANT_ID to 22222222-0000-4000-8000-000000000000") {
		t.Errorf("remedy %q", e.Remedy)
	}
}

// Examine makes every check, so that one look shows all that is wrong.
func TestExamineGoesOnAfterTheFirstFailure(t *testing.T) {
	l := newLab(t)
	a := l.federated()
	a.claims["sub"] = "system:serviceaccount:my-radix-app-prod:web-sa"
	a.claims["exp"] = start.Add(-time.Hour).Unix()
	a.key = otherKey()
	e := l.service.Examine(t.Context(), tenantID, identityID, compact(a.jose, a.claims, a.key))
	if e.Outcome != journal.Denied || e.Code != 700213 || e.Nearest == nil {
		t.Errorf("event %+v", e)
	}
	failed := map[string]bool{}
	for _, c := range e.Checks {
		failed[c.Name] = c.Outcome == journal.Failed
	}
	for _, name := range []string{"subject", "valid now", "signature"} {
		if !failed[name] {
			t.Errorf("check %q did not fail: %+v", name, e.Checks)
		}
	}
	if _, made := failed["grant type"]; made || failed["issuer"] || failed["audience"] {
		t.Errorf("checks %+v", e.Checks)
	}
	for _, e := range l.journal.Events() {
		if e.Kind == journal.Exchange {
			t.Errorf("examining wrote %+v", e)
		}
	}
}

// Whatever is missing, the checks that cannot be made are skipped.
func TestExamineOfNothing(t *testing.T) {
	l := newLab(t)
	a := l.federated()
	for _, r := range []struct {
		tenant, client, assertion string
		code                      int
	}{
		{"", "", "", 900023},
		{tenantID, "", "x", 900144},
		{tenantID, identityID, "x.y.z", 50027},
		{"nobody.example", identityID, compact(a.jose, a.claims, a.key), 90002},
		{tenantID, bareID, compact(a.jose, a.claims, a.key), 70025},
		{tenantID, identityID, compact(a.jose, a.claims, a.key), 0},
	} {
		if e := l.service.Examine(t.Context(), r.tenant, r.client, r.assertion); e.Code != r.code {
			t.Errorf("%+v: %d", r, e.Code)
		}
	}
}

// Neither tokens nor secrets get into the journal.
func TestTheJournalHoldsNoCredential(t *testing.T) {
	l := newLab(t)
	var sensitive []string
	for _, a := range []*attempt{l.federated(), l.withSecret(), l.withCertificate()} {
		r := a.request()
		must(t, r.ParseForm())
		got := l.send(t, a)
		sensitive = append(sensitive, got.Token, strings.Split(got.Token, ".")[2], secret)
		if assertion := r.PostForm.Get("client_assertion"); assertion != "" {
			sensitive = append(sensitive, strings.Split(assertion, ".")[2])
		}
	}
	wrong := l.withSecret()
	wrong.form.Set("client_secret", "a-wrong-secret")
	l.send(t, wrong)
	text := fmt.Sprintf("%+v", l.journal.Events())
	for _, s := range append(sensitive, "a-wrong-secret") {
		if strings.Contains(text, s) {
			t.Errorf("the journal has %.20s…", s)
		}
	}
}

// A client can make up anything, but not fill the journal with it.
func TestEventsAreBounded(t *testing.T) {
	l := newLab(t)
	long := strings.Repeat("x", 20_000)
	for _, do := range []func(*attempt){
		func(a *attempt) { a.form.Set("client_id", strings.Repeat("x", 900_000)) },
		func(a *attempt) { a.form.Set("scope", strings.Repeat("x", 900_000)) },
		func(a *attempt) { a.form.Set("grant_type", strings.Repeat("x", 900_000)) },
		func(a *attempt) { a.path = "/" + long + "/oauth2/v2.0/token" },
		func(a *attempt) { a.claims["iss"] = long },
		func(a *attempt) { a.claims["sub"] = "system:serviceaccount:" + long + ":x" },
		func(a *attempt) { a.claims["aud"] = long },
		func(a *attempt) { a.claims["aud"] = strings.Split(strings.Repeat("x ", 5000), " ") },
		func(a *attempt) { a.claims["jti"] = long },
		func(a *attempt) { a.jose["typ"] = long },
		func(a *attempt) { a.jose["kid"] = long },
		func(a *attempt) { a.jose["alg"] = long },
	} {
		a := l.federated()
		do(a)
		if got := l.send(t, a); len(got.raw) > 8000 {
			t.Errorf("a reply of %d bytes", len(got.raw))
		}
		if e := marshal(l.last(t)); len(e) > 30_000 {
			t.Errorf("an event of %d bytes: %.300s", len(e), e)
		}
	}
}
