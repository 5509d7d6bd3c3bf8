package rest

import (
	"cmp"
	"crypto/sha512"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/roles"
)

// names are those in the id of an item: its own, and before it those of what it belongs to.
func (i *Item) names() (all []string) {
	segments := strings.Split(i.ID, "/")
	for n := 8; n < len(segments); n += 2 {
		all = append(all, segments[n])
	}
	return all
}

// Top is the name of the resource that an item belongs to, or is.
func (i *Item) Top() string { return i.names()[0] }

// Group is the name of an item's resource group.
func (i *Item) Group() string { return strings.Split(i.ID, "/")[4] }

// Region returns the region that an item is in: that of its resource group, if it has none.
func (m *Manager) Region(i Item) string {
	if i.Location != "" {
		return i.Location
	}
	g, _ := m.Groups.Find(strings.Join(strings.Split(i.ID, "/")[:5], "/"))
	return cmp.Or(g.Location, configuredLocation)
}

// stored are the items that accept lets pass, the oldest first.
func (m *Manager) stored(accept func(*Item) bool) (found []Item) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for n := range m.state.Resources {
		if i := &m.state.Resources[n]; accept(i) {
			found = append(found, *i)
		}
	}
	return found
}

// Items are those of a type, with the namespace, that accept lets pass.
func (m *Manager) Items(kind string, accept func(*Item) bool) []Item {
	return m.stored(func(i *Item) bool { return i.Type == kind && accept(i) })
}

// Names are those of the items of a kind that were made here.
func (m *Manager) Names(k *Kind) map[string]bool {
	names := map[string]bool{}
	for _, i := range m.Items(k.Type, func(*Item) bool { return true }) {
		names[i.Name] = true
	}
	return names
}

// OfConfiguration returns a resource that wiemu.yaml makes, with an id in its resource group, whose
// region it is in.
func (m *Manager) OfConfiguration(k *Kind, tenant, id, name string, p Properties) Item {
	i := Item{ID: id, Tenant: tenant, Type: k.Type, Name: name, Tags: map[string]string{}}
	i.Location = m.Region(i)
	i.SetProperties(p)
	return i
}

// Below are the items of a type that belong to another item.
func (m *Manager) Below(of Item, kind string) []Item {
	return m.Items(kind, func(i *Item) bool { return roles.Within(i.ID, of.ID) })
}

// Item returns one by its id, whatever its case, also if it was deleted and can be recovered.
func (m *Manager) Item(id string) (Item, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n, ok := m.state.items[strings.ToLower(id)]
	if !ok {
		return Item{}, false
	}
	return m.state.Resources[n], true
}

// items are those of a kind in a scope that there are, those of wiemu.yaml first.
func (m *Manager) items(k *Kind, tenant, scope string) (found []Item) {
	if k.Configured != nil {
		for _, i := range k.Configured(tenant) {
			if _, made := m.Item(i.ID); !made && roles.Within(i.ID, scope) {
				found = append(found, i)
			}
		}
	}
	return append(found, m.stored(func(i *Item) bool {
		return i.Type == k.Type && i.Tenant == tenant && i.Deleted.IsZero() && roles.Within(i.ID, scope)
	})...)
}

// remove takes a resource away with what is below it and the roles that are assigned there.
func (m *Manager) remove(k *Kind, i Item) error {
	if k.Bin != nil && k.Bin(i) {
		binned := i
		binned.Deleted = m.Kit.Clock.Now()
		if err := m.change(change{Resource: &binned}); err != nil {
			return err
		}
	} else if err := m.Forget(i); err != nil {
		return err
	}
	for _, a := range m.Kit.Roles.Assignments(func(a roles.Assignment) bool { return roles.Within(a.Scope, i.ID) }) {
		if _, _, err := m.Kit.Roles.Remove(a.ID); err != nil {
			return err
		}
	}
	if k.Close == nil {
		return nil
	}
	return k.Close(i)
}

// Forget keeps an item no longer, nor what is below it.
func (m *Manager) Forget(i Item) error {
	below := m.stored(func(o *Item) bool { return roles.Within(o.ID, i.ID) })
	for _, o := range slices.Backward(below) {
		if err := m.change(change{Gone: strings.ToLower(o.ID)}); err != nil {
			return err
		}
	}
	return nil
}

// ForgetDeleted keeps an item no longer that was deleted, unless it was made again or recovered
// since it was looked at. gone says that it is kept no more.
func (m *Manager) ForgetDeleted(i Item) (gone bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := strings.ToLower(i.ID)
	if n, ok := m.state.items[key]; !ok || !m.state.Resources[n].Deleted.Equal(i.Deleted) {
		return false, nil
	}
	if err := m.changeLocked(change{Gone: key}); err != nil {
		return false, err
	}
	return true, nil
}

// Keep keeps an item that a provider has changed by itself.
func (m *Manager) Keep(i Item) error { return m.change(change{Resource: &i}) }

// Making has one resource at a time be looked for and made, until the function that it returns is
// called.
func (m *Manager) Making() func() {
	m.making.Lock()
	return m.making.Unlock
}

// AccessKey returns an access key of a resource, in the form of Azure's: n bytes, 64 at most, in
// base64. It opens nothing, is the same until the resource is made anew, and is redacted in the
// journal, where title names the resource.
func (m *Manager) AccessKey(i Item, title, name string, n int) string {
	sum := sha512.Sum512([]byte("access key that opens nothing\x00" + strings.ToLower(i.ID) + "\x00" + Time(i.Made) + "\x00" + name))
	key := base64.StdEncoding.EncodeToString(sum[:n])
	m.Kit.Journal.Secrets().Add(name+" of "+title, key)
	return key
}
