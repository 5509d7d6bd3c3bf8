package aadsts

import (
	"fmt"
	"strings"
	"time"
)

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
