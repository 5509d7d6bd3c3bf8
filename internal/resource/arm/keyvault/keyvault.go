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
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/lazyregexp"
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

	expiring sync.Mutex // held while vaults are forgotten whose time in the bin is over
}

// New returns the provider.
func New(m *rest.Manager) rest.Provider {
	s := &service{Manager: m}
	s.kind = &rest.Kind{
		Type: namespace + "/vaults", Title: "key vault", Versions: versions, Async: rest.Async{Made: http.StatusOK, Result: "operationResults"},
		Make: s.make, Open: s.open, Close: s.close, Configured: s.configured,
		Bin: func(i rest.Item) bool { return true },
	}
	p := m.NewProvider(namespace, s.kind)
	p.Types = append(p.Types, rest.ResourceType{Name: "vaults/accessPolicies", Versions: versions, Global: true}, rest.ResourceType{Name: "deletedVaults", Versions: versions, Global: true})
	const subscription = "/subscriptions/{subscription}/providers/microsoft.keyvault"
	const deleted = subscription + "/locations/{location}/deletedvaults/{vault}"
	p.Add(http.MethodPut, "/subscriptions/{subscription}/resourcegroups/{group}/providers/microsoft.keyvault/vaults/{name0}/accesspolicies/{operation}", "change access policies of key vault", "vaults/accessPolicies/write", versions, rest.On(rest.PropertiesOf[rest.Properties], s.changePolicies))
	p.Add(http.MethodPost, subscription+"/checknameavailability", "check the name of a key vault", "checkNameAvailability/read", versions, s.checkName)
	p.Add(http.MethodGet, subscription+"/deletedvaults", "list deleted key vaults", "deletedVaults/read", versions, s.listDeleted)
	p.Add(http.MethodGet, deleted, "get deleted key vault", "locations/deletedVaults/read", versions, rest.On(s.inBin, s.getDeleted))
	p.Add(http.MethodPost, deleted+"/purge", "purge key vault", "locations/deletedVaults/purge/action", versions, s.purge)
	open := p.Open
	p.Open = func() error { s.forgetExpired(); return open() }
	return p
}

// served are the vaults of the lab.
func (s *service) served() *vaults.Service { return s.Kit.Service(vaults.Name).(*vaults.Service) }

var vaultName = lazyregexp.New(`^[A-Za-z][A-Za-z0-9-]+[A-Za-z0-9]$`)

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
	case binned || slices.Contains(s.served().Names(), strings.ToLower(name)):
		return resource.Fail(http.StatusConflict, "VaultAlreadyExists", taken(name), "Another vault has this name.", "Take another name, or purge the one that was deleted.")
	}
	return nil
}

func validName(name string) bool {
	return len(name) >= 3 && len(name) <= 24 && vaultName().MatchString(name) && !strings.Contains(name, "--")
}

func taken(name string) string {
	return fmt.Sprintf("The vault name '%s' is already in use. Vault names are globally unique so it is possible that the name is already taken. If you are sure that the vault name was not taken then it is possible that a vault with the same name was recently deleted but not purged after being placed in a recoverable state. If the vault is in a recoverable state then the vault will need to be purged before reusing the name. For more information about VaultAlreadyExists, soft delete and purging a vault follow this link https://go.microsoft.com/fwlink/?linkid=2147740.", name)
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

func bad(message, meaning string) *resource.Failure {
	return rest.BadRequest("BadRequest", message, meaning)
}

// open has a vault be served as it is now.
func (s *service) open(i rest.Item) error {
	p := i.ReadProperties()
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
	return s.served().Serve(v)
}

// close puts a vault into the bin.
func (s *service) close(i rest.Item) error {
	s.served().Retire(i.Name)
	return nil
}

// configured are the vaults of wiemu.yaml in a tenant.
func (s *service) configured(tenant string) (all []rest.Item) {
	for _, v := range s.served().Vaults() {
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

// checkName says whether a vault can have a name.
// Source: azure-rest-api-specs, keyvault.json, CheckNameAvailabilityResult; the texts are those of the refusals.
func (s *service) checkName(c *rest.Call) (rest.Reply, *resource.Failure) {
	_, _, found, failed := c.CheckName(func(name string) (reason, message string) {
		_, binned := s.binned(name)
		switch {
		case !validName(name):
			return "AccountNameInvalid", fmt.Sprintf("The vault name '%s' is invalid.", name)
		case binned || slices.Contains(s.served().Names(), strings.ToLower(name)):
			return "AlreadyExists", taken(name)
		}
		return "", ""
	})
	return rest.Reply{Body: found}, failed
}
