package arm

import (
	"github.com/google/uuid"
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

func (c *call) list() (any, *failure) {
	found := list[subscription]{Value: []subscription{}}
	for _, s := range c.subscriptions {
		if s.Tenant == c.caller.Tenant {
			found.Value = append(found.Value, s.shown())
		}
	}
	found.Count = &count{Type: "Total", Value: len(found.Value)}
	return found, nil
}

func (c *call) get() (any, *failure) {
	id := c.vars["subscription"]
	if _, err := uuid.Parse(id); err != nil {
		return nil, invalidSubscription(id)
	}
	for _, s := range c.subscriptions {
		switch {
		case s.ID != id:
		case s.Tenant != c.caller.Tenant:
			return nil, c.wrongTenant(s.Tenant)
		default:
			return s.shown(), nil
		}
	}
	return nil, unknownSubscription(id)
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
func (c *call) tenants() (any, *failure) {
	own, ok := c.directory.Tenant(c.caller.Tenant)
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

func (c *call) unknown() (any, *failure) { return nil, notEmulated(c.r) }
