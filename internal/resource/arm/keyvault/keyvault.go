// Package keyvault is the resource provider Microsoft.KeyVault: vaults with their access
// policies, and the bin for deleted ones. A vault that is made here answers at its host at once.
// Its secrets are not kept over a restart. Keys and secrets through Resource Manager, managed
// HSMs and private endpoints are not there; network rules are taken and let everybody pass.
//
// Source of requests and answers: azure-cli, src/azure-cli/azure/cli/command_modules/keyvault/
// tests/latest/recordings (test_keyvault_mgmt.yaml of 2020-07, test_keyvault_list_deleted.yaml of
// 2026-08), unless another one stands beside it.
package keyvault

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	vaults "github.com/wiemu/wiemu/internal/resource/keyvault"
)

const namespace = "Microsoft.KeyVault"

// versions of the type. Source: azure-rest-api-specs, specification/keyvault/resource-manager, and
// azure-cli's recordings for 2026-02-01.
var versions = strings.Fields("2015-06-01 2016-10-01 2018-02-14 2018-02-14-preview 2019-09-01 2020-04-01-preview 2021-04-01-preview 2021-06-01-preview 2021-10-01 2021-11-01-preview 2022-02-01-preview 2022-07-01 2022-11-01 2023-02-01 2023-07-01 2024-04-01-preview 2024-11-01 2024-12-01-preview 2025-05-01 2026-02-01")

type service struct {
	*rest.Manager
	kind *rest.Kind
}

// New returns the provider.
func New(m *rest.Manager) rest.Provider {
	s := &service{Manager: m}
	s.kind = &rest.Kind{
		Type: namespace + "/vaults", Title: "key vault", Versions: versions, Async: rest.Async{Made: http.StatusOK, Result: "operationResults"},
		Make: s.make, Open: s.open, Close: s.close, Configured: s.configured,
		Bin: func(i rest.Item) bool { return true },
	}
	p := m.Providing(namespace, s.kind)
	p.Types = append(p.Types, rest.ResourceType{Name: "vaults/accessPolicies", Versions: versions, Global: true}, rest.ResourceType{Name: "deletedVaults", Versions: versions, Global: true})
	const subscription = "/subscriptions/{subscription}/providers/microsoft.keyvault"
	const deleted = subscription + "/locations/{location}/deletedvaults/{vault}"
	p.Add(http.MethodPut, "/subscriptions/{subscription}/resourcegroups/{group}/providers/microsoft.keyvault/vaults/{name0}/accesspolicies/{operation}", "change access policies of key vault", "vaults/accessPolicies/write", versions, s.changePolicies)
	p.Add(http.MethodPost, subscription+"/checknameavailability", "check the name of a key vault", "checkNameAvailability/read", versions, s.checkName)
	p.Add(http.MethodGet, subscription+"/deletedvaults", "list deleted key vaults", "deletedVaults/read", versions, s.listDeleted)
	p.Add(http.MethodGet, deleted, "get deleted key vault", "locations/deletedVaults/read", versions, s.getDeleted)
	p.Add(http.MethodPost, deleted+"/purge", "purge key vault", "locations/deletedVaults/purge/action", versions, s.purge)
	open := p.Open
	p.Open = func() error { s.forgetExpired(); return open() }
	return p
}

// door are the vaults as they are served.
func (s *service) door() *vaults.Service { return s.Kit.Service(vaults.Name).(*vaults.Service) }

// policy is an entry of accessPolicies.
type policy struct {
	TenantID      string      `json:"tenantId"`
	ObjectID      string      `json:"objectId"`
	ApplicationID string      `json:"applicationId,omitempty"`
	Permissions   permissions `json:"permissions"`
}

type permissions struct {
	Keys         []string `json:"keys,omitzero"`
	Secrets      []string `json:"secrets,omitzero"`
	Certificates []string `json:"certificates,omitzero"`
	Storage      []string `json:"storage,omitzero"`
}

// storagePermissions are those on managed storage accounts, which are not emulated.
// Source: azure-rest-api-specs, keyvault.json, Permissions.
var storagePermissions = strings.Fields("get list delete set update regeneratekey recover purge backup restore setsas listsas getsas deletesas")

var vaultName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]+[A-Za-z0-9]$`)

// make checks what a vault is asked to be.
func (s *service) make(c *rest.Call, i, was *rest.Item, p rest.Properties) *resource.Failure {
	if was == nil {
		if failed := s.free(c, i, p); failed != nil {
			return failed
		}
	}
	tenant := p.Text("tenantId")
	switch {
	case tenant == "" && was == nil && p.Text("createMode") != "recover":
		return bad("The parameter properties.tenantId is not specified.", "A vault belongs to a tenant.")
	case tenant == "":
		tenant = i.Tenant
	case uuid.Validate(tenant) != nil || !strings.EqualFold(tenant, i.Tenant):
		return bad(fmt.Sprintf("The tenantId '%s' is not the tenant of the subscription.", tenant), "Here, a vault belongs to the tenant of its subscription.")
	}
	p.Set("tenantId", strings.ToLower(tenant))
	if failed := s.completeSKU(p); failed != nil {
		return failed
	}
	rbac := defaultRBAC(c)
	if _, err := p.Read("enableRbacAuthorization", &rbac); err != nil {
		return bad("The parameter properties.enableRbacAuthorization is not a boolean.", err.Error())
	}
	if failed := s.mayChangeModel(c, was, rbac); failed != nil {
		return failed
	}
	all, failed := readPolicies(p, !rbac)
	if failed != nil {
		return failed
	}
	p.Set("accessPolicies", all)
	p.Set("enableRbacAuthorization", rbac)
	if failed := retention(p, was); failed != nil {
		return failed
	}
	for _, name := range []string{"enabledForDeployment", "enabledForDiskEncryption", "enabledForTemplateDeployment"} {
		p.Default(name, false)
	}
	p.Default("publicNetworkAccess", "Enabled")
	p.Set("vaultUri", "https://"+strings.ToLower(i.Name)+"."+s.Kit.Cloud().Vault+"/")
	p.Set("provisioningState", "Succeeded")
	p.Drop("createMode")
	i.SKU, i.Kind = nil, ""
	return nil
}

// mayChangeModel refuses to change the permission model of a vault for a caller who may not assign
// roles on it: Contributor would let itself in by access policies.
// Source: Azure/bicep#13541 (2024-03), of a change to roles; that it is the same to access policies,
// and the status, one report (dotnetpower/elb-dashboard, 2026-05); which permission, and that a
// condition on the role is too little: learn.microsoft.com, key-vault/general/rbac-guide. A role
// with a condition does here.
func (s *service) mayChangeModel(c *rest.Call, was *rest.Item, rbac bool) *resource.Failure {
	if was == nil {
		return nil
	}
	before := false
	_, _ = was.Has().Read("enableRbacAuthorization", &before) // which make has written
	const action = "Microsoft.Authorization/roleAssignments/write"
	if before == rbac || c.May(action, was.ID) {
		return nil
	}
	id := strings.Replace(was.ID, "/resourceGroups/", "/resourcegroups/", 1)
	return rest.BadRequest("InsufficientPermissions", fmt.Sprintf("Caller is not allowed to change permission model. For more information on how to change the permissions model follow this link: https://go.microsoft.com/fwlink/?linkid=2155160. Details: oid=%s; action=%s; resource=%s; decision=NotAllowed; ", c.Caller.ObjectID, action, id),
		"Who changes from access policies to roles, or back, decides who may open the vault: this takes the right to assign roles on it.")
}

// defaultRBAC is the permission model of a vault whose body names none: roles since 2026-02-01.
// Source: learn.microsoft.com, key-vault/general/access-control-default.
func defaultRBAC(c *rest.Call) bool { return strings.ToLower(c.Query("api-version")) >= "2026-02-01" }

// free refuses names that a vault cannot have, or that another one has.
// Source: VaultAlreadyExists: Esri/arcgis-gitops#174 (2025-02) and, with another last sentence,
// Azure/azure-powershell#15115; VaultNameNotValid is in many logs; ConflictError of a vault that
// was deleted is in many logs with this link, its status 409 in terraform-provider-azurerm's issues.
func (s *service) free(c *rest.Call, i *rest.Item, p rest.Properties) *resource.Failure {
	name := i.Name
	if !validName(name) {
		return rest.BadRequest("VaultNameNotValid", fmt.Sprintf("The vault name '%s' is invalid. A vault's name must be between 3-24 alphanumeric characters. The name must begin with a letter, end with a letter or digit, and not contain consecutive hyphens. Follow this link for more information: https://go.microsoft.com/fwlink/?linkid=2147742", name), "A vault has a name that Azure does not take.")
	}
	old, binned := s.binned(name)
	recover := p.Text("createMode") == "recover"
	switch {
	case recover && binned && strings.EqualFold(old.ID, i.ID):
		return s.recover(i, old, p)
	case recover:
		return resource.Fail(http.StatusNotFound, "DeletedVaultNotFound", fmt.Sprintf("The specified deleted vault '%s' does not exist.", name), "There is no deleted vault of this id.", "Leave createMode out to create one.") // text inferred
	case binned && old.Tenant == c.Caller.Tenant && strings.EqualFold(old.ID, i.ID):
		return resource.Fail(http.StatusConflict, "ConflictError", "A vault with the same name already exists in deleted state. You need to either recover or purge existing key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information on soft delete.",
			"The vault was deleted, and is kept for its retention.", "az keyvault recover or az keyvault purge; azurerm does so by the features of its key_vault block.")
	case binned || slices.Contains(s.door().Names(), strings.ToLower(name)):
		return resource.Fail(http.StatusConflict, "VaultAlreadyExists", taken(name), "Another vault has this name.", "Take another name, or purge the one that was deleted.")
	}
	return nil
}

func validName(name string) bool {
	return len(name) >= 3 && len(name) <= 24 && vaultName.MatchString(name) && !strings.Contains(name, "--")
}

func taken(name string) string {
	return fmt.Sprintf("The vault name '%s' is already in use. Vault names are globally unique so it is possible that the name is already taken. If you are sure that the vault name was not taken then it is possible that a vault with the same name was recently deleted but not purged after being placed in a recoverable state. If the vault is in a recoverable state then the vault will need to be purged before reusing the name. For more information about VaultAlreadyExists, soft delete and purging a vault follow this link https://go.microsoft.com/fwlink/?linkid=2147740.", name)
}

// recover has a vault be what it was before it was deleted, with its content. What the body asks
// besides is not looked at. Role assignments do not come back.
// Source: learn.microsoft.com, key-vault/general/key-vault-recovery.
func (s *service) recover(i *rest.Item, old rest.Item, p rest.Properties) *resource.Failure {
	clear(p)
	for name, value := range old.Has() {
		p[name] = value
	}
	i.Location, i.Tags, i.Made, i.MadeBy = old.Location, old.Tags, old.Made, old.MadeBy
	return nil
}

func (s *service) completeSKU(p rest.Properties) *resource.Failure {
	var sku struct {
		Family string `json:"family"`
		Name   string `json:"name"`
	}
	ok, err := p.Read("sku", &sku)
	name := strings.ToLower(sku.Name)
	switch {
	case err != nil || !ok || sku.Name == "":
		return bad("The parameter properties.sku is not specified.", "A vault has a sku: {family: A, name: standard}.")
	case name != "standard" && name != "premium" || !strings.EqualFold(sku.Family, "A"):
		return bad(fmt.Sprintf("The sku '%s' of family '%s' is invalid.", sku.Name, sku.Family), "A vault's sku is standard or premium, of family A.")
	}
	sku.Family = "A"
	p.Set("sku", sku)
	return nil
}

// retention completes soft delete, which cannot be switched off, and its days, which cannot change.
// Source: learn.microsoft.com, key-vault/general/soft-delete-overview; the texts are inferred.
func retention(p rest.Properties, was *rest.Item) *resource.Failure {
	days := 90
	if _, err := p.Read("softDeleteRetentionInDays", &days); err != nil || days < 7 || days > 90 {
		return bad("The parameter properties.softDeleteRetentionInDays is invalid. It must be between 7 and 90.", "A deleted vault is kept for 7 to 90 days.")
	}
	protected := false
	if _, err := p.Read("enablePurgeProtection", &protected); err != nil {
		return bad("The parameter properties.enablePurgeProtection is not a boolean.", err.Error())
	}
	if was != nil {
		before := was.Has()
		old, locked := days, false
		_, _ = before.Read("softDeleteRetentionInDays", &old) // which this has written
		_, _ = before.Read("enablePurgeProtection", &locked)
		switch {
		case old != days:
			return bad("The property \"softDeleteRetentionInDays\" has been set already and it can't be modified.", "A vault keeps its retention.")
		case locked && !protected:
			return bad("The property \"enablePurgeProtection\" cannot be set to false. Enabling the purge protection for a vault is an irreversible action.", "Purge protection stays on.")
		}
	}
	p.Set("softDeleteRetentionInDays", days)
	p.Set("enableSoftDelete", true)
	if !protected {
		p.Drop("enablePurgeProtection") // which Azure leaves out
	}
	return nil
}

// readPolicies checks the access policies of a vault.
// Source: the text of wrong permissions: Azure/azure-libraries-for-net#361; that of an object id:
// alexander-kastil/az-204#142.
func readPolicies(p rest.Properties, required bool) ([]policy, *resource.Failure) {
	all := []policy{}
	ok, err := p.Read("accessPolicies", &all)
	switch {
	case err != nil:
		return nil, bad("An invalid value was provided for 'accessPolicies'.", err.Error())
	case !ok && required:
		return nil, bad("The parameter properties.accessPolicies is not specified.", "A vault in the permission model of access policies has a list of them, which may be empty.") // text inferred
	case len(all) > 1024:
		return nil, bad("An invalid value was provided for 'accessPolicies'.", fmt.Sprintf("A vault has 1024 access policies at most, found %d.", len(all)))
	}
	if all == nil {
		all = []policy{}
	}
	for n, one := range all {
		switch {
		case !rest.IsGUID(one.ObjectID):
			return nil, bad(fmt.Sprintf("Invalid value found at accessPolicies[%d].ObjectId: %s", n, one.ObjectID), "An access policy is for an object id, which is a GUID.")
		case uuid.Validate(one.TenantID) != nil:
			return nil, bad(fmt.Sprintf("Invalid value found at accessPolicies[%d].TenantId: %s", n, one.TenantID), "An access policy names a tenant by its id.")
		}
		for _, list := range []struct{ given, known []string }{
			{one.Permissions.Keys, vaults.KeyPermissions()}, {one.Permissions.Secrets, vaults.Permissions()},
			{one.Permissions.Certificates, vaults.CertificatePermissions()}, {one.Permissions.Storage, storagePermissions},
		} {
			for _, given := range list.given {
				if !strings.EqualFold(given, "all") && !slices.ContainsFunc(list.known, func(known string) bool { return strings.EqualFold(known, given) }) {
					return nil, bad("An invalid value was provided for 'accessPolicies'.", fmt.Sprintf("accessPolicies[%d].permissions: expected one of all, %s, found %q.", n, strings.Join(list.known, ", "), given))
				}
			}
		}
	}
	return all, nil
}

func bad(message, meaning string) *resource.Failure {
	return rest.BadRequest("BadRequest", message, meaning)
}

// open has a vault be served as it is now.
func (s *service) open(i rest.Item) error {
	p := i.Has()
	rbac := false
	if _, err := p.Read("enableRbacAuthorization", &rbac); err != nil {
		return fmt.Errorf("properties.enableRbacAuthorization: %w", err)
	}
	v := vaults.Vault{Name: i.Name, Tenant: i.Tenant, ID: i.ID, Policies: !rbac}
	if !rbac {
		var all []policy
		if _, err := p.Read("accessPolicies", &all); err != nil {
			return fmt.Errorf("properties.accessPolicies: %w", err)
		}
		for _, one := range all {
			if strings.EqualFold(one.TenantID, i.Tenant) && one.ApplicationID == "" { // a compound identity is of a user
				v.Access = append(v.Access, vaults.Access{
					ObjectID: one.ObjectID, Permissions: every(one.Permissions.Secrets, vaults.Permissions()),
					Keys: every(one.Permissions.Keys, vaults.KeyPermissions()), Certificates: every(one.Permissions.Certificates, vaults.CertificatePermissions()),
				})
			}
		}
	}
	return s.door().Serve(v)
}

// every replaces the permission all by all that it stood for, which was without purge.
// Source: azure-rest-api-specs, keyvault.json of 2016-10-01, Permissions ("all").
func every(given, known []string) []string {
	if !slices.ContainsFunc(given, func(p string) bool { return strings.EqualFold(p, "all") }) {
		return given
	}
	return slices.DeleteFunc(slices.Clone(known), func(p string) bool { return p == "purge" })
}

// close puts a vault into the bin.
func (s *service) close(i rest.Item) error {
	s.door().Retire(i.Name)
	return nil
}

// configured are the vaults of wiemu.yaml in a tenant.
func (s *service) configured(tenant string) (all []rest.Item) {
	for _, v := range s.door().Vaults() {
		if v.Tenant != tenant || v.ID == "" {
			continue
		}
		p := rest.Properties{}
		p.Set("sku", map[string]string{"family": "A", "name": "standard"})
		p.Set("tenantId", tenant)
		shown := []policy{}
		for _, a := range v.Access {
			if principal, ok := s.Kit.Directory.Principal(tenant, a.ClientID); ok && a.ObjectID == "" {
				a.ObjectID = principal.ObjectID
			}
			if v.Policies && a.ObjectID != "" && a.ObjectID != "*" {
				shown = append(shown, policy{TenantID: tenant, ObjectID: a.ObjectID, Permissions: permissions{Keys: a.Keys, Secrets: a.Permissions, Certificates: a.Certificates}})
			}
		}
		p.Set("accessPolicies", shown)
		p.Set("enableRbacAuthorization", !v.Policies)
		p.Set("enableSoftDelete", true)
		p.Set("vaultUri", "https://"+strings.ToLower(v.Name)+"."+s.Kit.Cloud().Vault+"/")
		p.Set("provisioningState", "Succeeded")
		all = append(all, s.OfConfiguration(s.kind, tenant, v.ID, v.Name, p))
	}
	return all
}

// changePolicies adds, replaces or removes access policies: add joins the permissions of an object
// id with those that it has, replace puts others in their place, remove takes them away.
// Source: azure-rest-api-specs, keyvault.json, Vaults_UpdateAccessPolicy and its example
// updateAccessPoliciesAdd.json.
func (s *service) changePolicies(c *rest.Call) (rest.Reply, *resource.Failure) {
	verb := strings.ToLower(c.Vars["operation"])
	var asked struct {
		Properties rest.Properties `json:"properties"`
	}
	if failed := c.Read(&asked); failed != nil {
		return rest.Reply{}, failed
	}
	if !slices.Contains([]string{"add", "replace", "remove"}, verb) {
		return rest.Reply{}, bad(fmt.Sprintf("The access policy operation '%s' is invalid.", c.Name("operation")), "Access policies are changed by add, replace and remove.") // text inferred
	}
	given, failed := readPolicies(asked.Properties, true)
	if failed != nil {
		return rest.Reply{}, failed
	}
	var now []policy
	i, failed := c.Change(s.kind, func(p rest.Properties) *resource.Failure {
		had, failed := readPolicies(p, false)
		now = changed(had, given, verb)
		p.Set("accessPolicies", now)
		return failed
	})
	if failed != nil {
		return rest.Reply{}, failed
	}
	return rest.Reply{Body: struct {
		ID         string `json:"id"`
		Type       string `json:"type"`
		Properties any    `json:"properties"`
	}{i.ID + "/accessPolicies/", namespace + "/vaults/accessPolicies", map[string][]policy{"accessPolicies": now}}}, nil
}

// changed are the access policies of a vault after a change of those that are given.
func changed(all, given []policy, verb string) []policy {
	all = slices.Clone(all)
	for _, one := range given {
		n := slices.IndexFunc(all, func(o policy) bool {
			return strings.EqualFold(o.ObjectID, one.ObjectID) && strings.EqualFold(o.TenantID, one.TenantID) && strings.EqualFold(o.ApplicationID, one.ApplicationID)
		})
		switch {
		case n < 0 && verb != "remove":
			all = append(all, one)
		case n < 0:
		case verb == "replace":
			all[n] = one
		case verb == "add":
			all[n].Permissions = all[n].Permissions.combine(one.Permissions, joined)
		default:
			all[n].Permissions = all[n].Permissions.combine(one.Permissions, without)
			if left := all[n].Permissions; len(left.Keys)+len(left.Secrets)+len(left.Certificates)+len(left.Storage) == 0 {
				all = slices.Delete(all, n, n+1)
			}
		}
	}
	return all
}

func (p permissions) combine(o permissions, by func(a, b []string) []string) permissions {
	return permissions{by(p.Keys, o.Keys), by(p.Secrets, o.Secrets), by(p.Certificates, o.Certificates), by(p.Storage, o.Storage)}
}

func joined(a, b []string) []string {
	a = slices.Clone(a)
	for _, one := range b {
		if !slices.ContainsFunc(a, func(o string) bool { return strings.EqualFold(o, one) }) {
			a = append(a, one)
		}
	}
	return a
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(one string) bool {
		return slices.ContainsFunc(b, func(o string) bool { return strings.EqualFold(o, one) })
	})
}

// checkName says whether a vault can have a name.
// Source: azure-rest-api-specs, keyvault.json, CheckNameAvailabilityResult; the texts are those of the refusals.
func (s *service) checkName(c *rest.Call) (rest.Reply, *resource.Failure) {
	_, _, found, failed := c.CheckName(func(name string) (reason, message string) {
		_, binned := s.binned(name)
		switch {
		case !validName(name):
			return "AccountNameInvalid", fmt.Sprintf("The vault name '%s' is invalid.", name)
		case binned || slices.Contains(s.door().Names(), strings.ToLower(name)):
			return "AlreadyExists", taken(name)
		}
		return "", ""
	})
	return rest.Reply{Body: found}, failed
}

// binned is the deleted vault of a name, of any tenant.
func (s *service) binned(name string) (rest.Item, bool) {
	s.forgetExpired()
	all := s.Items(s.kind.Type, func(i *rest.Item) bool { return !i.Deleted.IsZero() && strings.EqualFold(i.Name, name) })
	if len(all) == 0 {
		return rest.Item{}, false
	}
	return all[0], true
}

// purges is when a deleted vault is gone for good.
func purges(i rest.Item) time.Time {
	days := 90
	_, _ = i.Has().Read("softDeleteRetentionInDays", &days) // which make has written
	return i.Deleted.AddDate(0, 0, days)
}

// forgetExpired purges the vaults whose time in the bin is over.
func (s *service) forgetExpired() {
	now := s.Kit.Clock.Now()
	for _, i := range s.Items(s.kind.Type, func(i *rest.Item) bool { return !i.Deleted.IsZero() && !now.Before(purges(*i)) }) {
		if gone, err := s.ForgetDeleted(i); gone && err == nil { // else the next time
			s.door().Purge(i.Name)
		}
	}
}

// deletedVault in the order of the provider's members.
// Source: azure-rest-api-specs, keyvault.json, DeletedVault.
type deletedVault struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Properties struct {
		VaultID            string            `json:"vaultId"`
		Location           string            `json:"location"`
		Tags               map[string]string `json:"tags"`
		DeletionDate       string            `json:"deletionDate"`
		ScheduledPurgeDate string            `json:"scheduledPurgeDate"`
		PurgeProtection    json.RawMessage   `json:"purgeProtectionEnabled,omitempty"`
	} `json:"properties"`
}

func shownDeleted(i rest.Item) deletedVault {
	made := deletedVault{Name: i.Name, Type: namespace + "/deletedVaults"}
	made.ID = fmt.Sprintf("/subscriptions/%s/providers/%s/locations/%s/deletedVaults/%s", strings.Split(i.ID, "/")[2], namespace, i.Location, i.Name)
	made.Properties.VaultID, made.Properties.Location, made.Properties.Tags = i.ID, i.Location, i.Tags
	made.Properties.DeletionDate = i.Deleted.UTC().Format("2006-01-02T15:04:05Z")
	made.Properties.ScheduledPurgeDate = purges(i).UTC().Format("2006-01-02T15:04:05Z")
	made.Properties.PurgeProtection = i.Has()["enablePurgeProtection"]
	return made
}

func (s *service) listDeleted(c *rest.Call) (rest.Reply, *resource.Failure) {
	s.forgetExpired()
	at := "/subscriptions/" + c.Vars["subscription"] + "/"
	all := []deletedVault{}
	for _, i := range s.Items(s.kind.Type, func(i *rest.Item) bool {
		return !i.Deleted.IsZero() && i.Tenant == c.Caller.Tenant && strings.HasPrefix(strings.ToLower(i.ID), at)
	}) {
		all = append(all, shownDeleted(i))
	}
	page, failed := rest.Page(c, all)
	return rest.Reply{Body: page}, failed
}

// inBin is the deleted vault that the path names.
// Source: DeletedVaultNotFound is what go-azure-sdk's and azure-cli's callers meet as 404; the text is inferred.
func (s *service) inBin(c *rest.Call) (rest.Item, *resource.Failure) {
	i, ok := s.binned(c.Vars["vault"])
	location := strings.ReplaceAll(c.Vars["location"], " ", "")
	if !ok || i.Tenant != c.Caller.Tenant || i.Location != location || !strings.HasPrefix(strings.ToLower(i.ID), "/subscriptions/"+c.Vars["subscription"]+"/") {
		return rest.Item{}, resource.Fail(http.StatusNotFound, "DeletedVaultNotFound", fmt.Sprintf("The specified deleted vault '%s' does not exist.", c.Name("vault")), "There is no deleted vault of this name in the region.", "Mind the subscription and the region.")
	}
	return i, nil
}

func (s *service) getDeleted(c *rest.Call) (rest.Reply, *resource.Failure) {
	i, failed := s.inBin(c)
	if failed != nil {
		return rest.Reply{}, failed
	}
	return rest.Reply{Body: shownDeleted(i)}, nil
}

// purge takes a deleted vault away for good.
// Source: MethodNotAllowed in many logs, such as those of terraform-provider-azurerm (405).
func (s *service) purge(c *rest.Call) (rest.Reply, *resource.Failure) {
	defer s.Making()()
	i, failed := s.inBin(c)
	if failed != nil {
		return rest.Reply{}, failed
	}
	protected := false
	_, _ = i.Has().Read("enablePurgeProtection", &protected) // which make has written
	if protected {
		return rest.Reply{}, resource.Fail(http.StatusMethodNotAllowed, "MethodNotAllowed", "Operation 'DeletedVaultPurge' is not allowed.", "The vault has purge protection.", "Wait for its retention, recover it, or take another name.")
	}
	if err := s.Forget(i); err != nil {
		return rest.Reply{}, rest.Unkept(err)
	}
	s.door().Purge(i.Name)
	return c.Later(s.kind, i, http.StatusAccepted, "Drop"), nil
}
