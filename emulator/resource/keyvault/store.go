package keyvault

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// Limits and defaults of Key Vault.
const (
	maxValue  = 25 << 10 // bytes of a secret's value
	maxTags   = 15
	retention = 90 // days that a deleted secret can be recovered
)

// vault is a vault's content.
type vault struct {
	name string // as it was configured first
	hide func(label, value string)

	mu      sync.RWMutex
	tenant  string
	access  []Access
	secrets map[string]*secret // by name in lower case
	deleted map[string]*secret // the bin; a name is in at most one of both
	minted  int                // versions made so far
}

// secret has one version or more.
type secret struct {
	name     string     // as its first version was spelt
	versions []*version // oldest first
	deleted  time.Time  // zero unless it is in the bin
}

func (s *secret) latest() *version { return s.versions[len(s.versions)-1] }

// purge is when the bin is emptied of it.
func (s *secret) purge() time.Time { return s.deleted.AddDate(0, 0, retention) }

// version is one value of a secret. Its tags and dates are replaced, never
// modified: answers that are being written share them.
type version struct {
	id               string // 32 hex digits
	value            string
	contentType      string
	tags             map[string]string
	enabled          bool
	notBefore        *int64 // seconds since 1970; advisory, see get
	expires          *int64
	created, updated time.Time
}

// configure makes the vault what it is configured to be; v.mu is held.
func (v *vault) configure(c Vault, now time.Time) {
	v.tenant = strings.ToLower(c.Tenant)
	v.access = make([]Access, len(c.Access))
	for i, a := range c.Access {
		v.access[i] = a
		v.access[i].Permissions = slices.Clone(a.Permissions)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		delete(v.deleted, strings.ToLower(name))
		if s := v.secrets[strings.ToLower(name)]; s != nil && s.latest().value == c.Secrets[name] {
			continue
		}
		v.add(name, &version{value: c.Secrets[name], enabled: true, created: now, updated: now})
	}
}

// present is the vault as it is now, with the values that can be read; v.mu is held.
func (v *vault) present() Vault {
	p := Vault{Name: v.name, Tenant: v.tenant, Access: slices.Clone(v.access), Secrets: map[string]string{}}
	for i, a := range p.Access {
		p.Access[i].Permissions = slices.Clone(a.Permissions)
	}
	for _, s := range v.secrets {
		if s.latest().enabled {
			p.Secrets[s.name] = s.latest().value
		}
	}
	return p
}

// bin deletes a secret as its owners would; v.mu is held.
func (v *vault) bin(name string, now time.Time) {
	if s := v.secrets[strings.ToLower(name)]; s != nil {
		delete(v.secrets, strings.ToLower(name))
		s.deleted = now
		v.deleted[strings.ToLower(name)] = s
	}
}

// nearest is the secret whose name is most like one that is not there, "" if none is;
// v.mu is held.
func (v *vault) nearest(name string) string {
	if v.secrets[strings.ToLower(name)] != nil {
		return "" // it is there, and lacks the version
	}
	var names []string
	for _, s := range v.secrets {
		names = append(names, s.name)
	}
	slices.Sort(names)
	return yamlfile.Nearest(name, names)
}

// add makes n the latest version; v.mu is held. Its id depends on nothing but
// the vault, the name and how many versions there were, so that two labs that do
// the same agree.
func (v *vault) add(name string, n *version) (*secret, *version) {
	if !identifies(n.value) {
		v.hide("value of "+name+" in vault "+v.name, n.value)
	}
	v.minted++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", strings.ToLower(v.name), strings.ToLower(name), v.minted))
	n.id = hex.EncodeToString(sum[:16])
	s := v.secrets[strings.ToLower(name)]
	if s == nil {
		s = &secret{name: name}
		v.secrets[strings.ToLower(name)] = s
	}
	s.versions = append(s.versions, n)
	return s, n
}

// identifier is what vaults hold that is no secret: a GUID, a host, or a URL of nothing
// but a host.
var identifier = regexp.MustCompile(`^((?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})|([a-z]+://)?[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,6}(:[0-9]+)?/?)$`)

// identifies reports whether a value names something, so that it is told as it is.
func identifies(value string) bool { return identifier.MatchString(value) }

// find returns a version of a secret, the latest one for id "".
func (v *vault) find(name, id string) (*secret, *version, bool) {
	s := v.secrets[strings.ToLower(name)]
	if s == nil {
		return nil, nil, false
	}
	if id == "" {
		return s, s.latest(), true
	}
	for _, n := range s.versions {
		if strings.EqualFold(n.id, id) {
			return s, n, true
		}
	}
	return nil, nil, false
}

// binned returns a deleted secret whose time has not come; v.mu is held.
func (v *vault) binned(name string, now time.Time) (*secret, bool) {
	s := v.deleted[strings.ToLower(name)]
	if s == nil || !now.Before(s.purge()) {
		return nil, false
	}
	return s, true
}
