// Package managedidentity is the resource provider Microsoft.ManagedIdentity: user-assigned
// managed identities and the federated credentials that they trust. They are principals of the
// directory: who is made here gets tokens at once, and who is deleted gets none any more,
// while those that were given out live on.
//
// Source of requests and answers: azure-cli, src/azure-cli/azure/cli/command_modules/identity/
// tests/latest/recordings (test_identity_management.yaml and test_federated_identity_credential.yaml
// of 2023-02), unless another one stands beside it.
package managedidentity

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/tenants"
)

const (
	namespace      = "Microsoft.ManagedIdentity"
	identityType   = namespace + "/userAssignedIdentities"
	credentialType = identityType + "/federatedIdentityCredentials"
)

// The api-versions of both types.
// Source: azure-rest-api-specs, specification/msi/resource-manager/Microsoft.ManagedIdentity, stable
// and preview.
var (
	identityVersions   = []string{"2015-08-31-preview", "2018-11-30", "2021-09-30-preview", "2022-01-31-preview", "2023-01-31", "2023-07-31-preview", "2024-11-30", "2025-01-31-preview", "2025-05-31-preview", "2026-04-30", "2026-05-31"}
	credentialVersions = identityVersions[3:]
)

type service struct {
	*rest.Manager
	making sync.Mutex // one identity at a time is looked for and made

	writing sync.Map // ids in lower case of identities whose federated credentials are being written
}

// New returns the provider.
func New(m *rest.Manager) rest.Provider {
	s := &service{Manager: m}
	const group = "/subscriptions/{subscription}/resourcegroups/{group}"
	const all = "/providers/microsoft.managedidentity/userassignedidentities"
	const one = group + all + "/{identity}"
	const credentials = one + "/federatedidentitycredentials"
	p := rest.Provider{
		Namespace: namespace,
		Types:     []rest.ResourceType{{Name: "userAssignedIdentities", Versions: identityVersions}, {Name: "userAssignedIdentities/federatedIdentityCredentials", Versions: credentialVersions}},
		Resources: func(tenant, scope string) (found []rest.Resource) {
			all, located := s.identities(tenant, scope), s.locations()
			found = make([]rest.Resource, len(all))
			for n, p := range all {
				found[n] = rest.Resource{ID: p.ResourceID, Name: nameOf(p), Type: identityType, Location: located(p), Tags: p.Tags}
			}
			return found
		},
		Delete: func(tenant, group string) error {
			for _, p := range s.identities(tenant, group) {
				if err := s.remove(tenant, p); err != nil {
					return err
				}
			}
			return nil
		},
	}
	p.Add(http.MethodGet, "/subscriptions/{subscription}"+all, "list managed identities", "userAssignedIdentities/read", identityVersions, s.list)
	p.Add(http.MethodGet, group+all, "list managed identities", "userAssignedIdentities/read", identityVersions, rest.On((*rest.Call).Group, s.listOfGroup))
	p.Add(http.MethodGet, one, "get managed identity", "userAssignedIdentities/read", identityVersions, rest.On(s.find, s.get))
	p.Add(http.MethodPut, one, "create or update managed identity", "userAssignedIdentities/write", identityVersions, s.put)
	p.Add(http.MethodPatch, one, "update managed identity", "userAssignedIdentities/write", identityVersions, s.patch)
	p.Add(http.MethodDelete, one, "delete managed identity", "userAssignedIdentities/delete", identityVersions, rest.On((*rest.Call).Group, s.delete))
	p.Add(http.MethodPost, one+"/listassociatedresources", "list the resources that have a managed identity", "userAssignedIdentities/listAssociatedResources/action", identityVersions, s.associated)
	p.Add(http.MethodGet, credentials, "list federated credentials", nested+"/read", credentialVersions, rest.On(s.parent, s.listCredentials))
	p.Add(http.MethodGet, credentials+"/{credential}", "get federated credential", nested+"/read", credentialVersions, rest.On(s.parent, s.getCredential))
	p.Add(http.MethodPut, credentials+"/{credential}", "create or update federated credential", nested+"/write", credentialVersions, rest.On(rest.PropertiesOf[*credentialProperties], s.putCredential))
	p.Add(http.MethodDelete, credentials+"/{credential}", "delete federated credential", nested+"/delete", credentialVersions, rest.On(s.parent, s.deleteCredential))
	return p
}

// identity in the order of the provider's members.
type identity struct {
	ID         string             `json:"id"`
	Name       string             `json:"name"`
	Type       string             `json:"type"`
	Location   string             `json:"location"`
	Tags       map[string]string  `json:"tags"`
	Properties identityProperties `json:"properties"`
}

type identityProperties struct {
	TenantID    string `json:"tenantId"`
	PrincipalID string `json:"principalId"`
	ClientID    string `json:"clientId"`

	IsolationScope string `json:"isolationScope,omitempty"` // "" in an older version of the API
}

// isolatedSince is the first version of the API that has isolationScope.
// Source: azure-rest-api-specs, specification/msi/resource-manager/Microsoft.ManagedIdentity; seen
// as "None" in what az and the portal show of identities that nobody gave one (2024 to 2026).
const isolatedSince = "2024-11-30"

func hasIsolation(c *rest.Call) bool { return c.Query("api-version") >= isolatedSince }

// isolation is the scope that a client asks for as the directory has it; given is whether it does.
// azurerm sends it with each PUT, and with a PATCH that changes it. The text of the refusal is inferred.
func isolation(c *rest.Call, asked *isolated) (scope string, given bool, failed *resource.Failure) {
	switch {
	case !hasIsolation(c) || asked == nil || asked.Scope == nil:
		return "", false, nil
	case strings.EqualFold(*asked.Scope, "None"):
		return "", true, nil
	case strings.EqualFold(*asked.Scope, "Regional"):
		return "Regional", true, nil
	}
	return "", false, rest.BadRequest("BadRequest", fmt.Sprintf("The isolation scope '%s' is invalid. Valid values are 'None' and 'Regional'.", *asked.Scope), "A managed identity has another isolationScope than Azure takes.")
}

// isolated are the properties of an identity that clients set.
type isolated struct {
	Scope *string `json:"isolationScope"`
}

// shown is an identity as clients see it.
func (s *service) shown(c *rest.Call, p *directory.Principal) identity {
	return shownIn(c, p, s.locations()(p))
}

func nameOf(p *directory.Principal) string {
	return p.ResourceID[strings.LastIndexByte(p.ResourceID, '/')+1:]
}

func shownIn(c *rest.Call, p *directory.Principal, location string) identity {
	made := identity{
		ID: p.ResourceID, Name: nameOf(p), Type: identityType, Location: location, Tags: p.Tags,
		Properties: identityProperties{TenantID: c.Caller.Tenant, PrincipalID: p.ObjectID, ClientID: p.ClientID},
	}
	if made.Tags == nil {
		made.Tags = map[string]string{}
	}
	if hasIsolation(c) {
		made.Properties.IsolationScope = cmp.Or(p.IsolationScope, "None")
	}
	return made
}

// locations returns the region of identities. One of wiemu.yaml, which has none, is in that of its
// resource group, "" if there is no such group; each group is looked for once.
func (s *service) locations() func(*directory.Principal) string {
	groups := map[string]rest.Group{}
	return func(p *directory.Principal) string {
		if p.Location != "" {
			return p.Location
		}
		id := groupOf(p.ResourceID)
		group, known := groups[id]
		if !known {
			group, _ = s.Groups.Find(id)
			groups[id] = group
		}
		return group.Location
	}
}

// groupOf is the id of the resource group that a resource is in.
func groupOf(id string) string {
	segments := strings.SplitN(id, "/", 6)
	return strings.Join(segments[:min(5, len(segments))], "/")
}

func groupName(id string) string {
	group := groupOf(id)
	return group[strings.LastIndexByte(group, '/')+1:]
}

// identities are those of a tenant in a scope, in the order in which they were made.
func (s *service) identities(tenant, scope string) []*directory.Principal {
	return slices.DeleteFunc(s.Kit.Directory.Principals(tenant), func(p *directory.Principal) bool {
		return p.Kind != directory.ManagedIdentity || p.ResourceID == "" || !roles.Within(p.ResourceID, scope)
	})
}

func (s *service) list(c *rest.Call) (rest.Reply, *resource.Failure) {
	return s.page(c, "/subscriptions/"+c.Vars["subscription"])
}

func (s *service) listOfGroup(c *rest.Call, group rest.Group) (rest.Reply, *resource.Failure) {
	return s.page(c, group.ID)
}

func (s *service) page(c *rest.Call, scope string) (rest.Reply, *resource.Failure) {
	found, failed := rest.Page(c, s.identities(c.Caller.Tenant, scope))
	if failed != nil {
		return rest.Reply{}, failed
	}
	located := s.locations()
	shown := rest.List[identity]{Value: make([]identity, len(found.Value)), NextLink: found.NextLink}
	for n, p := range found.Value {
		shown.Value[n] = shownIn(c, p, located(p))
	}
	return rest.Reply{Body: shown}, nil
}

// id is that of the identity which the request's path names: Azure spells resourcegroups in
// lower case there.
func (s *service) id(c *rest.Call, group rest.Group) string {
	return fmt.Sprintf("/subscriptions/%s/resourcegroups/%s/providers/%s/%s", c.Vars["subscription"], group.Name, identityType, c.Name("identity"))
}

// find is the identity that the request's path names.
func (s *service) find(c *rest.Call) (*directory.Principal, *resource.Failure) {
	group, failed := c.Group()
	if failed != nil {
		return nil, failed
	}
	if p, ok := s.Kit.Directory.ManagedIdentity(c.Caller.Tenant, s.id(c, group)); ok {
		return p, nil
	}
	return nil, rest.NotFound(identityType, c.Name("identity"), group.Name)
}

func (s *service) get(c *rest.Call, p *directory.Principal) (rest.Reply, *resource.Failure) {
	return rest.Reply{Body: s.shown(c, p)}, nil
}

var identityName = lazyregexp.New(`^[A-Za-z0-9][A-Za-z0-9_-]{2,127}$`)

// put makes an identity, or replaces what clients set of it.
func (s *service) put(c *rest.Call) (rest.Reply, *resource.Failure) {
	var asked struct {
		Location   string            `json:"location"`
		Tags       map[string]string `json:"tags"`
		Properties *isolated         `json:"properties"`
	}
	if failed := c.Read(&asked); failed != nil {
		return rest.Reply{}, failed
	}
	group, failed := c.Group()
	if failed != nil {
		return rest.Reply{}, failed
	}
	location, failed := rest.Location(asked.Location, identityType)
	if failed == nil {
		failed = rest.Tags(asked.Tags)
	}
	wanted := change{tags: &asked.Tags}
	if failed == nil {
		wanted.isolation, wanted.isolates, failed = isolation(c, asked.Properties)
		wanted.isolates = hasIsolation(c) // what a PUT does not have is None
	}
	name := c.Name("identity")
	if failed == nil && !identityName().MatchString(name) {
		// The rule: azure-docs, how-manage-user-assigned-managed-identities (3 to 128). The text is inferred.
		failed = rest.BadRequest("InvalidResourceName", fmt.Sprintf("The resource name '%s' is invalid. It must start with a letter or number, have 3 to 128 characters, and contain only letters, numbers, '-' and '_'.", name), "A managed identity has a name that Azure does not take.")
	}
	if failed != nil {
		return rest.Reply{}, failed
	}
	s.making.Lock()
	defer s.making.Unlock()
	tenant := c.Caller.Tenant
	id := s.id(c, group)
	old, exists := s.Kit.Directory.ManagedIdentity(tenant, id)
	if exists {
		if is := s.shown(c, old).Location; is != location {
			return rest.Reply{}, rest.Moved(name, is, group.Name, location)
		}
		return s.change(c, old, wanted)
	}
	p := directory.Principal{
		Kind: directory.ManagedIdentity, ClientID: s.Kit.Directory.NewClientID(tenant, "managed identity", strings.ToLower(id)), DisplayName: name,
		ResourceID: id, Location: location, Tags: maps.Clone(asked.Tags), CreatedAt: s.Kit.Clock.Now(), OwnTrust: true, IsolationScope: wanted.isolation,
	}
	p.ObjectID = tenants.StableID("service principal", p.ClientID)
	if err := s.Kit.Directory.Put(tenant, p); err != nil {
		return rest.Reply{}, rest.NotStored(err)
	}
	s.record(tenant, &p, fmt.Sprintf("%s (%s) is a managed identity now, which trusts nobody yet", p.DisplayName, p.ClientID))
	return rest.Reply{Status: http.StatusCreated, Body: s.shown(c, &p), Header: map[string]string{"Location": id}}, nil
}

func (s *service) patch(c *rest.Call) (rest.Reply, *resource.Failure) {
	var asked struct {
		Tags       *map[string]string `json:"tags"`
		Properties *isolated          `json:"properties"`
	}
	if failed := c.Read(&asked); failed != nil {
		return rest.Reply{}, failed
	}
	p, failed := s.find(c)
	if failed != nil {
		return rest.Reply{}, failed
	}
	wanted := change{tags: asked.Tags}
	if wanted.isolation, wanted.isolates, failed = isolation(c, asked.Properties); failed != nil {
		return rest.Reply{}, failed
	}
	if asked.Tags != nil {
		if failed := rest.Tags(*asked.Tags); failed != nil {
			return rest.Reply{}, failed
		}
	}
	return s.change(c, p, wanted)
}

// change is what a client changes of an identity.
type change struct {
	tags      *map[string]string // if nil, they stay
	isolates  bool               // isolation counts
	isolation string
}

// change changes an identity.
func (s *service) change(c *rest.Call, p *directory.Principal, wanted change) (rest.Reply, *resource.Failure) {
	var changed directory.Principal
	err := s.Kit.Directory.Update(c.Caller.Tenant, p.ClientID, func(p *directory.Principal) error {
		if wanted.tags != nil {
			p.Tags = maps.Clone(*wanted.tags)
		}
		if wanted.isolates {
			p.IsolationScope = wanted.isolation
		}
		changed = *p
		return nil
	})
	switch {
	case errors.Is(err, tenants.ErrNotFound): // deleted meanwhile
		return rest.Reply{}, rest.NotFound(identityType, c.Name("identity"), groupName(p.ResourceID))
	case err != nil:
		return rest.Reply{}, rest.NotStored(err)
	}
	return rest.Reply{Body: s.shown(c, &changed)}, nil
}

// delete deletes an identity with its federated credentials. Roles that are assigned to it stay,
// to a principal that there is not any more.
// Source: azure-docs, role-based-access-control/troubleshooting.md, "Role assignments with
// identity not found"; 204 for one that there is not: azure-rest-api-specs,
// Microsoft.ManagedIdentity, example FederatedIdentityCredentialDelete.json, for credentials, and
// azure-resource-manager-rpc, v1.0/resource-api-reference.md.
func (s *service) delete(c *rest.Call, group rest.Group) (rest.Reply, *resource.Failure) {
	s.making.Lock()
	defer s.making.Unlock()
	p, ok := s.Kit.Directory.ManagedIdentity(c.Caller.Tenant, s.id(c, group))
	if !ok {
		return rest.Reply{Status: http.StatusNoContent}, nil
	}
	if err := s.remove(c.Caller.Tenant, p); err != nil {
		return rest.Reply{}, rest.NotStored(err)
	}
	return rest.Reply{}, nil
}

func (s *service) remove(tenant string, p *directory.Principal) error {
	if err := s.Kit.Directory.Remove(tenant, p.ClientID); err != nil {
		return err
	}
	s.record(tenant, p, fmt.Sprintf("%s (%s) is deleted", p.DisplayName, p.ClientID))
	return nil
}

// associated are the resources that have an identity: there is none that could.
func (s *service) associated(c *rest.Call) (rest.Reply, *resource.Failure) {
	_, failed := s.find(c)
	return rest.Reply{Body: struct {
		Total int   `json:"totalCount"`
		Value []any `json:"value"`
	}{0, []any{}}}, failed
}

// record tells the journal what became of an identity.
func (s *service) record(tenant string, p *directory.Principal, summary string) {
	s.Kit.Journal.Record(journal.Event{
		Kind: journal.Directory, Outcome: journal.OK, Tenant: tenant, ClientID: p.ClientID, ObjectID: p.ObjectID, Identity: p.DisplayName, Summary: summary,
	})
}
