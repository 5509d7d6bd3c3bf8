package rest

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource"
)

const stampLayout = "1/2/2006 3:04:05 PM"

// unauthorized says in Resource Manager's words why a token was refused.
// Seen in logs: a missing header, AuthenticationFailedMissingToken, ExpiredAuthenticationToken,
// InvalidAuthenticationTokenAudience and …Tenant. The rest is modelled on them.
func (c *Call) unauthorized(refused *resource.Refusal) *resource.Failure {
	f := &resource.Failure{
		Status: http.StatusUnauthorized, Code: "InvalidAuthenticationToken", Message: "The access token is invalid.",
		Meaning: refused.Meaning(), Remedy: refused.Remedy(),
	}
	switch refused.Reason {
	case resource.Missing:
		f.Code, f.Message = "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
		if c.Request.Header.Get("Authorization") != "" {
			f.Code, f.Message = "AuthenticationFailedMissingToken", "Authentication failed. The 'Authorization' header is missing the access token."
		}
	case resource.WrongAudience:
		f.Code = "InvalidAuthenticationTokenAudience"
		f.Message = fmt.Sprintf("The access token has been obtained for wrong audience or resource '%s'. It should exactly match with one of the allowed audiences '%s'.",
			refused.Presented, strings.Join(c.Kit.Resource.Audiences(c.Kit.Cloud()), "','"))
	case resource.Expired:
		f.Code = "ExpiredAuthenticationToken"
		f.Message = fmt.Sprintf("The access token expiry UTC time '%s' is earlier than current UTC time '%s'.",
			c.Caller.ExpiresAt.UTC().Format(stampLayout), c.Kit.Clock.Now().UTC().Format(stampLayout))
	case resource.WrongTenant, resource.WrongIssuer:
		f.Code, f.Message = "InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer. It must match one of the tenants associated with this subscription."
	case resource.UnknownKey, resource.BadSignature:
		f.Message = "The access token validation failed. Could not verify the signature of the token."
	}
	if claims := refused.Claims(); claims != "" { // the text is inferred from Graph's
		f.Message = resource.Evaluated
		f.Challenge = fmt.Sprintf(`Bearer authorization_uri="%s", error="insufficient_claims", claims="%s"`, c.authority(), claims)
		return f
	}
	f.Challenge = fmt.Sprintf(`Bearer authorization_uri="%s", error="invalid_token", error_description="%s"`, c.authority(), challengeText(refused, f.Message))
	return f
}

// authority is where a challenge says that tokens are to be had: in the tenant of the path's
// subscription, by which clients such as azwi learn it, or else in none.
// Source: azure-workload-identity, pkg/cloud/azureclient.go, GetTenantID; azure-sdk-for-net, the
// challenge of Resource Manager in tests of its pipeline. That it is so of other clouds is inferred.
func (c *Call) authority() string {
	authority := "https://" + c.Kit.Cloud().Aliases[1] + "/"
	id, ok := subscriptionOf(c.Path())
	if !ok {
		return authority
	}
	s, _, _ := c.Subscription(id)
	return authority + s.Tenant
}

// challengeText is the description in the header, which may not hold quotes.
func challengeText(refused *resource.Refusal, message string) string {
	if refused.Reason == resource.Missing {
		return "The authentication failed because of missing 'Authorization' header."
	}
	return strings.ReplaceAll(message, `"`, "'")
}

// WrongTenant refuses a token of another tenant than the subscription's.
func (c *Call) WrongTenant(of string) *resource.Failure {
	in := c.Kit.Cloud()
	return &resource.Failure{
		Status: http.StatusUnauthorized, Code: "InvalidAuthenticationTokenTenant",
		Message: fmt.Sprintf("The access token is from the wrong issuer '%s'. It must match the tenant '%s' associated with this subscription. "+
			"Please use the authority (URL) 'https://login.windows.net/%s' to get the token. Note, if the subscription is transferred to another tenant there is no impact to the services, "+
			"but information about new tenant could take time to propagate (up to an hour). If you just transferred your subscription and see this error message, please try back later.", in.IssuerV1(c.Caller.Tenant), in.IssuerV1(of), of),
		Challenge: fmt.Sprintf(`Bearer authorization_uri="https://login.windows.net/%s", error="invalid_token", error_description="The authentication scheme of 'Bearer' is not supported."`, of),
		Meaning:   "The token was given out by another tenant than the subscription's.",
		Remedy:    "Ask for the token in the subscription's tenant.",
	}
}

// authorizationFailed is in the words of many logs, such as those of
// Azure/Azure-Landing-Zones#3668: of an application, both ids are the object id.
func (c *Call) authorizationFailed(action, scope, meaning, remedy string) *resource.Failure {
	message := fmt.Sprintf("The client '%[1]s' with object id '%[1]s' does not have authorization to perform action '%s' over scope '%s' or the scope is invalid. If access was recently granted, please refresh your credentials.",
		c.Caller.ObjectID, action, scope)
	return resource.Fail(http.StatusForbidden, "AuthorizationFailed", message, meaning, remedy)
}

// groupOf is the resource group of a scope, or else its subscription, or else everything.
func groupOf(scope string) string {
	segments := strings.Split(strings.Trim(scope, "/"), "/")
	switch {
	case len(segments) >= 4 && strings.EqualFold(segments[2], "resourceGroups"):
		return "/" + strings.Join(segments[:4], "/")
	case len(segments) >= 2 && strings.EqualFold(segments[0], "subscriptions"):
		return "/" + strings.Join(segments[:2], "/")
	}
	return "/"
}

// Interrupt implements resource.Access.
// Seen: 429 (Azure/azqr#34, MicrosoftDocs/azure-docs#105248). The text of 5xx is inferred.
func (c *Call) Interrupt(status int, after time.Duration) *resource.Failure {
	c.gateway = true
	switch status {
	case http.StatusTooManyRequests:
		message := fmt.Sprintf("Number of requests for action '%s' exceeded the limit of '50' for time interval '00:05:00'. Please try again after '%d' seconds.", cmp.Or(c.operation.Action, "Microsoft.Resources/subscriptions/read"), int(after.Seconds()))
		return resource.Fail(status, "ResourceRequestsThrottled", message, "Resource Manager had too many requests and takes no more for a while.", "Wait as long as Retry-After says, and ask less often.")
	case http.StatusInternalServerError:
		return resource.Fail(status, "InternalServerError", "Encountered internal server error.", "Resource Manager failed.", "Try again, with growing pauses.")
	default:
		return resource.Fail(status, "ServerTimeout", "The request timed out.", "Resource Manager could not answer just now.", "Try again, with growing pauses.")
	}
}

// invalidVersion is in the words of crossplane-contrib/provider-upjet-azure#630, whose list is longer.
func invalidVersion(version string) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, "InvalidApiVersionParameter",
		fmt.Sprintf("The api-version '%s' is invalid. The supported versions are '2022-12-01,2022-09-01,2022-06-01,2021-04-01,2021-01-01,2020-10-01,2020-01-01,2019-11-01,2019-10-01,2019-06-01,2018-05-01,2016-06-01'.", version),
		"The version of the API is a date, such as 2022-12-01.", "")
}

// NotFound says that a resource of a group does not exist. kind is the type with its namespace.
// Source: https://aka.ms/ARMResourceNotFoundFix, and many logs.
func NotFound(kind, name, group string) *resource.Failure {
	return resource.Fail(http.StatusNotFound, "ResourceNotFound",
		fmt.Sprintf("The Resource '%s/%s' under resource group '%s' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix", kind, name, group),
		"There is no such resource.", "Create it first, and mind the subscription, the group and the name.")
}

// ParentNotFound says that what a nested resource belongs to does not exist.
// Seen, of other types: this text in logs of storage accounts and DNS zones, and before it "Can not
// perform requested operation on nested resource. Parent resource 'NAME' not found."
// (Azure/azure-cli-extensions#5535, 2022). Which one federated credentials have is inferred.
func ParentNotFound(operation, kind, parent string) *resource.Failure {
	return resource.Fail(http.StatusNotFound, "ParentResourceNotFound",
		fmt.Sprintf("Failed to perform '%s' on resource(s) of type '%s', because the parent resource '%s' could not be found.", operation, kind, parent),
		"What the resource belongs to does not exist.", "Create it first.")
}

// BadRequest refuses what a provider does not take. Meaning says why, for the journal.
func BadRequest(code, message, meaning string) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, code, message, meaning, "Correct the request.")
}

// notServed says that a resource was not made because it cannot be served.
func notServed(err error) *resource.Failure {
	return resource.Fail(http.StatusInternalServerError, "InternalServerError", "Encountered internal server error.", "wiemu did not make the resource, since it cannot serve it: "+err.Error()+".", "")
}

// NotStored says that a change was not made because it cannot be stored.
func NotStored(err error) *resource.Failure {
	return resource.Fail(http.StatusInternalServerError, "InternalServerError", "Encountered internal server error.", "wiemu did not make the change: "+err.Error()+".", "See that the state directory can be written.")
}

// Locked refuses to change what wiemu.yaml makes, as Azure does what has a lock.
// Source: azure-docs, azure-resource-manager/management/lock-resources.md, and many logs.
func Locked(id, operation string) *resource.Failure {
	return resource.Fail(http.StatusConflict, "ScopeLocked", fmt.Sprintf("The scope '%s' cannot perform %s operation because following scope(s) are locked: '%[1]s'. Please remove the lock and try again.", id, operation),
		"wiemu.yaml makes this resource.", "Change it there, or create one of another name.")
}
