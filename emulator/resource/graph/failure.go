package graph

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/resource"
)

// failure is an answer in Graph's error JSON.
type failure struct {
	status  int
	code    string
	message string

	meaning, remedy string // for the journal
}

// unauthorized says in Graph's words why a token was refused.
// Seen: "Access token is empty." and the two about audience and lifetime in many
// logs, CompactToken in 2022 and 2023. The rest is modelled on them.
func unauthorized(refused *resource.Refusal) *failure {
	message := ""
	switch refused.Reason {
	case resource.Missing:
		message = "Access token is empty."
	case resource.Malformed, resource.WrongType:
		message = "CompactToken parsing failed with error code: 80049217"
	case resource.WrongAudience:
		message = "Access token validation failure. Invalid audience."
	case resource.WrongTenant, resource.WrongIssuer:
		message = "Access token validation failure. Invalid issuer."
	case resource.Expired:
		message = "Lifetime validation failed, the token is expired."
	case resource.NotYetValid:
		message = "Lifetime validation failed, the token is not yet valid."
	default:
		message = "Access token validation failure. Invalid signature."
	}
	return &failure{http.StatusUnauthorized, "InvalidAuthenticationToken", message, refused.Meaning(), refused.Remedy()}
}

// interrupted is how Graph refuses a request that a fault hit, whoever sent it;
// nil when none did.
// Source of 429: microsoft-graph-docs-contrib, concepts/throttling.md. The codes
// of 5xx are those of errors.md there.
func interrupted(ctx context.Context) *failure {
	status, _, refused := fault.Refusal(ctx)
	switch {
	case !refused:
		return nil
	case status == http.StatusTooManyRequests:
		return &failure{status, "TooManyRequests", "Please retry again later.", "Graph had too many requests and takes no more for a while.", "Wait as long as Retry-After says, and ask less often."}
	case status == http.StatusInternalServerError:
		return &failure{status, "generalException", "An unspecified error has occurred.", "Graph failed.", "Try again, with growing pauses."}
	default:
		return &failure{status, "serviceNotAvailable", "The service is not available. Try the request again after a delay.", "Graph could not answer just now.", "Try again, with growing pauses."}
	}
}

func denied(roles []string) *failure {
	return &failure{
		http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.",
		"The token is good, but its owner has none of the application permissions for this.",
		"Give the identity one of the app roles " + strings.Join(roles, ", ") + ", the first being the least, and get a new token.",
	}
}

func notFound(id string) *failure {
	return &failure{
		http.StatusNotFound, "Request_ResourceNotFound",
		fmt.Sprintf("Resource '%s' does not exist or one of its queried reference-property objects are not present.", id),
		"The tenant has no such object. An application has two object ids: one of the app registration (applications), one of its service principal (servicePrincipals).",
		"Look the object up by its client id: applications(appId='…') or servicePrincipals(appId='…').",
	}
}

func invalidID(id string) *failure {
	return &failure{http.StatusBadRequest, "Request_BadRequest", fmt.Sprintf("Invalid object identifier '%s'.", id), "An object id is a GUID.", ""}
}

func unknownSegment(segment string) *failure {
	return &failure{
		http.StatusBadRequest, "BadRequest", fmt.Sprintf("Resource not found for the segment '%s'.", segment),
		"This Graph has organization, servicePrincipals, applications and their federatedIdentityCredentials.", "",
	}
}

func invalidVersion(version string) *failure {
	return &failure{http.StatusBadRequest, "BadRequest", "Invalid version: " + version, "Graph's addresses begin with /v1.0 or /beta.", ""}
}

func notDelegated() *failure {
	return &failure{
		http.StatusBadRequest, "BadRequest", "/me request is only valid with delegated authentication flow.",
		"A workload's token speaks for an application; there is no user whom /me could mean.",
		"Ask for servicePrincipals(appId='…') to see the workload's own identity.",
	}
}

func readOnly() *failure {
	return &failure{
		http.StatusNotImplemented, "NotImplemented", "The directory cannot be changed through this Graph; change it in the emulator's configuration.",
		"The client asked for a part of Graph that is not emulated.", "",
	}
}

// badQuery refuses a query option.
func badQuery(code, format string, args ...any) *failure {
	return &failure{http.StatusBadRequest, code, fmt.Sprintf(format, args...), "A query option of the request is not valid, or not supported here.", ""}
}
