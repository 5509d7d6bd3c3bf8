package rest

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
)

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
	properties := was.ReadProperties()
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
	properties := was.ReadProperties()
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
	i.SetProperties(properties)
	undo := change{Gone: strings.ToLower(i.ID)}
	if had, ok := c.Item(i.ID); ok { // perhaps one that was deleted, and is recovered
		undo = change{Resource: &had}
	}
	if err := c.change(change{Resource: i}); err != nil {
		return NotStored(err)
	}
	if err := k.open(*i); err != nil {
		return notServed(errors.Join(err, c.change(undo)))
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
		return Reply{}, NotStored(err)
	}
	return c.Later(k, i, cmp.Or(k.Async.Deleted, http.StatusOK), "Drop"), nil
}
