package rest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
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

// Operations are those that each type has.
func (m *Manager) Operations(k *Kind) []Operation {
	one := k.path()
	list := one[:strings.LastIndexByte(one, '/')]
	operation := func(method, path, verb, action string, serve func(*Call, *Kind) (Reply, *resource.Failure)) Operation {
		return Operation{Methods: []string{method}, Path: path, Verb: verb, Action: k.Type + "/" + action, Versions: k.Versions, Serve: func(c *Call) (Reply, *resource.Failure) { return serve(c, k) }}
	}
	all := []Operation{
		operation(http.MethodGet, list, "list "+k.Title+"s", "read", (*Call).listItems),
		operation(http.MethodGet, one, "get "+k.Title, "read", (*Call).getItem),
		operation(http.MethodPut, one, "create or update "+k.Title, "write", (*Call).putItem),
	}
	if !k.NoPatch {
		all = append(all, operation(http.MethodPatch, one, "update "+k.Title, "write", (*Call).patchItem))
	}
	if !k.NoDelete {
		all = append(all, operation(http.MethodDelete, one, "delete "+k.Title, "delete", (*Call).deleteItem))
	}
	if k.Parent == nil {
		all = append(all, operation(http.MethodGet, "/subscriptions/{subscription}/providers/"+strings.ToLower(k.Type), "list "+k.Title+"s", "read", (*Call).listItems))
	}
	return all
}

// Providing fills in what a provider of kinds has in common.
func (m *Manager) Providing(namespace string, kinds ...*Kind) Provider {
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

// shownItem is a resource in the order of most providers' members.
type shownItem struct {
	SKU        json.RawMessage   `json:"sku,omitempty"`
	Kind       string            `json:"kind,omitempty"`
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location,omitempty"`
	Tags       map[string]string `json:"tags,omitzero"`
	Properties json.RawMessage   `json:"properties"`
}

// Shown is an item as clients see it.
func (m *Manager) Shown(i Item) any {
	made := shownItem{SKU: i.SKU, Kind: i.Kind, ID: i.ID, Name: i.Name, Type: i.Type, Location: i.Location, Properties: i.Properties}
	if made.Location != "" {
		if made.Tags = i.Tags; made.Tags == nil {
			made.Tags = map[string]string{}
		}
	}
	if made.Properties == nil {
		made.Properties = json.RawMessage("{}")
	}
	return made
}

func (c *Call) listItems(k *Kind) (Reply, *resource.Failure) {
	scope := "/subscriptions/" + c.Vars["subscription"]
	if _, ofGroup := c.Vars["group"]; ofGroup {
		group, failed := c.Group()
		if failed != nil {
			return Reply{}, failed
		}
		if scope = group.ID; k.Parent != nil {
			parent, failed := c.At(k.Parent, "read")
			if failed != nil {
				return Reply{}, failed
			}
			scope = parent.ID
		}
	}
	page, failed := Page(c, c.items(k, c.Caller.Tenant, scope))
	shown := List[any]{Value: []any{}, NextLink: page.NextLink}
	for _, i := range page.Value {
		shown.Value = append(shown.Value, c.Shown(i))
	}
	return Reply{Body: shown}, failed
}

func (c *Call) getItem(k *Kind) (Reply, *resource.Failure) {
	i, failed := c.At(k, "read")
	if failed != nil {
		return Reply{}, failed
	}
	return Reply{Body: c.Shown(i)}, nil
}

// Asked is the body of a request that makes or changes a resource.
type Asked struct {
	Location   string             `json:"location"`
	Tags       *map[string]string `json:"tags"`
	Kind       string             `json:"kind"`
	SKU        json.RawMessage    `json:"sku"`
	Properties Properties         `json:"properties"`
}

func (c *Call) putItem(k *Kind) (Reply, *resource.Failure) {
	var asked Asked
	if failed := c.Read(&asked); failed != nil {
		return Reply{}, failed
	}
	group, failed := c.Group()
	if failed != nil {
		return Reply{}, failed
	}
	c.making.Lock()
	defer c.making.Unlock()
	id, failed := c.id(k, group, "write")
	if failed != nil {
		return Reply{}, failed
	}
	i := Item{ID: id, Tenant: c.Caller.Tenant, Type: k.Type, Name: id[strings.LastIndexByte(id, '/')+1:], MadeBy: c.Caller.ObjectID}
	var was *Item
	if old, ok := c.find(k, id); ok {
		was = &old
		i.ID, i.Name, i.Made, i.MadeBy = old.ID, old.Name, old.Made, old.MadeBy
	}
	if !k.Global {
		i.Kind, i.SKU = asked.Kind, asked.SKU
		if i.Location, failed = Location(asked.Location, k.Type); failed != nil {
			return Reply{}, failed
		}
		if was != nil && was.Location != i.Location {
			return Reply{}, Moved(i.Name, was.Location, group.Name, i.Location)
		}
		i.Tags = map[string]string{}
		if asked.Tags != nil {
			i.Tags = *asked.Tags
		}
	}
	return c.write(k, i, was, asked.Properties)
}

func (c *Call) patchItem(k *Kind) (Reply, *resource.Failure) {
	var asked Asked
	if failed := c.Read(&asked); failed != nil {
		return Reply{}, failed
	}
	c.making.Lock()
	defer c.making.Unlock()
	was, failed := c.At(k, "write")
	if failed != nil {
		return Reply{}, failed
	}
	i := was
	if !k.Global {
		if asked.Tags != nil {
			i.Tags = *asked.Tags
		}
		i.Kind = cmp.Or(asked.Kind, i.Kind)
		if asked.SKU != nil {
			i.SKU = asked.SKU
		}
	}
	properties := was.Has()
	properties.Merge(asked.Properties)
	return c.write(k, i, &was, properties)
}

// Change makes a resource what it is now, as an operation of its own does: change modifies its
// properties. The caller answers.
func (c *Call) Change(k *Kind, change func(Properties) *resource.Failure) (Item, *resource.Failure) {
	c.making.Lock()
	defer c.making.Unlock()
	was, failed := c.At(k, "write")
	if failed != nil {
		return Item{}, failed
	}
	properties := was.Has()
	if failed := change(properties); failed != nil {
		return Item{}, failed
	}
	i := was
	failed = c.make(k, &i, &was, properties)
	return i, failed
}

// write makes a resource and answers; c.making is held.
func (c *Call) write(k *Kind, i Item, was *Item, properties Properties) (Reply, *resource.Failure) {
	if failed := c.make(k, &i, was, properties); failed != nil {
		return Reply{}, failed
	}
	status := cmp.Or(k.Async.Changed, http.StatusOK)
	if was == nil {
		status = cmp.Or(k.Async.Made, http.StatusCreated)
	}
	return c.Later(k, i, status, "Upsert"), nil
}

// make checks a resource, keeps it and has it served; c.making is held.
func (c *Call) make(k *Kind, i, was *Item, properties Properties) *resource.Failure {
	if was != nil && was.Made.IsZero() {
		return Locked(was.ID, "write")
	}
	if failed := Tags(i.Tags); failed != nil {
		return failed
	}
	i.Changed = c.Kit.Clock.Now()
	if was == nil {
		i.Made = i.Changed
	}
	if properties == nil {
		properties = Properties{}
	}
	if failed := k.Make(c, i, was, properties); failed != nil {
		return failed
	}
	i.Is(properties)
	undo := change{Gone: strings.ToLower(i.ID)}
	if had, ok := c.Item(i.ID); ok { // perhaps one that was deleted, and is recovered
		undo = change{Resource: &had}
	}
	if err := c.change(change{Resource: i}); err != nil {
		return Unkept(err)
	}
	if err := k.open(*i); err != nil {
		return unopened(errors.Join(err, c.change(undo)))
	}
	return nil
}

// deleteItem deletes a resource with what is in it. Source of 204 for one that there is not:
// azure-resource-manager-rpc, v1.0/resource-api-reference.md.
func (c *Call) deleteItem(k *Kind) (Reply, *resource.Failure) {
	group, failed := c.Group()
	if failed != nil {
		return Reply{}, failed
	}
	c.making.Lock()
	defer c.making.Unlock()
	id, failed := c.id(k, group, "delete")
	if failed != nil {
		return Reply{}, failed
	}
	i, ok := c.find(k, id)
	switch {
	case !ok:
		return Reply{Status: http.StatusNoContent}, nil
	case i.Made.IsZero():
		return Reply{}, Locked(i.ID, "delete")
	}
	if err := c.remove(k, i); err != nil {
		return Reply{}, Unkept(err)
	}
	return c.Later(k, i, cmp.Or(k.Async.Deleted, http.StatusOK), "Drop"), nil
}

// Locked refuses to change what wiemu.yaml makes, as Azure does what has a lock.
// Source: azure-docs, azure-resource-manager/management/lock-resources.md, and many logs.
func Locked(id, operation string) *resource.Failure {
	return resource.Fail(http.StatusConflict, "ScopeLocked", fmt.Sprintf("The scope '%s' cannot perform %s operation because following scope(s) are locked: '%[1]s'. Please remove the lock and try again.", id, operation),
		"wiemu.yaml makes this resource.", "Change it there, or create one of another name.")
}
