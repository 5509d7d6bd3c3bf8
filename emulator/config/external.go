package config

import (
	"fmt"
	"net/url"
	"time"
)

// checkReach says what is wrong with how an issuer is reached: only external
// ones are reached over the network.
func (i Issuer) checkReach(p *problems, at string) {
	for _, f := range []struct{ name, value string }{{"server", i.Server}, {"ca", i.CA}, {"bearerTokenFile", i.BearerTokenFile}} {
		if f.value != "" && !i.External {
			p.add(at+"."+f.name, "nothing, unless the issuer is external", f.value, "add external: true, or remove it")
		}
	}
	if u, err := url.Parse(i.Server); i.Server != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "") {
		p.add(at+".server", "https://HOST:PORT", i.Server, "the path is that of the URL, or none where the server has nothing there")
	}
	for _, f := range []struct {
		name  string
		value time.Duration
	}{{"cacheLifetime", i.CacheLifetime}, {"refetchAfter", i.RefetchAfter}} {
		if f.value < 0 {
			p.add(at+"."+f.name, "a duration from 1s", fmt.Sprint(f.value), "")
		}
	}
}

// ClaimsMatchingExpression says what a flexible federated credential trusts.
type ClaimsMatchingExpression struct {
	// Value is the expression, such as claims['sub'] matches 'repo:contoso/*'.
	Value string `yaml:"value" json:"value"`
	// LanguageVersion is 1.
	LanguageVersion int `yaml:"languageVersion,omitempty" json:"languageVersion,omitempty" jsonschema:"enum=1"`
}

// Limits are counts in a minute of lab time; 0 is no limit.
type Limits struct {
	// Requests of a tenant beyond this number are answered with 429, AADSTS90055 and Retry-After.
	Requests int `yaml:"requests,omitempty" json:"requests,omitempty" jsonschema:"minimum=0"`
	// SameRequest is the number of equal requests (client, resource and credential) beyond which a client is told that it loops: AADSTS50196.
	SameRequest int `yaml:"sameRequest,omitempty" json:"sameRequest,omitempty" jsonschema:"minimum=0"`
}

func (l Limits) check(p *problems) {
	for _, f := range []struct {
		name  string
		value int
	}{{"limits.requests", l.Requests}, {"limits.sameRequest", l.SameRequest}} {
		if f.value < 0 {
			p.add(f.name, "a number from 1, or nothing", fmt.Sprint(f.value), "")
		}
	}
}
