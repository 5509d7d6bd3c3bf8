package rest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
)

// Kind is a type of resources that the manager keeps, and another resource of the lab serves.
type Kind struct {
	Type     string // with the namespace, such as Microsoft.Sql/servers/databases
	Title    string // for people, such as SQL database
	Versions []string
	Global   bool  // its resources are in no region, and have neither tags nor kind nor SKU
	Parent   *Kind // that of what its resources belong to. If nil, it is a resource group
	Async    Async // how a change is answered that takes a while in Azure

	// Make checks what is asked for and completes it, with p for its properties. was is the
	// resource as it is; nil if it is new. The names in its id have passed Parent.
	Make func(c *Call, i, was *Item, p Properties) *resource.Failure
	// Open has a resource served as it is now. It is called after each change, and after a restart.
	// If nil, it is kept and shown, and no more.
	Open func(Item) error
	// Close has it served no more. If nil, that is its parent's.
	Close func(Item) error
	// Bin reports whether a resource can be recovered once it is deleted. If nil, none can.
	Bin func(Item) bool
	// Configured are the resources of a tenant that wiemu.yaml makes. If nil, there are none.
	Configured func(tenant string) []Item
	// NoPatch and NoDelete say that Azure does not have the operation.
	NoPatch, NoDelete bool
}

func (k *Kind) namespace() string { n, _, _ := strings.Cut(k.Type, "/"); return n }

func (k *Kind) segments() []string { return strings.Split(k.Type, "/")[1:] }

// path is the pattern of one of its resources below its resource group.
func (k *Kind) path() string {
	path := "/subscriptions/{subscription}/resourcegroups/{group}/providers/" + strings.ToLower(k.namespace())
	for n, s := range k.segments() {
		path += fmt.Sprintf("/%s/{name%d}", strings.ToLower(s), n)
	}
	return path
}

// NewProvider returns a provider of resources of these kinds.
func (m *Manager) NewProvider(namespace string, kinds ...*Kind) Provider {
	p := Provider{Namespace: namespace}
	for _, k := range kinds {
		p.Types = append(p.Types, ResourceType{Name: strings.Join(k.segments(), "/"), Versions: k.Versions, Global: k.Global})
		p.Operations = append(p.Operations, m.Operations(k)...)
		for _, o := range m.Polls(k) {
			if !slices.ContainsFunc(p.Operations, func(has Operation) bool { return has.Path == o.Path }) {
				p.Operations = append(p.Operations, o)
			}
		}
	}
	p.Resources = func(tenant, scope string) (found []Resource) {
		for _, k := range kinds {
			if k.Global {
				continue
			}
			for _, i := range m.items(k, tenant, scope) {
				found = append(found, Resource{ID: i.ID, Name: strings.Join(i.names(), "/"), Type: i.Type, Location: i.Location, Tags: i.Tags})
			}
		}
		return found
	}
	p.Delete = func(tenant, group string) error {
		for _, k := range kinds {
			for _, i := range m.items(k, tenant, group) {
				if k.Parent == nil && !i.Made.IsZero() {
					if err := m.remove(k, i); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	p.Locked = func(tenant, group string) (id string) {
		for _, k := range kinds {
			for _, i := range m.items(k, tenant, group) {
				if k.Parent == nil && i.Made.IsZero() {
					return i.ID
				}
			}
		}
		return ""
	}
	p.Open = func() error {
		for _, k := range kinds {
			for _, i := range m.stored(func(i *Item) bool { return i.Type == k.Type && i.Deleted.IsZero() }) {
				switch err := k.open(i); {
				case errors.Is(err, resource.ErrNameTaken): // two things answer to it: somebody has to decide
					return fmt.Errorf("resources: %s: %w", i.ID, err)
				case err != nil:
					m.Unserved(i, err)
				}
			}
		}
		return nil
	}
	return p
}

// Unserved records that a resource of an earlier run is not served, since what it needs is gone: it
// is shown, and is served again when it is put again or the lab starts with what it needs.
func (m *Manager) Unserved(i Item, err error) {
	m.Kit.Journal.Record(journal.Event{
		Kind: journal.Directory, Outcome: journal.Failed, Component: m.Kit.Resource.Name, Tenant: i.Tenant, Resource: i.ID,
		Summary: fmt.Sprintf("%s %s is kept, but not served: %v", i.Type, strings.Join(i.names(), "/"), err),
	})
}

// Add gives a provider an operation of its own, beside those of its kinds. The action is without
// the namespace.
func (p *Provider) Add(method, path, verb, action string, versions []string, serve func(*Call) (Reply, *resource.Failure)) {
	p.Operations = append(p.Operations, Operation{Methods: []string{method}, Path: path, Verb: verb, Action: p.Namespace + "/" + action, Versions: versions, Serve: serve})
}

func (k *Kind) open(i Item) error {
	if k.Open == nil {
		return nil
	}
	return k.Open(i)
}

// find returns what has an id, if it is there.
func (c *Call) find(k *Kind, id string) (Item, bool) {
	if i, ok := c.Item(id); ok && i.Type == k.Type && i.Tenant == c.Caller.Tenant {
		return i, i.Deleted.IsZero()
	}
	if k.Configured != nil {
		for _, i := range k.Configured(c.Caller.Tenant) {
			if strings.EqualFold(i.ID, id) {
				return i, true
			}
		}
	}
	return Item{}, false
}

// id is that of the resource which the request's path names, in the spelling of the type, below
// what there is already; the parent has to be.
func (c *Call) id(k *Kind, group Group, verb string) (string, *resource.Failure) {
	own := k.segments()
	at := "/subscriptions/" + c.Vars["subscription"] + "/resourceGroups/" + group.Name + "/providers/" + k.namespace()
	from := 0
	if k.Parent != nil {
		parent, failed := c.id(k.Parent, group, verb)
		if failed != nil {
			return "", failed
		}
		found, ok := c.find(k.Parent, parent)
		if !ok {
			return "", ParentNotFound(verb, strings.Join(own, "/"), parent)
		}
		at, from = found.ID, len(k.Parent.segments())
	}
	for n := from; n < len(own); n++ {
		at += "/" + own[n] + "/" + httppath.Segment(c.Request, firstName+2*n)
	}
	return at, nil
}

// firstName is the place of the first name of a resource in the path's segments.
const firstName = 7

// Find is the resource of the kind that the request's path names, to be read.
func (k *Kind) Find(c *Call) (Item, *resource.Failure) { return c.At(k, "read") }

// At is the resource that the request's path names, which is of a kind.
func (c *Call) At(k *Kind, verb string) (Item, *resource.Failure) {
	group, failed := c.Group()
	if failed != nil {
		return Item{}, failed
	}
	id, failed := c.id(k, group, verb)
	if failed != nil {
		return Item{}, failed
	}
	i, ok := c.find(k, id)
	if !ok {
		c.gateway = true // as in azure-cli's recordings of vaults and storage accounts
		sought := Item{ID: id}
		return Item{}, NotFound(k.Type, strings.Join(sought.names(), "/"), group.Name)
	}
	return i, nil
}
