package redis

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
)

// Settings are the section redis of wiemu.yaml.
type Settings []Cache

// Cache is an Azure Cache for Redis, or an Azure Managed Redis.
type Cache struct {
	// Name is the first label of the host NAME.redis.cache.windows.net (port 6380), or with a region of NAME.REGION.redis.azure.net (port 10000): 1 to 63 lower-case letters, digits and single hyphens.
	Name string `yaml:"name" json:"name"`
	// Region makes it an Azure Managed Redis in that region, such as norwayeast. Default: an Azure Cache for Redis.
	Region string `yaml:"region,omitempty" json:"region,omitempty"`
	// Tenant is the id or a domain of the tenant whose tokens open the cache. Default: the first tenant.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
	// URL is a Redis that holds the content, such as redis://127.0.0.1:6379/0 or rediss://user:password@example.com:6380. Default: one in memory, on the lab clock.
	URL string `yaml:"url,omitempty" json:"url,omitempty"`
	// Policies are custom data access policies by name, each with its permissions in the words of Redis's ACL, such as "+@read +set ~app:*".
	Policies map[string]string `yaml:"policies,omitempty" json:"policies,omitempty"`
	// Access says which data access policy identities are assigned. Default: every identity of the tenant is a Data Owner; an empty list lets nobody in.
	Access PolicyAssignments `yaml:"access,omitempty" json:"access,omitzero" yamlfile:"notnull"`
	// ResourceID is that of a cache which was made at run time. If empty, it is in the resource group wiemu.
	ResourceID string `yaml:"-" json:"-"`
}

// PolicyAssignments say who is assigned which policy. An empty list is something else than none, also
// when it is written.
type PolicyAssignments []PolicyAssignment

// IsZero implements yaml.IsZeroer.
func (l PolicyAssignments) IsZero() bool { return l == nil }

// PolicyAssignment assigns an identity a data access policy.
type PolicyAssignment struct {
	// Identity is the name or client id of an application or managed identity, or the name of a workload of this file whose client id none of them has; a component of a radixconfig.yaml is named by its client id. "*" stands for every identity of the tenant.
	Identity string `yaml:"identity" json:"identity"`
	// Policy is Data Owner, Data Contributor, Data Reader, or the name of a custom policy.
	Policy string `yaml:"policy" json:"policy"`
}

// instance is the name of a cache among the instances of the resource.
func (c Cache) instance() string {
	if c.Region == "" {
		return c.Name
	}
	return c.Name + "." + c.Region
}

// Names implements resource.Instances.
func (s *Settings) Names() []string {
	return resource.NamesOf(s, func(c Cache) string { return c.instance() })
}

// Unrestricted implements resource.Unrestricted.
func (s *Settings) Unrestricted() []string {
	return resource.OpenOf(*s, func(c Cache) (string, bool) { return "Redis " + c.Name, c.Access == nil })
}

// Engines implements resource.Engines.
func (s *Settings) Engines() []resource.Engine {
	var all []resource.Engine
	for n, c := range *s {
		if u, err := url.Parse(c.URL); c.URL != "" && err == nil { // Complete refuses others
			all = append(all, resource.Engine{Field: fmt.Sprintf("[%d].url", n), URL: resource.WithoutPassword(c.URL), Host: u.Hostname(), Program: "Redis"})
		}
	}
	return all
}

// nameRule is what names of caches are made of. Source: learn.microsoft.com, "Naming rules and
// restrictions for Azure resources", Microsoft.Cache.
const nameRule = "1 to 63 lower-case letters, digits and single hyphens, beginning and ending with a letter or digit"

// ValidName reports whether a cache can have a name.
func ValidName(name string) bool {
	return len(name) >= 1 && len(name) <= 63 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" &&
		!strings.Contains(name, "--") && name[0] != '-' && name[len(name)-1] != '-'
}

// Complete implements resource.Settings.
func (s *Settings) Complete(f resource.File) {
	seen := map[string]string{}
	for n := range *s {
		(*s)[n].complete(f, fmt.Sprintf("[%d]", n), seen)
	}
}

func (c *Cache) complete(f resource.File, at string, seen map[string]string) {
	if !ValidName(c.Name) {
		f.Problem(at+".name", nameRule, c.Name, "it is the first label of NAME.redis.cache.windows.net")
	} else if other, taken := seen[c.instance()]; taken {
		f.Problem(at+".name", "a name of its own", c.Name+", which "+other+" has too", "")
	}
	seen[c.instance()] = "redis" + at
	if c.Region != "" && strings.Trim(c.Region, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		f.Problem(at+".region", "a region of Azure as hosts have it, such as norwayeast", c.Region, "")
	}
	f.Tenant(at+".tenant", &c.Tenant)
	if c.URL != "" {
		if u, err := url.Parse(c.URL); err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Host == "" {
			f.Problem(at+".url", "redis://HOST:PORT or rediss://HOST:PORT", resource.WithoutPassword(c.URL), "leave it out for a Redis in memory")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		if _, ok := builtIn()[name]; ok {
			f.Problem(at+".policies."+name, "another name than a built-in policy's", name, "")
		}
		if _, err := parsePolicy(name, c.Policies[name]); err != nil {
			f.Problem(at+".policies."+name, "permissions of Redis's ACL, such as +@read ~app:*", c.Policies[name], err.Error())
		}
	}
	for i := range c.Access {
		a, where := &c.Access[i], fmt.Sprintf("%s.access[%d]", at, i)
		f.Identity(where+".identity", c.Tenant, &a.Identity)
		if _, err := c.policy(a.Policy); err != nil {
			f.Problem(where+".policy", "Data Owner, Data Contributor, Data Reader or a name of policies", a.Policy, "")
		}
	}
}

// policy is the one of a name, built in or custom.
func (c *Cache) policy(name string) (policy, error) {
	text, ok := builtIn()[name]
	if !ok {
		text, ok = c.Policies[name]
	}
	if !ok {
		return policy{}, fmt.Errorf("redis %s: expected a policy of Data Owner, Data Contributor, Data Reader and its own, found %q", c.Name, name)
	}
	return parsePolicy(name, text)
}
