package graph

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/gateway/httppath"
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
		if refused.Undotted {
			message = notCompact
		}
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

// notCompact is Graph's word for a token without dots, since 2023.
// Source: MaikuB/flutter_appauth#575 (2024), RogerSelwyn/MS365-Calendar#77 (2025).
const notCompact = "IDX14100: JWT is not well formed, there are no dots (.).\nThe token needs to be in JWS or JWE Compact Serialization Format. " +
	"(JWS): 'EncodedHeader.EncodedPayload.EncodedSignature'. (JWE): 'EncodedProtectedHeader.EncodedEncryptedKey.EncodedInitializationVector.EncodedCiphertext.EncodedAuthenticationTag'."

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

// denied refuses a caller without one of the roles; none: it is not known here which.
// Source: Azure-Samples/ms-identity-python-daemon#8 (2020), and many since; the
// client-request-id in innerError is newer (seen 2024).
func (c *call) denied(roles []string) *failure {
	grant, which := "PERMISSION", "The application permission that this needs is in Microsoft Graph's permissions reference. "
	if len(roles) > 0 {
		grant, which = roles[0], "It takes one of the application permissions "+strings.Join(roles, ", ")+", of which the first is the least. "
	}
	remedy := which + "Grant it in wiemu.yaml, and get a new token, whose roles claim has it: " + c.grant(grant)
	if !c.emulated() { // said before anybody takes the trouble to grant it
		remedy = fmt.Sprintf("wiemu does not emulate %s %s: with the permission, the answer is 501 wiemu_NotEmulated. %s", c.r.Method, httppath.Original(c.r), remedy)
	}
	return &failure{
		http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.",
		"The token is good, but its owner was granted no application permission for this: see the token's roles claim.", remedy,
	}
}

// grant is what wiemu.yaml has to say for the caller to hold a role.
func (c *call) grant(role string) string {
	section, name := "identities", cmp.Or(c.caller.Name, "my-app")
	var roles []string
	if p, known := c.directory.Principal(c.caller.Tenant, c.caller.ClientID); known {
		if p.Kind == directory.Application {
			section = "applications"
		}
		name, roles = cmp.Or(p.DisplayName, name), p.AppRoles
	}
	return fmt.Sprintf("%s: [{name: %s, clientId: %s, roles: [%s]}]", section, strconv.Quote(name), c.caller.ClientID, strings.Join(append(slices.Clone(roles), role), ", "))
}

// notEmulated says that an answer is not Graph's: nobody is to take it for a bug of
// theirs, or for what Graph would say.
func (c *call) notEmulated() *failure {
	return notEmulated(c.r.Method + " " + httppath.Original(c.r))
}

func notEmulated(what string) *failure {
	return &failure{
		http.StatusNotImplemented, "wiemu_NotEmulated",
		fmt.Sprintf("This is wiemu's answer, not Microsoft Graph's: wiemu does not emulate %s. It reads organization, servicePrincipals, applications and their federatedIdentityCredentials, and changes nothing.", what),
		"The client asked for a part of Microsoft Graph that wiemu does not emulate. Its token and its permissions were good.",
		"Leave this request out of what is tried with wiemu. What the directory holds is changed in wiemu.yaml.",
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
		"Microsoft Graph has nothing of that name.", "Check the address for typing errors.",
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

// badQuery refuses a query option.
func badQuery(code, format string, args ...any) *failure {
	return &failure{http.StatusBadRequest, code, fmt.Sprintf(format, args...), "A query option of the request is not valid, or not supported here.", ""}
}
