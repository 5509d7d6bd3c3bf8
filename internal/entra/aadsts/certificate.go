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
			Text:       "{statement} [Reason - {reason}{thumbprint}{more}]{end}",
			Meaning:    "The signature of the assertion does not verify with a key that is known for the client: the key is not registered, has expired, is not valid yet, or did not make this signature.",
			Remedy:     "The text names the reason. Not found: upload the certificate to the application. Expired: make a new one. Wrong signature: the private key belongs to another certificate, or a federated token was changed on its way.",
			Source:     "error reports to 2026-09 for certificates, among them learn.microsoft.com/answers 5915574 (2026-06); for a federated assertion with a wrong signature no reply is known",
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
// application does not have. thumbprint is upper-case hexadecimal; "" if what
// names the key is no hash, which the text then leaves out.
func CertificateNotRegistered(client, thumbprint string) *Error {
	e := refuse(700027,
		"statement", "The certificate with identifier used to sign the client assertion is not registered on application.",
		"reason", "The key was not found.", "thumbprint", usedKey(thumbprint), "more", seeConfigured(client), "end", ".")
	e.Meaning = "No certificate of the application has the thumbprint that the assertion's header names."
	e.Remedy = "Upload the certificate to the application (in wiemu.yaml its certificates), or give the program the key of one that is there. Compare the thumbprints: openssl x509 -noout -fingerprint -in FILE."
	if thumbprint == "" {
		e.Meaning = "What names the key in the assertion's header is no hash of a certificate."
		e.Remedy = "Put the certificate's hash into the header in base64url: of the SHA-1 of its DER form in x5t, of the SHA-256 in x5t#S256 (not the hexadecimal text encoded once more)."
	}
	return e
}

// CertificateExpired refuses a self-signed assertion whose certificate has
// expired.
func CertificateExpired(client, thumbprint string, start, end time.Time) *Error {
	e := certificateOutOfTime(client, thumbprint, start, end)
	e.Meaning = fmt.Sprintf("The certificate that signed the assertion has expired, at %s.", end.UTC().Format(time.RFC3339))
	e.Remedy = "Make a new certificate, add it to the application and give it to the program; uploading this one again changes nothing. Do so before the end next time: both may be there at once."
	return e
}

// CertificateNotYetValid refuses a self-signed assertion whose certificate is not
// valid yet, in the words for one that has expired.
// Source: a report of 2026-09 about a certificate made by a clock that was ahead.
func CertificateNotYetValid(client, thumbprint string, start, end time.Time) *Error {
	e := certificateOutOfTime(client, thumbprint, start, end)
	e.Meaning = fmt.Sprintf("The certificate that signed the assertion is not valid before %s. Entra ID calls that expired, too.", start.UTC().Format(time.RFC3339))
	e.Remedy = "Compare the clocks: the certificate was made by one that is ahead. Use it from that time on, or make one that is valid now."
	return e
}

func certificateOutOfTime(client, thumbprint string, start, end time.Time) *Error {
	return refuse(700027,
		"statement", "The certificate with identifier used to sign the client assertion is expired on application.",
		"reason", "The key used is expired.", "thumbprint", usedKey(thumbprint), "more", foundKey(start, end)+seeConfigured(client), "end", ".")
}

// WrongSignature refuses a self-signed assertion that its key did not sign.
func WrongSignature(thumbprint string, start, end time.Time) *Error {
	e := refuse(700027, "statement", invalidSignature, "reason", unexpectedSignature, "thumbprint", usedKey(thumbprint), "more", foundKey(start, end), "end", "")
	e.Meaning = "The application has the certificate that the header names, and another key made the signature."
	e.Remedy = "Sign with the private key that belongs to the certificate: openssl x509 -pubkey -noout -in CERTIFICATE and openssl pkey -pubout -in KEY print the same. In a file with a chain the program's own certificate comes first."
	return e
}

// WrongFederatedSignature refuses a federated assertion that the key of its kid
// did not sign. No reply of Entra ID to this is known; the text is that of a
// self-signed assertion.
func WrongFederatedSignature(key string) *Error {
	e := refuse(700027, "statement", invalidSignature, "reason", unexpectedSignature, "thumbprint", usedKey(key), "more", "", "end", "")
	e.Meaning = "The issuer publishes a key with the token's kid, and another key made the signature."
	e.Remedy = "Send the token as it stands in AZURE_FEDERATED_TOKEN_FILE. If it was not changed on its way, the issuer uses one kid for two keys."
	return e
}

const (
	invalidSignature    = "Client assertion contains an invalid signature."
	unexpectedSignature = "The provided signature value did not match the expected signature value."
)

func usedKey(thumbprint string) string {
	if thumbprint == "" {
		return ""
	}
	return ", Thumbprint of key used by client: '" + clip(thumbprint) + "'"
}

// seeConfigured is where the text sends people.
func seeConfigured(client string) string {
	return fmt.Sprintf(", Please visit the Azure Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '%s'. "+
		"Review the documentation at https://docs.microsoft.com/en-us/graph/deployments to determine the corresponding service endpoint and "+
		"https://docs.microsoft.com/en-us/graph/api/application-get?view=graph-rest-1.0&tabs=http to build a query request URL, such as "+
		"'https://graph.microsoft.com/beta/applications/%s'", clip(client), clip(client))
}

func foundKey(start, end time.Time) string {
	const format = "01/02/2006 15:04:05"
	return fmt.Sprintf(", Found key 'Start=%s, End=%s'", start.UTC().Format(format), end.UTC().Format(format))
}

// WrongAssertionAudience refuses a self-signed assertion made for somebody else.
func WrongAssertionAudience() *Error { return refuse(700023) }
