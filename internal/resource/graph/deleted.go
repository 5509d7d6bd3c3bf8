package graph

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/resource"
)

// retention is how long what was deleted can be restored.
// Source: microsoft-graph-docs-contrib, api-reference/v1.0/api/directory-deleteditems-list.md.
const retention = 30 * 24 * time.Hour

// item is an application that was deleted, with its service principal.
type item struct {
	Tenant    string              `json:"tenant"`
	Principal directory.Principal `json:"principal"`
	At        time.Time           `json:"at"` // in lab time
}

// deleted are applications that can be restored.
type deleted struct {
	mu    sync.Mutex
	state deletedState
	keep  func(any) error // if nil, changes are not stored
}

// deletedState is what is kept of them.
type deletedState struct {
	Items []item `json:"items"`
}

// deletedChange adds an item or removes one.
type deletedChange struct {
	Add    *item  `json:"add,omitempty"`
	Tenant string `json:"tenant,omitempty"` // of the one to remove
	Remove string `json:"remove,omitempty"` // its object id
}

// Apply implements resource.State.
func (s *deletedState) Apply(change json.RawMessage) error {
	var read deletedChange
	if err := json.Unmarshal(change, &read); err != nil {
		return err
	}
	if one := read.Add; one != nil && (one.Tenant == "" || one.Principal.ClientID == "") {
		return fmt.Errorf("add: expected a tenant and a principal with a client id, found %q and %q", one.Tenant, one.Principal.ClientID)
	}
	s.apply(read)
	return nil
}

func (s *deletedState) apply(change deletedChange) {
	if change.Add == nil {
		s.Items = slices.DeleteFunc(s.Items, func(one item) bool {
			return one.Tenant == change.Tenant && one.Principal.ApplicationObjectID == change.Remove
		})
		return
	}
	s.Items = slices.DeleteFunc(s.Items, func(one item) bool {
		again := one.Tenant == change.Add.Tenant && one.Principal.ClientID == change.Add.Principal.ClientID // it lived on: see restorable
		return again || change.Add.At.Sub(one.At) >= retention
	})
	s.Items = append(s.Items, *change.Add)
}

// State implements resource.StatefulService.
func (s *Service) State() resource.State { return &s.deleted.state }

// Restore implements resource.StatefulService.
func (s *Service) Restore(keep func(change any) error) error {
	s.deleted.mu.Lock()
	defer s.deleted.mu.Unlock()
	s.deleted.keep = keep
	return nil
}

// change stores a change, and then makes it.
func (d *deleted) change(change deletedChange) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keep != nil {
		if err := d.keep(change); err != nil {
			return err
		}
	}
	d.state.apply(change)
	return nil
}

func (d *deleted) add(tenant string, p directory.Principal, at time.Time) error {
	return d.change(deletedChange{Add: &item{tenant, p, at}})
}

func (d *deleted) remove(tenant, applicationObjectID string) error {
	return d.change(deletedChange{Tenant: tenant, Remove: applicationObjectID})
}

// of are a tenant's items that can be restored still.
func (d *deleted) of(tenant string, now time.Time) (found []item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.state.Items {
		if one.Tenant == tenant && now.Sub(one.At) < retention {
			found = append(found, one)
		}
	}
	return found
}

// restorable are the tenant's applications that can be restored. To delete one is two changes, of what
// was deleted and of the directory, and so is to restore it: what the directory has is not deleted,
// whatever became of the second change.
func (c *call) restorable() []item {
	return slices.DeleteFunc(c.deleted.of(c.Caller.Tenant, c.kit.Clock.Now()), func(one item) bool {
		_, there := c.kit.Directory.Principal(c.Caller.Tenant, one.Principal.ClientID)
		return there
	})
}

// deletedEntity is a deleted application.
func (c *call) deletedEntity(one item) entity {
	e := c.applicationEntity(&one.Principal)
	e.set("deletedDateTime", date(one.At))
	return e
}

func (c *call) deletedApplications() (resource.Answer, *resource.Failure) {
	var all []entity
	for _, one := range c.restorable() {
		all = append(all, c.deletedEntity(one))
	}
	return c.list(applicationKind, "applications", func(query) objects { return entities(all) })
}

// wantedItem is the deleted application that the path names.
func (c *call) wantedItem() (item, *resource.Failure) {
	for _, one := range c.restorable() {
		if one.Principal.ApplicationObjectID == c.Vars["id"] {
			return one, nil
		}
	}
	return item{}, notFound(c.Vars["id"])
}

func (c *call) deletedItem(one item) (resource.Answer, *resource.Failure) {
	return resource.Answer{Body: append(entity{c.context("directoryObjects", query{}, "/$entity"), {"@odata.type", "#microsoft.graph.application"}}, c.deletedEntity(one)...)}, nil
}

// purge deletes an application for good.
func (c *call) purge(one item) (resource.Answer, *resource.Failure) {
	if err := c.deleted.remove(c.Caller.Tenant, one.Principal.ApplicationObjectID); err != nil {
		return resource.Answer{}, c.refused(err, &one.Principal)
	}
	c.record(&one.Principal, "is deleted for good")
	return noContent(), nil
}

// restore makes an application again, with its ids, credentials and service principal: alone, else a
// second one would undo what became of it since the first.
func (c *call) restore(one item) (resource.Answer, *resource.Failure) {
	err := c.kit.Directory.Put(c.Caller.Tenant, one.Principal)
	if err == nil {
		err = c.deleted.remove(c.Caller.Tenant, one.Principal.ApplicationObjectID)
	}
	if err != nil {
		return resource.Answer{}, c.refused(err, &one.Principal)
	}
	c.record(&one.Principal, "is restored with its credentials")
	return resource.Answer{Body: append(entity{c.context("directoryObjects", query{}, "/$entity"), {"@odata.type", "#microsoft.graph.application"}}, c.applicationEntity(&one.Principal)...)}, nil
}

// writableItem is wantedItem for who may write it: with Application.ReadWrite.OwnedBy only owners of the
// application.
func (c *call) writableItem() (item, *resource.Failure) {
	one, failed := c.wantedItem()
	if failed == nil && c.ownOnly() && !slices.Contains(graphOf(&one.Principal).Owners, c.Caller.ObjectID) {
		failed = c.denied([]string{readWriteAll})
	}
	return one, failed
}
