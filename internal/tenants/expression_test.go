package tenants_test

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/tenants"
)

func TestExpression(t *testing.T) {
	claims := func(name string) (string, bool) {
		value, ok := map[string]string{
			"sub": "repo:contoso/app:ref:refs/heads/main", "job_workflow_ref": "foo-org/bar-repo/.github/workflows/x.yml@refs/heads/main", "empty": "",
		}[name]
		return value, ok
	}
	for text, want := range map[string]bool{
		`claims['sub'] eq 'repo:contoso/app:ref:refs/heads/main'`:                                         true,
		`claims['sub'] eq 'repo:contoso/app:ref:refs/heads/MAIN'`:                                         false,
		`claims['sub'] matches 'repo:contoso/app:ref:refs/heads/*'`:                                       true,
		`claims['sub'] matches 'repo:contoso/???:*'`:                                                      true,
		`claims['sub'] matches 'repo:contoso/??:*'`:                                                       false,
		`claims['sub'] matches 'repo:contoso'`:                                                            false,
		`claims['sub'] matches '*main'`:                                                                   true,
		`claims['sub'] matches 'repo.contoso/*'`:                                                          false,
		`claims['no'] matches '*'`:                                                                        false,
		`  claims['sub']  matches  '*'  and  claims['job_workflow_ref'] matches 'foo-org/bar-repo/*@*'  `: true,
		`claims['sub'] matches '*' and claims['job_workflow_ref'] eq 'x'`:                                 false,
	} {
		e, err := tenants.ParseExpression(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := e.Matches(claims); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for text, want := range map[string]string{
		``:                       "character 1: expected claims[, found the end",
		`sub eq 'x'`:             `character 1: expected claims[, found "sub eq 'x'"`,
		`claims[sub] eq 'x'`:     "expected '",
		`claims['sub' eq 'x'`:    "expected ]",
		`claims['sub'] like 'x'`: `character 15: expected eq or matches, found "like 'x'"`,
		`claims['sub'] eq x`:     "expected '",
		`claims['sub'] eq 'x`:    "a closing '",
		`claims['sub'] eq ''`:    "something between the quotes",
		`claims[''] eq 'x'`:      "something between the quotes",
		`claims['sub'] eq 'x' or claims['sub'] eq 'y'`:        "expected and",
		`claims['sub'] eq 'x' and`:                            "a space after and",
		`claims['sub'] eq 'x' and `:                           "expected claims[",
		`claims['sub'] eq '` + strings.Repeat("x", 700) + `'`: "at most 600",
	} {
		if _, err := tenants.ParseExpression(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: expected %q, found %v", text, want, err)
		}
	}
}

// Whatever is read matches nobody without claims, and reads the same again.
func FuzzParseExpression(f *testing.F) {
	f.Add(`claims['sub'] eq 'x'`)
	f.Add(`claims['sub'] matches 'a*?b' and claims['job_workflow_ref'] eq '[.(\'`)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := tenants.ParseExpression(text)
		if err != nil {
			return
		}
		if len(e.Claims()) == 0 || e.Matches(func(string) (string, bool) { return "", false }) {
			t.Errorf("%q", text)
		}
		e.Matches(func(string) (string, bool) { return strings.Repeat("a", 1000), true })
	})
}

// Flexible credentials are for applications, and for the issuers and claims that
// Entra ID takes.
func TestFlexibleCredentialRules(t *testing.T) {
	credential := func(issuer, expression string) directory.FederatedCredential {
		return directory.FederatedCredential{Name: "flexible", Issuer: issuer, Audience: cloud.Public().TokenExchange, ClaimsMatching: expression}
	}
	const github, any = "https://token.actions.githubusercontent.com", "claims['sub'] matches 'repo:contoso/*'"
	for _, c := range []struct {
		kind       directory.Kind
		credential directory.FederatedCredential
		want       string
	}{
		{directory.Application, credential(github, any), ""},
		{directory.Application, credential(github, "claims['job_workflow_ref'] eq 'x'"), ""},
		{directory.Application, credential("https://gitlab.com", any), ""},
		{directory.Application, credential("https://app.eu.terraform.io", any), ""},
		{directory.ManagedIdentity, credential(github, any), "only applications"},
		{directory.Application, credential("https://kubernetes.default.svc", any), "no other issuer"},
		{directory.Application, credential("https://gitlab.com", "claims['job_workflow_ref'] eq 'x'"), "claims sub of this issuer"},
		{directory.Application, credential(github, "claims['sub']"), "expected eq or matches"},
	} {
		_, err := tenants.New(directory.Tenant{ID: "11111111-1111-4111-8111-111111111111", Principals: []directory.Principal{
			{Kind: c.kind, ClientID: "22222222-1111-4111-8111-111111111111", FederatedCredentials: []directory.FederatedCredential{c.credential}},
		}})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s %s: expected %q, found %v", c.kind, c.credential.Issuer, c.want, err)
		}
	}
}
