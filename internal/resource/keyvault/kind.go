package keyvault

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// kind is what Key Vault does alike for secrets, keys and certificates: list, delete,
// recover and purge. V is a version of one.
type kind[V versioned] struct {
	noun     string // in Key Vault's texts: Secret, Key, Certificate
	of       func(*vault) collection[V]
	describe func(c *call, o *object[V], v V, as form) any
	// managed reports whether a version belongs to a certificate, with which alone it is
	// deleted. If nil, none does.
	managed func(V) bool
	// together does with what belongs to an object what was done with it. If nil, nothing
	// belongs to it.
	together func(v *vault, name string, do move, now time.Time)
	// recoverable refuses to recover an object whose place another one has taken. If nil,
	// none can.
	recoverable func(c *call, name string) *resource.Failure
}

// form says how much of a version is described.
type form int

const (
	whole     form = iota // with all that an answer has that does not show a secret's value
	inList                // in the list of all, without its version
	asVersion             // in the list of its versions
)

// move is what happens to an object as a whole.
type move int

const (
	toBin move = iota
	back
	forGood
)

func (k kind[V]) list(c *call) (int, any, *resource.Failure) {
	all := k.of(c.vault).there
	return c.page(slices.Sorted(maps.Keys(all)), func(name string) any { return k.describe(c, all[name], all[name].latest(), inList) })
}

func (k kind[V]) listDeleted(c *call) (int, any, *resource.Failure) {
	all := k.of(c.vault)
	var names []string
	for name := range all.gone {
		if _, ok := all.binned(name, c.now); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return c.page(names, func(name string) any { return k.describe(c, all.gone[name], all.gone[name].latest(), inList) })
}

// versions describes an object's versions in the order of their ids. One that does not
// exist has none, which is no error (azure-sdk-for-js, tests "can list … versions (non
// existing)").
func (k kind[V]) versions(c *call) (int, any, *resource.Failure) {
	o, _, ok := k.of(c.vault).find(c.name, "")
	if !ok {
		return c.page(nil, nil)
	}
	byID := map[string]V{}
	for _, v := range o.versions {
		byID[v.common().id] = v
	}
	return c.page(slices.Sorted(maps.Keys(byID)), func(id string) any { return k.describe(c, o, byID[id], asVersion) })
}

// get describes a version, of disabled and expired keys too: only their use is refused.
// Seen: notaryproject/ratify#1474 (a disabled key is fetched).
func (k kind[V]) get(c *call) (int, any, *resource.Failure) {
	return k.show(func(c *call, o *object[V], v V) any { return k.describe(c, o, v, whole) })(c)
}

// show answers with what is said of the version that the request names.
func (k kind[V]) show(describe func(*call, *object[V], V) any) handler {
	return reading(func(c *call) (int, any, *resource.Failure) {
		o, v, failed := k.find(c, c.name, c.id)
		if failed != nil {
			return 0, nil, failed
		}
		return http.StatusOK, describe(c, o, v), nil
	})
}

// delete moves an object with all its versions into the bin.
func (k kind[V]) delete(c *call) (int, any, *resource.Failure) {
	o, _, failed := k.find(c, c.name, "")
	if failed == nil {
		failed = k.unmanaged(o)
	}
	if failed != nil {
		return 0, nil, failed
	}
	k.of(c.vault).bin(c.name, c.now)
	k.move(c, toBin)
	return http.StatusOK, k.describe(c, o, o.latest(), whole), nil
}

// getDeleted describes an object in the bin.
func (k kind[V]) getDeleted(c *call) (int, any, *resource.Failure) {
	o, failed := k.findInBin(c)
	if failed != nil {
		return 0, nil, failed
	}
	return http.StatusOK, k.describe(c, o, o.latest(), whole), nil
}

func (k kind[V]) recover(c *call) (int, any, *resource.Failure) {
	o, failed := k.findInBin(c)
	if failed == nil {
		failed = k.unmanaged(o)
	}
	if failed == nil && k.recoverable != nil {
		failed = k.recoverable(c, c.name)
	}
	if failed != nil {
		return 0, nil, failed
	}
	o = k.of(c.vault).recover(c.name)
	k.move(c, back)
	return http.StatusOK, k.describe(c, o, o.latest(), whole), nil
}

// purge empties the bin of an object, for good.
func (k kind[V]) purge(c *call) (int, any, *resource.Failure) {
	o, failed := k.findInBin(c)
	if failed == nil {
		failed = k.unmanaged(o)
	}
	if failed != nil {
		return 0, nil, failed
	}
	k.of(c.vault).empty(c.name)
	k.move(c, forGood)
	return http.StatusNoContent, nil, nil
}

// unmanaged refuses to delete, recover or purge what belongs to a certificate.
func (k kind[V]) unmanaged(o *object[V]) *resource.Failure {
	if k.managed != nil && k.managed(o.latest()) {
		return managed(k.noun, o.name)
	}
	return nil
}

func (k kind[V]) move(c *call, do move) {
	if k.together != nil {
		k.together(c.vault, c.name, do, c.now)
	}
}

// find returns an object and its version; the vault is locked.
func (k kind[V]) find(c *call, name, id string) (*object[V], V, *resource.Failure) {
	o, v, ok := k.of(c.vault).find(name, id)
	target := name
	if id != "" {
		target += "/" + id
	}
	c.Check(strings.ToLower(k.noun), "a "+strings.ToLower(k.noun)+" of the vault", target, ok)
	if !ok {
		return nil, v, notFound(k.noun, target, k.nearest(c.vault, name))
	}
	return o, v, nil
}

// findInBin returns the object in the bin that the call names; the vault is locked.
func (k kind[V]) findInBin(c *call) (*object[V], *resource.Failure) {
	o, ok := k.of(c.vault).binned(c.name, c.now)
	c.Check("deleted "+strings.ToLower(k.noun), "a "+strings.ToLower(k.noun)+" in the bin", c.name, ok)
	if !ok {
		return nil, deletedNotFound(k.noun, c.name)
	}
	return o, nil
}

// vacate refuses a name that is in the bin, and forgets what was purged; the vault is
// locked.
func (k kind[V]) vacate(c *call, name string) *resource.Failure {
	if o, ok := k.of(c.vault).binned(name, c.now); ok {
		return inBin(k.noun, o.name)
	}
	k.of(c.vault).empty(name) // its time has come
	return nil
}

// nearest returns the object whose name is most like that of one that does not exist, ""
// if none is.
func (k kind[V]) nearest(v *vault, name string) string {
	all := k.of(v)
	if _, _, ok := all.find(name, ""); ok {
		return "" // it is there, and lacks the version
	}
	return yamlfile.Nearest(name, all.names())
}
