package tenants

import (
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// The rules of federated credentials.
// Source: entra-docs, docs/workload-id/includes/federated-credential-configuration-considerations.md.
const (
	MaxFederatedCredentials = 20  // per principal
	MinCredentialName       = 3   // characters
	MaxCredentialName       = 120 // characters
	MaxCredentialField      = 600 // characters of issuer, subject, audience and description each
)

func (p *problems) checkFederated(credentials []directory.FederatedCredential, kind directory.Kind) {
	if n := len(credentials); n > MaxFederatedCredentials {
		p.add(ErrLimit, at("federatedCredentials"), fmt.Sprintf("at most %d", MaxFederatedCredentials), fmt.Sprint(n))
		return
	}
	for i, c := range credentials {
		p.checkCredential(i, c, kind)
		for j, earlier := range credentials[:i] {
			p.checkDistinct(i, c, j, earlier)
		}
	}
}

func (p *problems) checkCredential(i int, c directory.FederatedCredential, kind directory.Kind) {
	field := func(name string) path { return path{"federatedCredentials", i, name} }
	p.checkID(field("id"), c.ID)
	p.checkCredentialName(field("name"), c.Name, kind)
	p.expect(validIssuer(c.Issuer), field("issuer"), "an https URL exactly as the iss claim has it, without query or fragment", c.Issuer)
	if c.ClaimsMatching != "" {
		p.checkFlexible(i, c, kind)
	} else {
		p.expect(c.Subject != "", field("subject"), "a value", c.Subject)
	}
	p.expect(c.Subject == strings.TrimSpace(c.Subject), field("subject"), "no white space around it", c.Subject)
	p.expect(c.Audience != "", field("audience"), "a value, usually "+cloud.Public().TokenExchange, c.Audience)
	for _, text := range [...]struct{ name, value string }{
		{"issuer", c.Issuer},
		{"subject", c.Subject},
		{"audience", c.Audience},
		{"description", c.Description},
	} {
		p.expect(utf8.ValidString(text.value), field(text.name), "UTF-8", text.value)
		if n := utf8.RuneCountInString(text.value); n > MaxCredentialField {
			p.add(ErrInvalid, field(text.name), fmt.Sprintf("at most %d characters", MaxCredentialField), fmt.Sprint(n))
		}
	}
}

// checkCredentialName refuses a name. Microsoft Graph takes more for an application, that is a segment
// of a URL: azwi names its credential by a hash in base64url, with its padding and whatever comes
// first. Which other characters it takes is not known, so they are refused.
// Source: Azure/azure-workload-identity#372 (2022), GetFederatedCredentialName in v1.6.0.
func (p *problems) checkCredentialName(at path, name string, kind directory.Kind) {
	valid, expected := credentialName, "3 to 120 letters, digits, - or _, the first a letter or digit"
	if kind == directory.Application {
		valid, expected = applicationCredentialName, "3 to 120 letters, digits, -, _ or ="
	}
	p.expect(len(name) <= MaxCredentialName && valid().MatchString(name), at, expected, name)
}

// checkDistinct refuses a credential that an earlier one of the same principal
// stands in the way of.
func (p *problems) checkDistinct(i int, c directory.FederatedCredential, j int, earlier directory.FederatedCredential) {
	taken := func(field, what, found string) {
		p.add(ErrDuplicate, path{"federatedCredentials", i, field},
			fmt.Sprintf("%s of its own, as %q (federatedCredentials[%d]) has it", what, earlier.Name, j), quoted(found))
	}
	if strings.EqualFold(c.Name, earlier.Name) { // the last segment of a resource id, where Azure ignores case
		taken("name", "a name", c.Name)
	}
	if c.ID == earlier.ID {
		taken("id", "an id", c.ID)
	}
	if c.Issuer == earlier.Issuer && c.Trusted() == earlier.Trusted() {
		taken("subject", "a combination of issuer and subject", c.Trusted())
	}
}

// validIssuer reports whether issuer is a URL from which Entra could fetch the
// metadata.
func validIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil &&
		!strings.ContainsAny(issuer, "?#") && issuer == strings.TrimSpace(issuer)
}

var notInCredentialName = lazyregexp.New(`[^A-Za-z0-9_-]+`)

// CredentialName makes a name for a federated credential of the names of what it
// is for, as Entra ID takes it: APP_ENV_COMPONENT.
func CredentialName(of ...string) string {
	name := strings.TrimLeft(notInCredentialName().ReplaceAllString(strings.Join(of, "_"), "-"), "-_")
	if len(name) < MinCredentialName {
		name = "fc-" + name
	}
	return name[:min(len(name), MaxCredentialName)]
}

var (
	credentialName            = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9_-]{2,}$`)
	applicationCredentialName = lazyregexp.New(`^[A-Za-z0-9_=-]{3,}$`)
)
