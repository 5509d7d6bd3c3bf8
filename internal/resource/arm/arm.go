// Package arm answers as Azure Resource Manager does for what a command-line
// tool asks when it logs in: the subscriptions and tenants that its identity
// sees, and the cloud's addresses. It manages no resources.
package arm

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/resource"
)

// Name is that of the resource in the table.
const Name = "arm"

// Description is Azure Resource Manager in the table of resources. The audiences are in
// the order in which it names them itself.
// Source: InvalidAuthenticationTokenAudience in many logs.
func Description() resource.Description {
	return resource.Description{
		Name: Name, Title: "Azure Resource Manager", AppID: "797f4846-ba00-4fd7-ba43-dac1f8f63013",
		Audiences: func(c cloud.Cloud) []string {
			today, older := "https://"+c.Management[0], "https://"+c.Management[1]
			return []string{older + "/", older, today + "/", today}
		},
		Hosts: func(c cloud.Cloud) []string { return c.Management },
		New: func(k resource.Kit, settings any) (resource.Service, error) {
			subscriptions, _ := settings.([]Subscription)
			return New(k, subscriptions), nil
		},
	}
}

// Subscription is one that every identity of its tenant sees.
type Subscription struct {
	ID     string // GUID in lower case
	Name   string
	Tenant string // GUID in lower case
}

// Service serves subscriptions. It is safe for concurrent use.
type Service struct {
	kit           resource.Kit
	subscriptions []Subscription
}

// New makes a service.
func New(k resource.Kit, subscriptions []Subscription) *Service {
	return &Service{k, slices.Clone(subscriptions)}
}

// Handler serves both hosts.
func (s *Service) Handler() http.Handler {
	var routes []resource.Route
	for _, to := range readable() {
		routes = append(routes, resource.Route{Methods: []string{http.MethodGet, http.MethodHead}, Path: to.path, Begin: s.begin(to)})
	}
	return s.kit.Handler(routes, s.begin(route{verb: "something else", serve: (*call).unknown}))
}

type route struct {
	path   string // in lower case
	verb   string // for people
	public bool   // no token is asked for
	serve  func(*call) (any, *resource.Failure)
}

func readable() []route {
	return []route{
		{"/subscriptions", "list subscriptions", false, (*call).list},
		{"/subscriptions/{subscription}", "get subscription", false, (*call).get},
		{"/tenants", "list tenants", false, (*call).tenants},
		{"/metadata/endpoints", "get the cloud's endpoints", true, (*call).endpoints},
	}
}

type call struct {
	*resource.Call
	*Service
	route route
}

func (s *Service) begin(to route) func(*resource.Call) resource.Request {
	return func(c *resource.Call) resource.Request { return &call{c, s, to} }
}

func (c *call) Demand() (*resource.Want, *resource.Failure) {
	if c.route.public {
		return nil, nil
	}
	return c.kit.Want(""), nil
}

// Allow implements resource.Access: the version of its API is the first thing that
// Resource Manager looks at.
func (c *call) Allow(refused *resource.Refusal) *resource.Failure {
	failed := c.apiVersion()
	if failed == nil && refused != nil {
		return c.unauthorized(refused)
	}
	return failed
}

func (c *call) Serve() (resource.Answer, *resource.Failure) {
	found, failed := c.route.serve(c)
	return resource.Answer{Body: found}, failed
}

func (c *call) Describe(e *journal.Event) (action string) {
	e.Detail["action"] = c.route.verb
	return c.route.verb
}

func (c *call) apiVersion() *resource.Failure {
	version := c.Request.URL.Query().Get("api-version")
	switch {
	case version == "":
		return resource.Fail(http.StatusBadRequest, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.",
			"Resource Manager answers by versions of its API.", "Add ?api-version=2022-12-01 to the request.")
	case !datedVersion.MatchString(version):
		return resource.Fail(http.StatusBadRequest, "InvalidApiVersionParameter",
			fmt.Sprintf("The api-version '%s' is invalid. The supported versions are '2022-12-01,2022-09-01,2022-06-01,2021-04-01,2021-01-01,2020-10-01,2020-01-01,2019-11-01,2019-10-01,2019-06-01,2018-05-01,2016-06-01'.", version),
			"The version of the API is a date, such as 2022-12-01.", "")
	}
	return nil
}

var datedVersion = regexp.MustCompile(`^\d{4}-\d\d-\d\d(-preview)?$`)

// Write implements resource.Request, with the headers that Resource Manager sends.
// Source: response headers of management.azure.com in hashicorp/terraform-provider-azurerm#20867
func (c *call) Write(w http.ResponseWriter, answer resource.Answer, failed *resource.Failure) {
	r := c.Request
	id := uuid.NewString()
	correlation := id
	if given, err := uuid.Parse(r.Header.Get("x-ms-correlation-request-id")); err == nil {
		correlation = given.String()
	}
	h := w.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Expires", "-1")
	h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Ms-Correlation-Request-Id", correlation)
	h.Set("X-Ms-Request-Id", id)
	h.Set("X-Ms-Routing-Request-Id", fmt.Sprintf("NORTHEUROPE:%s:%s", c.kit.Clock.Now().UTC().Format("20060102T150405Z"), id))
	body := answer.Body
	if failed != nil {
		body = problem{problemBody{failed.Code, failed.Message}}
		h.Set("X-Ms-Failure-Cause", "gateway")
	} else if client := r.Header.Get("x-ms-client-request-id"); client != "" && strings.EqualFold(r.Header.Get("x-ms-return-client-request-id"), "true") {
		h.Set("X-Ms-Client-Request-Id", client)
	}
	w.WriteHeader(answer.Status)
	if r.Method == http.MethodHead {
		return
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(body) // the client has gone
}

type problem struct {
	Error problemBody `json:"error"`
}

type problemBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

const stampLayout = "1/2/2006 3:04:05 PM"

// unauthorized says in Resource Manager's words why a token was refused.
// Seen in logs: a missing header, ExpiredAuthenticationToken,
// InvalidAuthenticationTokenAudience and …Tenant. The rest is modelled on them.
func (c *call) unauthorized(refused *resource.Refusal) *resource.Failure {
	f := &resource.Failure{
		Status: http.StatusUnauthorized, Code: "InvalidAuthenticationToken", Message: "The access token is invalid.",
		Meaning: refused.Meaning(), Remedy: refused.Remedy(),
	}
	switch refused.Reason {
	case resource.Missing:
		f.Code, f.Message = "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing."
	case resource.WrongAudience:
		f.Code = "InvalidAuthenticationTokenAudience"
		f.Message = fmt.Sprintf("The access token has been obtained for wrong audience or resource '%s'. It should exactly match with one of the allowed audiences '%s'.",
			refused.Presented, strings.Join(c.kit.Resource.Audiences(c.kit.Cloud()), "','"))
	case resource.Expired:
		f.Code = "ExpiredAuthenticationToken"
		f.Message = fmt.Sprintf("The access token expiry UTC time '%s' is earlier than current UTC time '%s'.",
			c.Caller.ExpiresAt.UTC().Format(stampLayout), c.kit.Clock.Now().UTC().Format(stampLayout))
	case resource.WrongTenant, resource.WrongIssuer:
		f.Code, f.Message = "InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer. It must match one of the tenants associated with this subscription."
	case resource.UnknownKey, resource.BadSignature:
		f.Message = "The access token validation failed. Could not verify the signature of the token."
	}
	if claims := refused.Claims(); claims != "" { // the text is inferred from Graph's
		f.Message = resource.Evaluated
		f.Challenge = fmt.Sprintf(`Bearer authorization_uri="%s%s", error="insufficient_claims", claims="%s"`, c.kit.Cloud().Authority(), cmp.Or(c.Caller.Tenant, "common"), claims)
		return f
	}
	f.Challenge = fmt.Sprintf(`Bearer authorization_uri="%s%s", error="invalid_token", error_description="%s"`, c.kit.Cloud().Authority(), cmp.Or(c.Caller.Tenant, "common"), challengeText(refused, f.Message))
	return f
}

// Interrupt implements resource.Access.
// Seen: 429 (Azure/azqr#34, MicrosoftDocs/azure-docs#105248). The text of 5xx is inferred.
func (c *call) Interrupt(status int, after time.Duration) *resource.Failure {
	switch status {
	case http.StatusTooManyRequests:
		message := fmt.Sprintf("Number of requests for action 'Microsoft.Resources/subscriptions/read' exceeded the limit of '50' for time interval '00:05:00'. Please try again after '%d' seconds.", int(after.Seconds()))
		return resource.Fail(status, "ResourceRequestsThrottled", message, "Resource Manager had too many requests and takes no more for a while.", "Wait as long as Retry-After says, and ask less often.")
	case http.StatusInternalServerError:
		return resource.Fail(status, "InternalServerError", "Encountered internal server error.", "Resource Manager failed.", "Try again, with growing pauses.")
	default:
		return resource.Fail(status, "ServerTimeout", "The request timed out.", "Resource Manager could not answer just now.", "Try again, with growing pauses.")
	}
}

// challengeText is the description in the header, which may not hold quotes.
func challengeText(refused *resource.Refusal, message string) string {
	if refused.Reason == resource.Missing {
		return "The authentication failed because of missing 'Authorization' header."
	}
	return strings.ReplaceAll(message, `"`, "'")
}

func (c *call) wrongTenant(of string) *resource.Failure {
	in := c.kit.Cloud()
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
