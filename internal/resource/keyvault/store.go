package keyvault

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/roles"
)

// Limits and defaults of Key Vault.
const (
	maxValue  = 25 << 10 // bytes of a secret's value
	maxTags   = 15
	retention = 90 // days that what was deleted can be recovered
)

// maxMade is how many versions of keys and certificates a vault makes or takes, which
// bounds its memory. Key Vault has no such limit.
const maxMade = 10_000

type vault struct {
	name  string // as it was configured first
	roles *roles.Set
	hide  func(label, value string)

	mu     sync.RWMutex
	tenant string
	access []Access
	id     string // resource id; set with the access
	model  bool   // access policies decide, rather than roles
	minted int    // versions made so far
	made   int    // of them, versions of keys and certificates

	secrets      collection[*version]
	keys         collection[*keyVersion]
	certificates collection[*certVersion]
	contacts     []contact

	rotating map[string]bool // keys with a policy, by name in lower case; some may be gone
}

func newVault(name string, assigned *roles.Set, hide func(label, value string)) *vault {
	return &vault{name: name, roles: assigned, hide: hide, secrets: newCollection[*version](), keys: newCollection[*keyVersion](), certificates: newCollection[*certVersion](), rotating: map[string]bool{}}
}

// properties are what versions of secrets, keys and certificates have in common. Tags and
// dates are replaced, never modified: answers that are being written share them.
type properties struct {
	id               string // 32 hex digits
	tags             map[string]string
	enabled          bool
	notBefore        *int64 // seconds since 1970
	expires          *int64
	created, updated time.Time
}

func (p *properties) common() *properties { return p }

// change sets what a client sends.
func (p *properties) change(a attributes, tags map[string]string, now time.Time) {
	p.updated = now
	if tags != nil {
		p.tags = maps.Clone(tags)
	}
	if a.Enabled != nil {
		p.enabled = *a.Enabled
	}
	p.notBefore, p.expires = cmp.Or(a.NotBefore, p.notBefore), cmp.Or(a.Expires, p.expires)
}

type versioned interface{ common() *properties }

// object is a secret, key or certificate: it has one version or more.
type object[V versioned] struct {
	name     string    // as its first version was spelt
	versions []V       // oldest first
	deleted  time.Time // zero unless it is in the bin
}

func (o *object[V]) latest() V { return o.versions[len(o.versions)-1] }

// purge is when the bin is emptied of it.
func (o *object[V]) purge() time.Time { return o.deleted.AddDate(0, 0, retention) }

// collection has a vault's objects of one kind by name in lower case, and those in the
// bin; a name is in at most one of both.
type collection[V versioned] struct {
	there, gone map[string]*object[V]
}

func newCollection[V versioned]() collection[V] {
	return collection[V]{map[string]*object[V]{}, map[string]*object[V]{}}
}

// find returns an object and its version; the latest one for "".
func (c collection[V]) find(name, id string) (o *object[V], v V, ok bool) {
	o = c.there[strings.ToLower(name)]
	if o == nil {
		return nil, v, false
	}
	if id == "" {
		return o, o.latest(), true
	}
	for _, v := range o.versions {
		if strings.EqualFold(v.common().id, id) {
			return o, v, true
		}
	}
	return nil, v, false
}

// add makes v the latest version.
func (c collection[V]) add(name string, v V) *object[V] {
	o := c.there[strings.ToLower(name)]
	if o == nil {
		o = &object[V]{name: name}
		c.there[strings.ToLower(name)] = o
	}
	o.versions = append(o.versions, v)
	return o
}

// bin deletes an object, which can be recovered.
func (c collection[V]) bin(name string, now time.Time) {
	name = strings.ToLower(name)
	if o := c.there[name]; o != nil {
		delete(c.there, name)
		o.deleted = now
		c.gone[name] = o
	}
}

// binned returns a deleted object whose time has not come.
func (c collection[V]) binned(name string, now time.Time) (*object[V], bool) {
	o := c.gone[strings.ToLower(name)]
	if o == nil || !now.Before(o.purge()) {
		return nil, false
	}
	return o, true
}

// recover takes an object out of the bin.
func (c collection[V]) recover(name string) *object[V] {
	name = strings.ToLower(name)
	back := &object[V]{name: c.gone[name].name, versions: c.gone[name].versions}
	delete(c.gone, name)
	c.there[name] = back
	return back
}

func (c collection[V]) empty(name string) { delete(c.gone, strings.ToLower(name)) }

// names are those of the objects, sorted.
func (c collection[V]) names() []string {
	var names []string
	for _, o := range c.there {
		names = append(names, o.name)
	}
	slices.Sort(names)
	return names
}

// version is one value of a secret.
type version struct {
	properties  // its dates are advisory, see get
	value       string
	contentType string
	certificate *certVersion // whose secret it is, which has the value. If nil, it is nobody's
}

// text returns the value.
func (n *version) text(v *vault, name string) string {
	if n.certificate == nil {
		return n.value
	}
	value := n.certificate.secret()
	v.hide("certificate "+name+" of vault "+v.name, value)
	return value
}

// configure makes the vault what it is configured to be; v.mu is held.
func (v *vault) configure(c Vault, now time.Time) error {
	if err := v.configureAccess(c); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		v.secrets.empty(name)
		if _, latest, ok := v.secrets.find(name, ""); ok && latest.value == c.Secrets[name] {
			continue
		}
		v.addSecret(name, &version{value: c.Secrets[name], properties: properties{enabled: true, created: now, updated: now}})
	}
	return nil
}

// snapshot returns the vault as it is now, with the values that can be read; v.mu is held.
func (v *vault) snapshot() Vault {
	p := Vault{Name: v.name, Tenant: v.tenant, ID: v.id, Policies: v.model && !policies(v.access), Access: cloneAccess(v.access), Secrets: map[string]string{}}
	for _, s := range v.secrets.there {
		if s.latest().enabled && s.latest().certificate == nil {
			p.Secrets[s.name] = s.latest().value
		}
	}
	return p
}

// addSecret makes n the latest version; v.mu is held.
func (v *vault) addSecret(name string, n *version) *object[*version] {
	if !identifies(n.value) {
		v.hide("value of "+name+" in vault "+v.name, n.value)
	}
	n.id = v.mint(name)
	return v.secrets.add(name, n)
}

// mint returns the id of the next version; v.mu is held. It depends on nothing but the
// vault, the name and how many versions there were, so that two labs that do the same
// agree.
func (v *vault) mint(name string) string {
	v.minted++
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", strings.ToLower(v.name), strings.ToLower(name), v.minted))
	return hex.EncodeToString(sum[:16])
}

// identifier is what vaults hold that is no secret: a GUID, a host, or a URL of nothing
// but a host.
var identifier = lazyregexp.New(`^((?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})|([a-z]+://)?[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,6}(:[0-9]+)?/?)$`)

// identifies reports whether a value is no secret but names something, so that it is
// not redacted.
func identifies(value string) bool { return identifier().MatchString(value) }
