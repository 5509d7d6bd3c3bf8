package aadsts

import (
	"fmt"
	"net/http"
	"time"
)

// learn is where the texts of 70021x send people.
const learn = "Check your federated identity credential Subject, Audience and Issuer against the presented assertion. https://learn.microsoft.com/entra/workload-id/workload-identity-federation"

// federated are the refusals of an assertion from somebody else's issuer.
func federated() []Entry {
	return []Entry{
		{
			Code: 70025, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "The client '{name}' has no configured federated identity credentials.",
			Meaning:    "The application exists and trusts nobody's tokens.",
			Remedy:     "Add a federated credential with the cluster's issuer, the subject system:serviceaccount:NAMESPACE:NAME and the audience api://AzureADTokenExchange. If there is one, AZURE_CLIENT_ID is another application's.",
			Source:     "error reports",
			Confidence: Seen,
		},
		{
			Code: 700211, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "No matching federated identity record found for presented assertion issuer '{issuer}'. " + learn,
			Meaning:    "No federated credential of the application names the issuer of the token. Issuers are compared character by character; a trailing slash counts.",
			Remedy:     "Make the credential's issuer equal to the token's iss. A workload on another cluster needs a credential of its own.",
			Source:     "Azure/azure-workload-identity#1200 (2024); without error_uri then",
			Confidence: Seen,
		},
		{
			Code: 700213, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "No matching federated identity record found for presented assertion subject '{subject}'. " + learn,
			Meaning:    "The issuer is trusted, but not for this subject, which says namespace and service account.",
			Remedy:     "Make the credential's subject equal to the token's sub, or run the workload in the namespace and with the service account that are trusted.",
			Source:     "Azure/azure-workload-identity#1200, dotnet/maui#31978 (2025-10)",
			Confidence: Seen,
		},
		{
			Code: 7002138, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text: "No matching federated identity record found for presented assertion subject '{subject}'. The subject matches with case-insensitive comparison, but not with case-sensitive comparison. " +
				"Check your federated identity credential Subject, Audience and Issuer against the presented assertion. " +
				"See documentation at: https://learn.microsoft.com/entra/workload-id/workload-identity-federation. " +
				"See breaking change notification and remediation at: https://learn.microsoft.com/en-us/entra/identity-platform/reference-breaking-changes#august-2024.",
			Meaning:    "The subject of the credential and of the token differ in upper and lower case only, which counts since August 2024.",
			Remedy:     "Write the credential's subject exactly as the token has it.",
			Source:     "Azure/login#515, #517",
			Confidence: Seen,
		},
		{
			Code: 700212, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "No matching federated identity record found for presented assertion audience '{audience}'. " + learn,
			Meaning:    "Issuer and subject are trusted, but the token is made for another audience.",
			Remedy:     "Ask the cluster for a token with the audience of the credential, usually api://AzureADTokenExchange.",
			Source:     "Apache Pulsar test data (2024-04), GitLab documentation",
			Confidence: Seen,
		},
		{
			Code: 70021, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "No matching federated identity record found for presented assertion. Assertion Issuer: '{issuer}'. Assertion Subject: '{subject}'. Assertion Audience: '{audience}'. https://docs.microsoft.com/en-us/azure/active-directory/develop/workload-identity-federation",
			Meaning:    "What 700211, 700212 and 700213 say in one, as it was until the end of 2023.",
			Remedy:     "Compare all three fields of the credential with the token.",
			Source:     "Azure/azure-workload-identity#616, external-secrets#2783",
			Confidence: Seen,
		},
		{
			Code: 7002121, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "No matching federated identity record found for presented assertion audience '{audience}'. " + learn,
			Meaning:    "A token of Entra ID's own is made for another audience than api://AzureADTokenExchange.",
			Remedy:     "Ask for the managed identity's token with the scope api://AzureADTokenExchange/.default.",
			Source:     "error reports",
			Confidence: Seen,
		},
		{
			Code: 7002137, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "No matching federated identity record found for presented assertion subject '{subject}'. Please make sure the federated identity credential Subject is '/eid1/c/pub/t/{tenantId}/a/...'.",
			Meaning:    "The subject is an agent identity's, and the credential is not written for one.",
			Remedy:     "Write the credential's subject in the form that the text gives.",
			Source:     "microsoft/Agents#202",
			Confidence: Seen,
		},
		{
			Code: 700214, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "The audience of the federated identity credential is not the one that tokens of this issuer must have.",
			Meaning:    "A credential for tokens of Entra ID's own has another audience than the default one.",
			Remedy:     "Set the credential's audience to api://AzureADTokenExchange.",
			Source:     "a third party's guide; the text is not known",
			Confidence: Inferred,
		},
		{
			Code: 700222, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "AAD-issued tokens may not be used for federated identity flows.",
			Meaning:    "The assertion is itself a token of Entra ID.",
			Remedy:     "Send the service-account token from AZURE_FEDERATED_TOKEN_FILE, not an access token.",
			Source:     "AzureAD/microsoft-identity-web#2519; error_uri is inferred",
			Confidence: Seen,
		},
		{
			Code: 700223, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "Federated identity credentials are disabled for the tenant.",
			Meaning:    "A policy of the tenant forbids federated credentials.",
			Remedy:     "Ask the tenant's administrator.",
			Source:     "a third party's guide; the text is not known",
			Confidence: Inferred,
		},
		{
			Code: 700226, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "Only MSI tokens may be used as Federated Identity Credentials for AAD issuer.",
			Meaning:    "Of Entra ID's own tokens only those of managed identities may be used as assertions.",
			Remedy:     "Use a managed identity's token for api://AzureADTokenExchange.",
			Source:     "error reports",
			Confidence: Seen,
		},
		{
			Code: 700227, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "Forbidden token audience '{audience}'.",
			Meaning:    "A token of Entra ID's own has an audience that must not be used as an assertion.",
			Remedy:     "Ask for the managed identity's token with the scope api://AzureADTokenExchange/.default.",
			Source:     "error reports, the beginning of the text only",
			Confidence: Seen,
		},
		{
			Code: 700229, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "Forbidden token type. Only app-only tokens may be used as Federated Identity Credentials for AAD issuer.",
			Meaning:    "The assertion is a token of Entra ID for a user.",
			Remedy:     "Use a managed identity's token for api://AzureADTokenExchange.",
			Source:     "MicrosoftDocs/azure-docs#109083",
			Confidence: Seen,
		},
		{
			Code: 700236, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "Entra ID tokens issued by issuer '{issuer}' may not be used for federated identity credential flows for applications or managed identities registered in this tenant.",
			Meaning:    "A managed identity of one tenant cannot stand for an application of another.",
			Remedy:     "Use a managed identity of the application's own tenant.",
			Source:     "error reports",
			Confidence: Seen,
		},
		{
			Code: 700238, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "Tokens issued by issuer '{issuer}' may not be used for federated identity credential flows.",
			Meaning:    "A policy forbids the issuer, or it belongs to another sovereign cloud.",
			Remedy:     "Ask the tenant's administrator which issuers are allowed.",
			Source:     "a third party's guide; the text is not known",
			Confidence: Inferred,
		},
		{
			Code: 7002381, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "Federated identity credentials issued by '{issuer}' for applications or managed identities registered in this tenant must contain the enterprise claim with value '{expected}' but actual value is '{actual}'.",
			Meaning:    "A policy of the tenant demands a claim that the token lacks.",
			Remedy:     "Run the workflow in the enterprise that the tenant allows.",
			Source:     "error reports, for GitHub tokens in Microsoft's own tenant",
			Confidence: Seen,
		},
		{
			Code: 700263, OAuth: invalidClient, Status: http.StatusUnauthorized,
			Text:       "The presented assertion matches more than one federated identity record.",
			Meaning:    "Two credentials name the v1 and the v2 issuer of Entra ID for one subject.",
			Remedy:     "Remove one of the two credentials.",
			Source:     "a third party's guide; the text is not known",
			Confidence: Inferred,
		},
		{
			Code: 70023, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "External OIDC Provider token must have a lifetime of less than or equal to 1.01:00:00. Token issued at {issued}. Token expires on {expires}.",
			Meaning:    "The token is valid for more than 25 hours. A service-account token from a Secret, or one with the API server's extended expiry (a year), is.",
			Remedy:     "Use a projected token with expirationSeconds of at most 86400.",
			Source:     "MicrosoftDocs/azure-docs#86916, Azure/azure-sdk-for-python#32124",
			Confidence: Seen,
		},
		{
			Code: 700024, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {from}, expiry time of assertion {expires}. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
			Meaning:    "The token has expired, or is not valid yet. Five minutes of difference between the clocks are allowed.",
			Remedy:     "Read AZURE_FEDERATED_TOKEN_FILE again for every request: it changes under the application. A program that reads it once at its start fails when the first token has expired.",
			Source:     "Azure/azure-sdk-for-python#44488 (2025-12), Azure/azure-sdk-for-rust#1739; the five minutes are inferred",
			Confidence: Seen,
		},
		{
			Code: 501661, OAuth: invalidRequest, Status: http.StatusBadRequest,
			Text:       "Request to External OIDC endpoint failed.",
			Meaning:    "The issuer's discovery document or key set could not be fetched from outside, or is not valid.",
			Remedy:     "Fetch ISSUER/.well-known/openid-configuration without credentials and check: status 200, issuer exactly as in the token, a reachable jwks_uri, no empty fields.",
			Source:     "Azure/azure-workload-identity#605, #642, Azure/login#283; numbered 90061 in 2022 and 50166 until 2023-10",
			Confidence: Seen,
		},
		{
			Code: 7000272, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "The certificate with identifier {key} used to sign the federated credential could not be found in the metadata of identity provider {issuer}. Please validate that your Identity Provider's metadata exposes the key used to sign the incoming token.",
			Meaning:    "The issuer's key set, as it was last read, has no key with the token's kid.",
			Remedy:     "Publish a new key in the JWKS well before signing with it, and keep the old one until its last token has expired. A key set is remembered for a while.",
			Source:     "Azure/azure-workload-identity#1232 (2024-01)",
			Confidence: Seen,
		},
	}
}

// NoFederatedCredentials refuses a token for an application that trusts nobody.
// name is the application's display name.
func NoFederatedCredentials(name string) *Error { return refuse(70025, "name", name) }

// NoMatchingIssuer refuses a token whose issuer no federated credential names.
func NoMatchingIssuer(issuer string) *Error { return refuse(700211, "issuer", issuer) }

// NoMatchingSubject refuses a token whose subject no federated credential with
// its issuer names.
func NoMatchingSubject(subject string) *Error { return refuse(700213, "subject", subject) }

// SubjectDiffersInCase refuses a token whose subject is right but for case.
func SubjectDiffersInCase(subject string) *Error { return refuse(7002138, "subject", subject) }

// NoMatchingAudience refuses a token whose audience no federated credential with
// its issuer and subject names.
func NoMatchingAudience(audience string) *Error { return refuse(700212, "audience", audience) }

// OwnToken refuses a token of Entra ID as an assertion.
func OwnToken() *Error { return refuse(700222) }

// OwnTokenNotOfManagedIdentity refuses a token of Entra ID whose subject is no
// managed identity.
func OwnTokenNotOfManagedIdentity() *Error { return refuse(700226) }

// OwnTokenOfOtherTenant refuses a token of Entra ID for another tenant.
func OwnTokenOfOtherTenant(issuer string) *Error { return refuse(700236, "issuer", issuer) }

// LifetimeTooLong refuses a token that is valid for more than 25 hours.
func LifetimeTooLong(issued, expires time.Time) *Error {
	return refuse(70023, "issued", fmt.Sprint(issued.Unix()), "expires", fmt.Sprint(expires.Unix()))
}

// NotInTime refuses a token that has expired or is not valid yet. A zero time
// stands for a claim that the token lacks.
func NotInTime(now, from, expires time.Time) *Error {
	e := refuse(700024, "now", instant(now), "from", instant(orEpoch(from)), "expires", instant(orEpoch(expires)))
	switch {
	case expires.IsZero():
		e.Meaning = "The token has no exp claim, so it counts as expired since 1970."
		e.Remedy = "Have the issuer put exp into its tokens. Those of a Kubernetes Secret (type kubernetes.io/service-account-token) have none: use a projected token."
	case now.Before(from):
		e.Meaning = "The token is not valid yet. Five minutes of difference between the clocks are allowed."
		e.Remedy = "Compare the clocks: the one that wrote nbf, the issuer's, is ahead of Entra ID's."
	}
	return e
}

// OwnAssertionNotInTime refuses, with the same code, an assertion that the client
// signed itself.
func OwnAssertionNotInTime(now, from, expires time.Time) *Error {
	e := NotInTime(now, from, expires)
	switch {
	case expires.IsZero():
		e.Meaning = "The assertion that the client signed has no exp claim."
		e.Remedy = "Put exp into it: a few minutes from now, ten at most."
	case now.Before(from):
		e.Meaning = "The assertion that the client signed is not valid yet. Five minutes of difference between the clocks are allowed."
		e.Remedy = "Compare the client's clock with the lab's: nbf was written by one that is ahead."
	default:
		e.Meaning = "The assertion that the client signed has expired. Five minutes of difference between the clocks are allowed."
		e.Remedy = "Sign a new assertion for each request, with an exp a few minutes from now: one that is kept goes on being sent after its end (a callback must sign anew each time it is called). If it was just made, the client's clock is behind the lab's."
	}
	return e
}

func orEpoch(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0)
	}
	return t
}

// MetadataUnreachable refuses a token whose issuer's metadata cannot be used.
func MetadataUnreachable() *Error { return refuse(501661) }

// KeyNotPublished refuses a token whose kid the issuer's key set lacks. key is
// the kid, or its bytes in hexadecimal if it is a SHA-1 thumbprint.
func KeyNotPublished(key, issuer string) *Error { return refuse(7000272, "key", key, "issuer", issuer) }
