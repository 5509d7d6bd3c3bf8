package config

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/entra"
	"github.com/wiemu/wiemu/emulator/issuer"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/emulator/resource/keyvault"
	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// EntraRing is the name of Entra ID's own key ring, beside those of the issuers.
const EntraRing = clock.Entra

func (l Listen) check(p *problems) {
	for _, door := range []struct{ name, address string }{
		{"gateway", l.Gateway}, {"proxy", l.Proxy}, {"cluster", l.Cluster}, {"control", l.Control},
	} {
		if door.address == "" {
			continue
		}
		_, port, err := net.SplitHostPort(door.address)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			p.add("listen."+door.name, "host:port such as 127.0.0.1:8443, with port 0 for a free one", door.address, "")
		}
	}
}

// checkIssuers checks every issuer; offset of them are not in the file.
func (c *Config) checkIssuers(p *problems, offset int) {
	seen := map[string]string{}
	for n, i := range c.Issuers {
		at := fmt.Sprintf("issuers[%d]", n-offset)
		if n < offset {
			at = "the issuer that wiemu hosts by default"
		}
		i.check(p, at)
		place := "url " + i.URL
		if !i.External { // documents are found in any case and with or without a slash at the end
			place = "url " + strings.ToLower(strings.TrimRight(i.URL, "/"))
		}
		for _, unique := range []string{"name " + i.Name, place} {
			if other, taken := seen[unique]; taken && i.Name != "" && i.URL != "" {
				p.add(at, "its own name and url", unique+", which "+other+" has too", "rename one of them")
			}
			seen[unique] = at
		}
	}
}

// plainPath is a path of unreserved characters (RFC 3986 §2.3): every client
// spells it the same.
var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?$`)

func (i Issuer) check(p *problems, at string) {
	switch {
	case slices.Contains(clock.Reserved(), i.Name):
		p.add(at+".name", "a name that is none of "+strings.Join(clock.Reserved(), ", "), i.Name, "those parts of the lab have keys or a clock of their own")
	case !dnsLabel.MatchString(i.Name):
		p.add(at+".name", "lower-case letters, digits and hyphens", i.Name, "give the issuer a short name, such as blue")
	}
	i.checkURL(p, at+".url")
	i.checkReach(p, at)
	switch known := keyring.Algorithms(); {
	case i.KeyAlgorithm != "" && i.External:
		p.add(at+".keyAlgorithm", "nothing, as the issuer is external", i.KeyAlgorithm, "its own keys say it")
	case i.KeyAlgorithm != "" && !slices.Contains(known, i.KeyAlgorithm):
		p.add(at+".keyAlgorithm", "one of "+strings.Join(known, ", "), i.KeyAlgorithm, didYouMean(i.KeyAlgorithm, known))
	}
	if i.MaxTokenLifetime != 0 && i.MaxTokenLifetime < issuer.ShortestMaxExpiration {
		p.add(at+".maxTokenLifetime", "at least 1h, as in Kubernetes", i.MaxTokenLifetime.String(), "")
	}
	if i.RotateKeysEvery != 0 && i.RotateKeysEvery < time.Minute {
		p.add(at+".rotateKeysEvery", "at least 1m", i.RotateKeysEvery.String(), "")
	}
	if i.PublishKeysAhead < 0 || i.PublishKeysAhead > i.RotateKeysEvery {
		p.add(at+".publishKeysAhead", "at most rotateKeysEvery ("+i.RotateKeysEvery.String()+")", i.PublishKeysAhead.String(), "raise rotateKeysEvery, or publish later")
	}
	if i.RemoveKeysAfter < 0 {
		p.add(at+".removeKeysAfter", "no negative duration", i.RemoveKeysAfter.String(), "")
	}
}

func (i Issuer) checkURL(p *problems, at string) {
	if i.URL == "" && i.External {
		p.add(at, "the URL of the external issuer", "nothing", "write the iss claim of its tokens")
		return
	}
	u, err := issuer.ParseURL(i.URL)
	switch {
	case err != nil:
		p.add(at, "an https URL without user, query and fragment", err.Error(), "Kubernetes and Entra ID accept no other issuer")
	case i.External:
	case u.Port() != "" || u.Path != u.EscapedPath() || !plainPath.MatchString(u.Path):
		p.add(at, "a URL of a host and a plain path", i.URL, "the issuers that wiemu hosts are reached on port 443, below letters, digits and ._~-; an issuer elsewhere needs external: true")
	}
}

// checkPrincipals refuses what would make two applications or identities of a
// tenant look the same, and applications that pass for Microsoft's resources.
func (c *Config) checkPrincipals(p *problems) {
	seen := map[[3]string]string{}
	for pr, at := range c.Principals() {
		for _, unique := range [][2]string{{"name", pr.Name}, {"clientId", pr.ClientID}} {
			field, value := unique[0], unique[1]
			key := [3]string{pr.Tenant, field, value}
			if other, taken := seen[key]; taken && value != "" {
				p.add(at+"."+field, "one that no other application or identity of the tenant has", value+", which "+other+" has too", "")
			}
			seen[key] = at
		}
	}
	for i, a := range c.Applications {
		for n, uri := range a.IdentifierURIs {
			if name := entra.MicrosoftResource(uri); name != "" {
				p.add(fmt.Sprintf("applications[%d].identifierUris[%d]", i, n), "a URI of its own, such as api://"+a.Name, uri+", which is "+name, "")
			}
		}
	}
}

func (c *Config) checkVaults(p *problems) {
	seen := map[string]string{}
	for n, v := range c.Vaults {
		at := fmt.Sprintf("vaults[%d]", n)
		if !keyvault.ValidVaultName(v.Name) {
			p.add(at+".name", keyvault.VaultNameRule, v.Name, "it is the first label of NAME.vault.azure.net")
		} else if other, taken := seen[strings.ToLower(v.Name)]; taken {
			p.add(at+".name", "a name of its own", v.Name+", which "+other+" has too", "")
		}
		seen[strings.ToLower(v.Name)] = at
		checkSecrets(p, at+".secrets", v.Secrets)
		for k, a := range v.Access {
			a.check(p, fmt.Sprintf("%s.access[%d]", at, k))
		}
	}
}

// checkSecrets checks names; Key Vault ignores their case.
func checkSecrets(p *problems, at string, secrets map[string]string) {
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		field := yamlfile.Join(at, name)
		if !keyvault.ValidSecretName(name) {
			p.add(field, "a name of "+keyvault.SecretNameRule, strconv.Quote(name), "")
		}
		if other, taken := seen[strings.ToLower(name)]; taken {
			p.add(field, "names that differ in more than case", name+" and "+other, "remove one of them")
		}
		seen[strings.ToLower(name)] = name
	}
}

func (a Access) check(p *problems, at string) {
	all := append(keyvault.Permissions(), "*")
	if len(a.Permissions) == 0 {
		p.add(at+".permissions", "at least one of "+strings.Join(all, ", "), "none", "")
	}
	for i, permission := range a.Permissions {
		if !slices.Contains(all, strings.ToLower(permission)) {
			p.add(fmt.Sprintf("%s.permissions[%d]", at, i), "one of "+strings.Join(all, ", "), permission, didYouMean(permission, all))
		}
	}
}

// minTokenLifetime: Kubernetes, pkg/apis/authentication/validation/validation.go,
// "may not specify a duration less than 10 minutes".
const minTokenLifetime = 10 * time.Minute

func (w Workload) check(p *problems, at string) {
	w.checkAccess(p, at)
	w.checkCredential(p, at)
	if !IsLabel(w.Namespace) {
		p.add(at+".namespace", LabelRule, w.Namespace, "")
	}
	if !IsSubdomain(w.ServiceAccount) {
		p.add(at+".serviceAccount", SubdomainRule, w.ServiceAccount, "")
	}
	if w.TokenLifetime != 0 && w.TokenLifetime < minTokenLifetime {
		p.add(at+".tokenLifetime", "at least 10m, as in Kubernetes", w.TokenLifetime.String(), "")
	}
}
