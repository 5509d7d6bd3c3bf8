package graph_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/metadata"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/graph"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/tenants"
)

const (
	ordersID          = "aaaaaaaa-0000-4000-8000-000000000002"
	ordersObject      = "bbbbbbbb-0000-4000-8000-000000000002"
	ordersApplication = "cccccccc-0000-4000-8000-000000000002"
	trustID           = "dddddddd-0000-4000-8000-000000000001"
	webResource       = "/subscriptions/s/resourcegroups/r/providers/Microsoft.ManagedIdentity/userAssignedIdentities/web"
)

type bench struct {
	clock     *clock.Lab
	journal   *journals.Journal
	tokens    *tokentest.Service
	directory *tenants.Directory
	handler   http.Handler
}

func tenant() directory.Tenant {
	return directory.Tenant{
		ID: tokentest.Tenant, DisplayName: "Contoso", Domains: []string{"contoso.example", "contoso.onmicrosoft.com"},
		Principals: []directory.Principal{
			{Kind: directory.ManagedIdentity, ClientID: tokentest.ClientID, ObjectID: tokentest.ObjectID, DisplayName: "web", ResourceID: webResource},
			{
				Kind: directory.Application, ClientID: ordersID, ObjectID: ordersObject, ApplicationObjectID: ordersApplication, DisplayName: "Ole's orders",
				IdentifierURIs: []string{"api://orders"}, AccessTokenVersion: 2, Disabled: true, AppRoles: []string{"Mail.Read", "Own.Role"},
				Secrets: []directory.Secret{{DisplayName: "ci", Value: "hunter2", End: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}},
				FederatedCredentials: []directory.FederatedCredential{
					{ID: trustID, Name: "dev-web", Issuer: "https://radix.oic.wiemu.test/t/u/", Subject: "system:serviceaccount:app-dev:web-sa", Audience: cloud.Public().TokenExchange},
					{Name: "prod-web", Issuer: "https://radix.oic.wiemu.test/t/u/", Subject: "system:serviceaccount:app-prod:web-sa", Audience: cloud.Public().TokenExchange, Description: "prod"},
				},
			},
		},
	}
}

func newLab(tb testing.TB, in directory.Tenant) *bench {
	tb.Helper()
	clk := clock.Stopped(tokentest.Start())
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	d, err := tenants.New(in)
	if err != nil {
		tb.Fatal(err)
	}
	tokens := tokentest.New(tb, clk)
	service := graph.New(resource.Kit{Resource: graph.Description(), Directory: d, Tokens: resource.NewValidator(clk, tokens.Source(), resource.Options{}), Clock: clk, Journal: j})
	return &bench{clk, j, tokens, d, service.Handler()}
}

func (l *bench) token(tb testing.TB, roles ...string) string {
	var claims tokentest.Claims
	if len(roles) > 0 {
		claims = tokentest.Claims{"roles": roles}
	}
	return l.tokens.Mint(tb, "https://graph.microsoft.com", claims)
}

// administrator's token may read and write all that there is.
func (l *bench) administrator(tb testing.TB) string {
	return l.token(tb, "Application.ReadWrite.All", "Directory.ReadWrite.All")
}

func (l *bench) ask(token, method, target string) *httptest.ResponseRecorder {
	target = strings.ReplaceAll(target, " ", "%20")
	if !strings.HasPrefix(target, "https://") {
		target = "https://graph.microsoft.com" + target
	}
	r := httptest.NewRequest(method, target, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, r)
	return w
}

func (l *bench) last() journal.Event {
	events := l.journal.Events()
	return events[len(events)-1]
}

func TestReads(t *testing.T) {
	l := newLab(t, tenant())
	token := l.administrator(t)
	for _, row := range []struct {
		name, target string
		status       int
		text         string // part of the body
	}{
		{"the organization", "/v1.0/organization", 200, `{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#organization","value":[{"id":"` + tokentest.Tenant + `","deletedDateTime":null,"displayName":"Contoso"`},
		{"its domains", "/v1.0/organization", 200, `"isDefault":true,"isInitial":false,"name":"contoso.example"`},
		{"a part of the organization", "/v1.0/organization?$select=id,displayName", 200, `{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#organization(id,displayName)","value":[{"id":"` + tokentest.Tenant + `","displayName":"Contoso"}]}`},
		{"the organization by id", "/v1.0/organization/" + tokentest.Tenant, 200, `#organization/$entity"`},
		{"in beta", "/beta/organization", 200, `https://graph.microsoft.com/beta/$metadata#organization`},
		{"with a trailing slash", "/v1.0/organization/", 200, "Contoso"},
		{"in capitals, with doubled slashes", "//V1.0//Organization", 200, "Contoso"},

		{"service principals", "/v1.0/servicePrincipals", 200, `"servicePrincipalType":"ManagedIdentity"`},
		{"a managed identity's names", "/v1.0/servicePrincipals?$filter=appId eq '" + tokentest.ClientID + "'", 200, `"alternativeNames":["isExplicit=True","` + webResource + `"]`},
		{"a service principal by id", "/v1.0/servicePrincipals/" + ordersObject, 200, `{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#servicePrincipals/$entity","id":"` + ordersObject + `","deletedDateTime":null,"accountEnabled":false`},
		{"a service principal by appId", "/v1.0/servicePrincipals(appId='" + ordersID + "')", 200, `"servicePrincipalNames":["` + ordersID + `","api://orders"]`},
		{"by appId with escaped quotes", "/v1.0/servicePrincipals(appId=%27" + strings.ToUpper(ordersID) + "%27)?$select=id", 200, `"id":"` + ordersObject + `"}`},
		{"by id in OData's form", "/v1.0/servicePrincipals('" + ordersObject + "')", 200, ordersObject},
		{"by displayName with a quote in it", "/v1.0/servicePrincipals?$filter=displayName eq 'ole''s ORDERS'&$select=appId", 200, `"value":[{"appId":"` + ordersID + `"}]`},
		{"by two properties", "/v1.0/servicePrincipals?$filter=accountEnabled eq true and servicePrincipalType eq 'ManagedIdentity'&$select=appId", 200, `"value":[{"appId":"` + tokentest.ClientID + `"}]`},
		{"by a displayName that nobody has", "/v1.0/servicePrincipals?$filter=displayName eq 'x'", 200, `"value":[]`},
		{"by an appId that nobody has", "/v1.0/servicePrincipals?$filter=appId eq 'x'", 200, `"value":[]`},
		{"by an appId and another's name", "/v1.0/servicePrincipals?$filter=appId eq '" + ordersID + "' and displayName eq 'web'", 200, `"value":[]`},

		{"applications have no managed identities", "/v1.0/applications?$select=appId", 200, `"value":[{"appId":"` + ordersID + `"}]`},
		{"an application by object id", "/v1.0/applications/" + ordersApplication, 200, `"requestedAccessTokenVersion":2`},
		{"an application by appId", "/v1.0/applications(appId='" + ordersID + "')", 200, `"secretText":null`},
		{"an application by the id of its service principal", "/v1.0/applications/" + ordersObject, 404, "Request_ResourceNotFound"},
		{"a managed identity is no application", "/v1.0/applications(appId='" + tokentest.ClientID + "')", 404, "Request_ResourceNotFound"},
		{"federated credentials", "/v1.0/applications/" + ordersApplication + "/federatedIdentityCredentials", 200, `{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#applications('` + ordersApplication + `')/federatedIdentityCredentials","value":[{"id":"` + trustID + `","name":"dev-web","issuer":"https://radix.oic.wiemu.test/t/u/","subject":"system:serviceaccount:app-dev:web-sa","description":null,"audiences":["api://AzureADTokenExchange"]}`},
		{"federated credentials by appId", "/v1.0/applications(appId='" + ordersID + "')/federatedIdentityCredentials?$filter=subject eq 'system:serviceaccount:app-prod:web-sa'&$select=name", 200, `"value":[{"name":"prod-web"}]`},
		{"a subject counts its case", "/v1.0/applications/" + ordersApplication + "/federatedIdentityCredentials?$filter=subject eq 'system:serviceaccount:APP-prod:web-sa'", 200, `"value":[]`},
		{"a federated credential by id", "/v1.0/applications/" + ordersApplication + "/federatedIdentityCredentials/" + trustID, 200, `/federatedIdentityCredentials/$entity","id":"` + trustID},
		{"a federated credential by name", "/v1.0/applications/" + ordersApplication + "/federatedIdentityCredentials/dev-web", 200, trustID},
		{"a federated credential by name as a key", "/v1.0/applications/" + ordersApplication + "/federatedIdentityCredentials(name='dev-web')", 200, trustID},
		{"a federated credential that is not there", "/v1.0/applications/" + ordersApplication + "/federatedIdentityCredentials/none", 404, "Resource 'none' does not exist"},

		{"an object id that nobody has", "/v1.0/servicePrincipals/99999999-0000-4000-8000-000000000001", 404, "Resource '99999999-0000-4000-8000-000000000001' does not exist or one of its queried reference-property objects are not present."},
		{"an id that is none", "/v1.0/servicePrincipals/web", 400, `"code":"Request_BadRequest","message":"Invalid object identifier 'web'."`},
		{"a key that is none", "/v1.0/servicePrincipals(web)", 400, `Resource not found for the segment 'servicePrincipals(web)'.`},
		{"me", "/v1.0/me", 400, `"code":"BadRequest","message":"/me request is only valid with delegated authentication flow."`},
		{"below me", "/v1.0/me/memberOf", 400, "delegated"},
		{"an unknown segment", "/v1.0/Userz", 400, `"code":"BadRequest","message":"Resource not found for the segment 'Userz'."`},
		{"what wiemu does not emulate", "/v1.0/Users", 501, `"code":"wiemu_NotEmulated","message":"This is wiemu's answer, not Microsoft Graph's: wiemu does not emulate GET /v1.0/Users.`},
		{"nor below what it does", "/v1.0/applications/" + ordersApplication + "/tokenIssuancePolicies", 501, "wiemu does not emulate GET /v1.0/applications/" + ordersApplication + "/tokenIssuancePolicies."},
		{"nor by a key", "/v1.0/users('me')/messages", 501, "wiemu_NotEmulated"},
		{"a version that is none", "/v3.0/organization", 400, "Invalid version: v3.0"},
		{"the version alone", "/v1.0", 400, "segment ''"},

		{"a filter that breaks off", "/v1.0/applications?$filter=appId eq", 400, "Invalid filter clause: Syntax error at position 8 in 'appId eq'"},
		{"a filter on nothing", "/v1.0/applications?$filter=colour eq 'red'", 400, "Could not find a property named 'colour' on type 'microsoft.graph.application'"},
		{"a filter that is not supported", "/v1.0/applications?$filter=signInAudience eq 'x'", 400, "Request_UnsupportedQuery"},
		{"an advanced operator", "/v1.0/applications?$filter=appId ne 'x'", 400, "Unsupported or invalid query filter clause specified for property 'appId' of resource 'Application'."},
		{"an operator that is not supported", "/v1.0/applications?$filter=appId gt 'x'", 501, "wiemu does not emulate this $filter, only comparisons by eq, ne, in, "},
		{"a function that is not supported", "/v1.0/applications?$filter=length(displayName) eq 1", 501, "wiemu_NotEmulated"},
		{"the beginning of a name", "/v1.0/applications?$filter=startswith(displayName,'OLE')&$select=appId", 200, `"value":[{"appId":"` + ordersID + `"}]`},
		{"the beginning of an id", "/v1.0/applications?$filter=startswith(id,'x')", 400, "Request_UnsupportedQuery"},
		{"by one of several", "/v1.0/servicePrincipals?$filter=displayName in ('web','x')&$select=appId", 200, `"value":[{"appId":"` + tokentest.ClientID + `"}]`},
		{"by one or the other", "/v1.0/servicePrincipals?$filter=displayName eq 'x' or appId eq '" + ordersID + "'&$select=appId", 200, `"value":[{"appId":"` + ordersID + `"}]`},
		{"by a service principal name", "/v1.0/servicePrincipals?$filter=servicePrincipalNames/any(c:c eq 'api://orders')&$select=appId", 200, `"value":[{"appId":"` + ordersID + `"}]`},
		{"by an identifier URI", "/v1.0/applications?$filter=identifierUris/any(s:s eq 'api://orders')&$select=appId", 200, `"value":[{"appId":"` + ordersID + `"}]`},
		{"by an identifier URI that nobody has", "/v1.0/applications?$filter=identifierUris/any(s:s eq 'api://x')", 200, `"value":[]`},
		{"Microsoft Graph itself", "/v1.0/servicePrincipals?$filter=appId eq '00000003-0000-0000-c000-000000000000'&$select=displayName,appRoles", 200, `"id":"1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9","isEnabled":true,"origin":"Application","value":"Application.ReadWrite.All"`},
		{"sorted", "/v1.0/servicePrincipals?$orderby=displayName desc&$select=displayName", 200, `"value":[{"displayName":"web"},{"displayName":"Ole's orders"},{"displayName":"Microsoft Graph"}]`},
		{"counted without the header", "/v1.0/applications/$count", 400, "$count is not currently supported."},
		{"a count that is passed over", "/v1.0/applications?$count=true&$select=appId", 200, `#applications(appId)","value"`},
		{"owners", "/v1.0/applications/" + ordersApplication + "/owners", 200, `#directoryObjects","value":[]`},
		{"app roles that wiemu.yaml gives", "/v1.0/servicePrincipals/" + ordersObject + "/appRoleAssignments", 200, `"appRoleId":"810c84a8-4a9e-49e6-bf7d-12d183f40d01"`},
		{"a directory object", "/v1.0/directoryObjects/" + ordersObject, 200, `"@odata.type":"#microsoft.graph.servicePrincipal","id":"` + ordersObject + `"`},
		{"no directory object", "/v1.0/directoryObjects/99999999-0000-4000-8000-000000000001", 404, "Request_ResourceNotFound"},
		{"deleted applications", "/v1.0/directory/deletedItems/microsoft.graph.application", 200, `"value":[]`},
		{"an option that is not supported", "/v1.0/applications?$expand=owners", 501, "wiemu does not emulate the query option $expand, only $filter"},
		{"select of nothing", "/v1.0/applications?$select=colour", 400, "Parsing OData Select and Expand failed: Could not find a property named 'colour' on type 'microsoft.graph.application'."},
		{"a page of none", "/v1.0/applications?$top=0", 400, "Invalid page size specified: '0'. Must be between 1 and 999 inclusive."},
		{"a page of 1000", "/v1.0/applications?$top=1000", 400, "Invalid page size"},
		{"a skiptoken that is none", "/v1.0/applications?$skiptoken=!", 400, "skiptoken"},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := l.ask(token, "GET", row.target)
			if w.Code != row.status || !strings.Contains(w.Body.String(), row.text) {
				t.Errorf("expected %d %s\nfound %d %s", row.status, row.text, w.Code, w.Body)
			}
			if strings.Contains(w.Body.String(), "hunter2") {
				t.Error("a secret is in the answer")
			}
			if !json.Valid(w.Body.Bytes()) {
				t.Error("no JSON")
			}
			if w.Header().Get("Request-Id") == "" || w.Header().Get("Client-Request-Id") == "" || w.Header().Get("X-Ms-Ags-Diagnostic") == "" {
				t.Errorf("headers: %v", w.Header())
			}
			e := l.last()
			if e.Kind != journal.Access || e.Resource != "Microsoft Graph" || e.Status != row.status || e.UTI != tokentest.UTI || (e.Outcome == journal.Granted) != (row.status == 200) {
				t.Errorf("journal: %+v", e)
			}
		})
	}
}

func TestAnswersAreGraphs(t *testing.T) {
	l := newLab(t, tenant())
	r := httptest.NewRequest("GET", "https://graph.microsoft.com/v1.0/organization", nil)
	r.Header.Set("client-request-id", "49f9e80d-a21c-4010-9693-79e7068212c4")
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, r)
	var body struct {
		Error struct {
			Code, Message string
			InnerError    map[string]string
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	inner := body.Error.InnerError
	if w.Code != 401 || body.Error.Code != "InvalidAuthenticationToken" || body.Error.Message != "Access token is empty." ||
		inner["date"] != "2031-03-04T05:06:07" || inner["request-id"] != w.Header().Get("Request-Id") || inner["client-request-id"] != "49f9e80d-a21c-4010-9693-79e7068212c4" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if got, expected := w.Header().Get("WWW-Authenticate"), `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"`; got != expected {
		t.Errorf("expected %s, found %s", expected, got)
	}
	if w.Header().Get("Client-Request-Id") != "49f9e80d-a21c-4010-9693-79e7068212c4" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("headers: %v", w.Header())
	}
	good := l.ask(l.administrator(t), "GET", "/v1.0/organization")
	if good.Header().Get("Content-Type") != "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8" || good.Header().Get("OData-Version") != "4.0" {
		t.Errorf("headers: %v", good.Header())
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	l := newLab(t, tenant())
	now := l.clock.Now().Unix()
	const own = "https://graph.microsoft.com"
	for _, row := range []struct{ name, token, message string }{
		{"for a vault", l.tokens.Mint(t, "https://vault.azure.net", nil), "Access token validation failure. Invalid audience."},
		{"of an unknown tenant", l.tokens.Mint(t, own, tokentest.Claims{"tid": "22222222-2222-4222-8222-222222222222"}), "Access token validation failure. Invalid issuer."},
		{"of a service account", l.tokens.Mint(t, own, tokentest.Claims{"kubernetes.io": tokentest.Claims{}}), "CompactToken parsing failed with error code: 80049217"},
		{"expired", l.tokens.Mint(t, own, tokentest.Claims{"exp": now - 3600}), "Lifetime validation failed, the token is expired."},
		{"not yet valid", l.tokens.Mint(t, own, tokentest.Claims{"nbf": now + 3600}), "Lifetime validation failed, the token is not yet valid."},
		{"garbage", "abc", "IDX14100: JWT is not well formed, there are no dots (.)."},
	} {
		w := l.ask(row.token, "GET", "/v1.0/organization")
		if w.Code != 401 || !strings.Contains(w.Body.String(), row.message) {
			t.Errorf("%s: expected %q, found %d %s", row.name, row.message, w.Code, w.Body)
		}
		if e := l.last(); e.Outcome != journal.Denied || e.Remedy == "" {
			t.Errorf("%s: %+v", row.name, e)
		}
	}
	for _, audience := range []string{own, own + "/", "00000003-0000-0000-c000-000000000000"} {
		if w := l.ask(l.tokens.Mint(t, audience, tokentest.Claims{"roles": []string{"Organization.Read.All"}}), "GET", "/v1.0/organization"); w.Code != 200 {
			t.Errorf("audience %s: %d %s", audience, w.Code, w.Body)
		}
	}
}

// TestPermissions has a row for what a role opens, and one for what it does not.
func TestPermissions(t *testing.T) {
	l := newLab(t, tenant())
	application := "/v1.0/applications/" + ordersApplication
	for _, row := range []struct {
		target string
		roles  string // one suffices for a good answer
		others string // none does
		status int    // of the good answer
	}{
		{"/v1.0/organization", "Organization.Read.All Directory.Read.All Organization.ReadWrite.All Directory.ReadWrite.All", "User.Read.All Application.Read.All Mail.Read", 200},
		{"/v1.0/organization/" + tokentest.Tenant, "Organization.Read.All", "User.Read.All", 200},
		{"/v1.0/applications", "Application.Read.All Application.ReadWrite.OwnedBy Application.ReadWrite.All Directory.Read.All", "Organization.Read.All application.read.all", 200},
		{application, "Application.Read.All", "User.Read.All", 200},
		{"/v1.0/servicePrincipals", "Application.Read.All Directory.Read.All", "Group.Read.All", 200},
		{application + "/federatedIdentityCredentials", "Application.Read.All Application.ReadWrite.OwnedBy", "Directory.Read.All", 200},
		{"/v1.0/users", "User.Read.All User.ReadWrite.All Directory.Read.All", "Application.Read.All User.ReadBasic.All", 501},
		{"/v1.0/groups", "GroupMember.Read.All Group.Read.All", "User.Read.All", 501},
		{application + "/owners", "Application.Read.All", "User.Read.All", 200},
		{application + "/tokenIssuancePolicies", "Application.Read.All", "User.Read.All", 501},
		{"/v1.0/sites", "Sites.Read.All Mail.Read", "", 501},
	} {
		for _, role := range strings.Fields(row.roles) {
			if w := l.ask(l.token(t, "x", role), "GET", row.target); w.Code != row.status {
				t.Errorf("%s with %s: %d %s", row.target, role, w.Code, w.Body)
			}
		}
		for _, roles := range [][]string{nil, strings.Fields(row.others)} {
			if roles != nil && len(roles) == 0 {
				continue
			}
			w := l.ask(l.token(t, roles...), "GET", row.target)
			if w.Code != 403 || !strings.Contains(w.Body.String(), `{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges to complete the operation.","innerError":{"date":"2031-03-04T05:06:07","request-id":"`) {
				t.Errorf("%s with %q: %d %s", row.target, roles, w.Code, w.Body)
			}
			e := l.last()
			if last := e.Checks[len(e.Checks)-1]; last.Name != "permission" || last.Outcome != journal.Failed || last.Presented != cmp.Or(strings.Join(roles, ", "), "none") {
				t.Errorf("%s with %q: %+v", row.target, roles, last)
			}
		}
	}
}

// TestARefusalSaysWhatGrantsIt: the lines of wiemu.yaml, for whoever asked.
func TestARefusalSaysWhatGrantsIt(t *testing.T) {
	in := tenant()
	in.Principals[0].AppRoles = []string{"Mail.Read"}
	l := newLab(t, in)
	for _, row := range []struct{ client, target, want string }{
		{tokentest.ClientID, "/v1.0/users", `identities: [{name: "web", clientId: ` + tokentest.ClientID + `, roles: [Mail.Read, User.Read.All]}]`},
		{ordersID, "/v1.0/organization", `applications: [{name: "Ole's orders", clientId: ` + ordersID + `, roles: [Mail.Read, Own.Role, Organization.Read.All]}]`},
		{ordersID, "/v1.0/sites", `roles: [Mail.Read, Own.Role, PERMISSION]}]`},
	} {
		l.ask(l.tokens.Mint(t, "https://graph.microsoft.com", tokentest.Claims{"appid": row.client}), "GET", row.target)
		e := l.last()
		if !strings.Contains(e.Remedy, row.want) {
			t.Errorf("%s: %s, want %s", row.target, e.Remedy, row.want)
		}
		// What the permission does not help with is said before it is granted.
		missing := row.target != "/v1.0/organization"
		if got := strings.HasPrefix(e.Remedy, "wiemu does not emulate GET "+row.target+": with the permission, the answer is 501"); got != missing {
			t.Errorf("%s: %s", row.target, e.Remedy)
		}
		if missing && !strings.HasPrefix(e.Summary, "Microsoft Graph: GET "+row.target+" by ") {
			t.Errorf("summary %q", e.Summary)
		}
	}
}

// What is not emulated is refused to who may not do it anyway.
func TestWhatCannotBeChanged(t *testing.T) {
	l := newLab(t, tenant())
	for _, request := range []string{"PUT /v1.0/applications/" + ordersApplication, "POST /v1.0/applications/" + ordersApplication + "/extendLifecycle", "POST /v1.0/users"} {
		method, target, _ := strings.Cut(request, " ")
		w := l.ask(l.administrator(t), method, target)
		if w.Code != 501 || !strings.Contains(w.Body.String(), "wiemu does not emulate "+request) {
			t.Errorf("%s: %d %s", request, w.Code, w.Body)
		}
		if w := l.ask(l.token(t, "Application.Read.All", "Directory.Read.All"), method, target); w.Code != 403 {
			t.Errorf("%s by somebody who may read: %d %s", request, w.Code, w.Body)
		}
	}
	if w := l.ask(l.token(t), "POST", "/v1.0/me/sendMail"); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestPages(t *testing.T) {
	in := directory.Tenant{ID: tokentest.Tenant}
	for i := range 250 {
		in.Principals = append(in.Principals, directory.Principal{Kind: directory.Application, ClientID: fmt.Sprintf("dddddddd-0000-4000-8000-%012d", i)})
	}
	l := newLab(t, in)
	for top, pages := range map[string]int{"": 3, "&$top=50": 5, "&$top=999": 1} {
		next, seen, asked := "/v1.0/applications?$select=id,appId"+top, map[string]bool{}, 0
		for ; next != ""; asked++ {
			w := l.ask(l.administrator(t), "GET", next)
			var page struct {
				Next  string `json:"@odata.nextLink"`
				Value []struct{ AppID string }
			}
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
				t.Fatalf("%s: %d %s", next, w.Code, w.Body)
			}
			for _, v := range page.Value {
				seen[v.AppID] = true
			}
			next = page.Next
			if u, err := url.Parse(next); next != "" && (err != nil || u.Path != "/v1.0/applications" || u.Query().Get("$select") != "id,appId") {
				t.Fatalf("nextLink %q", next)
			}
		}
		if len(seen) != 250 || asked != pages {
			t.Errorf("%q: %d applications on %d pages", top, len(seen), asked)
		}
	}
}

func BenchmarkServicePrincipalByAppID(b *testing.B) {
	in := tenant()
	for i := range 10_000 {
		in.Principals = append(in.Principals, directory.Principal{Kind: directory.Application, ClientID: fmt.Sprintf("dddddddd-0000-4000-8000-%012d", i)})
	}
	l := newLab(b, in)
	token := l.administrator(b)
	b.ReportAllocs()
	for b.Loop() {
		if w := l.ask(token, "GET", "/v1.0/servicePrincipals?$filter=appId eq '"+ordersID+"'"); w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}

// Graph answers in its own error JSON; why is in the journal.
func Example() {
	clk := clock.Stopped(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	events, err := journals.New(clk, journals.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	people, err := tenants.New(directory.Tenant{ID: "11111111-1111-4111-8111-111111111111"})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokens := resource.NewValidator(clk, metadata.New(clk, metadata.Options{}), resource.Options{})
	w := httptest.NewRecorder()
	graph.New(resource.Kit{Resource: graph.Description(), Directory: people, Tokens: tokens, Clock: clk, Journal: events}).Handler().ServeHTTP(w, httptest.NewRequest("GET", "https://graph.microsoft.com/v1.0/organization", nil))
	answer, err := io.ReadAll(w.Result().Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(w.Code, string(answer[:78])+"…")
	fmt.Println(events.Events()[0].Summary)
	// Output:
	// 401 {"error":{"code":"InvalidAuthenticationToken","message":"Access token is empty…
	// Microsoft Graph: list organization by somebody without a token: refused with 401 InvalidAuthenticationToken: The request carried no Authorization header with a bearer token.
}

// The compiler says if Graph is no service that keeps what was made of it: the lab would not notice.
var _ resource.StatefulService = (*graph.Service)(nil)
