package storage

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	accounts "github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/roles"
)

// part is a type of what accounts hold: containers and queues.
type part struct {
	of          accounts.Service
	kind, title string // the type below the account, without default, such as blobServices/containers
	valid       func(string) bool
	missing     string // code and text of one that there is not
}

var parts = []part{
	{accounts.Blob, "blobServices/containers", "container", accounts.ValidContainer, "Container"},
	{accounts.Queue, "queueServices/queues", "queue", accounts.ValidQueue, "Queue"},
}

// shownPart is a container or a queue as clients see it.
// Source: azure-rest-api-specs, Microsoft.Storage/stable/2023-05-01/examples (BlobContainersPut.json,
// BlobContainersList.json, QueueOperationPut.json).
type shownPart = rest.Shown[any]

func (of part) shown(account, name string) shownPart {
	services, items, _ := strings.Cut(of.kind, "/")
	made := shownPart{ID: account + "/" + services + "/default/" + items + "/" + name, Name: name, Type: namespace + "/storageAccounts/" + of.kind}
	if of.of == accounts.Blob {
		made.Properties = map[string]any{"publicAccess": "None", "leaseStatus": "Unlocked", "leaseState": "Available", "hasImmutabilityPolicy": false, "hasLegalHold": false}
	}
	return made
}

// getService is a service of an account, which has always been there.
func (s *service) getService(c *rest.Call, of part) (rest.Reply, *resource.Failure) {
	i, failed := c.At(s.kind, "read")
	if failed != nil {
		return rest.Reply{}, failed
	}
	services, _, _ := strings.Cut(of.kind, "/")
	return rest.Reply{Body: shownPart{ID: i.ID + "/" + services + "/default", Name: "default", Type: namespace + "/storageAccounts/" + services, Properties: map[string]any{"cors": map[string]any{"corsRules": []any{}}}}}, nil
}

func (s *service) listParts(c *rest.Call, of part) (rest.Reply, *resource.Failure) {
	i, failed := c.At(s.kind, "read")
	if failed != nil {
		return rest.Reply{}, failed
	}
	names, err := s.served().List(i.Name, of.of)
	if err != nil {
		return rest.Reply{}, rest.NotStored(err)
	}
	var all []shownPart
	for _, name := range names {
		all = append(all, of.shown(i.ID, name))
	}
	return rest.PageOf(c, all)
}

// named is the account and the container or queue that the path names.
func (s *service) named(c *rest.Call, of part) (account rest.Item, name string, failed *resource.Failure) {
	if account, failed = c.At(s.kind, "read"); failed != nil {
		return account, "", failed
	}
	if name = c.Name("part"); !of.valid(name) { // text inferred
		return account, name, rest.BadRequest("InvalidResourceName", "The specified resource name contains invalid characters.", fmt.Sprintf("A %s cannot be called %q.", of.title, name))
	}
	return account, name, nil
}

// ask has the account answer, whose refusals are the provider's, too: both are of one service.
func (s *service) ask(method string, account rest.Item, of part, name string) (status int, failed *resource.Failure) {
	status, code, err := s.served().Manage(method, account.Name, of.of, name)
	switch {
	case err != nil:
		return 0, rest.NotStored(err)
	case status == http.StatusNotFound:
		return status, resource.Fail(status, of.missing+"NotFound", fmt.Sprintf("The specified %s does not exist.", of.title), "There is no such "+of.title+" in the account.", "")
	case status >= 300 && (status != http.StatusConflict || code != of.missing+"AlreadyExists"):
		return status, resource.Fail(status, code, fmt.Sprintf("The specified %s cannot be changed just now.", of.title), "The account refused it with "+code+".", "Try again, with growing pauses.") // text inferred
	}
	return status, nil
}

func (s *service) getPart(c *rest.Call, of part) (rest.Reply, *resource.Failure) {
	account, name, failed := s.named(c, of)
	if failed == nil {
		_, failed = s.ask(http.MethodHead, account, of, name)
	}
	return rest.Reply{Body: of.shown(account.ID, name)}, failed
}

func (s *service) putPart(c *rest.Call, of part) (rest.Reply, *resource.Failure) {
	var asked struct{}
	if failed := c.Read(&asked); failed != nil {
		return rest.Reply{}, failed
	}
	defer s.Making()()
	account, name, failed := s.named(c, of)
	if failed != nil {
		return rest.Reply{}, failed
	}
	if c.Request.Method == http.MethodPatch {
		_, failed = s.ask(http.MethodHead, account, of, name)
		return rest.Reply{Body: of.shown(account.ID, name)}, failed
	}
	shown := of.shown(account.ID, name)
	now := s.Kit.Clock.Now()
	item := rest.Item{ID: shown.ID, Tenant: account.Tenant, Type: shown.Type, Name: name, Made: now, Changed: now, MadeBy: c.Caller.ObjectID}
	_, known := s.Item(item.ID)
	isNew := !known && !account.Made.IsZero() // of an account of wiemu.yaml, that is what is there after a restart
	if isNew {
		if err := s.Keep(item); err != nil {
			return rest.Reply{}, rest.NotStored(err)
		}
	}
	status, failed := s.ask(http.MethodPut, account, of, name)
	if failed != nil {
		if isNew {
			if err := s.Forget(item); err != nil {
				return rest.Reply{}, rest.NotStored(err)
			}
		}
		return rest.Reply{}, failed
	}
	reply := rest.Reply{Status: http.StatusOK, Body: shown}
	if status == http.StatusCreated && of.of == accounts.Blob {
		reply.Status = http.StatusCreated
	}
	return reply, nil
}

func (s *service) deletePart(c *rest.Call, of part) (rest.Reply, *resource.Failure) {
	defer s.Making()()
	account, name, failed := s.named(c, of)
	if failed != nil {
		return rest.Reply{}, failed
	}
	status, failed := s.ask(http.MethodDelete, account, of, name)
	if status == http.StatusNotFound {
		failed = nil
	}
	if failed != nil {
		return rest.Reply{}, failed
	}
	if i, ok := s.Item(of.shown(account.ID, name).ID); ok {
		if err := s.Forget(i); err != nil {
			return rest.Reply{}, rest.NotStored(err)
		}
	}
	if status == http.StatusNotFound || of.of == accounts.Queue {
		return rest.Reply{Status: http.StatusNoContent}, nil
	}
	return rest.Reply{}, nil
}

// openParts makes the containers and queues again that were made in an earlier run.
func (s *service) openParts() {
	for _, of := range parts {
		for _, i := range s.Items(namespace+"/storageAccounts/"+of.kind, func(*rest.Item) bool { return true }) {
			if _, id, ok := s.served().Account(i.Top()); !ok || !roles.Within(i.ID, id) {
				s.Unserved(i, errors.New("its account is not served"))
			} else if _, failed := s.ask(http.MethodPut, rest.Item{Name: i.Top()}, of, i.Name); failed != nil {
				s.Unserved(i, errors.New(failed.Meaning))
			}
		}
	}
}
