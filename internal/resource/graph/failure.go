package graph

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/resource"
)

// unauthorized says in Graph's words why a token was refused.
// Seen: "Access token is empty." and the two about audience and lifetime in many
// logs, CompactToken in 2022 and 2023. The rest is modelled on them.
func (c *call) unauthorized(refused *resource.Refusal) *resource.Failure {
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
	if refused.Reason == resource.Revoked {
		message = resource.Evaluated
	}
	failed := resource.Fail(http.StatusUnauthorized, "InvalidAuthenticationToken", message, refused.Meaning(), refused.Remedy())
	failed.Challenge = `Bearer realm="", authorization_uri="` + c.kit.Cloud().Authority() + `common/oauth2/authorize", client_id="` + c.kit.Resource.AppID + `"`
	if claims := refused.Claims(); claims != "" {
		failed.Challenge += `, error_description="` + message + `", error="insufficient_claims", claims="` + claims + `"`
	}
	return failed
}

// notCompact is Graph's word for a token without dots, since 2023.
// Source: MaikuB/flutter_appauth#575 (2024), RogerSelwyn/MS365-Calendar#77 (2025).
const notCompact = "IDX14100: JWT is not well formed, there are no dots (.).\nThe token needs to be in JWS or JWE Compact Serialization Format. " +
	"(JWS): 'EncodedHeader.EncodedPayload.EncodedSignature'. (JWE): 'EncodedProtectedHeader.EncodedEncryptedKey.EncodedInitializationVector.EncodedCiphertext.EncodedAuthenticationTag'."

// Interrupt implements resource.Access.
// Source of 429: microsoft-graph-docs-contrib, concepts/throttling.md. The codes
// of 5xx are those of errors.md there.
func (c *call) Interrupt(status int, _ time.Duration) *resource.Failure {
	switch status {
	case http.StatusTooManyRequests:
		return resource.Fail(status, "TooManyRequests", "Please retry again later.", "Graph had too many requests and takes no more for a while.", "Wait as long as Retry-After says, and ask less often.")
	case http.StatusInternalServerError:
		return resource.Fail(status, "generalException", "An unspecified error has occurred.", "Graph failed.", "Try again, with growing pauses.")
	default:
		return resource.Fail(status, "serviceNotAvailable", "The service is not available. Try the request again after a delay.", "Graph could not answer just now.", "Try again, with growing pauses.")
	}
}

// throttled sets the headers that say why and for whom too many requests came. Graph sends them for
// directory objects; others have Retry-After alone.
// Source: microsoft-graph-docs-contrib, concepts/throttling-limits.md, "Identity and access service
// limits", "Throttled responses requests": <Scope>/<Limit>/<ApplicationId>/<TenantId>, and the names.
// A 429 with both, and with no x-ms-throttle-limit-percentage, is in cartography's test of
// Intune's detected apps.
func (c *call) throttled(h http.Header) {
	limit, why := "ReadWrite", "ResourceUnitLimitExceeded"
	if !reading(c.Request) {
		limit, why = "Write", "WriteLimitExceeded"
	}
	h.Set("X-Ms-Throttle-Information", why)
	if c.Caller.ClientID != "" { // not without a token
		h.Set("X-Ms-Throttle-Scope", "Tenant_Application/"+limit+"/"+c.Caller.ClientID+"/"+c.Caller.Tenant)
	}
}

// denied refuses a caller without one of the roles. If there are none, it is not known
// here which the request needs.
// Source: Azure-Samples/ms-identity-python-daemon#8 (2020), and many since; the
// client-request-id in innerError is newer (seen 2024).
func (c *call) denied(roles []string) *resource.Failure {
	grant, which := "PERMISSION", "The application permission that this needs is in Microsoft Graph's permissions reference. "
	if len(roles) > 0 {
		grant, which = roles[0], "It takes one of the application permissions "+strings.Join(roles, ", ")+", of which the first is the least. "
	}
	remedy := which + "Grant it in wiemu.yaml, and get a new token, whose roles claim has it: " + c.grant(grant)
	if !c.known { // worth knowing before the permission is granted
		remedy = fmt.Sprintf("wiemu does not emulate %s %s: with the permission, the answer is 501 wiemu_NotEmulated. %s", c.Request.Method, httppath.Original(c.Request), remedy)
	}
	return resource.Fail(
		http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.",
		"The token is good, but its owner was granted no application permission for this: see the token's roles claim.", remedy,
	)
}

// grant returns the lines of wiemu.yaml that give the caller a role.
func (c *call) grant(role string) string {
	section, name := "identities", cmp.Or(c.Caller.Name, "my-app")
	var roles []string
	if p, known := c.kit.Directory.Principal(c.Caller.Tenant, c.Caller.ClientID); known {
		if p.Kind == directory.Application {
			section = "applications"
		}
		name, roles = cmp.Or(p.DisplayName, name), p.AppRoles
	}
	return fmt.Sprintf("%s: [{name: %s, clientId: %s, roles: [%s]}]", section, strconv.Quote(name), c.Caller.ClientID, strings.Join(append(slices.Clone(roles), role), ", "))
}

// notEmulated says that the answer is wiemu's and not Graph's, so that it is taken
// neither for a bug of the client nor for what Graph would answer.
func notEmulated(what string) *resource.Failure {
	return resource.Fail(
		http.StatusNotImplemented, "wiemu_NotEmulated",
		fmt.Sprintf("This is wiemu's answer, not Microsoft Graph's: wiemu does not emulate %s. It has organization, applications and servicePrincipals, with their credentials, owners and app role assignments.", what),
		"The client asked for a part of Microsoft Graph that wiemu does not emulate. Its token and its permissions were good.",
		"Leave this request out of what is tried with wiemu.",
	)
}

func notFound(id string) *resource.Failure {
	return resource.Fail(
		http.StatusNotFound, "Request_ResourceNotFound",
		fmt.Sprintf("Resource '%s' does not exist or one of its queried reference-property objects are not present.", id),
		"The tenant has no such object. An application has two object ids: one of the app registration (applications), one of its service principal (servicePrincipals).",
		"Look the object up by its client id: applications(appId='…') or servicePrincipals(appId='…').",
	)
}

func invalidID(id string) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, "Request_BadRequest", fmt.Sprintf("Invalid object identifier '%s'.", id), "An object id is a GUID.", "")
}

func unknownSegment(segment string) *resource.Failure {
	return resource.Fail(
		http.StatusBadRequest, "BadRequest", fmt.Sprintf("Resource not found for the segment '%s'.", segment),
		"Microsoft Graph has nothing of that name.", "Check the address for typing errors.",
	)
}

func invalidVersion(version string) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, "BadRequest", "Invalid version: "+version, "Graph's addresses begin with /v1.0 or /beta.", "")
}

func notDelegated() *resource.Failure {
	return resource.Fail(
		http.StatusBadRequest, "BadRequest", "/me request is only valid with delegated authentication flow.",
		"A workload's token speaks for an application; there is no user whom /me could mean.",
		"Ask for servicePrincipals(appId='…') to see the workload's own identity.",
	)
}

func badQuery(code, format string, args ...any) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, code, fmt.Sprintf(format, args...), "A query option of the request is not valid, or not supported here.", "")
}
