package config

import (
	"cmp"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/table"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// resourceSections are those that protected resources bring with them, each a pointer to
// a value of the resource's own type, by their names in wiemu.yaml.
type resourceSections map[string]any

// UnmarshalYAMLField reads the section of a resource.
func (r *resourceSections) UnmarshalYAMLField(name string, v yamlfile.Value) bool {
	return r.unmarshal(sections(), name, v)
}

// YAMLFields implements yamlfile.FieldUnmarshaler.
func (r *resourceSections) YAMLFields() []string {
	var names []string
	for _, s := range sections() {
		names = append(names, s.Name)
	}
	return names
}

func (r *resourceSections) unmarshal(known []resource.Section, name string, v yamlfile.Value) bool {
	i := slices.IndexFunc(known, func(s resource.Section) bool { return s.Name == name })
	if i < 0 {
		return false
	}
	if *r == nil {
		*r = resourceSections{}
	}
	settings := known[i].New()
	v.Decode(settings)
	(*r)[name] = settings
	return true
}

func sections() []resource.Section {
	var all []resource.Section
	for _, d := range table.Resources() {
		for _, s := range []resource.Section{d.Section, d.Options} {
			if s.Name != "" {
				all = append(all, s)
			}
		}
	}
	return all
}

// completeResources fills in a copy of each section; one that was left out has its
// defaults.
func (c *Config) completeResources(p *problems, all []resource.Section) {
	given := c.Resources
	c.Resources = nil
	for _, s := range all {
		settings := s.New()
		if written, ok := given[s.Name]; ok {
			text, err := yaml.Marshal(written)
			if err == nil {
				err = yaml.Unmarshal(text, settings)
			}
			if err != nil {
				p.add(s.Name, "what YAML can write", err.Error(), "")
			}
		}
		settings.Complete(section{c, p, s.Name})
		if c.Resources == nil {
			c.Resources = resourceSections{}
		}
		c.Resources[s.Name] = settings
	}
}

// section is the file around the section of a resource.
type section struct {
	config   *Config
	problems *problems
	name     string
}

func (s section) Problem(field, expected, found, fix string) {
	s.problems.add(s.name+field, expected, found, fix)
}

func (s section) Tenant(field string, tenant *string) {
	s.config.completeTenant(s.problems, s.name+field, tenant)
}

func (s section) Identity(field, tenant string, identity *string) {
	s.config.completeAccess(s.problems, s.name+field, tenant, identity)
}

func (s section) CustomRoles() []roles.Definition { return s.config.customRoles() }

// Subscription is an Azure subscription that every identity of its tenant sees.
type Subscription struct {
	// ID is the subscription's GUID.
	ID string `yaml:"id" json:"id" jsonschema:"format=uuid"`
	// Name is the display name. Default: the id.
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
	// Tenant is the id or a domain of its tenant. Default: the first tenant.
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
		s.Name = cmp.Or(s.Name, s.ID)
		c.completeTenant(p, at+".tenant", &s.Tenant)
	}
}
