package aadsts

import "net/http"

func resources() []Entry {
	return []Entry{
		{
			Code: 1002012, OAuth: invalidScope, Status: http.StatusBadRequest,
			Text:       "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).",
			Meaning:    "Without a user a scope is always RESOURCE/.default; single permissions are granted in the directory, not asked for.",
			Remedy:     "Ask for the resource's identifier followed by /.default, for example https://vault.azure.net/.default.",
			Source:     "error reports, 2023 to 2025",
			Confidence: Seen,
		},
		{
			Code: 70011, OAuth: invalidScope, Status: http.StatusBadRequest, URI: true,
			Text:       "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid.",
			Meaning:    "The scope is no list of scopes, or mixes RESOURCE/.default with single permissions.",
			Remedy:     "Send one scope, RESOURCE/.default.",
			Source:     "entra-docs and error reports; which malformed scopes get this code is inferred",
			Confidence: Documented,
		},
		{
			Code: 700022, OAuth: invalidScope, Status: http.StatusBadRequest, URI: true,
			Text:       "The provided value for the input parameter 'scope' is not valid because it contains more than one resource.",
			Meaning:    "An access token is for one resource; the scope names several.",
			Remedy:     "Ask once for each resource.",
			Source:     "entra-docs error code reference (InvalidMultipleResourcesScope); 28000 has been seen for codes and refresh tokens",
			Confidence: Documented,
		},
		{
			Code: 28000, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "Provided value for the input parameter scope is not valid because it contains more than one resource. Scope {scope} is not valid.",
			Meaning:    "An access token is for one resource; the scope names several.",
			Remedy:     "Ask once for each resource.",
			Source:     "error reports, for authorization codes and refresh tokens",
			Confidence: Seen,
		},
		{
			Code: 28002, OAuth: invalidScope, Status: http.StatusBadRequest, URI: true,
			Text:       "Provided value for the input parameter scope '{scope}' is not valid when requesting an access token. Please specify a valid scope.",
			Meaning:    "The scope is not valid for redeeming a code.",
			Remedy:     "Ask for RESOURCE/.default.",
			Source:     "entra-docs error code reference",
			Confidence: Documented,
		},
		{
			Code: 28003, OAuth: invalidScope, Status: http.StatusBadRequest, URI: true,
			Text:       "Provided value for the input parameter scope cannot be empty when requesting an access token using the provided authorization code. Please specify a valid scope.",
			Meaning:    "The scope is empty.",
			Remedy:     "Ask for RESOURCE/.default.",
			Source:     "entra-docs error code reference",
			Confidence: Documented,
		},
		{
			Code: 500011, OAuth: invalidResource, Status: http.StatusBadRequest, URI: true,
			Text:       "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.",
			Meaning:    "No resource in the tenant has this identifier. The client itself was authenticated.",
			Remedy:     "Check the scope for typing errors. An application of your own needs an identifier URI (identifierUris in wiemu.yaml) that equals the scope without /.default.",
			Source:     "recorded 2023, 2026-08",
			Confidence: Seen,
		},
		{
			Code: 501051, OAuth: invalidGrant, Status: http.StatusBadRequest, URI: true,
			Text:       "Application '{client}'({clientName}) is not assigned to a role for the application '{resource}'({resourceName}).",
			Meaning:    "The resource demands that callers are assigned a role, and this one is not.",
			Remedy:     "Assign an app role of the resource to the caller's service principal, or switch \"assignment required\" off (appRoleAssignmentRequired in wiemu.yaml).",
			Source:     "well-known text; the status is inferred",
			Confidence: Inferred,
		},
	}
}

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
