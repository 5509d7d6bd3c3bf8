package arm

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/resource"
)

// failure is an answer in Resource Manager's error JSON.
type failure struct {
	status    int
	code      string
	message   string
	challenge string // WWW-Authenticate

	meaning, remedy string // for the journal
}

// stampLayout is how Resource Manager writes times in messages.
const stampLayout = "1/2/2006 3:04:05 PM"

// unauthorized says in Resource Manager's words why a token was refused.
// Seen in logs: a missing header, ExpiredAuthenticationToken,
// InvalidAuthenticationTokenAudience and …Tenant. The rest is modelled on them.
func (c *call) unauthorized(refused *resource.Refusal) *failure {
	f := &failure{
		status: http.StatusUnauthorized, code: "InvalidAuthenticationToken", message: "The access token is invalid.",
		meaning: refused.Meaning(), remedy: refused.Remedy(),
	}
	switch refused.Reason {
	case resource.Missing:
		f.code, f.message = "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
	case resource.WrongAudience:
		f.code = "InvalidAuthenticationTokenAudience"
		f.message = fmt.Sprintf("The access token has been obtained for wrong audience or resource '%s'. It should exactly match with one of the allowed audiences '%s'.",
			refused.Presented, strings.Join(c.audiences(), "','"))
	case resource.Expired:
		f.code = "ExpiredAuthenticationToken"
		f.message = fmt.Sprintf("The access token expiry UTC time '%s' is earlier than current UTC time '%s'.",
			c.caller.ExpiresAt.UTC().Format(stampLayout), c.clock.Now().UTC().Format(stampLayout))
	case resource.WrongTenant, resource.WrongIssuer:
		f.code, f.message = "InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer. It must match one of the tenants associated with this subscription."
	case resource.UnknownKey, resource.BadSignature:
		f.message = "The access token validation failed. Could not verify the signature of the token."
	}
	f.challenge = fmt.Sprintf(`Bearer authorization_uri="%s%s", error="invalid_token", error_description="%s"`, c.validator.Cloud().Authority(), tenantOr(c.caller.Tenant, "common"), challengeText(refused, f.message))
	return f
}

// interrupted is how Resource Manager refuses a request that a fault hit, whoever
// sent it; nil when none did.
// Seen: 429 (Azure/azqr#34, MicrosoftDocs/azure-docs#105248). The text of 5xx is inferred.
func interrupted(ctx context.Context) *failure {
	status, after, refused := fault.Refusal(ctx)
	switch {
	case !refused:
		return nil
	case status == http.StatusTooManyRequests:
		return &failure{
			status: status, code: "ResourceRequestsThrottled",
			message: fmt.Sprintf("Number of requests for action 'Microsoft.Resources/subscriptions/read' exceeded the limit of '50' for time interval '00:05:00'. Please try again after '%d' seconds.", int(after.Seconds())),
			meaning: "Resource Manager had too many requests and takes no more for a while.", remedy: "Wait as long as Retry-After says, and ask less often.",
		}
	case status == http.StatusInternalServerError:
		return &failure{status: status, code: "InternalServerError", message: "Encountered internal server error.", meaning: "Resource Manager failed.", remedy: "Try again, with growing pauses."}
	default:
		return &failure{status: status, code: "ServerTimeout", message: "The request timed out.", meaning: "Resource Manager could not answer just now.", remedy: "Try again, with growing pauses."}
	}
}

func tenantOr(tenant, otherwise string) string {
	if tenant == "" {
		return otherwise
	}
	return tenant
}

// challengeText is the description in the header, which may not hold quotes.
func challengeText(refused *resource.Refusal, message string) string {
	if refused.Reason == resource.Missing {
		return "The authentication failed because of missing 'Authorization' header."
	}
	return strings.ReplaceAll(message, `"`, "'")
}

func (c *call) wrongTenant(of string) *failure {
	in := c.validator.Cloud()
	return &failure{
		status: http.StatusUnauthorized, code: "InvalidAuthenticationTokenTenant",
		message: fmt.Sprintf("The access token is from the wrong issuer '%s'. It must match the tenant '%s' associated with this subscription. "+
			"Please use the authority (URL) 'https://login.windows.net/%s' to get the token. Note, if the subscription is transferred to another tenant there is no impact to the services, "+
			"but information about new tenant could take time to propagate (up to an hour). If you just transferred your subscription and see this error message, please try back later.", in.IssuerV1(c.caller.Tenant), in.IssuerV1(of), of),
		challenge: fmt.Sprintf(`Bearer authorization_uri="https://login.windows.net/%s", error="invalid_token", error_description="The authentication scheme of 'Bearer' is not supported."`, of),
		meaning:   "The token was given out by another tenant than the subscription's.",
		remedy:    "Ask for the token in the subscription's tenant.",
	}
}

func missingVersion() *failure {
	return &failure{
		status: http.StatusBadRequest, code: "MissingApiVersionParameter", message: "The api-version query parameter (?api-version=) is required for all requests.",
		meaning: "Resource Manager answers by versions of its API.", remedy: "Add ?api-version=2022-12-01 to the request.",
	}
}

func invalidVersion(version string) *failure {
	return &failure{
		status: http.StatusBadRequest, code: "InvalidApiVersionParameter",
		message: fmt.Sprintf("The api-version '%s' is invalid. The supported versions are '2022-12-01,2022-09-01,2022-06-01,2021-04-01,2021-01-01,2020-10-01,2020-01-01,2019-11-01,2019-10-01,2019-06-01,2018-05-01,2016-06-01'.", version),
		meaning: "The version of the API is a date, such as 2022-12-01.",
	}
}

func invalidSubscription(id string) *failure {
	return &failure{
		status: http.StatusBadRequest, code: "InvalidSubscriptionId", message: fmt.Sprintf("The provided subscription identifier '%s' is malformed or invalid.", id),
		meaning: "A subscription id is a GUID.",
	}
}

func unknownSubscription(id string) *failure {
	return &failure{
		status: http.StatusNotFound, code: "SubscriptionNotFound", message: fmt.Sprintf("The subscription '%s' could not be found.", id),
		meaning: "The configuration has no such subscription.", remedy: "Add it to subscriptions in wiemu.yaml.",
	}
}

func notEmulated(r *http.Request) *failure {
	return &failure{
		status: http.StatusNotFound, code: "NotFound", message: fmt.Sprintf("%s %s is not emulated.", r.Method, r.URL.Path),
		meaning: "This Resource Manager has subscriptions, tenants and the cloud's endpoints, to be read.",
	}
}
