package arm

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/arm/rest"
)

// registered are resource providers that tools register a subscription for before they make
// anything, besides those that are served here. All are registered.
// Source: hashicorp/terraform-provider-azurerm, internal/resourceproviders/required.go (core).
var registered = strings.Fields(`Microsoft.ApiManagement Microsoft.AppConfiguration Microsoft.AppPlatform Microsoft.Automation Microsoft.AVS
	Microsoft.Batch Microsoft.Blueprint Microsoft.BotService Microsoft.Cache Microsoft.Cdn Microsoft.CognitiveServices Microsoft.Compute
	Microsoft.ContainerInstance Microsoft.ContainerRegistry Microsoft.ContainerService Microsoft.CostManagement Microsoft.CustomProviders
	Microsoft.Databricks Microsoft.DataFactory Microsoft.DataLakeAnalytics Microsoft.DataLakeStore Microsoft.DataMigration
	Microsoft.DataProtection Microsoft.DBforMariaDB Microsoft.DBforMySQL Microsoft.DBforPostgreSQL Microsoft.DesktopVirtualization
	Microsoft.Devices Microsoft.DevTestLab Microsoft.DocumentDB Microsoft.EventGrid Microsoft.EventHub Microsoft.GuestConfiguration
	Microsoft.HDInsight Microsoft.HealthcareApis Microsoft.Insights Microsoft.KeyVault Microsoft.Kusto Microsoft.Logic
	Microsoft.MachineLearningServices Microsoft.Maintenance Microsoft.ManagedServices Microsoft.Management Microsoft.Maps
	Microsoft.MarketplaceOrdering Microsoft.MixedReality Microsoft.Network Microsoft.NotificationHubs Microsoft.OperationalInsights
	Microsoft.OperationsManagement Microsoft.PolicyInsights Microsoft.PowerBIDedicated Microsoft.RecoveryServices Microsoft.Relay
	Microsoft.Resources Microsoft.Search Microsoft.Security Microsoft.SecurityInsights Microsoft.ServiceBus Microsoft.ServiceFabric
	Microsoft.SignalRService Microsoft.Sql Microsoft.Storage Microsoft.StreamAnalytics Microsoft.Web`)

func (s *Service) providerOperations() []rest.Operation {
	const one = "/subscriptions/{subscription}/providers/{namespace}"
	return []rest.Operation{
		{Methods: []string{http.MethodGet}, Path: "/subscriptions/{subscription}/providers", Verb: "list resource providers", Serve: s.listProviders},
		{Methods: []string{http.MethodGet}, Path: one, Verb: "get resource provider", Serve: s.getProvider},
		{Methods: []string{http.MethodPost}, Path: one + "/register", Verb: "register resource provider", Serve: s.getProvider},
	}
}

// provider in the order of Resource Manager's members.
// Source: Azure REST reference, Providers - Get, 2022-09-01
type provider struct {
	ID            string         `json:"id"`
	Namespace     string         `json:"namespace"`
	Policy        string         `json:"registrationPolicy"`
	ResourceTypes []resourceType `json:"resourceTypes"`
	State         string         `json:"registrationState"`
}

type resourceType struct {
	Type        string   `json:"resourceType"`
	Locations   []string `json:"locations"`
	APIVersions []string `json:"apiVersions"`
}

func (s *Service) provider(subscription, namespace string) (provider, bool) {
	made := provider{Policy: "RegistrationRequired", ResourceTypes: []resourceType{}, State: "Registered"}
	for _, p := range s.providers {
		if !strings.EqualFold(p.Namespace, namespace) {
			continue
		}
		made.Namespace = p.Namespace
		for _, t := range p.Types {
			newest := slices.Clone(t.Versions)
			slices.Reverse(newest)
			shown := resourceType{Type: t.Name, Locations: []string{}, APIVersions: newest}
			if !t.Global {
				shown.Locations = rest.Locations
			}
			made.ResourceTypes = append(made.ResourceTypes, shown)
		}
	}
	if i := slices.IndexFunc(registered, func(n string) bool { return strings.EqualFold(n, namespace) }); made.Namespace == "" && i >= 0 {
		made.Namespace = registered[i]
	}
	made.ID = "/subscriptions/" + subscription + "/providers/" + made.Namespace
	return made, made.Namespace != ""
}

func (s *Service) listProviders(c *rest.Call) (rest.Reply, *resource.Failure) {
	namespaces := slices.Clone(registered)
	for _, p := range s.providers {
		namespaces = append(namespaces, p.Namespace)
	}
	slices.Sort(namespaces)
	var all []provider
	for _, namespace := range slices.Compact(namespaces) {
		p, _ := s.provider(c.Vars["subscription"], namespace)
		all = append(all, p)
	}
	page, failed := rest.Page(c, all)
	return rest.Reply{Body: page}, failed
}

// getProvider is in the words of InvalidResourceNamespace of many logs.
func (s *Service) getProvider(c *rest.Call) (rest.Reply, *resource.Failure) {
	p, ok := s.provider(c.Vars["subscription"], c.Vars["namespace"])
	if !ok {
		return rest.Reply{}, resource.Fail(http.StatusNotFound, "InvalidResourceNamespace", fmt.Sprintf("The resource namespace '%s' is invalid.", c.Name("namespace")), "There is no such resource provider here.", "")
	}
	return rest.Reply{Body: p}, nil
}
