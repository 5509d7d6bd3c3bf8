package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/kubename"
	"github.com/wiemu/wiemu/internal/managedidentity"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// ManagedIdentity is about the machines of workloads that use a managed identity.
type ManagedIdentity struct {
	// Assigned are the names or client ids of managed identities that every machine has besides its workload's own.
	Assigned []string `yaml:"assigned,omitempty" json:"assigned,omitempty"`
	// Unavailable are the HTTP statuses that a machine's first token requests are answered with, one each, before it works.
	Unavailable []int `yaml:"unavailable,omitempty" json:"unavailable,omitempty" jsonschema:"enum=404,enum=410,enum=429,enum=500,enum=503"`
}

// completeManagedIdentity replaces names by client ids.
func (c *Config) completeManagedIdentity(p *problems) {
	m := &c.ManagedIdentity
	m.Assigned = slices.Clone(m.Assigned)
	for n, name := range m.Assigned {
		if i := c.managedIdentity(p, fmt.Sprintf("managedIdentity.assigned[%d]", n), name); i != nil {
			m.Assigned[n] = i.ClientID
		}
	}
	for n, status := range m.Unavailable {
		if !slices.Contains([]int{404, 410, 429, 500, 503}, status) {
			p.add(fmt.Sprintf("managedIdentity.unavailable[%d]", n), "404, 410, 429, 500 or 503", fmt.Sprint(status), "")
		}
	}
}

// managedIdentity finds the identity that a name or client id means; nil if there is none.
func (c *Config) managedIdentity(p *problems, at, name string) *Identity {
	var known []string
	for i := range c.Identities {
		one := &c.Identities[i]
		if one.Name == name || strings.EqualFold(one.ClientID, name) {
			return one
		}
		known = append(known, one.Name)
	}
	p.add(at, "the name or client id of a managed identity under identities", name, yamlfile.DidYouMean(name, known))
	return nil
}

// completeAccess replaces the name of an identity by its client id. A client id
// stands for itself: a workload that comes later may bring it.
func (c *Config) completeAccess(p *problems, at, tenant string, identity *string) {
	if *identity == "*" {
		return
	}
	if id, ok := parseGUID(*identity); ok {
		*identity = id
		return
	}
	named := c.identityNames(tenant)
	known := slices.Sorted(maps.Keys(named))
	switch ids := named[*identity]; len(ids) {
	case 1:
		*identity = ids[0]
	case 0:
		p.add(at, "*, or the name or client id of an identity of the tenant ("+cmp.Or(strings.Join(known, ", "), "there is none")+")", *identity,
			cmp.Or(yamlfile.DidYouMean(*identity, known), "for a workload that this file does not have, write its client id"))
	default:
		p.add(at, "the name of one identity", *identity+", the name of workloads with the client ids "+strings.Join(ids, " and "), "write the client id")
	}
}

// identityNames are the names of the tenant's applications and identities with their
// client ids, and those of the workloads whose client id none of them has: wiemu
// creates an identity for such a workload, and calls it by the workload's name.
func (c *Config) identityNames(tenant string) map[string][]string {
	named, taken := map[string][]string{}, map[string]bool{} // names and client ids
	for pr := range c.Principals() {
		if pr.Tenant == tenant {
			named[pr.Name] = []string{pr.ClientID} // checkPrincipals refuses a second one
			taken[pr.Name], taken[pr.ClientID] = true, true
		}
	}
	for _, w := range c.Workloads {
		if w.Tenant == tenant && !taken[w.Name] && !taken[w.ClientID] && !slices.Contains(named[w.Name], w.ClientID) {
			named[w.Name] = append(named[w.Name], w.ClientID)
		}
	}
	return named
}

func (w Workload) checkAccess(p *problems, at string) {
	if kinds := managedidentity.Kinds(); w.ManagedIdentity != "" && !slices.Contains(kinds, w.ManagedIdentity) {
		p.add(at+".managedIdentity", strings.Join(kinds, ", ")+", or left out", w.ManagedIdentity, yamlfile.DidYouMean(w.ManagedIdentity, kinds))
	}
	if forms := IdentityBindingForms(); w.IdentityBinding != "" && !slices.Contains(forms, w.IdentityBinding) {
		p.add(at+".identityBinding", strings.Join(forms, ", ")+", or left out", w.IdentityBinding, yamlfile.DidYouMean(w.IdentityBinding, forms))
	}
	if w.IdentityBinding != "" && w.ManagedIdentity != "" {
		p.add(at+".identityBinding", "identityBinding or managedIdentity", "both", "a machine has no service-account token for the proxy, and the sidecar does not use it")
	}
}

// IdentityBinding lets service accounts of a cluster use a managed identity through the cluster's identity-binding proxy.
type IdentityBinding struct {
	// Identity is the name or client id of a managed identity under identities.
	Identity string `yaml:"identity" json:"identity"`
	// Issuer is the name of the issuer whose cluster it is. Default: the first that wiemu hosts.
	Issuer string `yaml:"issuer,omitempty" json:"issuer,omitempty"`
	// ServiceAccounts are those that may use the identity, each NAMESPACE/NAME.
	ServiceAccounts []string `yaml:"serviceAccounts" json:"serviceAccounts"`

	// Tenant is the identity's, filled in.
	Tenant string `yaml:"-" json:"-"`
}

// The ways in which a workload is told the CA of the identity-binding proxy.
const (
	CAFile = "ca-file" // AZURE_KUBERNETES_CA_FILE, as AKS does
	CAData = "ca-data" // AZURE_KUBERNETES_CA_DATA
)

// IdentityBindingForms returns the values of a workload's identityBinding.
func IdentityBindingForms() []string { return []string{CAFile, CAData} }

// completeBindings replaces names by client ids and issuers by their names.
func (c *Config) completeBindings(p *problems) {
	c.IdentityBindings = slices.Clone(c.IdentityBindings)
	for n := range c.IdentityBindings {
		b, at := &c.IdentityBindings[n], fmt.Sprintf("identityBindings[%d]", n)
		if i := c.managedIdentity(p, at+".identity", b.Identity); i != nil {
			b.Identity, b.Tenant = i.ClientID, i.Tenant
		}
		hosted := c.HostedIssuer(b.Issuer)
		if hosted == "" {
			p.add(at+".issuer", "the name of an issuer that wiemu hosts", b.Issuer, "")
		}
		b.Issuer = hosted
		for k, account := range b.ServiceAccounts {
			namespace, name, _ := strings.Cut(account, "/")
			if !kubename.IsLabel(namespace) || !kubename.IsSubdomain(name) {
				p.add(fmt.Sprintf("%s.serviceAccounts[%d]", at, k), "NAMESPACE/NAME of a service account", account, "")
			}
		}
	}
}
