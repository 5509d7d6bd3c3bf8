package aadsts

import (
	"fmt"
	"net/http"
)

func requests() []Entry {
	return []Entry{
		{
			Code: 900561, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "The endpoint only accepts {allowed} requests. Received a {method} request.",
			Meaning:    "An endpoint was asked with another HTTP method than it allows: the token endpoint takes POST, metadata GET.",
			Remedy:     "Send a token request as a POST with a form as its body. A client that follows a redirect turns a POST into a GET.",
			Source:     "nbarbettini/oidc-debugger#87 (2025), BitySA/oauth2-auth-code-pkce#30 (2021); the JSON form of the reply is inferred, a browser gets a page",
			Confidence: Seen,
		},
		{
			Code: 9002313, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "Invalid request. Request is malformed or invalid.",
			Meaning:    "The body of the request is no form that can be read, or its parameters contradict each other.",
			Remedy:     "Send application/x-www-form-urlencoded text; percent-encode every value (curl --data-urlencode).",
			Source:     "entra-docs error code reference",
			Confidence: Documented,
		},
		{
			Code: 9000411, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "The request is not properly formatted. The parameter '{name}' is duplicated.",
			Meaning:    "A parameter stands in the form more than once.",
			Remedy:     "Send each parameter once. A value with an unescaped & in it looks like two parameters.",
			Source:     "Microsoft support pages for Teams (2020), for a sign-in request",
			Confidence: Seen,
		},
		{
			Code: 900144, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "The request body must contain the following parameter: '{name}'.",
			Meaning:    "A required parameter is missing or empty. If it is grant_type, the body was perhaps not sent as a form at all.",
			Remedy:     "Add the parameter; check that Content-Type is application/x-www-form-urlencoded.",
			Source:     "error reports, many years",
			Confidence: Seen,
		},
		{
			Code: 90014, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "The required field '{name}' is missing from the credential. Ensure that you have all the necessary parameters for the login request.",
			Meaning:    "The assertion lacks a claim that every assertion must have.",
			Remedy:     "Look at the token (wiemu token --decode): a projected service-account token has iss, sub and aud. This one was made by something else.",
			Source:     "AzureAD/microsoft-authentication-library-for-dotnet, recorded replies in its test data (2023-12), for iss and aud",
			Confidence: Seen,
		},
		{
			Code: 90011, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "Unexpected client assertion type.",
			Meaning:    "client_assertion_type is not the one for a JWT.",
			Remedy:     "Send client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer.",
			Source:     "AzureAD/azure-activedirectory-library-for-ruby#53, #55 (2016, 2017); error_uri is inferred",
			Confidence: Seen,
		},
		{
			Code: 901002, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "The 'resource' request parameter is not supported.",
			Meaning:    "The v2.0 token endpoint was asked with the resource parameter of the v1 endpoint.",
			Remedy:     "Send scope=RESOURCE/.default instead, or use /oauth2/token without v2.0.",
			Source:     "entra-docs error code reference",
			Confidence: Documented,
		},
		{
			Code: 70003, OAuth: unsupportedGrant, Status: http.StatusBadRequest,
			Text:       "The app requested an unsupported grant type '{grant}'.",
			Meaning:    "The grant type is unknown; wiemu knows client_credentials, which is what workload identity uses.",
			Remedy:     "Send grant_type=client_credentials. The type of the assertion belongs into client_assertion_type.",
			Source:     "recorded 2026-08",
			Confidence: Seen,
		},
	}
}

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
