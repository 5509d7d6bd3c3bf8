package aadsts

import (
	"fmt"
	"time"
)

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
