// Package storage is the resource provider Microsoft.Storage: accounts with their containers and
// queues. An account that is made here answers at its hosts at once; what it holds is not kept over
// a restart, besides its containers and queues that were made here, which are empty then. Access
// keys are shown to who may list them, and open nothing: wiemu's accounts take tokens of Entra ID.
// Network rules, encryption and management policies are taken and have no effect.
//
// Source of requests and answers: azure-cli, src/azure-cli/azure/cli/command_modules/storage/
// tests/latest/recordings (test_create_storage_account.yaml of 2022-05,
// test_storage_account_show_exit_codes.yaml of 2025-02), unless another one stands beside it.
package storage

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	accounts "github.com/wiemu/wiemu/internal/resource/storage"
)

const namespace = "Microsoft.Storage"

// versions of the type. Source: azure-rest-api-specs, specification/storage/resource-manager, and
// azure-cli 2.91.0, which asks for 2025-08-01.
var versions = strings.Fields("2015-05-01-preview 2015-06-15 2016-01-01 2016-05-01 2016-12-01 2017-06-01 2017-10-01 2018-02-01 2018-03-01-preview 2018-07-01 2018-11-01 2019-04-01 2019-06-01 2020-08-01-preview 2021-01-01 2021-02-01 2021-04-01 2021-05-01 2021-06-01 2021-08-01 2021-09-01 2022-05-01 2022-09-01 2023-01-01 2023-04-01 2023-05-01 2024-01-01 2025-01-01 2025-06-01 2025-08-01")

type service struct {
	*rest.Manager
	kind *rest.Kind
}

// New returns the provider.
func New(m *rest.Manager) rest.Provider {
	s := &service{Manager: m}
	s.kind = &rest.Kind{
		Type: namespace + "/storageAccounts", Title: "storage account", Versions: versions, Async: rest.Async{Made: http.StatusAccepted, Result: "asyncoperations"},
		Make: s.make, Open: s.open, Close: s.close, Configured: s.configured,
	}
	p := m.NewProvider(namespace, s.kind)
	const one = "/subscriptions/{subscription}/resourcegroups/{group}/providers/microsoft.storage/storageaccounts/{name0}"
	p.Add(http.MethodPost, "/subscriptions/{subscription}/providers/microsoft.storage/checknameavailability", "check the name of a storage account", "checknameavailability/read", versions, s.checkName)
	p.Add(http.MethodPost, one+"/listkeys", "list keys of storage account", "storageAccounts/listkeys/action", versions, rest.On(s.kind.Find, s.listKeys))
	for _, of := range parts {
		services, items, _ := strings.Cut(of.kind, "/")
		at := one + "/" + strings.ToLower(services) + "/default"
		action := "storageAccounts/" + of.kind + "/"
		in := func(serve func(*rest.Call, part) (rest.Reply, *resource.Failure)) func(*rest.Call) (rest.Reply, *resource.Failure) {
			return func(c *rest.Call) (rest.Reply, *resource.Failure) { return serve(c, of) }
		}
		p.Add(http.MethodGet, at, "get the "+string(of.of)+" service of storage account", "storageAccounts/"+services+"/read", versions, in(s.getService))
		p.Add(http.MethodGet, at+"/"+items, "list "+items+" of storage account", action+"read", versions, in(s.listParts))
		p.Add(http.MethodGet, at+"/"+items+"/{part}", "get "+of.title, action+"read", versions, in(s.getPart))
		p.Add(http.MethodPut, at+"/"+items+"/{part}", "create "+of.title, action+"write", versions, in(s.putPart))
		p.Add(http.MethodPatch, at+"/"+items+"/{part}", "update "+of.title, action+"write", versions, in(s.putPart))
		p.Add(http.MethodDelete, at+"/"+items+"/{part}", "delete "+of.title, action+"delete", versions, in(s.deletePart))
		p.Types = append(p.Types, rest.ResourceType{Name: "storageAccounts/" + of.kind, Versions: versions, Global: true})
	}
	open := p.Open
	p.Open = func() error {
		if err := open(); err != nil {
			return err
		}
		s.openParts()
		return nil
	}
	return p
}

// served are the accounts of the lab.
func (s *service) served() *accounts.Accounts {
	return s.Kit.Service(accounts.Name).(*accounts.Accounts)
}

// make checks what an account is asked to be.
// Source: the text of wrong names: Azure/azure-cli#10020, its code Azure/AzureMonitorStarterPacks#171
// (2024); StorageAccountAlreadyTaken: hashicorp/terraform#11485. InvalidSku and what is completed
// are inferred of the recordings.
func (s *service) make(c *rest.Call, i, was *rest.Item, p rest.Properties) *resource.Failure {
	if was == nil {
		switch _, id, ok := s.served().Account(i.Name); {
		case !accounts.ValidAccount(i.Name):
			return rest.BadRequest("AccountNameInvalid", i.Name+invalid, "A storage account has a name that Azure does not take.")
		case ok:
			return resource.Fail(http.StatusConflict, "StorageAccountAlreadyTaken", taken(i.Name), "Another storage account has this name: "+id+".", "Take another name.")
		}
	}
	var sku struct {
		Name string `json:"name"`
		Tier string `json:"tier"`
	}
	if err := json.Unmarshal(i.SKU, &sku); err != nil || !slices.Contains(skus, sku.Name) {
		return rest.BadRequest("InvalidRequestPropertyValue", fmt.Sprintf("The value '%s' is not allowed for property sku.name.", sku.Name), "The sku of a storage account is one of "+strings.Join(skus, ", ")+".")
	}
	sku.Tier, _, _ = strings.Cut(sku.Name, "_")
	i.SKU, _ = json.Marshal(sku) // it was read from JSON
	if i.Kind == "" {
		i.Kind = "Storage"
		if c.Query("api-version") >= "2018-02-01" {
			i.Kind = "StorageV2"
		}
	}
	if !slices.Contains([]string{"Storage", "StorageV2", "BlobStorage", "FileStorage", "BlockBlobStorage"}, i.Kind) {
		return rest.BadRequest("InvalidRequestPropertyValue", fmt.Sprintf("The value '%s' is not allowed for property kind.", i.Kind), "The kind of a storage account is Storage, StorageV2, BlobStorage, FileStorage or BlockBlobStorage.")
	}
	if was != nil { // a PUT of one that is there changes what it names
		now := was.ReadProperties()
		now.Merge(p)
		p.Merge(now)
	}
	s.complete(i, p)
	return nil
}

const invalid = " is not a valid storage account name. Storage account name must be between 3 and 24 characters in length and use numbers and lower-case letters only."

func taken(name string) string {
	return fmt.Sprintf("The storage account named %s is already taken.", name)
}

// skus of storage accounts. Source: azure-rest-api-specs, storage.json of 2024-01-01, SkuName.
var skus = strings.Fields("Standard_LRS Standard_GRS Standard_RAGRS Standard_ZRS Premium_LRS Premium_ZRS Standard_GZRS Standard_RAGZRS StandardV2_LRS StandardV2_GRS StandardV2_ZRS StandardV2_GZRS PremiumV2_LRS PremiumV2_ZRS")

// complete fills in what Azure does.
func (s *service) complete(i *rest.Item, p rest.Properties) {
	made := rest.Time(i.Made)
	p.Default("keyCreationTime", map[string]string{"key1": made, "key2": made})
	p.Default("privateEndpointConnections", []any{})
	p.Default("minimumTlsVersion", "TLS1_0")
	p.Default("allowBlobPublicAccess", false)
	p.Default("networkAcls", map[string]any{"bypass": "AzureServices", "virtualNetworkRules": []any{}, "ipRules": []any{}, "defaultAction": "Allow"})
	p.Default("supportsHttpsTrafficOnly", true)
	enabled := map[string]any{"keyType": "Account", "enabled": true, "lastEnabledTime": made}
	p.Set("encryption", map[string]any{"services": map[string]any{"file": enabled, "blob": enabled}, "keySource": "Microsoft.Storage"})
	if i.Kind != "Storage" {
		p.Default("accessTier", "Hot")
	}
	p.Set("provisioningState", "Succeeded")
	p.Set("creationTime", made)
	endpoints := map[string]string{}
	for _, service := range []accounts.Service{accounts.Blob, accounts.Queue, accounts.Table, accounts.File, accounts.DFS} {
		endpoints[string(service)] = fmt.Sprintf("https://%s.%s.%s/", i.Name, service, s.Kit.Cloud().Storage)
	}
	p.Set("primaryEndpoints", endpoints)
	p.Set("primaryLocation", i.Location)
	p.Set("statusOfPrimary", "available")
}

func (s *service) open(i rest.Item) error {
	if _, id, ok := s.served().Account(i.Name); ok {
		if strings.EqualFold(id, i.ID) {
			return nil
		}
		return fmt.Errorf("%w: expected one that no other storage account has, found that of %s", resource.ErrNameTaken, id)
	}
	return s.served().Put(accounts.Account{Name: i.Name, Tenant: i.Tenant, ResourceID: i.ID, Access: accounts.AccessList{}})
}

func (s *service) close(i rest.Item) error {
	s.served().Remove(i.Name)
	return nil
}

// configured are the accounts of wiemu.yaml in a tenant.
func (s *service) configured(tenant string) (all []rest.Item) {
	for _, name := range s.served().Names() {
		of, id, ok := s.served().Account(name)
		if !ok || of != tenant {
			continue
		}
		i := rest.Item{ID: id, Tenant: tenant, Type: s.kind.Type, Name: name, Kind: "StorageV2", SKU: json.RawMessage(`{"name":"Standard_LRS","tier":"Standard"}`), Tags: map[string]string{}}
		i.Location = s.Region(i)
		p := rest.Properties{}
		s.complete(&i, p)
		i.SetProperties(p)
		all = append(all, i)
	}
	return all
}

func (s *service) checkName(c *rest.Call) (rest.Reply, *resource.Failure) {
	_, _, found, failed := c.CheckName(func(name string) (reason, message string) {
		switch {
		case !accounts.ValidAccount(name):
			return "AccountNameInvalid", name + invalid
		case s.served().Has(name):
			return "AlreadyExists", taken(name)
		}
		return "", ""
	})
	return rest.Reply{Body: found}, failed
}

// key in the order of the provider's members.
// Source: azure-rest-api-specs, storage.json, StorageAccountKey.
type key struct {
	Created     string `json:"creationTime"`
	Name        string `json:"keyName"`
	Value       string `json:"value"`
	Permissions string `json:"permissions"`
}

// listKeys shows keys of the form of Azure's. The account does not take them.
func (s *service) listKeys(_ *rest.Call, i rest.Item) (rest.Reply, *resource.Failure) {
	var all []key
	for _, name := range []string{"key1", "key2"} {
		all = append(all, key{rest.Time(i.Made), name, s.AccessKey(i, "storage account "+i.Name, name, 64), "FULL"})
	}
	return rest.Reply{Body: map[string][]key{"keys": all}}, nil
}
