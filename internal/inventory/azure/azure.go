// Package azure takes what az prints about a real tenant over into a wiemu.yaml: applications,
// service principals, managed identities and their federated credentials, role assignments and
// custom roles, vaults and storage accounts. What it cannot take over it names, by file and place.
// It asks Azure nothing.
package azure

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/inventory"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/resource/storage"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/tenants"
	"github.com/wiemu/wiemu/internal/validate"
	"github.com/wiemu/wiemu/internal/workload"
)

// Import writes a wiemu.yaml with what files say, and folders with *.json files. tenant is the id of
// the tenant of applications, whose exports do not name it; if it is empty, it is the one that
// identities and vaults name.
func Import(names []string, tenant string) (inventory.Written, error) {
	i := &importer{
		applications: map[string]item{}, principals: map[string]item{}, identities: map[string]item{}, others: map[string]int{}, dropped: map[string]map[string]int{}, tenant: strings.ToLower(tenant),
		tenants: map[string]string{}, assigned: map[[3]string]bool{},
	}
	found, err := validate.ReadExports(names, i.see)
	if err != nil {
		return inventory.Written{}, err
	}
	if err := i.findTenant(found.Holders); err != nil {
		return inventory.Written{}, err
	}
	for _, h := range found.Holders {
		i.addHolder(h)
	}
	if err := i.addResources(); err != nil {
		return inventory.Written{}, err
	}
	for _, file := range slices.Sorted(maps.Keys(i.others)) {
		i.leave("%s: %d service principals of other tenants' applications, or of resources' own identities", file, i.others[file])
	}
	i.tellDropped()
	return inventory.Export(i.state, "Imported by wiemu directory import from what az prints.")
}

// item is one object of what az prints; it has the fields of all kinds. Resource Graph has some of
// them below properties.
//
// Sources: microsoft-graph-docs, resources/application.md and serviceprincipal.md;
// azure-rest-api-specs, authorization-RoleAssignmentsCalls.json, keyvault.json. az puts what is
// below properties beside the rest; azure-docs, role-based-access-control/troubleshooting.md, quotes
// a role assignment as az prints it, without principalType. Of the others no recording was at hand.
type item struct {
	file, field string
	dropped     []string // properties that are not taken over

	ID          string `json:"id"`
	Name        string `json:"name"`
	Type        string `json:"type"`
	TenantID    string `json:"tenantId"`
	DisplayName string `json:"displayName"`
	AppID       string `json:"appId"`
	ClientID    string `json:"clientId"`
	PrincipalID string `json:"principalId"`
	Issuer      string `json:"issuer"`

	// Of an application.
	IdentifierURIs         []string `json:"identifierUris"`
	IsFallbackPublicClient bool     `json:"isFallbackPublicClient"`
	API                    struct {
		Version int `json:"requestedAccessTokenVersion"`
	} `json:"api"`
	PasswordCredentials []secret `json:"passwordCredentials"`
	KeyCredentials      []secret `json:"keyCredentials"`

	// Of a service principal.
	ServicePrincipalType      string   `json:"servicePrincipalType"`
	AppRoleAssignmentRequired bool     `json:"appRoleAssignmentRequired"`
	AlternativeNames          []string `json:"alternativeNames"`

	// Of a role assignment.
	RoleDefinitionID string `json:"roleDefinitionId"`
	PrincipalType    string `json:"principalType"`
	Scope            string `json:"scope"`
	Condition        string `json:"condition"`

	// Of a custom role.
	RoleName         string             `json:"roleName"`
	RoleType         string             `json:"roleType"`
	Description      string             `json:"description"`
	Permissions      []roles.Permission `json:"permissions"`
	AssignableScopes []string           `json:"assignableScopes"`

	// Of a vault.
	RBAC     *bool    `json:"enableRbacAuthorization"`
	Policies []policy `json:"accessPolicies"`

	Properties json.RawMessage `json:"properties"`
}

func (i item) place() string { return strings.TrimSuffix(i.file+" "+i.field, " ") }

type importer struct {
	applications, principals, identities map[string]item // by client id

	assignments, definitions, vaults, accounts []item

	others        map[string]int            // service principals that are left out, by file
	dropped       map[string]map[string]int // by property and kind of object, how many have it
	tenant        string                    // of applications
	tenants       map[string]string         // by the object ids of principals in lower case
	assigned      map[[3]string]bool        // principal, role and scope of role assignments
	subscriptions []string                  // that ids are in, sorted
	state         inventory.State
}

func (i *importer) leave(format string, args ...any) {
	i.state.Left = append(i.state.Left, fmt.Sprintf(format, args...))
}

// decode reads an object, with what is below properties; the top counts where both have a field.
func decode(file, field string, object json.RawMessage) (item, error) {
	it := item{file: file, field: field}
	problem := func(err error) (item, error) {
		return it, fmt.Errorf("%s: expected an object as az prints it: %w; export it again with -o json", it.place(), err)
	}
	if err := json.Unmarshal(object, &it); err != nil {
		return problem(err)
	}
	if len(it.Properties) == 0 || it.Properties[0] != '{' {
		return it, nil
	}
	top := it
	if err := json.Unmarshal(it.Properties, &it); err != nil {
		return problem(err)
	}
	if kind := it.Type; kind == "CustomRole" || kind == "BuiltInRole" {
		it.RoleType = kind
	}
	it.ID, it.Name, it.Type, it.TenantID = cmp.Or(top.ID, it.ID), cmp.Or(top.Name, it.Name), cmp.Or(top.Type, it.Type), cmp.Or(top.TenantID, it.TenantID)
	return it, nil
}

// kinds begin the types of Resource Manager that are taken over.
func kinds() []string {
	return []string{"microsoft.managedidentity/", "microsoft.authorization/", "microsoft.keyvault/vaults", "microsoft.storage/storageaccounts"}
}

// see sorts an object by its kind, and takes what validate does not know.
func (i *importer) see(file, field string, object json.RawMessage) (taken bool, err error) {
	it, err := decode(file, field, object)
	if kind := strings.ToLower(it.Type); err != nil && kind != "" && !slices.ContainsFunc(kinds(), func(k string) bool { return strings.HasPrefix(kind, k) }) {
		i.leave("%s: %s, which is not one of what is taken over", it.place(), it.Type)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	switch kind := strings.ToLower(it.Type); {
	case it.RoleDefinitionID != "" && it.PrincipalID != "":
		it.dropped = anAssignment.dropped(object)
		i.assignments = append(i.assignments, it)
	case it.RoleName != "":
		if it.RoleType == "CustomRole" {
			i.drop(aRole, item{dropped: aRole.dropped(object)})
			i.definitions = append(i.definitions, it)
		}
	case kind == "microsoft.keyvault/vaults":
		it.dropped = aVault.dropped(object)
		i.vaults = add(i.vaults, it)
	case kind == "microsoft.storage/storageaccounts":
		it.dropped = anAccount.dropped(object)
		i.accounts = add(i.accounts, it)
	case it.Issuer != "":
		i.drop(aCredential, item{dropped: aCredential.dropped(object)})
		return false, nil
	case it.AppID != "" && it.ServicePrincipalType != "":
		if it.ServicePrincipalType == "ManagedIdentity" && !slices.ContainsFunc(it.AlternativeNames, isUserAssigned) {
			i.others[file]++
			return true, nil
		}
		it.dropped = aPrincipal.dropped(object)
		i.principals[strings.ToLower(it.AppID)] = it
		return false, nil
	case it.AppID != "":
		it.dropped = anApplication.dropped(object)
		i.applications[strings.ToLower(it.AppID)] = it
		return false, nil
	case it.ClientID != "" && it.PrincipalID != "":
		it.ID = cmp.Or(it.ID, i.identities[strings.ToLower(it.ClientID)].ID) // of another file
		it.dropped = anIdentity.dropped(object)
		i.identities[strings.ToLower(it.ClientID)] = it
		return false, nil
	case strings.Contains(string(object), `"error"`):
		return false, nil // validate tells it
	default:
		i.leave("%s: %s, which is not one of what is taken over", it.place(), cmp.Or(it.Type, it.ID, it.Name, "an object without type, appId, clientId and roleDefinitionId"))
	}
	return true, nil
}

// add adds a resource, or takes the place of what another file says less of.
func add(all []item, it item) []item {
	n := slices.IndexFunc(all, func(o item) bool { return strings.EqualFold(o.ID, it.ID) })
	switch {
	case n < 0:
		return append(all, it)
	case it.RBAC != nil:
		all[n] = it
	}
	return all
}

func isUserAssigned(name string) bool {
	return strings.Contains(strings.ToLower(name), "/providers/microsoft.managedidentity/userassignedidentities/")
}

// findTenant finds the tenant of what does not name one.
func (i *importer) findTenant(holders []*validate.Holder) error {
	ids := map[string]bool{}
	for _, h := range holders {
		ids[h.Tenant] = true
	}
	for _, it := range slices.Concat(i.vaults, i.accounts) {
		ids[strings.ToLower(it.TenantID)] = true
	}
	delete(ids, "")
	named := slices.Sorted(maps.Keys(ids))
	switch {
	case i.tenant != "":
	case len(named) == 1:
		i.tenant = named[0]
	case len(named) == 0:
		return fmt.Errorf("--tenant: expected the id of the tenant, which no file names; az account show --query tenantId prints it")
	default:
		return fmt.Errorf("--tenant: expected the id of the applications' tenant, as files name several: %s", strings.Join(named, ", "))
	}
	if !slices.Contains(named, i.tenant) {
		named = append([]string{i.tenant}, named...)
	}
	for _, id := range named {
		i.state.Tenants = append(i.state.Tenants, directory.Tenant{ID: id, DisplayName: id})
	}
	slices.SortStableFunc(i.state.Tenants, func(a, b directory.Tenant) int { // the first is the default one
		return cmp.Compare(btoi(a.ID != i.tenant), btoi(b.ID != i.tenant))
	})
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// tenantOf is the tenant of an id, which is the one of applications if there is none.
func (i *importer) tenantOf(id string) *directory.Tenant {
	id = cmp.Or(strings.ToLower(id), i.tenant)
	return &i.state.Tenants[slices.IndexFunc(i.state.Tenants, func(t directory.Tenant) bool { return t.ID == id })]
}

// addHolder adds an application or managed identity, whose federated credentials package validate
// has found.
func (i *importer) addHolder(h *validate.Holder) {
	application, registered := i.applications[h.ClientID]
	principal, signsIn := i.principals[h.ClientID]
	p := directory.Principal{ClientID: h.ClientID, DisplayName: cmp.Or(application.DisplayName, h.Name, h.ClientID), Disabled: h.Disabled, ResourceID: h.ResourceID, ObjectID: principal.ID}
	switch {
	case h.ResourceID != "":
		p.Kind = directory.ManagedIdentity
		i.drop(anIdentity, i.identities[h.ClientID])
		p.ObjectID = cmp.Or(i.identities[h.ClientID].PrincipalID, p.ObjectID)
	case registered:
		p.Kind = directory.Application
		i.describe(&p, application, principal)
		i.drop(anApplication, application)
		i.drop(aPrincipal, principal)
	case signsIn:
		i.others[principal.file]++
		return
	default:
		i.leave("client id %s: no file says whether it is an application or a managed identity; export it with az ad app list or az identity list", h.ClientID)
		return
	}
	if p.ObjectID == "" {
		i.leave("%s: its object id, which az ad sp list prints; it has another one here, and no role assignment is its own", p.DisplayName)
	}
	if !h.Known {
		command := workload.Holder{ClientID: h.ClientID, ResourceID: h.ResourceID}.List()
		i.leave("%s: its federated credentials, which no file lists: it trusts nothing; export them with %s", p.DisplayName, strings.Join(strings.Fields(strings.ReplaceAll(command, "\\\n", " ")), " "))
	}
	p.FederatedCredentials = h.Credentials
	for _, x := range h.Expressions {
		p.FederatedCredentials = append(p.FederatedCredentials, directory.FederatedCredential{Name: x.Name, Issuer: x.Issuer, ClaimsMatching: x.Value})
	}
	t := i.tenantOf(h.Tenant)
	t.Principals = append(t.Principals, p)
	if id := strings.ToLower(p.ObjectID); i.tenants[id] == "" {
		i.tenants[id] = t.ID
	}
}

// describe adds what an app registration and its service principal have.
func (i *importer) describe(p *directory.Principal, application, principal item) {
	p.IdentifierURIs, p.AccessTokenVersion, p.PublicClient = application.IdentifierURIs, application.API.Version, application.IsFallbackPublicClient
	p.AssignmentRequired = principal.AppRoleAssignmentRequired
	for n, s := range application.PasswordCredentials {
		p.Secrets = append(p.Secrets, directory.Secret{Value: fmt.Sprintf("%ssecret %d of %s", inventory.NotExported, n+1, p.DisplayName), End: s.End})
	}
	for _, c := range application.KeyCredentials {
		i.leave("%s: certificate %s, which az does not print", p.DisplayName, cmp.Or(c.DisplayName, c.KeyID))
	}
}

// addResources adds vaults and accounts, and who has which roles.
func (i *importer) addResources() error {
	c := config.Config{APIVersion: config.APIVersion, Kind: config.Kind}
	i.findSubscriptions()
	for _, id := range i.subscriptions {
		c.Subscriptions = append(c.Subscriptions, config.Subscription{ID: id, Tenant: i.tenant})
	}
	text, err := c.YAML()
	if err != nil {
		return err
	}
	i.state.Config, i.state.Moved = string(text), map[string]string{}
	for _, it := range i.vaults {
		i.addVault(it)
		i.drop(aVault, it)
		i.move(it, "Microsoft.KeyVault/vaults")
	}
	for _, it := range i.accounts {
		i.state.Accounts = append(i.state.Accounts, storage.Account{Name: it.Name, Tenant: i.tenantOf(it.TenantID).ID})
		i.drop(anAccount, it)
		i.leave("storage account %s: its containers and queues; write their names", it.Name)
		i.move(it, "Microsoft.Storage/storageAccounts")
	}
	for _, it := range i.definitions {
		i.state.Definitions = append(i.state.Definitions, roles.Definition{ID: lastPart(it.ID), Name: it.RoleName, Description: it.Description, Permissions: it.Permissions, AssignableScopes: it.AssignableScopes})
	}
	for _, it := range i.assignments {
		i.addAssignment(it)
	}
	return nil
}

// move notes where wiemu.yaml has a resource: it has no resource groups.
func (i *importer) move(it item, kind string) {
	subscription := tenants.SubscriptionID(i.tenantOf(it.TenantID).ID)
	if len(i.subscriptions) > 0 && i.tenantOf(it.TenantID).ID == i.tenant {
		subscription = i.subscriptions[0]
	}
	i.state.Moved[it.ID] = "/subscriptions/" + subscription + "/resourceGroups/wiemu/providers/" + kind + "/" + it.Name
}

func (i *importer) findSubscriptions() {
	var all []string
	for _, it := range slices.Concat(slices.Collect(maps.Values(i.identities)), i.vaults, i.accounts, i.assignments) {
		for _, id := range []string{it.ID, it.Scope} {
			if rest, ok := strings.CutPrefix(strings.ToLower(id), "/subscriptions/"); ok {
				id, _, _ := strings.Cut(rest, "/")
				all = append(all, id)
			}
		}
	}
	slices.Sort(all)
	i.subscriptions = slices.Compact(all)
}

func lastPart(id string) string { return strings.ToLower(id[strings.LastIndex(id, "/")+1:]) }

func (i *importer) addVault(it item) {
	v := inventory.Vault{Name: it.Name, Tenant: i.tenantOf(it.TenantID).ID, ID: it.ID, Policies: it.RBAC != nil && !*it.RBAC}
	if it.RBAC == nil {
		i.leave("%s: the access policies of vault %s, which az keyvault show and Resource Graph print; only roles count here", it.place(), it.Name)
	}
	i.leave("vault %s: its secrets, keys and certificates; write their names", it.Name)
	for _, p := range it.Policies {
		if v.Policies {
			v.Access = append(v.Access, keyvault.Access{ObjectID: strings.ToLower(p.ObjectID), Permissions: all(p.Permissions.Secrets, keyvault.Permissions()...), Keys: all(p.Permissions.Keys, "*"), Certificates: all(p.Permissions.Certificates, "*")})
		}
	}
	i.state.Vaults = append(i.state.Vaults, v)
}

func (i *importer) addAssignment(it item) {
	role, known := roles.Named(lastPart(it.RoleDefinitionID), i.state.Definitions...)
	principal := strings.ToLower(it.PrincipalID)
	assignment := [3]string{principal, role.ID, strings.ToLower(it.Scope)}
	switch {
	case it.PrincipalType != "" && it.PrincipalType != "ServicePrincipal":
		i.leave("%s: the role assignment of a %s on %s: there are none here", it.place(), it.PrincipalType, it.Scope)
	case it.Condition != "":
		i.leave("%s: the role assignment on %s, as conditions (ABAC) are not emulated", it.place(), it.Scope)
	case !known:
		i.leave("%s: the assignment of role %s on %s: it is neither a built-in role that wiemu knows nor in a file of az role definition list --custom-role-only", it.place(), lastPart(it.RoleDefinitionID), it.Scope)
	case i.assigned[assignment]: // another file has it, too
	default:
		i.drop(anAssignment, it)
		i.assigned[assignment] = true
		i.state.Assignments = append(i.state.Assignments, roles.Assignment{Tenant: cmp.Or(i.tenants[principal], i.tenant), PrincipalID: it.PrincipalID, Role: role.ID, Scope: it.Scope})
	}
}
