package aadsts

import (
	"fmt"
	"slices"
	"strings"
)

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
