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
	items []item
	keep  func(any) error // if nil, they are not stored
}

// Restore implements resource.StatefulService.
func (s *Service) Restore(stored []byte, keep func(any) error) error {
	d := &s.deleted
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep = keep
	if stored == nil {
		return nil
	}
	if err := json.Unmarshal(stored, &d.items); err != nil {
		return err
	}
	for n, one := range d.items {
		if one.Tenant == "" || one.Principal.ClientID == "" {
			return fmt.Errorf("[%d]: expected a tenant and a principal with a client id, found %q and %q", n, one.Tenant, one.Principal.ClientID)
		}
	}
	return nil
}

// change stores what change makes of the items, and then makes it.
func (d *deleted) change(change func([]item) []item) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	items := change(slices.Clone(d.items))
	if d.keep != nil {
		if err := d.keep(items); err != nil {
			return err
		}
	}
	d.items = items
	return nil
}

func (d *deleted) add(tenant string, p directory.Principal, at time.Time) error {
	return d.change(func(items []item) []item {
		items = slices.DeleteFunc(items, func(one item) bool { return at.Sub(one.At) >= retention })
		return append(items, item{tenant, p, at})
	})
}

func (d *deleted) remove(tenant, applicationObjectID string) error {
	return d.change(func(items []item) []item {
		return slices.DeleteFunc(items, func(one item) bool {
			return one.Tenant == tenant && one.Principal.ApplicationObjectID == applicationObjectID
		})
	})
}

// of are a tenant's items that can be restored still.
func (d *deleted) of(tenant string, now time.Time) (found []item) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.items {
		if one.Tenant == tenant && now.Sub(one.At) < retention {
			found = append(found, one)
		}
	}
	return found
}

// entity is a deleted application.
func (c *call) deletedEntity(one item) entity {
	e := c.applicationEntity(&one.Principal)
	for i := range e {
		if e[i].name == "deletedDateTime" {
			e[i].value = date(one.At)
		}
	}
	return e
}

func (c *call) deletedApplications() (resource.Answer, *resource.Failure) {
	var all []entity
	for _, one := range c.deleted.of(c.Caller.Tenant, c.kit.Clock.Now()) {
		all = append(all, c.deletedEntity(one))
	}
	return c.list(applicationKind, "applications", func(query) objects { return entities(all) })
}

// wantedItem is the deleted application that the path names.
func (c *call) wantedItem() (item, *resource.Failure) {
	for _, one := range c.deleted.of(c.Caller.Tenant, c.kit.Clock.Now()) {
		if one.Principal.ApplicationObjectID == c.Vars["id"] {
			return one, nil
		}
	}
	return item{}, notFound(c.Vars["id"])
}

func (c *call) deletedItem() (resource.Answer, *resource.Failure) {
	one, failed := c.wantedItem()
	if failed != nil {
		return resource.Answer{}, failed
	}
	return resource.Answer{Body: append(entity{c.context("directoryObjects", query{}, "/$entity"), {"@odata.type", "#microsoft.graph.application"}}, c.deletedEntity(one)...)}, nil
}

// purge deletes an application for good.
func (c *call) purge() (resource.Answer, *resource.Failure) {
	one, failed := c.wantedItem()
	if failed != nil {
		return resource.Answer{}, failed
	}
	if failed := c.mayDeleted(&one.Principal); failed != nil {
		return resource.Answer{}, failed
	}
	if err := c.deleted.remove(c.Caller.Tenant, one.Principal.ApplicationObjectID); err != nil {
		return resource.Answer{}, c.refused(err, &one.Principal)
	}
	c.record(&one.Principal, "is deleted for good")
	return noContent(), nil
}

// restore makes an application again, with its ids, credentials and service principal.
func (c *call) restore() (resource.Answer, *resource.Failure) {
	one, failed := c.wantedItem()
	if failed != nil {
		return resource.Answer{}, failed
	}
	if failed := c.mayDeleted(&one.Principal); failed != nil {
		return resource.Answer{}, failed
	}
	c.making.Lock()
	defer c.making.Unlock()
	if err := c.kit.Directory.Put(c.Caller.Tenant, one.Principal); err != nil {
		return resource.Answer{}, c.refused(err, &one.Principal)
	}
	if err := c.deleted.remove(c.Caller.Tenant, one.Principal.ApplicationObjectID); err != nil {
		return resource.Answer{}, c.refused(err, &one.Principal)
	}
	c.record(&one.Principal, "is restored with its credentials")
	return resource.Answer{Body: append(entity{c.context("directoryObjects", query{}, "/$entity"), {"@odata.type", "#microsoft.graph.application"}}, c.applicationEntity(&one.Principal)...)}, nil
}

// mayDeleted is may of what was deleted, which only owners of the application may write.
func (c *call) mayDeleted(p *directory.Principal) *resource.Failure {
	if c.ownOnly() && !slices.Contains(graphOf(p).Owners, c.Caller.ObjectID) {
		return c.denied([]string{readWriteAll})
	}
	return nil
}
