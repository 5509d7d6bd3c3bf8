package tenants

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// Expression is a claims matching expression, by which a flexible federated
// credential trusts more than one subject.
// Source: entra-docs, docs/workload-id/workload-identities-flexible-federated-identity-credentials.md.
type Expression struct{ terms []term }

type term struct {
	claim    string
	operator string // eq or matches
	operand  string
	pattern  *regexp.Regexp // of matches
}

// maxExpression is as long as any field of a federated credential.
const maxExpression = MaxCredentialField

// ParseExpression reads language version 1: claims['NAME'] eq 'VALUE' or
// claims['NAME'] matches 'PATTERN', joined by and. In a pattern ? is one
// character and * any number. The error says where and what was expected.
func ParseExpression(s string) (Expression, error) {
	if len(s) > maxExpression {
		return Expression{}, fmt.Errorf("expected at most %d characters, found %d", maxExpression, len(s))
	}
	r := &expressionReader{text: s}
	var e Expression
	for {
		t, err := r.term()
		if err != nil {
			return Expression{}, err
		}
		e.terms = append(e.terms, t)
		if r.space(); r.at == len(r.text) {
			return e, nil
		}
		if err := r.word("and"); err != nil {
			return Expression{}, err
		}
	}
}

// Claims are the claims that the expression looks at, sorted.
func (e Expression) Claims() []string {
	var names []string
	for _, t := range e.terms {
		names = append(names, t.claim)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Matches reports whether every part of the expression holds; claim returns a
// claim that is text.
func (e Expression) Matches(claim func(name string) (string, bool)) bool {
	for _, t := range e.terms {
		value, there := claim(t.claim)
		if !there || t.operator == "eq" && value != t.operand || t.pattern != nil && !t.pattern.MatchString(value) {
			return false
		}
	}
	return len(e.terms) > 0
}

type expressionReader struct {
	text string
	at   int
}

func (r *expressionReader) space() {
	for r.at < len(r.text) && r.text[r.at] == ' ' {
		r.at++
	}
}

func (r *expressionReader) expected(what string) error {
	found := r.text[r.at:]
	if found == "" {
		return fmt.Errorf("character %d: expected %s, found the end", r.at+1, what)
	}
	return fmt.Errorf("character %d: expected %s, found %q", r.at+1, what, found[:min(len(found), 20)])
}

func (r *expressionReader) literal(s string) error {
	if !strings.HasPrefix(r.text[r.at:], s) {
		return r.expected(s)
	}
	r.at += len(s)
	return nil
}

// word is one that white space surrounds.
func (r *expressionReader) word(s string) error {
	r.space()
	if err := r.literal(s); err != nil {
		return err
	}
	if r.at == len(r.text) || r.text[r.at] != ' ' {
		return r.expected("a space after " + s)
	}
	return nil
}

func (r *expressionReader) quoted() (string, error) {
	if err := r.literal("'"); err != nil {
		return "", err
	}
	end := strings.IndexByte(r.text[r.at:], '\'')
	if end < 0 {
		return "", r.expected("a closing '")
	}
	text := r.text[r.at : r.at+end]
	if text == "" {
		return "", r.expected("something between the quotes")
	}
	r.at += end + 1
	return text, nil
}

func (r *expressionReader) term() (t term, err error) {
	r.space()
	if err = r.literal("claims["); err != nil {
		return t, err
	}
	if t.claim, err = r.quoted(); err != nil {
		return t, err
	}
	if err = r.literal("]"); err != nil {
		return t, err
	}
	r.space()
	switch {
	case strings.HasPrefix(r.text[r.at:], "eq "):
		t.operator = "eq"
	case strings.HasPrefix(r.text[r.at:], "matches "):
		t.operator = "matches"
	default:
		return t, r.expected("eq or matches")
	}
	r.at += len(t.operator)
	r.space()
	if t.operand, err = r.quoted(); err != nil {
		return t, err
	}
	if t.operator == "matches" {
		pattern := regexp.QuoteMeta(t.operand)
		pattern = strings.NewReplacer(`\?`, `.`, `\*`, `.*`).Replace(pattern)
		t.pattern, err = regexp.Compile(`(?s)^` + pattern + `$`)
	}
	return t, err
}

// flexibleIssuers may have flexible federated credentials, on these claims.
// Source: entra-docs, as above; GitLab's and Terraform's other hosts, too.
var flexibleIssuers = []struct {
	issuer lazyregexp.Regexp
	claims []string
}{
	{lazyregexp.New(`^https://token\.actions\.githubusercontent\.com$`), []string{"sub", "job_workflow_ref"}},
	{lazyregexp.New(`^https://gitlab\.([a-z0-9-]+\.)*(com|ca)$`), []string{"sub"}},
	{lazyregexp.New(`^https://app\.(eu\.)?terraform\.io$`), []string{"sub"}},
}

func (p *problems) checkFlexible(i int, c directory.FederatedCredential, kind directory.Kind) {
	field := path{"federatedCredentials", i, "claimsMatchingExpression"}
	p.expect(c.Subject == "", path{"federatedCredentials", i, "subject"}, "nothing, as there is a claimsMatchingExpression", c.Subject)
	p.expect(kind == directory.Application, field, "none on a managed identity: only applications have flexible federated credentials", c.ClaimsMatching)
	e, err := ParseExpression(c.ClaimsMatching)
	if err != nil {
		p.add(ErrInvalid, field, "claims['sub'] matches '…'", fmt.Sprintf("%q: %v", c.ClaimsMatching, err))
		return
	}
	for _, allowed := range flexibleIssuers {
		if !allowed.issuer().MatchString(c.Issuer) {
			continue
		}
		for _, claim := range e.Claims() {
			p.expect(slices.Contains(allowed.claims, claim), field, "claims "+strings.Join(allowed.claims, ", ")+" of this issuer", claim)
		}
		return
	}
	p.add(ErrInvalid, path{"federatedCredentials", i, "issuer"}, "GitHub Actions, GitLab or HCP Terraform: Entra ID takes flexible federated credentials for no other issuer", quoted(c.Issuer))
}
