package redis

import "maps"

// What Resource Manager does with caches.

// CheckPolicy says what is wrong with the permissions of a custom data access policy.
func CheckPolicy(name, permissions string) error {
	_, err := parsePolicy(name, permissions)
	return err
}

// IsBuiltIn reports whether a data access policy is one of Azure's own.
func IsBuiltIn(policy string) bool {
	_, ok := builtIn()[policy]
	return ok
}

// Cache returns a cache by its name, with its region if it is one of Managed Redis; as it was put.
func (s *Caches) Cache(name string) (Cache, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.caches[name]
	if c == nil {
		return Cache{}, false
	}
	made := c.Cache
	made.Policies = maps.Clone(made.Policies)
	return made, true
}

// Delete takes a cache away with what it holds.
func (s *Caches) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.caches[name]; c != nil {
		delete(s.caches, name)
		if c.memory != nil {
			c.memory.do(c.memory.Close)
		}
	}
}
