package aadsts

import (
	"fmt"
	"net/http"
	"time"
)

// service are the refusals that depend on load, policy and place.
func service() []Entry {
	return []Entry{
		{
			Code: 50196, OAuth: invalidGrant, Status: http.StatusBadRequest, URI: true,
			Text:       "The server terminated an operation because it encountered a client request loop. Please contact your app vendor.",
			Meaning:    "The same request came many times in a short time.",
			Remedy:     "Cache access tokens until shortly before they expire, and wait between attempts.",
			Source:     "entra-docs error code reference; the status is inferred",
			Confidence: Documented,
		},
		{
			Code: 53003, OAuth: invalidGrant, Status: http.StatusBadRequest, URI: true,
			Text:       "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
			Meaning:    "A Conditional Access policy for workload identities forbids it. Such policies cover service principals of single-tenant applications, not managed identities.",
			Remedy:     "Ask who administers Conditional Access; the sign-in log of the service principal names the policy.",
			Source:     "error reports",
			Confidence: Seen,
		},
		{
			Code: 90055, OAuth: unavailable, Status: http.StatusTooManyRequests,
			Text:       "TenantThrottlingError - There are too many incoming requests.",
			Meaning:    "The tenant sends more requests than it may.",
			Remedy:     "Wait as long as Retry-After says; cache access tokens.",
			Source:     "entra-docs error code reference; the body is not known",
			Confidence: Documented,
		},
		{
			Code: 90033, OAuth: unavailable, Status: http.StatusServiceUnavailable, URI: true,
			Text:       "A transient error has occurred. Please try again.",
			Meaning:    "Entra ID could not answer just now.",
			Remedy:     "Try again, with growing pauses.",
			Source:     "entra-docs error code reference; the status is inferred",
			Confidence: Documented,
		},
		{
			Code: 90006, OAuth: unavailable, Status: http.StatusServiceUnavailable, URI: true,
			Text:       "An error occurred with an external service. Please try again.",
			Meaning:    "A service that Entra ID depends on could not answer just now.",
			Remedy:     "Try again, with growing pauses.",
			Source:     "entra-docs error code reference; text and status are inferred",
			Confidence: Inferred,
		},
		{
			Code: 50033, OAuth: unavailable, Status: http.StatusServiceUnavailable, URI: true,
			Text:       "A transient error has occurred. Please try again.",
			Meaning:    "Entra ID could not answer just now (RetryableError).",
			Remedy:     "Try again, with growing pauses.",
			Source:     "entra-docs error code reference; text and status are inferred",
			Confidence: Inferred,
		},
		{
			Code: 100007, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "Microsoft Entra Regional ONLY supports auth either for MSIs OR for requests from MSAL using SN+I.",
			Meaning:    "A regional endpoint was asked by a client that must use the global one.",
			Remedy:     "Unset AZURE_REGIONAL_AUTHORITY_NAME.",
			Source:     "entra-docs, the beginning of the text only; the status is inferred",
			Confidence: Documented,
		},
		{
			Code: 900382, OAuth: invalidRequest, Status: http.StatusBadRequest,
			Text:       "Confidential Client is not supported in Cross Cloud request.",
			Meaning:    "The application belongs to another cloud than the login host that was asked.",
			Remedy:     "Ask at the login host of the application's cloud: set AZURE_AUTHORITY_HOST, or the credential's authorityHost or cloud.",
			Source:     "webprofusion/certify#553 (2021) and vmware-tanzu/tanzu-framework#1470 (2022), whole replies without error_uri; Azure/azure-sdk-for-js#30557 (2024)",
			Confidence: Seen,
		},
		{
			Code: 900432, OAuth: invalidRequest, Status: http.StatusBadRequest, URI: true,
			Text:       "Confidential Client is not supported in Cross Cloud request.",
			Meaning:    "The application belongs to another sovereign cloud.",
			Remedy:     "Ask at the login host of the application's cloud (AZURE_AUTHORITY_HOST).",
			Source:     "entra-docs error code reference; the status is inferred",
			Confidence: Documented,
		},
	}
}

// TooManyRequests refuses a tenant that has asked too often, for a while.
func TooManyRequests(retryAfter time.Duration) *Error {
	e := refuse(90055)
	e.RetryAfter = retryAfter
	return e
}

// RequestLoop refuses a client that asks the same again and again.
func RequestLoop() *Error { return refuse(50196) }

// RegionalOnly refuses an application at a regional endpoint.
func RegionalOnly() *Error { return refuse(100007) }

// CrossCloud refuses a client at a login host of another cloud than its own, whose
// name and login host are given.
func CrossCloud(asked, cloud, login string) *Error {
	e := refuse(900382)
	e.Meaning = fmt.Sprintf("The application's tenant is in %s, and %s is a login host of another cloud.", cloud, clip(asked))
	e.Remedy = fmt.Sprintf("Ask at https://%s/: set AZURE_AUTHORITY_HOST to it, or the credential's authorityHost or cloud, which wins over the variable.", login)
	return e
}

// Unavailable says that the token service failed itself.
func Unavailable() *Error { return refuse(90033) }
