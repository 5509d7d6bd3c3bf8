package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/managedidentity"
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
	var known []string
	for _, i := range c.Identities {
		known = append(known, i.Name)
	}
	for n, name := range m.Assigned {
		at := slices.IndexFunc(c.Identities, func(i Identity) bool { return i.Name == name || strings.EqualFold(i.ClientID, name) })
		if at < 0 {
			p.add(fmt.Sprintf("managedIdentity.assigned[%d]", n), "the name or client id of a managed identity under identities", name, didYouMean(name, known))
			continue
		}
		m.Assigned[n] = c.Identities[at].ClientID
	}
	for n, status := range m.Unavailable {
		if !slices.Contains([]int{404, 410, 429, 500, 503}, status) {
			p.add(fmt.Sprintf("managedIdentity.unavailable[%d]", n), "404, 410, 429, 500 or 503", fmt.Sprint(status), "")
		}
	}
}

// checkAccess checks how a workload comes to its tokens.
func (w Workload) checkAccess(p *problems, at string) {
	if kinds := managedidentity.Kinds(); w.ManagedIdentity != "" && !slices.Contains(kinds, w.ManagedIdentity) {
		p.add(at+".managedIdentity", strings.Join(kinds, ", ")+", or left out", w.ManagedIdentity, didYouMean(w.ManagedIdentity, kinds))
	}
}
