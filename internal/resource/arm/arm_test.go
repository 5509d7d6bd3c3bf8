package arm_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/arm"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/tenants"
)

const (
	tenantID     = "11111111-1111-4111-8111-111111111111"
	otherTenant  = "22222222-2222-4222-8222-222222222222"
	subscription = "33333333-3333-4333-8333-333333333333"
	terraform    = "aaaaaaaa-0000-4000-8000-000000000001" // Owner of everything
	operator     = "aaaaaaaa-0000-4000-8000-000000000002" // Managed Identity Contributor of the group shop
	nobody       = "aaaaaaaa-0000-4000-8000-000000000003" // without a role
	stranger     = "aaaaaaaa-0000-4000-8000-000000000004" // of another tenant
	group        = "/subscriptions/" + subscription + "/resourceGroups/shop"
	reader       = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
	secretsUser  = "4633458b-17de-408a-b874-0445c86b69e6"
)

// world is a lab with clients.
type world struct {
	*lab.Lab
	t testing.TB
}

func configuration() config.Config {
	app := func(name, id, tenant string) config.Application {
		return config.Application{Principal: config.Principal{Name: name, ClientID: id, Tenant: tenant}, Secrets: []config.Secret{{Value: "secret of " + name}}}
	}
	return config.Config{
		Tenants:       []config.Tenant{{ID: tenantID}, {ID: otherTenant}},
		Subscriptions: []config.Subscription{{ID: subscription, Name: "shop"}},
		Applications:  []config.Application{app("terraform", terraform, ""), app("operator", operator, ""), app("nobody", nobody, ""), app("stranger", stranger, otherTenant)},
		Vaults:        []config.Vault{{Name: "orders", Secrets: map[string]string{"password": "hunter2"}, Access: []config.Access{{Identity: "terraform", Roles: []string{"Key Vault Reader"}}}}},
		Roles: config.Roles{Assignments: []config.RoleAssignment{
			{Identity: "terraform", Roles: []string{"Owner"}},
			{Identity: "operator", Roles: []string{"Managed Identity Contributor"}, Scope: group},
		}},
	}
}

func newWorld(t testing.TB, opts lab.Options) *world {
	t.Helper()
	opts.Keys, opts.Clock = keyringtest.Keys(t), clock.Stopped(time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC))
	l, err := lab.New(t.Context(), configuration(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &world{l, t}
}

func (w *world) client() azcore.ClientOptions {
	return azcore.ClientOptions{Transport: &http.Client{Transport: w.Transport()}, Retry: policy.RetryOptions{MaxRetries: -1}}
}

func (w *world) options() *arm.ClientOptions {
	return &arm.ClientOptions{ClientOptions: w.client(), DisableRPRegistration: true}
}

// as is the credential of an application of the configuration.
func (w *world) as(name, id, tenant string) azcore.TokenCredential {
	w.t.Helper()
	cred, err := azidentity.NewClientSecretCredential(tenant, id, "secret of "+name, &azidentity.ClientSecretCredentialOptions{ClientOptions: w.client(), DisableInstanceDiscovery: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return cred
}

func (w *world) terraform() azcore.TokenCredential { return w.as("terraform", terraform, tenantID) }

// workload is the credential of a service account that uses a client id.
func (w *world) workload(clientID, namespace, account string) azcore.TokenCredential {
	w.t.Helper()
	assertion := func(ctx context.Context) (string, error) {
		from := w.Issuers()[0]
		from.PutServiceAccount(namespace, account, nil)
		token, err := from.Mint(ctx, issuer.TokenRequest{Namespace: namespace, ServiceAccount: account, Audiences: []string{cloud.Public().TokenExchange}})
		return token.Raw, err
	}
	cred, err := azidentity.NewClientAssertionCredential(w.Config().Tenants[0].ID, clientID, assertion, &azidentity.ClientAssertionCredentialOptions{ClientOptions: w.client(), DisableInstanceDiscovery: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return cred
}

// answer is what Resource Manager answered.
type answer struct {
	status  int
	header  http.Header
	body    string
	Code    string
	Message string
}

// ask sends a request as somebody with METHOD PATH, which begins below the group shop if it
// does not begin with a slash.
func (w *world) ask(who azcore.TokenCredential, request, body string) answer {
	w.t.Helper()
	method, path, _ := strings.Cut(request, " ")
	switch {
	case strings.HasPrefix(path, "?"):
		path = group + path
	case !strings.HasPrefix(path, "/"):
		path = group + "/" + path
	}
	return w.request(who, "https://management.azure.com/.default", method, "https://management.azure.com"+strings.ReplaceAll(path, " ", "%20"), body)
}

// request sends a request with a token for a scope.
func (w *world) request(who azcore.TokenCredential, scope, method, url, body string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if strings.Contains(url, "core.windows.net") {
		r.Header.Set("X-Ms-Version", "2021-12-02")
		r.Header.Set("X-Ms-Blob-Type", "BlockBlob")
	}
	if who != nil {
		token, err := who.GetToken(w.t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			w.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token.Token)
	}
	return w.send(r)
}

func (w *world) send(r *http.Request) answer {
	w.t.Helper()
	res, err := w.Transport().RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: strings.TrimSpace(string(data))}
	var failed struct{ Error *answer }
	if json.Unmarshal(data, &failed) == nil && failed.Error != nil {
		a.Code, a.Message = failed.Error.Code, failed.Error.Message
	}
	return a
}

// vaultAsk sends a request for a secret as terraform.
func (w *world) vaultAsk(method, vault, secret, body string) answer {
	w.t.Helper()
	return w.request(w.terraform(), "https://vault.azure.net/.default", method, "https://"+vault+".vault.azure.net/secrets/"+secret+"?api-version=7.4", body)
}

// do is ask as terraform, which has to succeed.
func (w *world) do(request, body string) answer {
	w.t.Helper()
	a := w.ask(w.terraform(), request, body)
	if a.status >= http.StatusBadRequest {
		w.t.Fatalf("%s: %d %s", request, a.status, a.body)
	}
	return a
}

// member is a value of an answer by its path in JSON.
func (a answer) member(t testing.TB, path ...string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	for _, name := range path {
		v = v.(map[string]any)[name]
	}
	text, _ := v.(string)
	return text
}

func refusedWith(err error, code string) bool {
	var r *azcore.ResponseError
	return errors.As(err, &r) && r.ErrorCode == code
}

const (
	identities  = "providers/Microsoft.ManagedIdentity/userAssignedIdentities"
	v2024       = "?api-version=2024-11-30"
	assignments = "/providers/Microsoft.Authorization/roleAssignments/"
	v2022       = "?api-version=2022-04-01"
	groups2022  = "?api-version=2022-09-01"
)

// withIdentity makes the group shop and the managed identity web in it.
func (w *world) withIdentity() (clientID, principalID string) {
	w.t.Helper()
	w.do("PUT "+groups2022, `{"location": "West Europe", "tags": {"team": "shop"}}`)
	made := w.do("PUT "+identities+"/web"+v2024, `{"location": "westeurope"}`)
	return made.member(w.t, "properties", "clientId"), made.member(w.t, "properties", "principalId")
}

func (w *world) credential(name, body string) answer {
	w.t.Helper()
	return w.ask(w.terraform(), "PUT "+identities+"/web/federatedIdentityCredentials/"+name+v2024, body)
}

// trust is the body of a federated credential.
func trust(issuer, subject string) string {
	return `{"properties": {"issuer": "` + issuer + `", "subject": "` + subject + `", "audiences": ["api://AzureADTokenExchange"]}}`
}

// The answers to what azure-cli's recordings ask for are those of the recordings.
func TestAnswersOfRecordings(t *testing.T) {
	w := newWorld(t, lab.Options{})
	at := "/subscriptions/" + subscription
	id := at + "/resourcegroups/shop/" + identities + "/web"
	for _, row := range []struct {
		request, body string
		status        int
		want          string
		location      string
	}{
		{"HEAD " + groups2022, "", 404, "", ""},
		{"PUT " + groups2022, `{"location": "westus", "tags": {"product": "azurecli"}}`, 201, `{"id":"` + at + `/resourceGroups/shop","name":"shop","type":"Microsoft.Resources/resourceGroups","location":"westus","tags":{"product":"azurecli"},"properties":{"provisioningState":"Succeeded"}}`, ""},
		{"PUT " + groups2022, `{"location": "westus"}`, 200, `{"id":"` + at + `/resourceGroups/shop","name":"shop","type":"Microsoft.Resources/resourceGroups","location":"westus","properties":{"provisioningState":"Succeeded"}}`, ""},
		{"HEAD " + groups2022, "", 204, "", ""},
		{"PUT " + identities + "/web?api-version=2022-01-31-preview", `{"location": "westus"}`, 201, `{"id":"` + id + `","name":"web","type":"Microsoft.ManagedIdentity/userAssignedIdentities","location":"westus","tags":{},"properties":{"tenantId":"` + tenantID + `","principalId":"PRINCIPAL","clientId":"CLIENT"}}`, id},
		{"PUT " + identities + "/WEB?api-version=2022-01-31-preview", `{"location": "West US", "tags": {"a": "b"}}`, 200, `{"id":"` + id + `","name":"web","type":"Microsoft.ManagedIdentity/userAssignedIdentities","location":"westus","tags":{"a":"b"},"properties":{"tenantId":"` + tenantID + `","principalId":"PRINCIPAL","clientId":"CLIENT"}}`, ""},
		{"POST " + identities + "/web/listAssociatedResources?api-version=2022-01-31-preview", "", 200, `{"totalCount":0,"value":[]}`, ""},
		{"PUT " + identities + "/web/federatedIdentityCredentials/fic1?api-version=2022-01-31-preview", trust("https://oidc.prod-aks.azure.com/IssuerGUID", "system:serviceaccount:ns:svcaccount1"), 201,
			`{"id":"` + id + `/federatedIdentityCredentials/fic1","name":"fic1","type":"Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials","properties":{"issuer":"https://oidc.prod-aks.azure.com/IssuerGUID","subject":"system:serviceaccount:ns:svcaccount1","audiences":["api://AzureADTokenExchange"]}}`, id + "/federatedIdentityCredentials/fic1"},
		{"PUT " + identities + "/web/federatedIdentityCredentials/FIC1?api-version=2022-01-31-preview", trust("https://oidc.prod-aks.azure.com/IssuerGUID", "system:serviceaccount:ns:svcaccount3"), 200,
			`{"id":"` + id + `/federatedIdentityCredentials/fic1","name":"fic1","type":"Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials","properties":{"issuer":"https://oidc.prod-aks.azure.com/IssuerGUID","subject":"system:serviceaccount:ns:svcaccount3","audiences":["api://AzureADTokenExchange"]}}`, ""},
		{"DELETE " + identities + "/web/federatedIdentityCredentials/fic1?api-version=2022-01-31-preview", "", 200, "", ""},
		{"DELETE " + identities + "/web/federatedIdentityCredentials/fic1?api-version=2022-01-31-preview", "", 204, "", ""},
		{"GET " + identities + "/web/federatedIdentityCredentials?api-version=2022-01-31-preview", "", 200, `{"value":[]}`, ""},
		{"DELETE " + identities + "/web?api-version=2022-01-31-preview", "", 200, "", ""},
		{"DELETE " + identities + "/web?api-version=2022-01-31-preview", "", 204, "", ""},
		{"GET /subscriptions/" + subscription + "/resourceGroups/shop/providers/Microsoft.Authorization/roleDefinitions?$filter=roleName%20eq%20%27reader%27&api-version=2022-05-01-preview", "", 200,
			`{"value":[{"properties":{"roleName":"Reader","type":"BuiltInRole","description":"View all resources, but does not allow you to make any changes.","assignableScopes":["/"],"permissions":[{"actions":["*/read"],"notActions":[],"dataActions":[],"notDataActions":[]}],"createdOn":"0001-01-01T08:00:00.0000000Z","updatedOn":"0001-01-01T08:00:00.0000000Z","createdBy":null,"updatedBy":null},"id":"` + at + `/providers/Microsoft.Authorization/roleDefinitions/` + reader + `","type":"Microsoft.Authorization/roleDefinitions","name":"` + reader + `"}]}`, ""},
	} {
		got := w.ask(w.terraform(), row.request, row.body)
		if p, ok := w.Directory().ManagedIdentity(tenantID, id); ok {
			row.want = strings.NewReplacer("PRINCIPAL", p.ObjectID, "CLIENT", p.ClientID).Replace(row.want)
		}
		if got.status != row.status || got.body != row.want || got.header.Get("Location") != row.location {
			t.Errorf("%s: %d %s (location %q)\nwant %d %s", row.request, got.status, got.body, got.header.Get("Location"), row.status, row.want)
		}
		if got.header.Get("X-Ms-Request-Id") == "" {
			t.Errorf("%s: no request id", row.request)
		}
		if row.status == http.StatusNotFound && got.header.Get("X-Ms-Failure-Cause") != "gateway" {
			t.Errorf("%s: %v, want that the gateway refuses a group that there is not", row.request, got.header)
		}
	}
}

// What is refused is refused in Azure's words.
func TestRefusals(t *testing.T) {
	w := newWorld(t, lab.Options{})
	_, principalID := w.withIdentity()
	w.credential("first", trust("https://issuer.example/", "system:serviceaccount:a:b"))
	name := "44444444-4444-4444-8444-444444444444"
	assign := func(properties string) string { return `{"properties": {` + properties + `}}` }
	role := `"roleDefinitionId": "/subscriptions/` + subscription + `/providers/Microsoft.Authorization/roleDefinitions/` + reader + `"`
	w.do("PUT "+group+assignments+name+v2022, assign(role+`, "principalId": "`+principalID+`"`))
	compact := strings.ReplaceAll
	credentials := identities + "/web/federatedIdentityCredentials"
	for _, row := range []struct {
		request, body string
		status        int
		code, message string
	}{
		{"GET " + identities + "/web", "", 400, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests."},
		{"GET " + identities + "/web?api-version=2024", "", 400, "InvalidApiVersionParameter", "The api-version '2024' is invalid."},
		{"GET " + credentials + "?api-version=2018-11-30", "", 404, "InvalidResourceType", "The supported api-versions are '2026-05-31,2026-04-30,2025-05-31-preview,2025-01-31-preview,2024-11-30,"},
		{"GET /subscriptions/x" + v2022, "", 400, "InvalidSubscriptionId", "The provided subscription identifier 'x' is malformed or invalid."},
		{"GET /subscriptions/" + name + v2022, "", 404, "SubscriptionNotFound", "The subscription '" + name + "' could not be found."},
		{"GET /subscriptions/" + subscription + "/resourceGroups/nowhere" + groups2022, "", 404, "ResourceGroupNotFound", "Resource group 'nowhere' could not be found."},
		{"PUT " + groups2022, `{"location": "westus"}`, 409, "InvalidResourceGroupLocation", "Invalid resource group location 'westus'. The Resource group already exists in location 'westeurope'."},
		{"PUT " + groups2022, `{}`, 400, "LocationRequired", "The location property is required for this definition."},
		{"PUT " + groups2022, `{"location": "atlantis"}`, 400, "LocationNotAvailableForResourceGroup", "The provided location 'atlantis' is not available for resource group."},
		{"PUT /subscriptions/" + subscription + "/resourceGroups/a!b" + groups2022, `{"location": "westus"}`, 400, "InvalidResourceGroup", "The provided resource group name 'a!b' has these invalid characters: '!'."},
		{"PUT " + identities + "/web" + v2024, `{"location": "westus"}`, 409, "InvalidResourceLocation", "The resource 'web' already exists in location 'westeurope' in resource group 'shop'."},
		{"PUT " + identities + "/x" + v2024, `{"location": "westus"}`, 400, "InvalidResourceName", "The resource name 'x' is invalid."},
		{"PUT " + identities + "/new" + v2024, `{"location": "westus"`, 400, "InvalidRequestContent", "The request content was invalid and could not be deserialized: "},
		{"PUT " + identities + "/new" + v2024, ``, 400, "InvalidRequestContent", "the body is empty"},
		{"PUT " + identities + "/new" + v2024, `{"location": ["westus"]}`, 400, "InvalidRequestContent", "line 1, position"},
		{"PUT " + identities + "/new" + v2024, `{"location": "westus", "properties": {"isolationScope": "Zonal"}}`, 400, "BadRequest", "The isolation scope 'Zonal' is invalid."},
		{"GET " + identities + "/new" + v2024, "", 404, "ResourceNotFound", "The Resource 'Microsoft.ManagedIdentity/userAssignedIdentities/new' under resource group 'shop' was not found."},
		{"GET " + identities + "/new/federatedIdentityCredentials" + v2024, "", 404, "ParentResourceNotFound", "could not be found."},
		{"GET " + credentials + "/second" + v2024, "", 404, "NotFound", "'second'"},
		{"PUT " + credentials + "/a b" + v2024, trust("https://issuer.example/", "s"), 400, "BadRequest", "Federated Identity Credential name 'a b' is invalid."},
		{"PUT " + credentials + "/second" + v2024, `{}`, 400, "BadRequest", "Federated Identity Credential from HTTP body has empty properties"},
		{"PUT " + credentials + "/second" + v2024, trust("", "s"), 400, "BadRequest", "The request format was unexpected. Federated Identity Credential must specify 'issuer', 'subject' and 'audience'."},
		{"PUT " + credentials + "/second" + v2024, `{"properties": {"issuer": "https://issuer.example", "subject": "s", "audiences": ["a", "b"]}}`, 400, "BadRequest", "Federated identity credentials must have exactly one audience."},
		{"PUT " + credentials + "/second" + v2024, trust("http://issuer.example/", "s"), 400, "BadRequest", "invalid 'issuer'"},
		{"PUT " + credentials + "/second" + v2024, trust("https://issuer.example/", "system:serviceaccount:a:b"), 409, "Conflict", "Issuer and subject combination already exists for this Managed Identity."},
		{"PUT " + group + assignments + "x" + v2022, assign(role + `, "principalId": "` + principalID + `"`), 400, "InvalidRoleAssignmentId", "The role assignment ID 'x' is not valid. The role assignment ID must be a GUID."},
		{"PUT " + group + assignments + nobody + v2022, assign(role + `, "principalId": "` + principalID + `"`), 409, "RoleAssignmentExists", "The role assignment already exists. The ID of the conflicting role assignment is " + compact(name, "-", "") + "."},
		{"PUT " + group + assignments + name + v2022, assign(role + `, "principalId": "` + nobody + `", "principalType": "ServicePrincipal"`), 400, "RoleAssignmentUpdateNotPermitted", "Tenant ID, application ID, principal ID, and scope are not allowed to be updated."},
		{"PUT " + group + assignments + nobody + v2022, assign(role + `, "principalId": "` + nobody + `"`), 400, "PrincipalNotFound", "Principal " + compact(nobody, "-", "") + " does not exist in the directory " + tenantID + ". Check that you have the correct principal ID."},
		{"PUT " + group + assignments + nobody + v2022, assign(role + `, "principalId": "` + principalID + `", "principalType": "User"`), 400, "UnmatchedPrincipalType", "The PrincipalId '" + compact(principalID, "-", "") + "' has type 'ServicePrincipal' , which is different from specified PrinciaplType 'User'."},
		{"PUT " + group + assignments + nobody + v2022, assign(role + `, "principalId": "web"`), 400, "InvalidPrincipalId", "A valid principal ID must be provided for role assignment."},
		{"PUT " + group + assignments + nobody + v2022, assign(`"roleDefinitionId": "` + nobody + `", "principalId": "` + principalID + `"`), 400, "RoleDefinitionDoesNotExist", "The specified role definition with ID '" + compact(nobody, "-", "") + "' does not exist."},
		{"GET " + group + assignments + nobody + v2022, "", 404, "RoleAssignmentNotFound", "The role assignment '" + nobody + "' is not found."},
		{"GET " + group + strings.TrimSuffix(assignments, "/") + v2022 + "&$filter=scope%20eq%201", "", 400, "InvalidFilter", "Supported filters are either 'atScope()'"},
		{"GET /subscriptions/" + subscription + "/providers/Microsoft.Nothing?api-version=2022-09-01", "", 404, "InvalidResourceNamespace", "The resource namespace 'Microsoft.Nothing' is invalid."},
		{"GET /subscriptions/" + subscription + "/providers/Microsoft.Compute/virtualMachines?api-version=2022-09-01", "", 404, "NotFound", "is not emulated"},
	} {
		got := w.ask(w.terraform(), row.request, row.body)
		if got.status != row.status || got.Code != row.code || !strings.Contains(got.Message, row.message) {
			t.Errorf("%s: %d %s: %s\nwant %d %s: %s", row.request, got.status, got.Code, got.Message, row.status, row.code, row.message)
		}
	}
}

// A challenge names the tenant of the path's subscription, from which azwi has it.
func TestChallenges(t *testing.T) {
	w := newWorld(t, lab.Options{})
	for _, row := range []struct{ path, header, code, authority string }{
		{"/subscriptions/" + subscription + v2022, "", "AuthenticationFailed", "https://login.windows.net/" + tenantID},
		{"/subscriptions/" + subscription + v2022, "Bearer ", "AuthenticationFailedMissingToken", "https://login.windows.net/" + tenantID},
		{"/subscriptions/" + subscription + v2022, "Bearer x", "InvalidAuthenticationToken", "https://login.windows.net/" + tenantID},
		{identities + v2024, "", "AuthenticationFailed", "https://login.windows.net/" + tenantID},
		{"/subscriptions/" + nobody + v2022, "", "AuthenticationFailed", "https://login.windows.net/"},
		{"/subscriptions" + v2022, "", "AuthenticationFailed", "https://login.windows.net/"},
	} {
		path := row.path
		if !strings.HasPrefix(path, "/") {
			path = group + "/" + path
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://management.azure.com"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if row.header != "" {
			r.Header.Set("Authorization", row.header)
		}
		got := w.send(r)
		challenge := got.header.Get("WWW-Authenticate")
		if got.status != http.StatusUnauthorized || got.Code != row.code || !strings.HasPrefix(challenge, `Bearer authorization_uri="`+row.authority+`", error="invalid_token", error_description="`) {
			t.Errorf("%s with %q: %d %s, %s", row.path, row.header, got.status, got.Code, challenge)
		}
	}
}

// The roles of who asks decide, before what there is.
func TestWhoMayDoWhat(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	operatorID := w.object(operator)
	for _, row := range []struct {
		who     string
		request string
		body    string
		status  int
		want    string
	}{
		{"operator", "PUT " + identities + "/jobs" + v2024, `{"location": "westeurope"}`, 201, ""},
		{"operator", "PUT " + identities + "/jobs/federatedIdentityCredentials/one" + v2024, trust("https://issuer.example/", "s"), 201, ""},
		{"operator", "GET " + groups2022, "", 200, ""},
		{"operator", "PUT " + groups2022, `{"location": "westeurope"}`, 403, "action 'Microsoft.Resources/subscriptions/resourceGroups/write' over scope '" + group + "'"},
		{"operator", "PUT " + group + assignments + nobody + v2022, `{"properties": {}}`, 403, "The client '" + operatorID + "' with object id '" + operatorID + "' does not have authorization to perform action 'Microsoft.Authorization/roleAssignments/write' over scope '" + group + assignments + nobody + "' or the scope is invalid. If access was recently granted, please refresh your credentials."},
		{"operator", "GET " + group + strings.TrimSuffix(assignments, "/") + v2022, "", 200, ""},
		{"operator", "PUT /subscriptions/" + subscription + "/resourceGroups/nowhere/" + identities + "/jobs" + v2024, `{"location": "westeurope"}`, 403, "or the scope is invalid"},
		{"nobody", "GET " + identities + "/web" + v2024, "", 403, "action 'Microsoft.ManagedIdentity/userAssignedIdentities/read' over scope '" + group + "/" + identities + "/web'"},
		{"nobody", "GET " + identities + "/nothing" + v2024, "", 403, ""},
		{"nobody", "GET " + identities + v2024, "", 403, "over scope '" + group + "/providers/Microsoft.ManagedIdentity'"},
		{"nobody", "GET /subscriptions/" + subscription + "/resourcegroups" + groups2022, "", 200, ""},
		{"stranger", "GET " + identities + "/web" + v2024, "", 401, "It must match the tenant 'https://sts.windows.net/" + tenantID + "/' associated with this subscription."},
	} {
		ids := map[string][2]string{"operator": {operator, tenantID}, "nobody": {nobody, tenantID}, "stranger": {stranger, otherTenant}}
		got := w.ask(w.as(row.who, ids[row.who][0], ids[row.who][1]), row.request, row.body)
		if got.status != row.status || !strings.Contains(got.Message, row.want) {
			t.Errorf("%s: %s: %d %s, want %d %s", row.who, row.request, got.status, got.body, row.status, row.want)
		}
	}
	events := w.Journal().Events()
	found := false
	for _, e := range events {
		found = found || strings.Contains(e.Remedy, "Assign the role Role Based Access Control Administrator") && strings.Contains(e.Remedy, "roles.assignments: {identity: operator, roles: [Role Based Access Control Administrator], scope: "+group+"}.")
	}
	if !found {
		t.Error("the journal does not say which role operator needs to assign roles")
	}
	var listed struct{ Value []any }
	if err := json.Unmarshal([]byte(w.ask(w.as("nobody", nobody, tenantID), "GET /subscriptions/"+subscription+"/resourcegroups"+groups2022, "").body), &listed); err != nil || len(listed.Value) != 0 {
		t.Errorf("nobody sees %v, %v", listed, err)
	}
}

func (w *world) object(clientID string) string {
	p, ok := w.Directory().Principal(tenantID, clientID)
	if !ok {
		w.t.Fatalf("no principal %s", clientID)
	}
	return p.ObjectID
}

// Twenty federated credentials are enough for a managed identity.
func TestTheTwentyFirstCredential(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.withIdentity()
	for n := range tenants.MaxFederatedCredentials {
		name := "credential-" + string(rune('a'+n))
		if got := w.credential(name, trust("https://issuer.example/", name)); got.status != http.StatusCreated {
			t.Fatalf("%s: %d %s", name, got.status, got.body)
		}
	}
	if got := w.credential("one-more", trust("https://issuer.example/", "one-more")); got.status != http.StatusBadRequest || !strings.HasPrefix(got.Message, "Too many Federated Identity Credentials") {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := w.credential("credential-a", trust("https://issuer.example/", "another")); got.status != http.StatusOK {
		t.Errorf("one that is there: %d %s", got.status, got.body)
	}
	page := w.do("GET "+identities+"/web/federatedIdentityCredentials"+v2024+"&$top=15", "")
	var listed struct {
		Value    []any
		NextLink string
	}
	if err := json.Unmarshal([]byte(page.body), &listed); err != nil || len(listed.Value) != 15 {
		t.Fatalf("%v: %s", err, page.body)
	}
	page = w.do("GET "+strings.TrimPrefix(listed.NextLink, "https://management.azure.com"), "")
	listed.NextLink = ""
	if err := json.Unmarshal([]byte(page.body), &listed); err != nil || len(listed.Value) != 5 || listed.NextLink != "" {
		t.Errorf("%v: %s", err, page.body)
	}
}

// get is the status of a request with a token.
func (w *world) get(url, token string) int {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := w.Transport().RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}
