package directory

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// The rules of federated credentials.
// Source: entra-docs, docs/workload-id/includes/federated-credential-configuration-considerations.md.
const (
	MaxFederatedCredentials = 20  // per principal
	MinCredentialName       = 3   // characters
	MaxCredentialName       = 120 // characters
	MaxCredentialField      = 600 // characters of issuer, subject, audience and description each
)

// checkFederated applies the rules to all federated credentials of a principal.
func (p *problems) checkFederated(credentials []FederatedCredential) {
	if n := len(credentials); n > MaxFederatedCredentials {
		p.add(ErrLimit, "federatedCredentials", fmt.Sprintf("at most %d", MaxFederatedCredentials), fmt.Sprint(n))
	}
	names := make(map[string]int, len(credentials))
	ids := make(map[string]int, len(credentials))
	trusts := make(map[[2]string]int, len(credentials))
	for i, c := range credentials {
		field := func(name string) string { return fmt.Sprintf("federatedCredentials[%d].%s", i, name) }
		p.checkCredential(c, field)
		// A name is the last segment of a resource id, where Azure ignores case.
		if first, taken := names[strings.ToLower(c.Name)]; taken {
			p.add(ErrDuplicate, field("name"), fmt.Sprintf("a name of its own, as federatedCredentials[%d] has it", first), quoted(c.Name))
		} else {
			names[strings.ToLower(c.Name)] = i
		}
		if first, taken := ids[c.ID]; taken {
			p.add(ErrDuplicate, field("id"), fmt.Sprintf("an id of its own, as federatedCredentials[%d] has it", first), c.ID)
		} else {
			ids[c.ID] = i
		}
		trust := [2]string{c.Issuer, c.Subject}
		if first, taken := trusts[trust]; taken {
			p.add(ErrDuplicate, field("subject"), fmt.Sprintf("a combination of issuer and subject of its own, as %q (federatedCredentials[%d]) has it", credentials[first].Name, first), quoted(c.Subject))
		} else {
			trusts[trust] = i
		}
	}
}

func (p *problems) checkCredential(c FederatedCredential, field func(string) string) {
	p.checkID(field("id"), c.ID)
	p.expect(validCredentialName(c.Name), field("name"),
		fmt.Sprintf("%d to %d letters, digits, - or _, the first a letter or digit", MinCredentialName, MaxCredentialName), quoted(c.Name))
	p.checkIssuer(field("issuer"), c.Issuer)
	for _, text := range []struct{ name, value string }{
		{"issuer", c.Issuer},
		{"subject", c.Subject},
		{"audience", c.Audience},
		{"description", c.Description},
	} {
		n := utf8.RuneCountInString(text.value)
		p.expect(n <= MaxCredentialField, field(text.name), fmt.Sprintf("at most %d characters", MaxCredentialField), fmt.Sprint(n))
		p.expect(n > 0 || text.name == "description" || text.name == "issuer", field(text.name), "a value", `""`)
		p.expect(utf8.ValidString(text.value), field(text.name), "UTF-8", quoted(text.value))
	}
	p.expect(c.Subject == strings.TrimSpace(c.Subject), field("subject"), "no white space around it", quoted(c.Subject))
}

// checkIssuer demands a URL from which Entra could fetch the metadata.
func (p *problems) checkIssuer(field, issuer string) {
	const expected = "an https URL exactly as the iss claim has it, without query or fragment"
	u, err := url.Parse(issuer)
	p.expect(err == nil && u.Scheme == "https" && u.Host != "" && u.RawQuery == "" && u.Fragment == "" && u.User == nil &&
		issuer == strings.TrimSpace(issuer), field, expected, quoted(issuer))
}

// validCredentialName reports whether name matches [A-Za-z0-9][A-Za-z0-9_-]{2,119}.
func validCredentialName(name string) bool {
	if len(name) < MinCredentialName || len(name) > MaxCredentialName {
		return false
	}
	for i, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		case i > 0 && (r == '-' || r == '_'):
		default:
			return false
		}
	}
	return true
}
