package harness

import (
	"strings"

	"github.com/wiemu/wiemu/internal/resource/redis"
)

// Redis returns the Azure Cache for Redis of that name, or with NAME.REGION the Azure Managed
// Redis. If it does not exist, it is created in the first tenant, empty, and every identity is a
// Data Owner until [Redis.Grant]. Clients connect to NAME.redis.cache.windows.net:6380 or
// NAME.REGION.redis.azure.net:10000.
func (l *Lab) Redis(cache string) *Redis {
	l.t.Helper()
	r := &Redis{lab: l, name: cache}
	if !r.caches().Has(cache) {
		name, region, _ := strings.Cut(cache, ".")
		l.create(func(tenant string) error {
			return r.caches().Put(redis.Cache{Name: name, Region: region, Tenant: tenant})
		})
	}
	return r
}

// Redis is a cache as its owner sees it, who needs no token.
type Redis struct {
	lab  *Lab
	name string
}

func (r *Redis) caches() *redis.Caches { return r.lab.session.Emulator().Redis() }

// Set gives a key a text.
func (r *Redis) Set(key, text string) {
	r.lab.t.Helper()
	must(r.lab.t, r.caches().Set(r.name, key, text))
}

// Get returns the text of a key, "" if there is none.
func (r *Redis) Get(key string) string {
	r.lab.t.Helper()
	text, err := r.caches().Get(r.name, key)
	must(r.lab.t, err)
	return text
}

// Grant assigns a workload's identity a data access policy, such as Data Contributor. After
// the first call, nobody logs in without one.
func (r *Redis) Grant(workload *Pod, policy string) {
	r.lab.t.Helper()
	must(r.lab.t, r.caches().Grant(r.name, workload.ClientID, policy))
}
