package aadsts

import (
	"fmt"
)

// WrongMethod refuses a request that is made with another method than the
// endpoint allows.
func WrongMethod(allowed, method string) *Error {
	return refuse(900561, "allowed", allowed, "method", method)
}

// MalformedRequest refuses a body that is no form, or one that contradicts itself.
func MalformedRequest() *Error { return refuse(9002313) }

// DuplicatedParameter refuses a form that has a parameter twice.
func DuplicatedParameter(name string) *Error { return refuse(9000411, "name", name) }

// MissingParameter refuses a form that lacks a parameter or has it empty.
func MissingParameter(name string) *Error { return refuse(900144, "name", name) }

// ParameterInJSON refuses a form that lacks a parameter because the body is JSON.
func ParameterInJSON(name, contentType string) *Error {
	e := MissingParameter(name)
	e.Meaning = "The body is JSON, and the token endpoint reads forms only, so it found no parameter in it."
	e.Remedy = "Send the parameters as a form, with Content-Type: application/x-www-form-urlencoded: curl -d grant_type=client_credentials -d …; in JavaScript new URLSearchParams({…}) in place of JSON.stringify({…})."
	if contentType != "" {
		e.Meaning = fmt.Sprintf("The body is JSON (Content-Type: %s), and the token endpoint reads forms only, so it found no parameter in it.", clip(contentType))
	}
	return e
}

// ParameterInURL refuses a form that lacks a parameter because it stands in the
// address.
func ParameterInURL(name string) *Error {
	e := MissingParameter(name)
	e.Meaning = fmt.Sprintf("%s stands in the URL, behind the question mark; the token endpoint looks for it in the body alone.", name)
	e.Remedy = "Move the parameters from the URL into the body of the POST, as a form (Content-Type: application/x-www-form-urlencoded). A secret or token that was sent in a URL is in logs: replace it."
	return e
}

// ParameterCompressed refuses a form that lacks a parameter because the body is compressed.
func ParameterCompressed(name, encoding string) *Error {
	e := MissingParameter(name)
	e.Meaning = fmt.Sprintf("The body is compressed (Content-Encoding: %s), which the token endpoint does not undo, so it found no parameter in it.", clip(encoding))
	e.Remedy = "Send the form as it is. In Go, the HTTP client of Kiota and msgraph-sdk-go compresses what it sends (CompressionHandler): do not give it to a credential as its Transport. azwi does, with --auth-method client_secret and client_certificate; --auth-method cli works."
	return e
}

// WrongAssertionType refuses a client_assertion_type that is not that of a JWT.
func WrongAssertionType(sent string) *Error {
	e := refuse(90011)
	if sent == "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		e.Meaning = "client_assertion_type has the name of a grant type (…:grant-type:jwt-bearer, for requests on behalf of a user), not that of an assertion type."
	}
	return e
}

// MissingClaim refuses an assertion that lacks a claim.
func MissingClaim(name string) *Error { return refuse(90014, "name", name) }

// ResourceNotSupported refuses resource= on the v2.0 endpoint.
func ResourceNotSupported() *Error { return refuse(901002) }

// UnsupportedGrantType refuses every grant that is not client_credentials.
func UnsupportedGrantType(grant string) *Error { return refuse(70003, "grant", grant) }
