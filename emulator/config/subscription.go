package config

import (
	"fmt"
	"slices"
)

// Subscription is an Azure subscription that every identity of its tenant sees.
type Subscription struct {
	// ID is the subscription's GUID.
	ID string `yaml:"id" json:"id" jsonschema:"format=uuid"`
	// Name is the display name. Left out: the id.
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
	// Tenant is the id or a domain of its tenant. Left out: the first tenant.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
}

func (c *Config) completeSubscriptions(p *problems) {
	c.Subscriptions = slices.Clone(c.Subscriptions)
	seen := map[string]string{}
	for n := range c.Subscriptions {
		s, at := &c.Subscriptions[n], fmt.Sprintf("subscriptions[%d]", n)
		p.guid(at+".id", &s.ID)
		if other, taken := seen[s.ID]; taken {
			p.add(at+".id", "an id of its own", s.ID+", which "+other+" has too", "")
		}
		seen[s.ID] = at
		if s.Name == "" {
			s.Name = s.ID
		}
		c.completeTenant(p, at+".tenant", &s.Tenant)
	}
}
