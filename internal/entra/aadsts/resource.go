package aadsts

// NotAssigned refuses a client without a role of a resource that demands one.
func NotAssigned(client, clientName, resource, resourceName string) *Error {
	return refuse(501051, "client", client, "clientName", clientName, "resource", resource, "resourceName", resourceName)
}

// NotDefaultScope refuses a scope without /.default.
func NotDefaultScope(scope string) *Error { return refuse(1002012, "scope", scope) }

// InvalidScope refuses a scope that is no list of scopes or mixes kinds.
func InvalidScope(scope string) *Error { return refuse(70011, "scope", scope) }

// SeveralResources refuses a scope that names more than one resource.
func SeveralResources() *Error { return refuse(700022) }

// UnknownResource refuses a resource that the tenant does not know. tenant is
// the tenant's id, as recorded in 2026-08; older logs have the display name.
func UnknownResource(resource, tenant string) *Error {
	return refuse(500011, "resource", resource, "tenant", tenant)
}
