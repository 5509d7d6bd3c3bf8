package arm

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	"github.com/wiemu/wiemu/internal/roles"
)

// maxGroups is how many resource groups a subscription has.
// Source: Azure/azure-sdk-for-js#22953 (2022), with text and status; the code is inferred.
const maxGroups = 980

const groupAction = "Microsoft.Resources/subscriptions/resourceGroups/"

func (s *Service) groupOperations() []rest.Operation {
	const one = "/subscriptions/{subscription}/resourcegroups/{group}"
	return []rest.Operation{
		{Methods: []string{http.MethodGet}, Path: "/subscriptions/{subscription}/resourcegroups", Verb: "list resource groups", Serve: s.listGroups},
		{Methods: []string{http.MethodHead}, Path: one, Verb: "see whether a resource group exists", Action: groupAction + "read", Serve: s.groupExists},
		{Methods: []string{http.MethodGet}, Path: one, Verb: "get resource group", Action: groupAction + "read", Serve: s.getGroup},
		{Methods: []string{http.MethodPut}, Path: one, Verb: "create or update resource group", Action: groupAction + "write", Serve: s.putGroup},
		{Methods: []string{http.MethodPatch}, Path: one, Verb: "update resource group", Action: groupAction + "write", Serve: s.patchGroup},
		{Methods: []string{http.MethodDelete}, Path: one, Verb: "delete resource group", Action: groupAction + "delete", Alone: true, Serve: rest.On((*rest.Call).Group, s.deleteGroup)},
		{Methods: []string{http.MethodGet}, Path: one + "/resources", Verb: "list resources of a resource group", Action: groupAction + "resources/read", Serve: rest.On((*rest.Call).Group, s.groupResources)},
		{Methods: []string{http.MethodGet}, Path: "/subscriptions/{subscription}/resources", Verb: "list resources", Serve: s.resources},
		{Methods: []string{http.MethodGet}, Path: "/subscriptions/{subscription}/operationresults/{operation}", Verb: "get the result of an operation", Serve: s.operationResult},
	}
}

// group in the order of Resource Manager's members.
// Source: azure-cli, test_identity_management.yaml of its recordings (api-version 2022-09-01)
type group struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Type       string            `json:"type"`
	Location   string            `json:"location"`
	Tags       map[string]string `json:"tags,omitempty"`
	Properties struct {
		ProvisioningState string `json:"provisioningState"`
	} `json:"properties"`
}

func shownGroup(g rest.Group) group {
	made := group{ID: g.ID, Name: g.Name, Type: "Microsoft.Resources/resourceGroups", Location: g.Location, Tags: g.Tags}
	made.Properties.ProvisioningState = "Succeeded"
	return made
}

// listGroups shows those that the caller may read, and refuses nobody.
func (s *Service) listGroups(c *rest.Call) (rest.Reply, *resource.Failure) {
	var all []group
	accept, failed := tagFilter(c)
	if failed != nil {
		return rest.Reply{}, failed
	}
	for _, g := range s.Groups.All(c.Vars["subscription"]) {
		if accept(g.Tags) && c.May(groupAction+"read", g.ID) {
			all = append(all, shownGroup(g))
		}
	}
	return rest.PageOf(c, all)
}

// tagFilter is what $filter takes: tagName eq 'NAME' and tagValue eq 'VALUE'.
// Source: Azure REST reference, Resource Groups - List. The text of the refusal is inferred.
func tagFilter(c *rest.Call) (func(map[string]string) bool, *resource.Failure) {
	filter := c.Query("$filter")
	if filter == "" {
		return func(map[string]string) bool { return true }, nil
	}
	var name, value string
	for _, term := range strings.Split(filter, " and ") {
		field, quoted, ok := strings.Cut(strings.TrimSpace(term), " eq ")
		text := strings.Trim(quoted, "'")
		switch {
		case ok && strings.EqualFold(field, "tagName"):
			name = text
		case ok && strings.EqualFold(field, "tagValue"):
			value = text
		default:
			return nil, rest.BadRequest("InvalidFilterInQueryString", fmt.Sprintf("Invalid $filter '%s' specified in the query string.", filter), "Resource groups are filtered by tagName eq '…' and tagValue eq '…'.")
		}
	}
	return func(tags map[string]string) bool {
		for n, v := range tags {
			if strings.EqualFold(n, name) && (value == "" || v == value) {
				return true
			}
		}
		return false
	}, nil
}

func (s *Service) groupExists(c *rest.Call) (rest.Reply, *resource.Failure) {
	_, failed := c.Group()
	return rest.Reply{Status: http.StatusNoContent}, failed
}

func (s *Service) getGroup(c *rest.Call) (rest.Reply, *resource.Failure) {
	g, failed := c.Group()
	return rest.Reply{Body: shownGroup(g)}, failed
}

// putGroup makes a group, or replaces its tags.
// Source: InvalidResourceGroupLocation of many logs.
func (s *Service) putGroup(c *rest.Call) (rest.Reply, *resource.Failure) {
	var asked struct {
		Location string            `json:"location"`
		Tags     map[string]string `json:"tags"`
	}
	name := c.Name("group")
	if failed := c.Read(&asked); failed != nil {
		return rest.Reply{}, failed
	}
	if failed := cmp.Or(rest.CheckGroupName(name), rest.Tags(asked.Tags)); failed != nil {
		return rest.Reply{}, failed
	}
	location, failed := rest.Location(asked.Location, "")
	if failed != nil {
		return rest.Reply{}, failed
	}
	status := http.StatusCreated
	made := rest.Group{ID: "/subscriptions/" + c.Vars["subscription"] + "/resourceGroups/" + name, Name: name, Location: location, Tags: asked.Tags}
	if old, ok := s.Groups.Find(made.ID); ok {
		if old.Location != location {
			return rest.Reply{}, resource.Fail(http.StatusConflict, "InvalidResourceGroupLocation",
				fmt.Sprintf("Invalid resource group location '%s'. The Resource group already exists in location '%s'.", location, old.Location), "A resource group stays in its region.", "Delete it first, or take another name.")
		}
		status, made.ID, made.Name = http.StatusOK, old.ID, old.Name
	} else if n := len(s.Groups.All(c.Vars["subscription"])); n >= maxGroups {
		return rest.Reply{}, resource.Fail(http.StatusConflict, "ResourceGroupQuotaExceeded", fmt.Sprintf("Creating the resource group '%s' would exceed the quota of '%d'. The current resource group count is '%d', please delete some groups before creating a new one.", name, maxGroups, n),
			fmt.Sprintf("A subscription has %d resource groups at most.", maxGroups), "Delete some.")
	}
	if err := s.Groups.Put(made); err != nil {
		return rest.Reply{}, rest.NotStored(err)
	}
	return rest.Reply{Status: status, Body: shownGroup(made)}, nil
}

func (s *Service) patchGroup(c *rest.Call) (rest.Reply, *resource.Failure) {
	var asked struct {
		Tags *map[string]string `json:"tags"`
	}
	if failed := c.Read(&asked); failed != nil {
		return rest.Reply{}, failed
	}
	g, failed := c.Group()
	if failed != nil || asked.Tags == nil {
		return rest.Reply{Body: shownGroup(g)}, failed
	}
	if failed := rest.Tags(*asked.Tags); failed != nil {
		return rest.Reply{}, failed
	}
	g.Tags = maps.Clone(*asked.Tags)
	if err := s.Groups.Put(g); err != nil {
		return rest.Reply{}, rest.NotStored(err)
	}
	return rest.Reply{Body: shownGroup(g)}, nil
}

// deleteGroup deletes a group with what is in it and the roles that are assigned there, while
// nothing else is written: nothing that is made meanwhile outlives the group. It is
// done when it answers; the answer says that it takes a while, as the real one does.
// Source: azure-cli, test_resource_group_no_wait.yaml of its recordings (202, Location); they leave
// Retry-After out. It is 1 here, so that no client waits for what is done.
func (s *Service) deleteGroup(c *rest.Call, g rest.Group) (rest.Reply, *resource.Failure) {
	for _, p := range s.providers {
		if p.Locked == nil {
			continue
		}
		if id := p.Locked(c.Caller.Tenant, g.ID); id != "" {
			return rest.Reply{}, rest.Locked(id, "delete")
		}
	}
	for _, p := range s.providers {
		if p.Delete == nil {
			continue
		}
		if err := p.Delete(c.Caller.Tenant, g.ID); err != nil {
			return rest.Reply{}, rest.NotStored(err)
		}
	}
	for _, a := range s.Kit.Roles.Assignments(func(a roles.Assignment) bool { return roles.Within(a.Scope, g.ID) }) {
		if _, _, err := s.Kit.Roles.Remove(a.ID); err != nil {
			return rest.Reply{}, rest.NotStored(err)
		}
	}
	if err := s.Groups.Remove(g.ID); err != nil {
		return rest.Reply{}, rest.NotStored(err)
	}
	at := fmt.Sprintf("https://%s/subscriptions/%s/operationresults/%s?api-version=%s", c.Host, c.Vars["subscription"], operationOf(g.Name), c.Query("api-version"))
	return rest.Reply{Status: http.StatusAccepted, Header: map[string]string{"Location": at, "Retry-After": "1"}}, nil
}

// operationOf names the operation that deletes a group.
func operationOf(group string) string {
	return strings.ToUpper("deletegroup-" + group)
}

// operationResult says that an operation is done, which it was before its name was given out: with
// what it has made, or, of the deletion of a group, that there is nothing.
func (s *Service) operationResult(c *rest.Call) (rest.Reply, *resource.Failure) {
	if !strings.HasPrefix(strings.ToLower(c.Vars["operation"]), rest.WhatIf+"-") {
		return rest.Reply{}, nil
	}
	body, failed := c.Result(rest.WhatIf)
	return rest.Reply{Body: body}, failed
}

func (s *Service) groupResources(c *rest.Call, g rest.Group) (rest.Reply, *resource.Failure) {
	return s.resourcesIn(c, g.ID)
}

func (s *Service) resources(c *rest.Call) (rest.Reply, *resource.Failure) {
	return s.resourcesIn(c, "/subscriptions/"+c.Vars["subscription"])
}

// resourcesIn lists the resources in a scope that the caller may read.
func (s *Service) resourcesIn(c *rest.Call, scope string) (rest.Reply, *resource.Failure) {
	var all []rest.Resource
	for _, p := range s.providers {
		if p.Resources == nil {
			continue
		}
		found := p.Resources(c.Caller.Tenant, scope)
		everywhere := map[string]bool{} // types that the caller may read in all of the scope
		all = slices.Grow(all, len(found))
		for _, r := range found {
			may, known := everywhere[r.Type]
			if !known {
				may = c.May(r.Type+"/read", scope)
				everywhere[r.Type] = may
			}
			if may || c.May(r.Type+"/read", r.ID) {
				all = append(all, r)
			}
		}
	}
	accept, failed := resourceFilter(c)
	if failed != nil {
		return rest.Reply{}, failed
	}
	return rest.PageOf(c, slices.DeleteFunc(all, func(r rest.Resource) bool { return !accept(r) }))
}

// resourceFilter is what $filter takes here: resourceType eq 'NAMESPACE/TYPE' and name eq 'NAME',
// which azure-cli 2.91.0 asks for, or one of both.
// Source: Azure REST reference, Resources - List, which has more. The text of the refusal is inferred.
func resourceFilter(c *rest.Call) (func(rest.Resource) bool, *resource.Failure) {
	var kind, name string
	filter := c.Query("$filter")
	for _, term := range strings.Split(filter, " and ") {
		field, quoted, ok := strings.Cut(strings.TrimSpace(term), " eq ")
		value := strings.Trim(quoted, "'")
		switch {
		case filter == "":
		case ok && strings.EqualFold(field, "resourceType") && !strings.Contains(value, " "):
			kind = value
		case ok && strings.EqualFold(field, "name") && value != "":
			name = value
		default:
			return nil, rest.BadRequest("InvalidFilterInQueryString", fmt.Sprintf("Invalid $filter '%s' specified in the query string.", filter), "Here, resources are filtered by resourceType eq 'NAMESPACE/TYPE' and name eq 'NAME' alone.")
		}
	}
	return func(r rest.Resource) bool {
		return (kind == "" || strings.EqualFold(r.Type, kind)) && (name == "" || strings.EqualFold(r.Name, name))
	}, nil
}
