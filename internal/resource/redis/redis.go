// Package redis is Azure Cache for Redis and Azure Managed Redis, as clients that log in with a
// token of Entra ID meet them: TLS, AUTH with an object id and a token, data access policies, and
// connections that end with their token. What is stored is miniredis's, in memory and on the
// lab clock, or a real Redis's. It is no cluster, and access keys do not open it.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/alicebob/miniredis/v2"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/resource"
)

// Name is that of the resource in the table.
const Name = "redis"

// The ports, both with TLS from the first byte. Azure's port without TLS is not emulated: with
// Entra ID it cannot be used.
const (
	CachePort   = 6380  // of Azure Cache for Redis
	ManagedPort = 10000 // of Azure Managed Redis
)

// Description is Redis in the table of resources.
//
// Sources: learn.microsoft.com, "Use Microsoft Entra ID for cache authentication" (audience, app
// id, user name); hosts and ports by cloud: Azure/Microsoft.Azure.StackExchangeRedis, GetTlsPort
// of its sample.
func Description() resource.Description {
	return resource.Description{
		Name: Name, Title: "Azure Cache for Redis", AppID: "acca5fbb-b7e4-4009-81f1-37e38fd66d78",
		Audiences: func(cloud.Cloud) []string { return []string{"https://redis.azure.com", "https://redis.azure.com/"} },
		Hosts:     hosts,
		Ports: func(host string) []uint16 {
			if isManaged(host) {
				return []uint16{ManagedPort}
			}
			return []uint16{CachePort}
		},
		Has: func(name, host string) bool { return strings.Contains(name, ".") == isManaged(host) },
		Section: resource.Section{
			Name: "redis", Description: "Redis are Azure Caches for Redis and Azure Managed Redis. Default: none.",
			New: func() resource.Settings { return &Settings{} },
		},
		New: func(k resource.Kit, settings any) (resource.Service, error) {
			s := &Caches{kit: k, caches: map[string]*cache{}}
			if given, ok := settings.(*Settings); ok && given != nil {
				for n, c := range *given {
					if err := s.put(c, fmt.Sprintf("redis[%d]", n)); err != nil {
						return nil, err
					}
				}
			}
			return s, nil
		},
	}
}

// hosts are the ends of the hosts of both kinds.
func hosts(c cloud.Cloud) []string {
	zone := map[string]string{"AzureCloud": "windows.net", "AzureUSGovernment": "usgovcloudapi.net", "AzureChinaCloud": "chinacloudapi.cn"}[c.Name]
	managed := zone
	if c.Name == "AzureCloud" {
		managed = "azure.net"
	}
	return []string{".redis.cache." + zone, ".redis." + managed}
}

func isManaged(host string) bool { return !strings.HasPrefix(host, ".redis.cache.") }

// Caches serves them. It is safe for concurrent use.
type Caches struct {
	kit resource.Kit

	mu     sync.RWMutex
	caches map[string]*cache // by name; those of Managed Redis with their region
}

// cache is one of them.
type cache struct {
	Cache

	memory *memory // nil: URL

	mu     sync.RWMutex
	grants []grant
	open   bool // everybody of the tenant is an owner
}

// grant is the assignment of a policy.
type grant struct {
	clientID string // or *
	policy   policy
	source   string
}

// Names implements resource.Instances.
func (s *Caches) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all Settings
	for _, c := range s.caches {
		all = append(all, c.Cache)
	}
	return all.Names()
}

// Put adds a cache, or gives the one of that name another tenant, policies and access.
func (s *Caches) Put(c Cache) error { return s.put(c, "") }

// Grant assigns an identity, by client id, a data access policy of a cache, besides those that
// it has.
func (s *Caches) Grant(name, clientID, policyName string) error {
	s.mu.RLock()
	c := s.caches[name]
	s.mu.RUnlock()
	if c == nil {
		return fmt.Errorf("redis %s: there is none of that name", name)
	}
	p, err := c.policy(policyName)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = false
	c.grants = append(c.grants, grant{clientID, p, atRunTime(name)})
	return nil
}

// put adds a cache; source is its place in wiemu.yaml.
func (s *Caches) put(c Cache, source string) error {
	if !ValidName(c.Name) {
		return fmt.Errorf("redis %q: name: expected %s", c.Name, nameRule)
	}
	if _, ok := s.kit.Directory.Tenant(c.Tenant); !ok {
		return fmt.Errorf("redis %s: tenant: expected the id of a tenant, found %q", c.Name, c.Tenant)
	}
	made := &cache{Cache: c, open: c.Access == nil}
	for n, a := range c.Access {
		p, err := c.policy(a.Policy)
		if err != nil {
			return err
		}
		made.grants = append(made.grants, grant{a.Identity, p, fmt.Sprintf("%s.access[%d]", source, n)})
	}
	if c.URL == "" {
		var err error
		if made.memory, err = newMemory(s.kit.Clock); err != nil {
			return fmt.Errorf("redis %s: %w", c.Name, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.caches[c.instance()]; old != nil && old.memory != nil && made.memory != nil {
		made.memory.Close()
		made.memory = old.memory
	}
	s.caches[c.instance()] = made
	return nil
}

// Has reports whether there is a cache of that name; one of Managed Redis with its region.
func (s *Caches) Has(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.caches[name] != nil
}

// Get returns the text of a key; "" if there is none. The cache has to be in memory.
func (s *Caches) Get(name, key string) (string, error) {
	m, err := s.inMemory(name)
	if err != nil {
		return "", err
	}
	text, err := m.Get(key)
	if errors.Is(err, miniredis.ErrKeyNotFound) {
		return "", nil
	}
	return text, err
}

// Set gives a key a text. The cache has to be in memory.
func (s *Caches) Set(name, key, text string) error {
	m, err := s.inMemory(name)
	if err != nil {
		return err
	}
	return m.Set(key, text)
}

func (s *Caches) inMemory(name string) (*memory, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.caches[name]
	switch {
	case c == nil:
		return nil, fmt.Errorf("redis %s: there is none of that name", name)
	case c.memory == nil:
		return nil, fmt.Errorf("redis %s: its content is in %s; ask there", name, resource.WithoutPassword(c.URL))
	}
	if !c.tick(s.kit.Clock) {
		return nil, fmt.Errorf("redis %s: %s", name, busy)
	}
	return c.memory, nil
}

// Close ends the engines in memory.
func (s *Caches) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.caches {
		if c.memory != nil {
			c.memory.do(c.memory.Close) // which waits for a script, but not for one that does not end
		}
	}
	return nil
}

// at returns the cache of a host.
func (s *Caches) at(host string) *cache {
	for _, suffix := range hosts(s.kit.Cloud()) {
		if name, ok := strings.CutSuffix(host, suffix); ok && strings.Contains(name, ".") == isManaged(suffix) {
			s.mu.RLock()
			defer s.mu.RUnlock()
			return s.caches[name]
		}
	}
	return nil
}

// policyOf returns what a caller is assigned; of several, the last. ok is false if that is nothing.
func (c *cache) policyOf(clientID string) (_ policy, source string, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.open {
		p, err := c.policy("Data Owner")
		return p, "", err == nil
	}
	for _, g := range slices.Backward(c.grants) {
		if g.clientID == "*" || strings.EqualFold(g.clientID, clientID) {
			return g.policy, g.source, true
		}
	}
	return policy{}, "", false
}

// dialTimeout is how long, in wall time, a Redis behind may take to accept and to log in.
const dialTimeout = 5 * time.Second

// dial connects to what stores the content.
func (c *cache) dial(ctx context.Context) (net.Conn, error) {
	if c.memory != nil {
		return c.memory.dial(), nil
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("its url cannot be read") // err repeats it, with its password
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	port := cmp.Or(u.Port(), "6379")
	address := net.JoinHostPort(u.Hostname(), port)
	var conn net.Conn
	if u.Scheme == "rediss" {
		conn, err = (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12}}).DialContext(ctx, "tcp", address)
	} else {
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return nil, err
	}
	if err := logInto(conn, u); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// knows reports whether there may be a command of that name, whose letters are ASCII: a name that
// becomes that of another one in lower or upper case is none. A real Redis knows by itself.
func (c *cache) knows(name string) bool {
	foreign := strings.ContainsFunc(name, func(r rune) bool { return r > unicode.MaxASCII })
	return !foreign && (c.memory == nil || c.memory.server.IsRegisteredCommand(name))
}

// tick has an engine in memory know the time. It returns false if that is busy with a script that
// does not end.
func (c *cache) tick(clk clock.Clock) bool {
	return c.memory == nil || c.memory.do(func() { c.memory.SetTime(clk.Now()) })
}
