package rest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/roles"
)

// Async is how Azure answers a change that it goes on with. Here, it is done already.
type Async struct {
	// Made and Changed are the statuses of a resource that was new and of one that was not. If 0,
	// they are 201 and 200.
	Made, Changed, Deleted int
	// Operations are the segments in the paths of operations in a region, as in
	// …/locations/westeurope/asyncOperations/ID: of Azure-AsyncOperation, which says how far it
	// is, and of Location, which has the result. If empty, there is no such header.
	Status, Result string
	// Body has the answer with 202 have a body. If nil, it has none.
	Body func(c *Call, verb string) any
}

// Polls are the operations by which clients ask how far one is that a kind's changes are answered with.
func (m *Manager) Polls(k *Kind) (all []Operation) {
	at := "/subscriptions/{subscription}/providers/" + strings.ToLower(k.namespace()) + "/locations/{location}/"
	for segment, serve := range map[string]func(*Call) (Reply, *resource.Failure){k.Async.Status: (*Call).operationStatus, k.Async.Result: (*Call).operationResult} {
		if segment != "" {
			all = append(all, Operation{Methods: []string{http.MethodGet}, Path: at + strings.ToLower(segment) + "/{operation}", Verb: "get the state of an operation", Serve: serve})
		}
	}
	return all
}

// asyncOperation is one that was begun, and is done.
type asyncOperation struct {
	kind    *Kind
	item    string // the id of what it is about
	deleted bool
	started string
}

// maxOperations is how many operations are known; the oldest is forgotten.
const maxOperations = 10_000

// Later answers a change as Azure does: at once, or with where to ask how far it is.
func (c *Call) Later(k *Kind, i Item, status int, verb string) Reply {
	reply := Reply{Status: status, Body: c.Shown(i)}
	deleted := verb == "Drop"
	if deleted {
		reply.Body = nil
	}
	if later := status == http.StatusAccepted || status == http.StatusCreated && k.Async.Status != ""; !later {
		return reply
	}
	id := uuid.NewString()
	started := Time(c.Kit.Clock.Now())
	c.begun(id, asyncOperation{k, i.ID, deleted, started})
	at := func(segment string) string {
		return fmt.Sprintf("https://%s/subscriptions/%s/providers/%s/locations/%s/%s/%s?api-version=%s", c.Host, c.Vars["subscription"], k.namespace(), c.Region(i), segment, id, c.Query("api-version"))
	}
	reply.Header = map[string]string{"Retry-After": "1"}
	if k.Async.Status != "" {
		reply.Header["Azure-Asyncoperation"] = at(k.Async.Status)
	}
	if k.Async.Result != "" {
		reply.Header["Location"] = at(k.Async.Result)
	}
	if status == http.StatusAccepted {
		reply.Body = nil
		if k.Async.Body != nil {
			reply.Body = k.Async.Body(c, verb)
		}
	}
	return reply
}

func (m *Manager) begun(id string, o asyncOperation) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.operations == nil {
		m.operations = map[string]asyncOperation{}
	}
	m.operations[id] = o
	if m.begunIDs = append(m.begunIDs, id); len(m.begunIDs) > maxOperations {
		delete(m.operations, m.begunIDs[0])
		m.begunIDs = m.begunIDs[1:]
	}
}

// begunBefore is the operation that the path names, if the caller may read what it is about.
func (c *Call) begunBefore() (asyncOperation, *resource.Failure) {
	c.mu.RLock()
	o, ok := c.operations[c.Vars["operation"]]
	c.mu.RUnlock()
	if !ok || !roles.Within(o.item, "/subscriptions/"+c.Vars["subscription"]) {
		return o, c.operationNotFound("No operation of this id was begun since wiemu was started.")
	}
	return o, c.Authorize(o.kind.Type+"/read", o.item)
}

// operationNotFound refuses an operation that the path names. The text is inferred.
func (c *Call) operationNotFound(meaning string) *resource.Failure {
	return resource.Fail(http.StatusNotFound, "OperationNotFound", fmt.Sprintf("The operation '%s' could not be found.", c.Name("operation")), meaning, "")
}

// operationStatus says how far an operation is.
// Source: azure-cli, test_aad_admin.yaml of its recordings (sql, 2021-07).
func (c *Call) operationStatus() (Reply, *resource.Failure) {
	o, failed := c.begunBefore()
	return Reply{Body: struct {
		Name    string `json:"name"`
		Status  string `json:"status"`
		Started string `json:"startTime"`
	}{c.Vars["operation"], "Succeeded", o.started}}, failed
}

// operationResult is what an operation has made.
// Source: azure-cli, test_create_storage_account.yaml of its recordings (2022-05).
func (c *Call) operationResult() (Reply, *resource.Failure) {
	o, failed := c.begunBefore()
	switch {
	case failed != nil:
		return Reply{}, failed
	case o.deleted:
		return Reply{}, nil
	}
	i, ok := c.Item(o.item)
	if !ok {
		return Reply{Status: http.StatusNoContent}, nil
	}
	return Reply{Body: c.Shown(i)}, nil
}

// result is what Location leads to after an answer of [Call.Accepted].
type result struct {
	id, tenant, scope, action string
	body                      any
}

// WhatIf is the verb of what-if.
const WhatIf = "whatif"

// maxResults is how many results are kept for who asks for them; the oldest is forgotten. One can
// have megabytes.
const maxResults = 20

// Accepted answers with 202 and where the result is, which is there already. Who asks for it needs
// the action on the scope. verb begins the name of the operation.
// Source of the headers: azure-sdk-for-js, recordings of a resource group that is deleted (2021).
func (c *Call) Accepted(verb, action, scope string, body any) Reply {
	id := strings.ToUpper(verb + "-" + uuid.NewString())
	c.mu.Lock()
	if c.results = append(c.results, result{id, c.Caller.Tenant, scope, action, body}); len(c.results) > maxResults {
		c.results = slices.Delete(c.results, 0, 1)
	}
	c.mu.Unlock()
	at := fmt.Sprintf("https://%s/subscriptions/%s/operationresults/%s?api-version=%s", c.Host, c.Vars["subscription"], id, c.Query("api-version"))
	return Reply{Status: http.StatusAccepted, Header: map[string]string{"Location": at, "Retry-After": "1"}}
}

// Result is what an operation of a verb has made that was accepted, if the caller may see it.
func (c *Call) Result(verb string) (body any, failed *resource.Failure) {
	c.mu.RLock()
	n := slices.IndexFunc(c.results, func(r result) bool {
		return strings.EqualFold(r.id, c.Vars["operation"]) && r.tenant == c.Caller.Tenant && roles.Within(r.scope, "/subscriptions/"+c.Vars["subscription"])
	})
	var found result
	if n >= 0 {
		found = c.results[n]
	}
	c.mu.RUnlock()
	if n < 0 {
		return nil, c.operationNotFound(fmt.Sprintf("No %s of this id was asked for since wiemu was started, or %d others since then, whose results are kept.", verb, maxResults))
	}
	return found.body, c.Authorize(found.action, found.scope)
}
