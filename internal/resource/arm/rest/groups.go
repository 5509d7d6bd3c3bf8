package rest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Group is a resource group.
type Group struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Location string            `json:"location"`
	Tags     map[string]string `json:"tags,omitempty"`
}

// configuredLocation is where resource groups of the configuration are, which names no regions.
const configuredLocation = "westeurope"

// Groups are the resource groups. It is safe for concurrent use.
type Groups struct {
	manager *Manager
	state   *State // guarded by manager.mu
}

// Find returns a group by its id, whatever its case: one that was made, or that the
// configuration has something in.
func (g *Groups) Find(id string) (Group, bool) {
	id = strings.ToLower(id)
	g.manager.mu.RLock()
	defer g.manager.mu.RUnlock()
	if n, ok := g.state.groups[id]; ok {
		return g.state.Groups[n], true
	}
	if slices.Contains(g.state.Removed, id) {
		return Group{}, false
	}
	for _, group := range g.configured(strings.Split(id, "/")[2]) {
		if strings.ToLower(group.ID) == id {
			return group, true
		}
	}
	return Group{}, false
}

// All returns the groups of a subscription, the configured ones first.
func (g *Groups) All(subscription string) []Group {
	subscription = strings.ToLower(subscription)
	configured := g.configured(subscription)
	g.manager.mu.RLock()
	defer g.manager.mu.RUnlock()
	all := slices.DeleteFunc(configured, func(c Group) bool {
		_, changed := g.state.groups[strings.ToLower(c.ID)]
		return changed || slices.Contains(g.state.Removed, strings.ToLower(c.ID))
	})
	for _, group := range g.state.Groups {
		if strings.HasPrefix(strings.ToLower(group.ID), "/subscriptions/"+subscription+"/") {
			all = append(all, group)
		}
	}
	return all
}

// configured are the groups that wiemu.yaml has something in: wiemu in a tenant's first
// subscription, and those of the resource ids of managed identities that were not made at run time.
func (g *Groups) configured(subscription string) (all []Group) {
	s, _, ok := g.manager.Subscription(subscription)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	add := func(name string) {
		if key := strings.ToLower(name); !seen[key] {
			seen[key] = true
			all = append(all, Group{ID: "/subscriptions/" + subscription + "/resourceGroups/" + name, Name: name, Location: configuredLocation})
		}
	}
	first := tenants.SubscriptionID(s.Tenant)
	for _, c := range slices.Backward(g.manager.Subscriptions) {
		if c.Tenant == s.Tenant {
			first = c.ID
		}
	}
	if first == subscription {
		add("wiemu")
	}
	for _, p := range g.manager.Kit.Directory.Principals(s.Tenant) {
		if !p.CreatedAt.IsZero() || p.ResourceID == "" {
			continue
		}
		if segments := strings.SplitN(p.ResourceID, "/", 6); len(segments) > 4 && strings.EqualFold(segments[2], subscription) {
			add(segments[4])
		}
	}
	return all
}

// Put makes a group or replaces it.
func (g *Groups) Put(group Group) error { return g.manager.change(change{Group: &group}) }

// Remove takes a group away. What is in it is its providers'.
func (g *Groups) Remove(id string) error {
	key := strings.ToLower(id)
	configured := slices.ContainsFunc(g.configured(strings.Split(key, "/")[2]), func(c Group) bool { return strings.ToLower(c.ID) == key })
	return g.manager.change(change{GroupRemoved: key, Configured: configured})
}

// Group is the group that the request's path names. That there is none is Resource Manager's
// own answer, as the header of test_resource_group_no_wait.yaml in azure-cli's recordings says.
func (c *Call) Group() (Group, *resource.Failure) {
	id := groupOf(c.Path())
	if group, ok := c.Groups.Find(id); ok {
		return group, nil
	}
	c.gateway = true
	return Group{}, GroupNotFound(id[strings.LastIndexByte(id, '/')+1:])
}

// GroupNotFound is in the words of many logs.
func GroupNotFound(name string) *resource.Failure {
	return resource.Fail(http.StatusNotFound, "ResourceGroupNotFound", fmt.Sprintf("Resource group '%s' could not be found.", name),
		"There is no such resource group in the subscription.", "Create it first, and mind the subscription.")
}

// CheckGroupName refuses names that resource groups cannot have.
// Source: azure-docs, azure-resource-manager/management/resource-name-rules.md; code and text of
// invalid characters: Azure/azure-cli#14481 (2022) and microsoft/microsoft-foundry-for-vscode#53
// (2025, with a link for more details behind it, which the report hides). The other two texts are inferred.
func CheckGroupName(name string) *resource.Failure {
	if bad := notInGroupName().FindAllString(name, -1); len(bad) > 0 || strings.HasSuffix(name, ".") {
		if len(bad) == 0 {
			return BadRequest("InvalidResourceGroup", fmt.Sprintf("The provided resource group name '%s' ends with an invalid character: '.'. The name can only be a letter, digit, '-', '.', '(', ')' or '_' and cannot end with '.'.", name), "A resource group has a name that Azure does not take.")
		}
		return BadRequest("InvalidResourceGroup", fmt.Sprintf("The provided resource group name '%s' has these invalid characters: '%s'. The name can only be a letter, digit, '-', '.', '(', ')' or '_'.", name, strings.Join(bad, "")), "A resource group has a name that Azure does not take.")
	}
	if n := len([]rune(name)); n > 90 {
		return BadRequest("InvalidResourceGroup", fmt.Sprintf("The provided resource group name '%s' has too many characters: '%d'. The name can be up to 90 characters.", name, n), "A resource group's name has 90 characters at most.")
	}
	return nil
}

var notInGroupName = lazyregexp.New(`[^\p{L}\p{N}_().-]`)
