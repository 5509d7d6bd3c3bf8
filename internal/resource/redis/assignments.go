package redis

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Assignment is a data access policy that an identity has on a cache.
type Assignment struct {
	Tenant   string
	ClientID string // or * for each of the tenant
	Policy   string
	Scope    string // resource id of the cache, or of the database of an Azure Managed Redis
	Source   string // the field of wiemu.yaml that makes it; "" if it was made at run time
}

// Find returns the name of the cache that a text names: that itself, its host, or its resource id.
// exact says that it can be nothing else, as a name can.
func (s *Caches) Find(text string) (name string, exact, ok bool) {
	text = strings.ToLower(strings.TrimSuffix(text, "/"))
	if c := s.at(text); c != nil {
		return c.instance(), true, true
	}
	for _, name := range s.Names() {
		if name == text || strings.EqualFold(s.scope(name), text) {
			return name, name != text, true
		}
	}
	return "", false, false
}

// named returns a cache by its name, or one without anything if it has been deleted meanwhile.
func (s *Caches) named(name string) *cache {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if c := s.caches[name]; c != nil {
		return c
	}
	return &cache{}
}

// scope is where policies of a cache are assigned. Source: REST API reference of Microsoft.Cache,
// redis/accessPolicyAssignments and redisEnterprise/databases/accessPolicyAssignments.
func (s *Caches) scope(name string) string {
	c := s.named(name)
	if c.ResourceID != "" {
		return c.ResourceID
	}
	if c.Region == "" {
		return s.kit.Roles.ResourceID(c.Tenant, "Microsoft.Cache/redis", c.Name)
	}
	return s.kit.Roles.ResourceID(c.Tenant, "Microsoft.Cache/redisEnterprise", c.Name) + "/databases/default"
}

// Scope returns the tenant of a cache, which is one of Names, and where its policies are assigned.
func (s *Caches) Scope(name string) (tenant, id string) {
	return s.named(name).Tenant, s.scope(name)
}

// Policies are the names of those that a cache, which is one of Names, has.
func (s *Caches) Policies(name string) []string {
	c := s.named(name)
	return append(slices.Sorted(maps.Keys(builtIn())), slices.Sorted(maps.Keys(c.Policies))...)
}

// Assignments are those of a cache, which is one of Names; open if every identity of its tenant is a
// Data Owner instead.
func (s *Caches) Assignments(name string) (all []Assignment, open bool) {
	id := s.scope(name)
	c := s.named(name)
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, g := range c.grants {
		all = append(all, c.assignment(g, id))
	}
	return all, c.open
}

func (c *cache) assignment(g grant, id string) Assignment {
	a := Assignment{Tenant: c.Tenant, ClientID: strings.ToLower(g.clientID), Policy: g.policy.name, Scope: id, Source: g.source}
	if g.source == atRunTime(c.instance()) {
		a.Source = ""
	}
	return a
}

// atRunTime is the source of what no file assigns.
func atRunTime(name string) string { return "redis " + name }

// Remove takes a policy away from an identity, by client id. It is not there for the next login; a
// connection that has logged in keeps what it has.
func (s *Caches) Remove(name, clientID, policyName string) error {
	s.mu.RLock()
	c := s.caches[name]
	s.mu.RUnlock()
	if c == nil {
		return fmt.Errorf("redis %s: there is none of that name", name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(c.grants), func(g grant) bool {
		return strings.EqualFold(g.clientID, clientID) && g.policy.name == policyName
	})
	if len(left) == len(c.grants) {
		return fmt.Errorf("redis %s: %s does not have the data access policy %s", name, clientID, policyName)
	}
	c.grants = left
	return nil
}
