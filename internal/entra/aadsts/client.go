package aadsts

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// clients are the refusals of who asks, as far as no assertion is looked into.
func clients() []Entry {
	return []Entry{
		{
			Code: 700038, OAuth: unauthorizedClient, Status: http.StatusBadRequest,
			Text:       "{client} is not a valid application identifier.",
			Meaning:    "The client id is the all-zero GUID.",
			Remedy:     "Put the application (client) id into AZURE_CLIENT_ID; a template was probably not filled in.",
			Source:     "recorded 2026-08",
			Confidence: Seen,
		},
		{
			Code: 700016, OAuth: unauthorizedClient, Status: http.StatusBadRequest, URI: true,
			Text:       "Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You may have sent your authentication request to the wrong tenant.",
			Meaning:    "No application and no managed identity of the tenant has this client id.",
			Remedy:     "Check AZURE_CLIENT_ID (the client id, not the object id) and AZURE_TENANT_ID.",
			Source:     "recorded 2020 to 2026-05; the directory is its display name; for what is no GUID MicrosoftDocs/azure-docs#108526 (2023), microsoft/AzureTRE#1475 (2022)",
			Confidence: Seen,
		},
		{
			Code: 7000229, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "The client application {client} is missing service principal in the tenant {tenant}. See instructions here: https://go.microsoft.com/fwlink/?linkid=2225119",
			Meaning:    "The application is registered, but has no service principal in this tenant, so there is nobody to give a token to.",
			Remedy:     "Create it: az ad sp create --id CLIENT_ID. In another tenant an administrator consents to the application.",
			Source:     "error reports, 2025-09; error_uri is inferred",
			Confidence: Seen,
		},
		{
			Code: 7000112, OAuth: unauthorizedClient, Status: http.StatusBadRequest, URI: true,
			Text:       "Application '{client}'({name}) is disabled.",
			Meaning:    "The service principal's accountEnabled is false.",
			Remedy:     "Enable it: az ad sp update --id CLIENT_ID --set accountEnabled=true.",
			Source:     "error reports; error_uri is inferred",
			Confidence: Seen,
		},
		{
			Code: 7000218, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
			Meaning:    "The client did not authenticate itself, with a grant type other than client_credentials.",
			Remedy:     "Register the application as a public client if it signs users in; a workload sends grant_type=client_credentials.",
			Source:     "error reports to 2024-12, all of them for authorization codes, device codes and passwords; for client_credentials see 7000216",
			Confidence: Seen,
		},
		{
			Code: 7000216, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
			Meaning:    "The client did not authenticate itself.",
			Remedy:     "Send client_assertion (the content of AZURE_FEDERATED_TOKEN_FILE) with client_assertion_type. If it was sent, the file was empty.",
			Source:     "MicrosoftDocs/azure-docs#30777, microsoftgraph/microsoft-graph-docs-contrib#6430 (2019); no report has 7000218 for client_credentials",
			Confidence: Seen,
		},
		{
			Code: 9002324, OAuth: invalidRequest, Status: http.StatusBadRequest,
			Text:       "Request should not contain more than one client credential parameters, this includes 'client_secret', 'client_assertion' and 'request' parameters.",
			Meaning:    "The client authenticated itself twice.",
			Remedy:     "Send either client_assertion or client_secret. A left-over AZURE_CLIENT_SECRET is a usual cause.",
			Source:     "AzureAD/microsoft-identity-web#3470 (2025-09); error and status are inferred",
			Confidence: Seen,
		},
		{
			Code: 700025, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
			Meaning:    "The application is a public client, which has no credentials.",
			Remedy:     "Register the application as a confidential client (allowPublicClient false; in wiemu.yaml publicClient).",
			Source:     "entra-docs error code reference",
			Confidence: Documented,
		},
		{
			Code: 7000215, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client}'.",
			Meaning:    "No secret of the application has this value.",
			Remedy:     "Use the secret's value (shown once, when it is made), not its id; check that it belongs to this client id.",
			Source:     "recorded 2023, 2026-08",
			Confidence: Seen,
		},
		{
			Code: 7000222, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "The provided client secret keys for app '{client}' are expired. Visit the Azure portal to create new keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added security: https://aka.ms/certCreds.",
			Meaning:    "The secret is right, and its time is over.",
			Remedy:     "Make a new secret, or use a federated credential, which has no secret that expires.",
			Source:     "dotnet/sign#849, 2025",
			Confidence: Seen,
		},
		{
			Code: 7000232, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "MSI identity ({client}) should not use ClientSecretCredential",
			Meaning:    "The client id is a managed identity's; managed identities have no secrets.",
			Remedy:     "Use the workload identity: unset AZURE_CLIENT_SECRET. In wiemu, say that the client id is an app registration (kind: application) if it is one.",
			Source:     "error reports; whether the text ends there is not known",
			Confidence: Seen,
		},
	}
}

// EmptyClientID refuses the all-zero GUID as a client id.
func EmptyClientID(client string) *Error { return refuse(700038, "client", client) }

// ClientIDNoGUID refuses a client id that cannot be an application's, as a
// template that was not filled in or the resource id of a managed identity.
func ClientIDNoGUID(client, tenant string) *Error {
	e := UnknownApplication(client, tenant)
	e.Meaning = "The client id is no GUID, so no application and no managed identity can have it."
	e.Remedy = "Put the application (client) id into AZURE_CLIENT_ID; a template was probably not filled in."
	if strings.HasPrefix(strings.ToLower(client), "/subscriptions/") {
		e.Meaning = "The client id is an Azure resource id."
		e.Remedy = "Put the managed identity's client id into AZURE_CLIENT_ID: az identity show --ids RESOURCE_ID --query clientId."
	}
	return e
}

// UnknownApplication refuses a client id that the tenant does not know. tenant
// is the tenant's display name.
func UnknownApplication(client, tenant string) *Error {
	return refuse(700016, "client", client, "tenant", tenant)
}

// NoServicePrincipal refuses an application that has none in the tenant.
func NoServicePrincipal(client, tenantID string) *Error {
	return refuse(7000229, "client", client, "tenant", tenantID)
}

// PublicClient refuses a credential of an application that has none.
func PublicClient() *Error { return refuse(700025) }

// DisabledApplication refuses a disabled service principal.
func DisabledApplication(client, name string) *Error {
	return refuse(7000112, "client", client, "name", name)
}

// MissingClientCredential refuses a client that does not authenticate itself.
func MissingClientCredential() *Error { return refuse(7000216) }

// SeveralClientCredentials refuses a client that authenticates itself twice.
func SeveralClientCredentials() *Error { return refuse(9002324) }

// WrongSecret refuses a secret that the application does not have.
func WrongSecret(client string) *Error { return refuse(7000215, "client", client) }

// NoSecret refuses a secret for an application that has none at all. others names
// the credentials that it has instead; "" if it has none.
func NoSecret(client, others string) *Error {
	e := WrongSecret(client)
	e.Meaning = "The application has no secret, so no value can be right."
	e.Remedy = "Make a secret for it (secrets in wiemu.yaml; az ad app credential reset --append in Azure), or check that AZURE_CLIENT_ID is the application's that the secret was made for."
	if others != "" {
		e.Meaning = "The application has no secret, so no value can be right; it has " + others + "."
		e.Remedy = "Use that, and unset AZURE_CLIENT_SECRET, which wins over AZURE_FEDERATED_TOKEN_FILE in DefaultAzureCredential. Or make a secret for it (secrets in wiemu.yaml; az ad app credential reset --append in Azure)."
	}
	return e
}

// SecretNotYetValid refuses a secret whose time has not come.
func SecretNotYetValid(client string, start time.Time) *Error {
	e := WrongSecret(client)
	e.Meaning = fmt.Sprintf("The value is right, and the secret is not valid before %s.", start.UTC().Format(time.RFC3339))
	e.Remedy = "Use it from then on, or compare the clocks: it was made by one that is ahead."
	return e
}

// ExpiredSecret refuses a secret whose time is over.
func ExpiredSecret(client string) *Error { return refuse(7000222, "client", client) }

// SecretOfManagedIdentity refuses a secret from a managed identity.
func SecretOfManagedIdentity(client string) *Error { return refuse(7000232, "client", client) }
