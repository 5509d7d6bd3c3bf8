package arm

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/tenants"
)

func (s *Service) subscriptionOperations() []rest.Operation {
	read := []string{http.MethodGet, http.MethodHead}
	return []rest.Operation{
		{Methods: read, Path: "/subscriptions", Verb: "list subscriptions", Serve: s.list},
		{Methods: read, Path: "/subscriptions/{subscription}", Verb: "get subscription", Serve: s.get},
		{Methods: read, Path: "/tenants", Verb: "list tenants", Serve: s.tenants},
		{Methods: read, Path: "/metadata/endpoints", Verb: "get the cloud's endpoints", Public: true, Serve: s.endpoints},
	}
}

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

func shown(s Subscription) subscription {
	return subscription{
		ID: "/subscriptions/" + s.ID, AuthorizationSource: "RoleBased", ManagedByTenants: []string{}, SubscriptionID: s.ID,
		TenantID: s.Tenant, DisplayName: s.Name, State: "Enabled",
		Policies: policies{LocationPlacementID: "Public_2014-09-01", QuotaID: "PayAsYouGo_2014-09-01", SpendingLimit: "Off"},
	}
}

// list are the subscriptions of the configuration that are in the caller's tenant. A tenant
// without one has its own, which is shown to who may read it.
func (s *Service) list(c *rest.Call) (rest.Reply, *resource.Failure) {
	found := list[subscription]{Value: []subscription{}}
	for _, s := range s.Subscriptions {
		if s.Tenant == c.Caller.Tenant {
			found.Value = append(found.Value, shown(s))
		}
	}
	if len(found.Value) == 0 {
		id := tenants.SubscriptionID(c.Caller.Tenant)
		own, _, ok := s.Subscription(id)
		reader := func(a roles.Assignment) bool {
			return a.Tenant == c.Caller.Tenant && (a.PrincipalID != "" && a.PrincipalID == strings.ToLower(c.Caller.ObjectID) || a.ClientID != "" && a.ClientID == strings.ToLower(c.Caller.ClientID)) && roles.Within("/subscriptions/"+id, a.Scope)
		}
		if ok && len(s.Kit.Roles.Assignments(reader)) > 0 {
			found.Value = append(found.Value, shown(own))
		}
	}
	found.Count = &count{Type: "Total", Value: len(found.Value)}
	return rest.Reply{Body: found}, nil
}

func (s *Service) get(c *rest.Call) (rest.Reply, *resource.Failure) {
	own, _, _ := s.Subscription(c.Vars["subscription"]) // Call.Allow refuses what there is not
	return rest.Reply{Body: shown(own)}, nil
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
func (s *Service) tenants(c *rest.Call) (rest.Reply, *resource.Failure) {
	own, ok := s.Kit.Directory.Tenant(c.Caller.Tenant)
	if !ok {
		return rest.Reply{Body: list[tenant]{Value: []tenant{}}}, nil // the validator knew it a moment ago
	}
	shown := tenant{ID: "/tenants/" + own.ID, TenantID: own.ID, DisplayName: own.DisplayName, Domains: own.Domains, Category: "Home", Type: "AAD"}
	if shown.Domains == nil {
		shown.Domains = []string{}
	}
	if len(own.Domains) > 0 {
		shown.DefaultDomain = own.Domains[0]
	}
	return rest.Reply{Body: list[tenant]{Value: []tenant{shown}}}, nil
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
func (s *Service) endpoints(*rest.Call) (rest.Reply, *resource.Failure) {
	in := s.Kit.Cloud()
	return rest.Reply{Body: json.RawMessage(strings.NewReplacer(
		"{name}", in.Name, "{login}", in.Login, "{management}", in.Management[0], "{management-core}", in.Management[1],
		"{aadgraph}", in.AADGraph, "{graph}", in.Graph, "{vault}", in.Vault, "{storage}", in.Storage, "{sql}", in.SQL,
	).Replace(cloudDocument))}, nil
}
