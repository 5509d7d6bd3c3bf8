package aadsts

import "net/http"

// requests are the refusals of what is not a token request.
func requests() []Entry {
	return []Entry{
		{
			Code: 900561, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "The endpoint only accepts {allowed} requests. Received a {method} request.",
			Meaning:    "An endpoint was asked with another HTTP method than it allows: the token endpoint takes POST, metadata GET.",
			Remedy:     "Send a token request as a POST with a form as its body. A client that follows a redirect turns a POST into a GET.",
			Source:     "entra-docs error code reference; the JSON form of the reply is inferred, a browser gets a page",
			Confidence: Documented,
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

// MissingClaim refuses an assertion that lacks a claim.
func MissingClaim(name string) *Error { return refuse(90014, "name", name) }

// ResourceNotSupported refuses resource= on the v2.0 endpoint.
func ResourceNotSupported() *Error { return refuse(901002) }

// UnsupportedGrantType refuses every grant that is not client_credentials.
func UnsupportedGrantType(grant string) *Error { return refuse(70003, "grant", grant) }
