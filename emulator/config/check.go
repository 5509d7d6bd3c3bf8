package config

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/kubename"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

func (l Listen) check(p *problems) {
	if _, err := netip.ParseAddr(l.Streams); err != nil && l.Streams != "" {
		p.add("listen.streams", "an IP address without a port, such as 0.0.0.0", l.Streams, "each database has its own port there")
	}
	for _, listener := range []struct{ name, address string }{
		{"gateway", l.Gateway}, {"proxy", l.Proxy}, {"cluster", l.Cluster}, {"control", l.Control},
	} {
		if listener.address == "" {
			continue
		}
		_, port, err := net.SplitHostPort(listener.address)
		if err == nil {
			_, err = strconv.ParseUint(port, 10, 16)
		}
		if err != nil {
			p.add("listen."+listener.name, "host:port such as 127.0.0.1:8443, with port 0 for a free one", listener.address, "")
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
var plainPath = lazyregexp.New(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?$`)

func (i Issuer) check(p *problems, at string) {
	switch {
	case slices.Contains(clock.Reserved(), i.Name):
		p.add(at+".name", "a name that is none of "+strings.Join(clock.Reserved(), ", "), i.Name, "those parts of the lab have keys or a clock of their own")
	case !kubename.IsLabel(i.Name):
		p.add(at+".name", "lower-case letters, digits and hyphens", i.Name, "give the issuer a short name, such as blue")
	}
	i.checkURL(p, at+".url")
	i.checkReach(p, at)
	switch known := keyring.Algorithms(); {
	case i.KeyAlgorithm != "" && i.External:
		p.add(at+".keyAlgorithm", "nothing, as the issuer is external", i.KeyAlgorithm, "its own keys say it")
	case i.KeyAlgorithm != "" && !slices.Contains(known, i.KeyAlgorithm):
		p.add(at+".keyAlgorithm", "one of "+strings.Join(known, ", "), i.KeyAlgorithm, yamlfile.DidYouMean(i.KeyAlgorithm, known))
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
	case u.Port() != "" || u.Path != u.EscapedPath() || !plainPath().MatchString(u.Path):
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
		checkNames(p, at+".secrets", slices.Sorted(maps.Keys(v.Secrets)))
		checkNames(p, at+".keys", slices.Sorted(maps.Keys(v.Keys)))
		checkNames(p, at+".certificates", slices.Sorted(maps.Keys(v.Certificates)))
		v.checkObjects(p, at)
		for k, a := range v.Access {
			a.check(p, fmt.Sprintf("%s.access[%d]", at, k))
		}
		for k, a := range v.AccessPolicies {
			a.check(p, fmt.Sprintf("%s.accessPolicies[%d]", at, k))
		}
		v.checkModel(p, at)
	}
}

// checkModel refuses roles beside permissions: a vault is in one permission model.
func (v Vault) checkModel(p *problems, at string) {
	permissions := ""
	for k, a := range v.Access {
		if len(a.Permissions) > 0 {
			permissions = fmt.Sprintf("access[%d]", k)
		}
	}
	if len(v.AccessPolicies) > 0 {
		permissions = "accessPolicies"
	}
	for k, a := range v.Access {
		if len(a.Roles) > 0 && permissions != "" {
			p.add(fmt.Sprintf("%s.access[%d].roles", at, k), "roles alone or permissions alone, as a vault is in one permission model", "roles here and permissions in "+permissions, "write roles for every identity, or permissions")
			return
		}
	}
}

// checkNames checks those of secrets, keys or certificates; Key Vault ignores their case.
func checkNames(p *problems, at string, names []string) {
	seen := map[string]string{}
	for _, name := range names {
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

// checkObjects checks what keys and certificates are to be. Their files are read when a lab
// starts.
func (v Vault) checkObjects(p *problems, at string) {
	for _, name := range slices.Sorted(maps.Keys(v.Keys)) {
		k, field := v.Keys[name], yamlfile.Join(at+".keys", name)
		if k.File != "" && (k.Size != 0 || k.Curve != "") {
			p.add(field, "file, or size and curve of a key that the lab makes", "both", "remove size and curve: they are those of the file")
		}
		if err := keyvault.CheckKey(k.Type, k.Size, k.Curve, k.Operations); err != nil {
			p.add(field, "a key that Key Vault has", err.Error(), "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Certificates)) {
		c, field := v.Certificates[name], yamlfile.Join(at+".certificates", name)
		switch {
		case c.File != "" && (c.Subject != "" || len(c.DNSNames) > 0 || c.ValidityMonths != 0):
			p.add(field, "file, or subject, dnsNames and validityMonths of a certificate that the lab makes", "both", "remove those: they are in the file")
		case c.ContentType != "" && c.ContentType != "application/x-pkcs12" && c.ContentType != "application/x-pem-file":
			p.add(field+".contentType", "application/x-pkcs12 or application/x-pem-file", c.ContentType, "")
		case c.File == "" && c.Password != "":
			p.add(field+".password", "the file that it opens", "no file", "")
		case c.File == "":
			if err := keyvault.CheckCertificate(keyvault.Certificate{Subject: cmp.Or(c.Subject, "CN="+name), DNSNames: c.DNSNames, Months: c.ValidityMonths, ContentType: c.ContentType}); err != nil {
				p.add(field, "a certificate that Key Vault makes", err.Error(), "")
			}
		}
		for _, others := range []map[string]bool{foldedKeys(v.Keys), foldedKeys(v.Secrets)} {
			if others[strings.ToLower(name)] {
				p.add(field, "a name that no secret and no key has: a certificate brings its own of both", name, "")
			}
		}
	}
}

func foldedKeys[V any](m map[string]V) map[string]bool {
	folded := map[string]bool{}
	for name := range m {
		folded[strings.ToLower(name)] = true
	}
	return folded
}

func (a Access) check(p *problems, at string) {
	if len(a.Permissions)+len(a.Roles) == 0 {
		p.add(at+".roles", "roles such as [Key Vault Secrets User], or permissions such as [get]", "neither", "")
	}
	checkRoles(p, at+".roles", a.Roles)
	checkPermissions(p, at+".permissions", a.Permissions, keyvault.Permissions())
}

func (a AccessPolicy) check(p *problems, at string) {
	if len(a.Secrets)+len(a.Keys)+len(a.Certificates) == 0 {
		p.add(at+".secrets", "permissions on secrets, keys or certificates, such as [get]", "none", "")
	}
	checkPermissions(p, at+".secrets", a.Secrets, keyvault.Permissions())
	checkPermissions(p, at+".keys", a.Keys, keyvault.KeyPermissions())
	checkPermissions(p, at+".certificates", a.Certificates, keyvault.CertificatePermissions())
}

func checkPermissions(p *problems, at string, given, known []string) {
	known = append(known, "*")
	for i, permission := range given {
		if !slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, permission) }) {
			p.add(fmt.Sprintf("%s[%d]", at, i), "one of "+strings.Join(known, ", "), permission, yamlfile.DidYouMean(permission, known))
		}
	}
}

func checkRoles(p *problems, at string, given []string) {
	for i, role := range given {
		if expected, fix := roles.CheckName(role, p.roles...); expected != "" {
			p.add(fmt.Sprintf("%s[%d]", at, i), expected, role, fix)
		}
	}
}

// completeRoles replaces names by ids, and checks scopes and custom roles.
func (c *Config) completeRoles(p *problems) {
	c.checkCustomRoles(p)
	if c.Roles.Delay < 0 {
		p.add("roles.delay", "a duration of lab time, such as 5m", c.Roles.Delay.String(), "")
	}
	c.Roles.Assignments = slices.Clone(c.Roles.Assignments)
	for n := range c.Roles.Assignments {
		a, at := &c.Roles.Assignments[n], fmt.Sprintf("roles.assignments[%d]", n)
		c.completeTenant(p, at+".tenant", &a.Tenant)
		c.completeAccess(p, at+".identity", a.Tenant, &a.Identity)
		if len(a.Roles) == 0 {
			p.add(at+".roles", "the names of Azure roles, such as [Reader]", "none", "")
		}
		checkRoles(p, at+".roles", a.Roles)
		a.Scope = cmp.Or(a.Scope, "/")
		if !roles.ValidScope(a.Scope) {
			p.add(at+".scope", "a resource id, such as /subscriptions/ID/resourceGroups/NAME", a.Scope, "az resource show --query id prints one")
		}
	}
}

// minTokenLifetime: Kubernetes, pkg/apis/authentication/validation/validation.go,
// "may not specify a duration less than 10 minutes".
const minTokenLifetime = 10 * time.Minute

func (w Workload) check(p *problems, at string) {
	w.checkAccess(p, at)
	w.checkCredential(p, at)
	if !kubename.IsLabel(w.Namespace) {
		p.add(at+".namespace", kubename.LabelRule, w.Namespace, "")
	}
	if !kubename.IsSubdomain(w.ServiceAccount) {
		p.add(at+".serviceAccount", kubename.SubdomainRule, w.ServiceAccount, "")
	}
	if w.TokenLifetime != 0 && w.TokenLifetime < minTokenLifetime {
		p.add(at+".tokenLifetime", "at least 10m, as in Kubernetes", w.TokenLifetime.String(), "")
	}
}

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
