// Package authorization is the resource provider Microsoft.Authorization: role definitions,
// built-in and custom ones, and role assignments. They are those of the lab's roles, which
// every resource goes by; who may do what is decided there.
//
// Source of requests and answers: azure-cli, src/azure-cli/azure/cli/command_modules/role/tests/
// latest/recordings (test_role_assignment_handle_conflicted_assignments.yaml of 2023-08 and
// test_custom_role_definition_scenario.yaml of 2025-01), unless another one stands beside it.
package authorization

import (
	"cmp"
	"net/http"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
)

const (
	namespace      = "Microsoft.Authorization"
	assignmentType = namespace + "/roleAssignments"
	definitionType = namespace + "/roleDefinitions"
)

// The api-versions of the types.
// Source: azure-rest-api-specs, specification/authorization/resource-manager/Microsoft.Authorization,
// for 2015-07-01, 2017-10-01-preview, 2018-01-01-preview and 2022-04-01, and azure-cli's recordings
// for 2022-05-01-preview. That there are the others is inferred.
var (
	assignmentVersions = strings.Fields("2014-04-01-preview 2014-10-01-preview 2015-07-01 2016-07-01 2017-10-01-preview 2018-01-01-preview 2018-07-01 2018-09-01-preview 2018-12-01-preview 2019-04-01-preview 2020-03-01-preview 2020-04-01-preview 2020-08-01-preview 2020-10-01-preview 2021-04-01-preview 2022-01-01-preview 2022-04-01")
	definitionVersions = strings.Fields("2014-04-01-preview 2014-10-01-preview 2015-07-01 2016-07-01 2018-01-01-preview 2022-04-01 2022-05-01-preview 2023-07-01-preview")
)

type service struct {
	*rest.Manager
	making sync.Mutex // one assignment or definition at a time is looked for and made
}

// New returns the provider.
func New(m *rest.Manager) rest.Provider {
	s := &service{Manager: m}
	p := rest.Provider{Namespace: namespace, Types: []rest.ResourceType{{Name: "roleAssignments", Versions: assignmentVersions, Global: true}, {Name: "roleDefinitions", Versions: definitionVersions, Global: true}}}
	for _, o := range []struct {
		method, kind, verb, action string
		one                        bool
		serve                      func(*rest.Call) (rest.Reply, *resource.Failure)
	}{
		{http.MethodGet, "roleassignments", "list role assignments", "read", false, s.listAssignments},
		{http.MethodGet, "roleassignments", "get role assignment", "read", true, s.getAssignment},
		{http.MethodPut, "roleassignments", "create role assignment", "write", true, rest.On(rest.PropertiesOf[request], s.putAssignment)},
		{http.MethodDelete, "roleassignments", "delete role assignment", "delete", true, s.deleteAssignment},
		{http.MethodGet, "roledefinitions", "list role definitions", "read", false, s.listDefinitions},
		{http.MethodGet, "roledefinitions", "get role definition", "read", true, s.getDefinition},
		{http.MethodPut, "roledefinitions", "create or update role definition", "write", true, rest.On(rest.PropertiesOf[definitionProperties], s.putDefinition)},
		{http.MethodDelete, "roledefinitions", "delete role definition", "delete", true, s.deleteDefinition},
	} {
		made := rest.Operation{Methods: []string{o.method}, Verb: o.verb, Action: assignmentType + "/" + o.action, Versions: assignmentVersions, Serve: o.serve}
		if o.kind == "roledefinitions" {
			made.Action, made.Versions = definitionType+"/"+o.action, definitionVersions
		}
		for _, scope := range []string{"", "/{scope:.+}"} {
			made.Path = scope + "/providers/microsoft.authorization/" + o.kind
			if o.one {
				made.Path += "/{name}"
			}
			p.Operations = append(p.Operations, made)
		}
	}
	return p
}

// scope is what the path's assignments or definitions are of, as the client spelt it, and the
// last segment of the path.
func scopeOf(c *rest.Call) (scope, name string) {
	path := c.Path()
	scope = path[:strings.LastIndex(httppath.Lower(path), "/providers/microsoft.authorization/")]
	scope = cmp.Or(scope, "/")
	return scope, path[strings.LastIndexByte(path, '/')+1:]
}

// known refuses a scope in a resource group that there is not.
func known(c *rest.Call, scope string) *resource.Failure {
	segments := strings.Split(strings.Trim(scope, "/"), "/")
	if len(segments) < 4 || !strings.EqualFold(segments[2], "resourceGroups") {
		return nil
	}
	if _, ok := c.Groups.Find("/" + strings.Join(segments[:4], "/")); !ok {
		return rest.GroupNotFound(segments[3])
	}
	return nil
}

// below is the id of an assignment or definition on a scope.
func below(scope, kind, name string) string {
	return strings.TrimSuffix(scope, "/") + "/providers/" + kind + "/" + name
}

// definitionID is the id of a role, in the subscription of a scope if it is in one.
func definitionID(scope, id string) string {
	segments := strings.Split(strings.Trim(scope, "/"), "/")
	if len(segments) >= 2 && strings.EqualFold(segments[0], "subscriptions") {
		return below("/subscriptions/"+segments[1], definitionType, id)
	}
	return below("/", definitionType, id)
}

// compact is a GUID as this provider's texts have it.
func compact(id string) string { return strings.ReplaceAll(strings.ToLower(id), "-", "") }
