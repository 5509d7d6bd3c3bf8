package aadsts

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// tenants are the refusals of the place that is asked.
func tenants() []Entry {
	return []Entry{
		{
			Code: 900021, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "Requested tenant identifier '{tenant}' is not valid. Tenant identifiers may not be an empty GUID.",
			Meaning:    "The tenant in the address is the all-zero GUID.",
			Remedy:     "Put the tenant's id into AZURE_TENANT_ID; a template was probably not filled in.",
			Source:     "entra-docs error code reference; the status is inferred",
			Confidence: Inferred,
		},
		{
			Code: 900023, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain.",
			Meaning:    "The tenant in the address is neither a GUID nor a domain name.",
			Remedy:     "Put the tenant's id (a GUID) into AZURE_TENANT_ID, without quotes, braces or white space.",
			Source:     "error reports, 2022-04 to 2024-05: caddy-dns/azure#3, microsoft/Analysis-Services#194, microsoft/aspire#4253",
			Confidence: Seen,
		},
		{
			Code: 90002, OAuth: invalidTenant, Status: http.StatusBadRequest, URI: true,
			Text:       "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for the tenant.",
			Meaning:    "There is no tenant with this id or domain.",
			Remedy:     "Check AZURE_TENANT_ID. In wiemu the tenants are those of wiemu.yaml.",
			Source:     "recorded 2023-08, 2024-07 (error invalid_tenant since 2021-08)",
			Confidence: Seen,
		},
		{
			Code: 50059, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "No tenant-identifying information found in either the request or implied by any provided credentials.",
			Meaning:    "An application asked without a user at common, organizations or consumers, where nothing says which tenant is meant.",
			Remedy:     "Ask at the address of the tenant: set AZURE_TENANT_ID to its id.",
			Source:     "error reports, e.g. AzureAD/microsoft-identity-web#462; status and error are inferred",
			Confidence: Seen,
		},
		{
			Code: 50049, OAuth: invalidInstance, Status: http.StatusBadRequest, URI: true,
			Text:       "Unknown or invalid instance.",
			Meaning:    "A client asked whether a host is a login host of Microsoft's, and it is not.",
			Remedy:     "Check AZURE_AUTHORITY_HOST. For a host of your own, switch instance discovery off in the client (DisableInstanceDiscovery).",
			Source:     "recorded by AzureAD/microsoft-authentication-library-for-dotnet, 2021",
			Confidence: Seen,
		},
	}
}

// EmptyTenant refuses the all-zero GUID as a tenant.
func EmptyTenant(tenant string) *Error { return refuse(900021, "tenant", tenant) }

// InvalidTenant refuses a tenant that is neither GUID nor domain name.
func InvalidTenant(tenant string) *Error {
	e := refuse(900023, "tenant", tenant)
	switch lower := strings.ToLower(tenant); {
	case slices.Contains([]string{"token", "authorize", "oauth2", "v2.0"}, lower):
		e.Meaning = fmt.Sprintf("The address was put together from a whole endpoint, so that its last part, %s, stands where the tenant belongs.", tenant)
		e.Remedy = "Give the library an authority that ends with the tenant, https://login.microsoftonline.com/TENANT, without /oauth2/token or /oauth2/authorize."
	case slices.Contains([]string{"undefined", "null", "none", "nil", "nan"}, lower) || strings.ContainsAny(tenant, "${}<>%_"):
		e.Meaning = fmt.Sprintf("What stands for the tenant, %s, is a variable that was not set or a template that was not filled in.", clip(tenant))
		e.Remedy = "Set AZURE_TENANT_ID to the tenant's id (a GUID), and see why it was empty where the address is put together."
	}
	return e
}

// TenantFromScope refuses a request at common or organizations whose tenant Entra
// ID took from the scope, where an application's id stands.
func TenantFromScope(host string) *Error {
	e := refuse(900023, "tenant", host)
	e.Meaning = fmt.Sprintf("The address names no tenant (common or organizations), so Entra ID took what follows api:// in the scope, %s, for one.", clip(host))
	e.Remedy = "Ask at the address of the tenant: set AZURE_TENANT_ID to its id. The scope is right as it is."
	return e
}

// UnknownTenant refuses a tenant that does not exist.
func UnknownTenant(tenant string) *Error { return refuse(90002, "tenant", tenant) }

// NoTenant refuses common, organizations and consumers, which name no tenant.
func NoTenant() *Error { return refuse(50059) }

// UnknownInstance answers instance discovery for a host that is no login host.
func UnknownInstance() *Error { return refuse(50049) }
