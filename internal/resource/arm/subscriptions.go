package arm

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/resource"
)

// list of values, as Resource Manager gives it.
type list[T any] struct {
	Value []T    `json:"value"`
	Count *count `json:"count,omitempty"`
}

type count struct {
	Type  string `json:"type"`
	Value int    `json:"value"`
}

// subscription in the order of Resource Manager's members.
// Source: Azure REST reference, Subscriptions - List, 2022-12-01
type subscription struct {
	ID                  string   `json:"id"`
	AuthorizationSource string   `json:"authorizationSource"`
	ManagedByTenants    []string `json:"managedByTenants"`
	SubscriptionID      string   `json:"subscriptionId"`
	TenantID            string   `json:"tenantId"`
	DisplayName         string   `json:"displayName"`
	State               string   `json:"state"`
	Policies            policies `json:"subscriptionPolicies"`
}

type policies struct {
	LocationPlacementID string `json:"locationPlacementId"`
	QuotaID             string `json:"quotaId"`
	SpendingLimit       string `json:"spendingLimit"`
}

func (s Subscription) shown() subscription {
	return subscription{
		ID: "/subscriptions/" + s.ID, AuthorizationSource: "RoleBased", ManagedByTenants: []string{}, SubscriptionID: s.ID,
		TenantID: s.Tenant, DisplayName: s.Name, State: "Enabled",
		Policies: policies{LocationPlacementID: "Public_2014-09-01", QuotaID: "PayAsYouGo_2014-09-01", SpendingLimit: "Off"},
	}
}

func (c *call) list() (any, *resource.Failure) {
	found := list[subscription]{Value: []subscription{}}
	for _, s := range c.subscriptions {
		if s.Tenant == c.Caller.Tenant {
			found.Value = append(found.Value, s.shown())
		}
	}
	found.Count = &count{Type: "Total", Value: len(found.Value)}
	return found, nil
}

func (c *call) get() (any, *resource.Failure) {
	id := c.Vars["subscription"]
	if _, err := uuid.Parse(id); err != nil {
		return nil, resource.Fail(http.StatusBadRequest, "InvalidSubscriptionId", fmt.Sprintf("The provided subscription identifier '%s' is malformed or invalid.", id),
			"A subscription id is a GUID.", "")
	}
	for _, s := range c.subscriptions {
		switch {
		case s.ID != id:
		case s.Tenant != c.Caller.Tenant:
			return nil, c.wrongTenant(s.Tenant)
		default:
			return s.shown(), nil
		}
	}
	return nil, resource.Fail(http.StatusNotFound, "SubscriptionNotFound", fmt.Sprintf("The subscription '%s' could not be found.", id),
		"The configuration has no such subscription.", "Add it to subscriptions in wiemu.yaml.")
}

// tenant in the order of Resource Manager's members.
// Source: Azure REST reference, Tenants - List, 2022-12-01
type tenant struct {
	ID            string   `json:"id"`
	TenantID      string   `json:"tenantId"`
	CountryCode   string   `json:"countryCode,omitempty"`
	DisplayName   string   `json:"displayName"`
	Domains       []string `json:"domains"`
	Category      string   `json:"tenantCategory"`
	DefaultDomain string   `json:"defaultDomain,omitempty"`
	Type          string   `json:"tenantType"`
}

// tenants is the caller's own: an application acts in one tenant at a time.
func (c *call) tenants() (any, *resource.Failure) {
	own, ok := c.kit.Directory.Tenant(c.Caller.Tenant)
	if !ok {
		return list[tenant]{Value: []tenant{}}, nil // the validator knew it a moment ago
	}
	shown := tenant{ID: "/tenants/" + own.ID, TenantID: own.ID, DisplayName: own.DisplayName, Domains: own.Domains, Category: "Home", Type: "AAD"}
	if shown.Domains == nil {
		shown.Domains = []string{}
	}
	if len(own.Domains) > 0 {
		shown.DefaultDomain = own.Domains[0]
	}
	return list[tenant]{Value: []tenant{shown}}, nil
}

func (c *call) unknown() (any, *resource.Failure) {
	return nil, resource.Fail(http.StatusNotFound, "NotFound", fmt.Sprintf("%s %s is not emulated.", c.Request.Method, c.Request.URL.Path),
		"This Resource Manager has subscriptions, tenants and the cloud's endpoints, to be read.", "")
}

// cloudDocument describes Azure's addresses to tools that are told only this one
// (ARM_METADATA_HOST, ARM_CLOUD_METADATA_URL).
// Source: what management.azure.com/metadata/endpoints?api-version=2022-09-01 answers,
// as hashicorp/go-azure-sdk and Azure CLI read it (azure.cli.core.cloud).
//
//go:embed endpoints.json
var cloudDocument string

// endpoints answers with the addresses of the lab's cloud in what is emulated, and else
// with the public one's: a list up to 2022-09-01's version, one object before.
func (c *call) endpoints() (any, *resource.Failure) {
	in := c.kit.Cloud()
	return json.RawMessage(strings.NewReplacer(
		"{name}", in.Name, "{login}", in.Login, "{management}", in.Management[0], "{management-core}", in.Management[1],
		"{aadgraph}", in.AADGraph, "{graph}", in.Graph, "{vault}", in.Vault, "{storage}", in.Storage, "{sql}", in.SQL,
	).Replace(cloudDocument)), nil
}
