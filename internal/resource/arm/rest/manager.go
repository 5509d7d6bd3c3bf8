package rest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Subscription is one that every identity of its tenant sees.
type Subscription struct {
	ID     string // GUID in lower case
	Name   string
	Tenant string // GUID in lower case
}

// Manager is what the providers of one Resource Manager share. It is safe for concurrent use.
type Manager struct {
	Kit           resource.Kit
	Subscriptions []Subscription // of the configuration
	Groups        *Groups
	Handler       http.Handler // of all requests: see Call.Send

	writes sync.RWMutex // held for reading by each write, and for writing by those that are served alone

	making sync.Mutex // one resource at a time is looked for and made

	mu         sync.RWMutex
	operations map[string]asyncOperation // by id
	begunIDs   []string                  // of operations, oldest first
	results    []result                  // oldest first
	state      State
	keep       func(any) error // if nil, nothing is kept
}

// NewManager makes a manager. A tenant without subscriptions has one, which lists do not show
// to who has no role on it: that in which wiemu's configuration puts what is in none.
func NewManager(k resource.Kit, subscriptions []Subscription) *Manager {
	m := &Manager{Kit: k, Subscriptions: slices.Clone(subscriptions)}
	m.state.reindex()
	m.Groups = &Groups{m, &m.state}
	return m
}

// State implements resource.StatefulService. What is read into it has no indexes yet.
func (m *Manager) State() resource.State {
	m.state.groups = nil
	return &m.state
}

// Restore implements resource.StatefulService, as far as it is not the providers'.
func (m *Manager) Restore(keep func(any) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.reindex()
	m.state.reindexDeployments()
	m.keep = keep
	return m.state.check()
}

// change makes a change, if it can be kept.
func (m *Manager) change(c change) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changeLocked(c)
}

// changeLocked is change; m.mu is held.
func (m *Manager) changeLocked(c change) error {
	if m.keep != nil {
		if err := m.keep(c); err != nil {
			return fmt.Errorf("keep resources: %w", err)
		}
	}
	m.state.apply(c)
	return nil
}

// Subscription returns one of the configuration, or that of a tenant that has none, by its id
// in lower case.
func (m *Manager) Subscription(id string) (s Subscription, configured, ok bool) {
	for _, s := range m.Subscriptions {
		if s.ID == id {
			return s, true, true
		}
	}
	for _, t := range m.Kit.Directory.Tenants() {
		if tenants.SubscriptionID(t.ID) == id {
			return Subscription{ID: id, Name: cmp.Or(t.DisplayName, t.ID), Tenant: t.ID}, false, true
		}
		for _, p := range m.Kit.Directory.Principals(t.ID) { // wiemu.yaml may name one that it does not describe
			if p.ResourceID != "" && strings.HasPrefix(strings.ToLower(p.ResourceID), "/subscriptions/"+id+"/") {
				return Subscription{ID: id, Name: id, Tenant: t.ID}, false, true
			}
		}
	}
	return Subscription{}, false, false
}

// Foreign reports whether a scope is in a subscription of another tenant than the caller's.
func (c *Call) Foreign(scope string) bool {
	id, ok := subscriptionOf(scope)
	if !ok {
		return false
	}
	s, _, ok := c.Subscription(id)
	return ok && s.Tenant != c.Caller.Tenant
}

// subscriptionOf is the id, in lower case, of the subscription that a scope is in, or names.
func subscriptionOf(scope string) (id string, ok bool) {
	rest, ok := strings.CutPrefix(strings.ToLower(scope), "/subscriptions/")
	id, _, _ = strings.Cut(rest, "/")
	return id, ok
}

// subscription refuses paths of subscriptions that there are not, or not for the caller.
func (c *Call) subscription() *resource.Failure {
	id, ok := subscriptionOf(c.Path())
	if !ok {
		return nil
	}
	if _, err := uuid.Parse(id); err != nil {
		return resource.Fail(http.StatusBadRequest, "InvalidSubscriptionId", fmt.Sprintf("The provided subscription identifier '%s' is malformed or invalid.", id),
			"A subscription id is a GUID.", "")
	}
	s, _, ok := c.Subscription(id)
	if !ok {
		return resource.Fail(http.StatusNotFound, "SubscriptionNotFound", fmt.Sprintf("The subscription '%s' could not be found.", id),
			"The configuration has no such subscription.", "Add it to subscriptions in wiemu.yaml.")
	}
	if s.Tenant != c.Caller.Tenant {
		return c.WrongTenant(s.Tenant)
	}
	return nil
}

// Locations are the regions of the public cloud, as Resource Manager spells them, in the order
// of the alphabet. Some of them are closed to subscriptions without a permit, such as francesouth
// (cloud-barista/cb-spider#527); here all are open.
// Source: azure-cli, test_list_locations.yaml of its recordings (2025-02), physical regions
// without stages, canaries and brazilus. It has swedensouth as a pair alone, and does not have
// austriaeast, chilecentral, indonesiacentral and malaysiawest, which are inferred.
var Locations = strings.Fields(`australiacentral australiacentral2 australiaeast australiasoutheast austriaeast brazilsouth brazilsoutheast
	canadacentral canadaeast centralindia centralus chilecentral eastasia eastus eastus2 francecentral francesouth germanynorth germanywestcentral
	indonesiacentral israelcentral italynorth japaneast japanwest jioindiacentral jioindiawest koreacentral koreasouth malaysiawest mexicocentral
	newzealandnorth northcentralus northeurope norwayeast norwaywest polandcentral qatarcentral southafricanorth southafricawest southcentralus
	southindia southeastasia spaincentral swedencentral swedensouth switzerlandnorth switzerlandwest uaecentral uaenorth uksouth ukwest
	westcentralus westeurope westindia westus westus2 westus3`)

// Location returns a region as Resource Manager spells it, given its name or its display name
// such as West Europe. kind is the type of what is to be there, with its namespace; "" is a
// resource group.
// Source: LocationNotAvailableForResourceGroup: MicrosoftDocs/executable-docs#74 (2024) and
// cloud-barista/cb-spider#527 (400); …ResourceType: Azure/azure-rest-api-specs#8520, of this very
// type; both list the regions in another order. LocationRequired is inferred.
func Location(text, kind string) (string, *resource.Failure) {
	name := strings.ToLower(strings.ReplaceAll(text, " ", ""))
	switch {
	case name == "":
		return "", BadRequest("LocationRequired", "The location property is required for this definition.", "The resource needs a region.")
	case slices.Contains(Locations, name):
		return name, nil
	case kind == "":
		return "", BadRequest("LocationNotAvailableForResourceGroup", fmt.Sprintf("The provided location '%s' is not available for resource group. List of available regions is '%s'.", text, strings.Join(Locations, ",")), "Azure has no such region.")
	}
	return "", BadRequest("LocationNotAvailableForResourceType", fmt.Sprintf("The provided location '%s' is not available for resource type '%s'. List of available regions for the resource type is '%s'.", text, kind, strings.Join(Locations, ",")), "Azure has no such region.")
}

// Moved refuses to put a resource into another region than it is in.
// Source: MicrosoftDocs/azure-docs#70422 and fortinetsolutions/Azure-Templates#8, of other types;
// the status is inferred.
func Moved(name, is, group, wanted string) *resource.Failure {
	return resource.Fail(http.StatusConflict, "InvalidResourceLocation",
		fmt.Sprintf("The resource '%s' already exists in location '%s' in resource group '%s'. A resource with the same name cannot be created in location '%s'. Please select a new resource name.", name, is, group, wanted),
		"A resource stays in its region.", "Delete it first, or take another name.")
}

// Tags checks the tags of a resource.
// Source: azure-docs, azure-resource-manager/management/tag-resources.md, "Limitations". The texts are inferred.
func Tags(tags map[string]string) *resource.Failure {
	if len(tags) > 50 {
		return BadRequest("TooManyTags", fmt.Sprintf("Too many tags on the resource/resource group. Requested tag count - '%d'. Maximum number of tags allowed - '50'.", len(tags)), "A resource has 50 tags at most.")
	}
	for name, value := range tags {
		switch {
		case name == "" || len(name) > 512 || badTag().MatchString(name):
			return BadRequest("InvalidTagName", fmt.Sprintf("The tag name '%s' is invalid. It can have 512 characters at most, and none of '<,>,%%,&,\\,?,/'.", name), "A tag has a name that Azure does not take.")
		case len(value) > 256:
			return BadRequest("InvalidTagValueLength", fmt.Sprintf("Tag value too large.  Following tag value '%s' exceeded the maximum length. Maximum allowed length for tag value - '256' characters.", value), "A tag's value has 256 characters at most.")
		}
	}
	return nil
}

var badTag = lazyregexp.New(`[<>%&\\?/]`)
