package aadsts

import (
	"fmt"
	"net/http"
	"time"
)

// certificates are the refusals of an assertion that a client signed itself
// (private_key_jwt).
func certificates() []Entry {
	return []Entry{
		{
			Code: 700021, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "Client assertion application identifier doesn't match 'client_id' parameter. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
			Meaning:    "The subject of the self-signed assertion is not the application that asks.",
			Remedy:     "Put the client id into both iss and sub of the assertion.",
			Source:     "AzureAD/microsoft-authentication-library-for-dotnet test data (2023-12), with today's link",
			Confidence: Seen,
		},
		{
			Code: 50048, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "Subject must match the issuer claim in the client assertion.",
			Meaning:    "iss and sub of the self-signed assertion differ.",
			Remedy:     "Put the client id into both iss and sub of the assertion.",
			Source:     "AzureAD/microsoft-authentication-library-for-java#430 (2021); status and error are inferred",
			Confidence: Seen,
		},
		{
			Code: 700027, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "{statement} [Reason - {reason}, Thumbprint of key used by client: '{thumbprint}'{more}]",
			Meaning:    "The signature of the assertion does not verify with a key that is known for the client: the key is not registered, has expired, or did not make this signature.",
			Remedy:     "For a certificate, upload it to the application and wait a minute. For a federated credential the token was changed on its way, or the issuer uses one kid for two keys.",
			Source:     "error reports to 2026-09 for certificates; for a federated assertion with a wrong signature no reply is known",
			Confidence: Seen,
		},
		{
			Code: 700023, OAuth: invalidClient, Status: http.StatusUnauthorized, URI: true,
			Text:       "Client assertion audience claim does not match Realm issuer. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
			Meaning:    "The self-signed assertion is not made for this token endpoint.",
			Remedy:     "Put the address of the token endpoint into aud: https://login.microsoftonline.com/TENANT/oauth2/v2.0/token.",
			Source:     "error reports, with today's link",
			Confidence: Seen,
		},
		{
			Code: 50013, OAuth: invalidGrant, Status: http.StatusBadRequest, URI: true,
			Text:       "Assertion failed signature validation. [Reason - {reason}, Thumbprint of key used by client: '{thumbprint}']",
			Meaning:    "The user assertion of an on-behalf-of request does not verify.",
			Remedy:     "Send the access token that the user's client sent, unchanged.",
			Source:     "Azure/azure-sdk-for-java#25109 (2021)",
			Confidence: Seen,
		},
	}
}

// SubjectNotClient refuses a self-signed assertion whose sub is not the client.
func SubjectNotClient() *Error { return refuse(700021) }

// CertificateNotRegistered refuses a self-signed assertion whose key the
// application does not have. thumbprint is upper-case hexadecimal.
func CertificateNotRegistered(client, thumbprint string) *Error {
	return refuse(700027,
		"statement", "The certificate with identifier used to sign the client assertion is not registered on application.",
		"reason", "The key was not found.", "thumbprint", thumbprint,
		"more", fmt.Sprintf(", Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '%s'. "+
			"Review the documentation at https://docs.microsoft.com/en-us/graph/deployments to determine the corresponding service endpoint and "+
			"https://docs.microsoft.com/en-us/graph/api/application-get?view=graph-rest-1.0&tabs=http to build a query request URL, such as "+
			"'https://graph.microsoft.com/beta/applications/%s'", clip(client), clip(client)))
}

// CertificateOutOfTime refuses a self-signed assertion whose certificate is
// valid at another time.
func CertificateOutOfTime(thumbprint string, start, end time.Time) *Error {
	return refuse(700027,
		"statement", invalidSignature, "reason", "The key used is expired.", "thumbprint", thumbprint, "more", foundKey(start, end))
}

// WrongSignature refuses a self-signed assertion that its key did not sign.
func WrongSignature(thumbprint string, start, end time.Time) *Error {
	return refuse(700027, "statement", invalidSignature, "reason", unexpectedSignature, "thumbprint", thumbprint, "more", foundKey(start, end))
}

// WrongFederatedSignature refuses a federated assertion that the key of its kid
// did not sign. No reply of Entra ID to this is known; the text is that of a
// self-signed assertion.
func WrongFederatedSignature(key string) *Error {
	return refuse(700027, "statement", invalidSignature, "reason", unexpectedSignature, "thumbprint", key, "more", "")
}

const (
	invalidSignature    = "Client assertion contains an invalid signature."
	unexpectedSignature = "The provided signature value did not match the expected signature value."
)

func foundKey(start, end time.Time) string {
	const format = "01/02/2006 15:04:05"
	return fmt.Sprintf(", Found key 'Start=%s, End=%s'", start.UTC().Format(format), end.UTC().Format(format))
}

// WrongAssertionAudience refuses a self-signed assertion made for somebody else.
func WrongAssertionAudience() *Error { return refuse(700023) }
