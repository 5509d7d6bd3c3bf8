package graph_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
)

// What is written is what the token service goes by, at once; what is deleted opens nothing new.
func TestAWholeApplication(t *testing.T) {
	w := newWorld(t, lab.Options{})
	made := w.do("POST /v1.0/applications", `{"displayName": "web", "signInAudience": "AzureADMyOrg", "web": {"redirectUris": ["https://localhost/"]}, "api": {"requestedAccessTokenVersion": 2}}`)
	id, clientID := made.value("id"), made.value("appId")
	if made.status != 201 || made.value("createdDateTime") != "2031-03-04T05:06:07Z" || !strings.HasSuffix(made.header.Get("Location"), "/directoryObjects/"+id+"/Microsoft.DirectoryServices.Application") {
		t.Fatalf("%d %v %s", made.status, made.header, made.text)
	}
	if !strings.Contains(made.text, `"requestedAccessTokenVersion":2`) || !strings.Contains(made.text, `"redirectUris":["https://localhost/"]`) || !strings.Contains(made.text, `"enableIdTokenIssuance":false`) {
		t.Error(made.text)
	}
	at := "/v1.0/applications/" + id
	w.do("POST "+at+"/federatedIdentityCredentials", w.trust("cluster", "system:serviceaccount:shop:web-sa"))
	w.opens("without a service principal", w.workload(clientID), graphScope, "AADSTS7000229")
	principal := w.do("POST /v1.0/servicePrincipals", `{"appId": "`+clientID+`", "accountEnabled": true}`)
	if roles := w.opens("with a trust", w.workload(clientID), graphScope, ""); len(roles) > 0 {
		t.Errorf("roles %q", roles)
	}

	w.do("PATCH "+at+"/federatedIdentityCredentials/cluster", `{"subject": "system:serviceaccount:shop:other-sa"}`)
	w.opens("with a trust in another one", w.workload(clientID), graphScope, "AADSTS700213")
	w.do("PATCH "+at+"/federatedIdentityCredentials(name='cluster')", `{"subject": "system:serviceaccount:shop:web-sa"}`, "Prefer: create-if-missing")
	w.opens("with its trust again", w.workload(clientID), graphScope, "")

	w.do("PATCH /v1.0/servicePrincipals/"+principal.value("id"), `{"accountEnabled": false}`)
	w.opens("disabled", w.workload(clientID), graphScope, "AADSTS7000112")
	w.do("PATCH /v1.0/servicePrincipals(appId='"+clientID+"')", `{"accountEnabled": true, "tags": ["x"]}`)

	w.do("DELETE "+at+"/federatedIdentityCredentials/cluster", "")
	w.opens("without its trust", w.workload(clientID), graphScope, "AADSTS7002")
	w.do("POST "+at+"/federatedIdentityCredentials", w.trust("cluster", "system:serviceaccount:shop:web-sa"))

	w.do("DELETE /v1.0/servicePrincipals/"+principal.value("id"), "")
	w.opens("without its service principal", w.workload(clientID), graphScope, "AADSTS7000229")
	again := w.do("POST /v1.0/servicePrincipals", `{"appId": "`+clientID+`"}`)
	if again.value("id") == principal.value("id") {
		t.Error("a service principal that was made again has the object id of before")
	}
	w.opens("with a service principal again", w.workload(clientID), graphScope, "")

	w.do("DELETE "+at, "")
	w.opens("deleted", w.workload(clientID), graphScope, "AADSTS700016")
	if got := w.ask(terraformID, "GET "+at, ""); got.status != 404 {
		t.Errorf("%d %s", got.status, got.text)
	}
	if got := w.do("GET /v1.0/directory/deletedItems/microsoft.graph.application?$select=id,deletedDateTime", ""); !strings.Contains(got.text, `"value":[{"id":"`+id+`","deletedDateTime":"2031-03-04T05:06:07Z"}]`) {
		t.Error(got.text)
	}
	w.do("POST /v1.0/directory/deletedItems/"+id+"/restore", "{}")
	w.opens("restored", w.workload(clientID), graphScope, "")
	w.do("DELETE "+at, "")
	w.do("DELETE /v1.0/directory/deletedItems/"+id, "")
	if got := w.ask(terraformID, "GET /v1.0/directory/deletedItems/"+id, ""); got.status != 404 {
		t.Errorf("deleted for good: %d %s", got.status, got.text)
	}
	if second := w.do("POST /v1.0/applications", `{"displayName": "web"}`); second.value("appId") == clientID || second.value("id") == id {
		t.Error("made again, it has the ids of before")
	}

	told := ""
	for _, e := range w.Journal().Events() {
		if e.Kind == journal.Directory {
			told += e.Summary + "\n"
		}
	}
	for _, want := range []string{"is registered now", "trusts system:serviceaccount:shop:web-sa of https://", "has a service principal now", "it does not trust system:serviceaccount:shop:web-sa", "is deleted with its service principal", "is restored"} {
		if !strings.Contains(told, want) {
			t.Errorf("the journal does not say %q:\n%s", want, told)
		}
	}
}

func TestPasswords(t *testing.T) {
	w := newWorld(t, lab.Options{})
	id, clientID, objectID := w.application("web")
	for _, at := range []string{"/v1.0/applications/" + id, "/v1.0/servicePrincipals/" + objectID} {
		made := w.do("POST "+at+"/addPassword", `{"passwordCredential": {"displayName": "ci", "endDateTime": "2031-03-05T05:06:07Z"}}`)
		text := made.value("secretText")
		if len(text) != 40 || made.value("hint") != text[:3] || made.value("startDateTime") != "2031-03-04T05:06:07Z" || made.status != 200 {
			t.Errorf("%s: %d %s", at, made.status, made.text)
		}
		if got := w.do("GET "+at, ""); strings.Contains(got.text, text) || !strings.Contains(got.text, made.value("keyId")) {
			t.Errorf("%s: %s", at, got.text)
		}
		w.opens("with a password", w.secret(clientID, text), graphScope, "")
		if got := w.ask(terraformID, "POST "+at+"/removePassword", `{"keyId": "99999999-0000-4000-8000-000000000001"}`); got.status != 400 || !strings.Contains(got.text, "No password credential found with keyId") {
			t.Errorf("%d %s", got.status, got.text)
		}
		w.do("POST "+at+"/removePassword", `{"keyId": "`+made.value("keyId")+`"}`)
		w.opens("with a password that is gone", w.secret(clientID, text), graphScope, "AADSTS7000")
		for _, e := range w.Journal().Events() {
			if data, err := json.Marshal(e); err != nil || strings.Contains(string(data), text) {
				t.Fatalf("the password is in the journal: %s", data)
			}
		}
	}
	forTwoYears := w.do("POST /v1.0/applications(appId='"+clientID+"')/addPassword", `{}`)
	if forTwoYears.value("endDateTime") != "2033-03-04T05:06:07Z" {
		t.Error(forTwoYears.text)
	}
	born := w.do("POST /v1.0/applications", `{"displayName": "born with one", "passwordCredentials": [{"displayName": "first"}]}`)
	w.do("POST /v1.0/servicePrincipals", `{"appId": "`+born.value("appId")+`"}`)
	w.opens("with the password that it was made with", w.secret(born.value("appId"), born.value("passwordCredentials", 0, "secretText")), graphScope, "")
	if got := w.ask(terraformID, "POST /v1.0/applications", `{"displayName": "x", "passwordCredentials": [{"secretText": "mine"}]}`); got.status != 400 || !strings.Contains(got.text, "New password credentials must be generated with service actions.") {
		t.Errorf("%d %s", got.status, got.text)
	}
	w.do("PATCH /v1.0/applications/"+id, `{"passwordCredentials": []}`)
	w.opens("with a password that was left out", w.secret(clientID, forTwoYears.value("secretText")), graphScope, "AADSTS7000")
}

func proof(t *testing.T, key *rsa.PrivateKey, claims jwt.Claims) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestKeys(t *testing.T) {
	w := newWorld(t, lab.Options{})
	id, clientID, _ := w.application("web")
	at := "/v1.0/applications/" + id
	first, firstKey := newCertificate(t, "first")
	second, secondKey := newCertificate(t, "second")
	credential := func(der []byte) string {
		return `{"type": "AsymmetricX509Cert", "usage": "Verify", "key": "` + base64.StdEncoding.EncodeToString(der) + `"}`
	}
	w.do("PATCH "+at, `{"keyCredentials": [`+credential(first.Raw)+`]}`)
	w.opens("with a certificate", w.certificate(clientID, first, firstKey), graphScope, "")
	listed := w.do("GET "+at, "")
	shown := w.do("GET "+at+"?$select=keyCredentials", "")
	if listed.value("keyCredentials", 0, "displayName") != "CN=first" || listed.value("keyCredentials", 0, "key") != "" || shown.value("keyCredentials", 0, "key") == "" {
		t.Errorf("%s\n%s", listed.text, shown.text)
	}

	now := tokentest.Start()
	good := jwt.Claims{Audience: jwt.Audience{"00000002-0000-0000-c000-000000000000"}, Issuer: id, NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(10 * time.Minute))}
	changed := func(change func(*jwt.Claims)) jwt.Claims {
		c := good
		change(&c)
		return c
	}
	for what, bad := range map[string]string{
		"none":                       "",
		"garbage":                    "abc",
		"by a key that is not there": proof(t, secondKey, good),
		"for another audience":       proof(t, firstKey, changed(func(c *jwt.Claims) { c.Audience = jwt.Audience{"x"} })),
		"of another application":     proof(t, firstKey, changed(func(c *jwt.Claims) { c.Issuer = clientID })),
		"for too long":               proof(t, firstKey, changed(func(c *jwt.Claims) { c.Expiry = jwt.NewNumericDate(now.Add(11 * time.Minute)) })),
		"expired": proof(t, firstKey, changed(func(c *jwt.Claims) {
			c.NotBefore, c.Expiry = jwt.NewNumericDate(now.Add(-time.Hour)), jwt.NewNumericDate(now)
		})),
		"without times": proof(t, firstKey, changed(func(c *jwt.Claims) { c.NotBefore = nil })),
	} {
		got := w.ask(terraformID, "POST "+at+"/addKey", `{"keyCredential": `+credential(second.Raw)+`, "passwordCredential": null, "proof": "`+bad+`"}`)
		if got.status != 401 || got.value("error", "code") != "Authentication_MissingOrMalformed" {
			t.Errorf("a proof %s: %d %s", what, got.status, got.text)
		}
	}
	added := w.do("POST "+at+"/addKey", `{"keyCredential": `+credential(second.Raw)+`, "passwordCredential": null, "proof": "`+proof(t, firstKey, good)+`"}`)
	w.opens("with the second certificate", w.certificate(clientID, second, secondKey), graphScope, "")

	// What is there stays by its id alone, and is not changed.
	oldID := listed.value("keyCredentials", 0, "keyId")
	if got := w.ask(terraformID, "PATCH "+at, `{"keyCredentials": [{"keyId": "`+oldID+`", "type": "AsymmetricX509Cert", "usage": "Verify", "key": "`+base64.StdEncoding.EncodeToString(second.Raw)+`"}]}`); got.status != 400 || !strings.Contains(got.text, "Update to existing credential with KeyId") {
		t.Errorf("%d %s", got.status, got.text)
	}
	w.do("PATCH "+at, `{"keyCredentials": [{"keyId": "`+oldID+`", "type": "AsymmetricX509Cert", "usage": "Verify", "key": null}, {"keyId": "`+added.value("keyId")+`", "type": "AsymmetricX509Cert", "usage": "Verify"}]}`)
	w.opens("with the first certificate still", w.certificate(clientID, first, firstKey), graphScope, "")

	// An application rolls its own keys without any permission.
	w.tokens[clientID] = ""
	token, err := w.workload(clientID).GetToken(t.Context(), tokenOptions())
	if err != nil {
		t.Fatal(err)
	}
	w.tokens[clientID] = token.Token
	removal := `{"keyId": "` + oldID + `", "proof": "` + proof(t, secondKey, good) + `"}`
	if got := w.ask(nobodyID, "POST "+at+"/removeKey", removal); got.status != 403 {
		t.Errorf("by another one: %d %s", got.status, got.text)
	}
	if got := w.ask(clientID, "POST "+at+"/removeKey", removal); got.status != 204 {
		t.Errorf("by itself: %d %s", got.status, got.text)
	}
	w.opens("with a certificate that is gone", w.certificate(clientID, first, firstKey), graphScope, "AADSTS700027")
	for text, key := range map[string]string{"Key credential is invalid.": `"AAAA"`, "wiemu_NotEmulated": `"AAAA", "type": "Symmetric"`} {
		if got := w.ask(terraformID, "PATCH "+at, `{"keyCredentials": [{"type": "AsymmetricX509Cert", "usage": "Verify", "key": `+key+`}]}`); got.status < 400 || !strings.Contains(got.text, text) {
			t.Errorf("%s: %d %s", text, got.status, got.text)
		}
	}
}

func TestAppRoles(t *testing.T) {
	w := newWorld(t, lab.Options{})
	_, clientID, objectID := w.application("web")
	const readerRole, writerRole = "10000000-0000-4000-8000-000000000001", "10000000-0000-4000-8000-000000000002"
	role := func(id, value, enabled string) string {
		return `{"id": "` + id + `", "value": "` + value + `", "displayName": "` + value + `", "description": "", "allowedMemberTypes": ["Application"], "isEnabled": ` + enabled + `}`
	}
	orders := w.do("POST /v1.0/applications", `{"displayName": "orders", "identifierUris": ["api://orders"], "appRoles": [`+role(readerRole, "Orders.Read", "true")+`]}`)
	ordersAt := "/v1.0/applications/" + orders.value("id")
	principal := w.do("POST /v1.0/servicePrincipals", `{"appId": "`+orders.value("appId")+`", "appRoleAssignmentRequired": true}`)
	w.opens("without the role that is required", w.workload(clientID), "api://orders/.default", "AADSTS501051")

	assign := func(to, of, id string) string {
		return `{"principalId": "` + to + `", "resourceId": "` + of + `", "appRoleId": "` + id + `"}`
	}
	given := "/v1.0/servicePrincipals/" + objectID + "/appRoleAssignments"
	made := w.do("POST "+given, assign(objectID, principal.value("id"), readerRole))
	if roles := w.opens("with a role", w.workload(clientID), "api://orders/.default", ""); !slices.Equal(roles, []string{"Orders.Read"}) {
		t.Errorf("roles %q", roles)
	}
	if roles := w.opens("of another resource", w.workload(clientID), graphScope, ""); len(roles) > 0 {
		t.Errorf("Graph's roles %q", roles)
	}
	for _, list := range []string{given, "/v1.0/servicePrincipals/" + principal.value("id") + "/appRoleAssignedTo"} {
		if got := w.do("GET "+list, ""); got.value("value", 0, "id") != made.value("id") || got.value("value", 0, "resourceDisplayName") != "orders" {
			t.Errorf("%s: %s", list, got.text)
		}
	}
	if got := w.ask(terraformID, "POST "+given, assign(objectID, principal.value("id"), readerRole)); got.status != 400 || !strings.Contains(got.text, "Permission being assigned already exists on the object") {
		t.Errorf("twice: %d %s", got.status, got.text)
	}
	if got := w.ask(terraformID, "POST "+given, assign(objectID, principal.value("id"), writerRole)); got.status != 400 || !strings.Contains(got.text, "Permission being assigned was not found on application") {
		t.Errorf("a role that is not there: %d %s", got.status, got.text)
	}
	if got := w.ask(terraformID, "POST "+given, assign(principal.value("id"), objectID, readerRole)); got.status != 400 || !strings.Contains(got.text, "Not a valid reference update.") {
		t.Errorf("the wrong way round: %d %s", got.status, got.text)
	}

	// A role that is disabled is in no token, and only then can be removed.
	if got := w.ask(terraformID, "PATCH "+ordersAt, `{"appRoles": []}`); got.status != 400 || got.value("error", "code") != "CannotDeleteOrUpdateEnabledEntitlement" {
		t.Errorf("%d %s", got.status, got.text)
	}
	w.do("PATCH "+ordersAt, `{"appRoles": [`+role(readerRole, "Orders.Read", "false")+`]}`)
	if roles := w.opens("with a disabled role", w.workload(clientID), "api://orders/.default", ""); len(roles) > 0 {
		t.Errorf("roles %q", roles)
	}
	w.do("PATCH "+ordersAt, `{"appRoles": []}`)

	// Graph's own permissions.
	graphs := w.do("GET /v1.0/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')", "").value("id")
	mail := w.do("POST /v1.0/servicePrincipals/"+graphs+"/appRoleAssignedTo", assign(objectID, graphs, "810c84a8-4a9e-49e6-bf7d-12d183f40d01"))
	if roles := w.opens("with Graph's role", w.workload(clientID), graphScope, ""); !slices.Equal(roles, []string{"Mail.Read"}) {
		t.Errorf("roles %q", roles)
	}
	w.do("DELETE /v1.0/servicePrincipals/"+graphs+"/appRoleAssignedTo/"+mail.value("id"), "")
	if roles := w.opens("without it", w.workload(clientID), graphScope, ""); len(roles) > 0 {
		t.Errorf("roles %q", roles)
	}

	w.do("DELETE "+ordersAt, "")
	if got := w.do("GET "+given, ""); strings.Contains(got.text, "orders") {
		t.Errorf("assignments of a resource that is gone: %s", got.text)
	}
}

func TestOwners(t *testing.T) {
	w := newWorld(t, lab.Options{})
	object := func(clientID string) string {
		return w.do("GET /v1.0/servicePrincipals(appId='"+clientID+"')", "").value("id")
	}
	refused := func(request, body string) {
		t.Helper()
		if got := w.ask(pipelineID, request, body); got.status != 403 || got.value("error", "message") != "Insufficient privileges to complete the operation." {
			t.Errorf("%s: %d %s", request, got.status, got.text)
		}
	}
	id, _, objectID := w.application("theirs")
	at := "/v1.0/applications/" + id
	for _, request := range []string{"PATCH " + at, "DELETE " + at, "POST " + at + "/addPassword", "POST " + at + "/federatedIdentityCredentials", "DELETE /v1.0/servicePrincipals/" + objectID, "DELETE " + at + "/federatedIdentityCredentials/cluster"} {
		refused(request, w.trust("mine", "x"))
	}
	own := w.ask(pipelineID, "POST /v1.0/applications", `{"displayName": "mine"}`)
	if own.status != 201 {
		t.Fatalf("%d %s", own.status, own.text)
	}
	ownAt := "/v1.0/applications/" + own.value("id")
	for _, request := range []string{"POST " + ownAt + "/federatedIdentityCredentials", "PATCH " + ownAt} {
		body := map[bool]string{true: `{"notes": "mine"}`, false: w.trust("mine", "x")}[strings.HasPrefix(request, "PATCH")]
		if got := w.ask(pipelineID, request, body); got.status >= 300 {
			t.Errorf("%s: %d %s", request, got.status, got.text)
		}
	}
	if got := w.do("GET "+ownAt+"/owners", ""); got.value("value", 0, "appId") != pipelineID || got.value("value", 0, "@odata.type") != "#microsoft.graph.servicePrincipal" {
		t.Error(got.text)
	}
	reference := func(id string) string {
		return `{"@odata.id": "https://graph.microsoft.com/v1.0/directoryObjects/` + id + `"}`
	}
	w.do("POST "+at+"/owners/$ref", reference(object(pipelineID)))
	if got := w.ask(terraformID, "POST "+at+"/owners/$ref", reference(object(pipelineID))); got.status != 400 || !strings.Contains(got.text, "One or more added object references already exist") {
		t.Errorf("%d %s", got.status, got.text)
	}
	if got := w.ask(pipelineID, "PATCH "+at, `{"notes": "mine, too"}`); got.status != 204 {
		t.Errorf("as an owner: %d %s", got.status, got.text)
	}
	w.do("DELETE "+at+"/owners/"+object(pipelineID)+"/$ref", "")
	refused("PATCH "+at, `{"notes": "not mine"}`)
	bound := w.do("POST /v1.0/applications", `{"displayName": "bound", "owners@odata.bind": ["https://graph.microsoft.com/v1.0/directoryObjects/`+object(readerID)+`"]}`)
	if got := w.do("GET /v1.0/applications/"+bound.value("id")+"/owners/$ref", ""); !strings.Contains(got.text, object(readerID)) {
		t.Error(got.text)
	}
	if got := w.ask(pipelineID, "POST /v1.0/servicePrincipals", `{"appId": "99999999-0000-4000-8000-000000000001"}`); got.status != 403 || !strings.Contains(got.text, "the backing application of the service principal being created must in the local tenant") {
		t.Errorf("%d %s", got.status, got.text)
	}
}

// TestRefusedWrites has what Graph says of each mistake.
func TestRefusedWrites(t *testing.T) {
	w := newWorld(t, lab.Options{})
	id, clientID, _ := w.application("web")
	at := "/v1.0/applications/" + id
	trusts := at + "/federatedIdentityCredentials"
	flexible := func(issuer, expression string) string {
		return `{"name": "flexible", "issuer": "` + issuer + `", "subject": null, "audiences": ["api://AzureADTokenExchange"], "claimsMatchingExpression": {"value": "` + expression + `", "languageVersion": 1}}`
	}
	for _, row := range []struct {
		name, request, body string
		status              int
		code, text          string
	}{
		{"no JSON", "POST /v1.0/applications", `{"displayName"`, 400, "BadRequest", "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format."},
		{"no body", "POST /v1.0/applications", ``, 400, "BadRequest", "Unable to read JSON request payload."},
		{"a list", "POST /v1.0/applications", `[]`, 400, "BadRequest", "Unable to read JSON"},
		{"too deep", "POST /v1.0/applications", `{"web": ` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, 400, "BadRequest", "Unable to read JSON"},
		{"no name", "POST /v1.0/applications", `{}`, 400, "Request_BadRequest", "A value is required for property 'displayName' of resource 'Application'."},
		{"a name that is none", "POST /v1.0/applications", `{"displayName": 1}`, 400, "Request_BadRequest", "Property displayName in payload has a value that does not match schema."},
		{"a structure that is none", "PATCH " + at, `{"web": "x"}`, 400, "Request_BadRequest", "Property web in payload has a value that does not match schema."},
		{"an unknown property", "PATCH " + at, `{"colour": "red"}`, 400, "Request_BadRequest", "Invalid property 'colour'."},
		{"another's host", "PATCH " + at, `{"identifierUris": ["https://example.org/x"]}`, 400, "HostNameNotOnVerifiedDomain", "Values of identifierUris property must use a verified domain of the organization or its subdomain: 'https://example.org/x'"},
		{"a password of one's own", "PATCH " + at, `{"passwordCredentials": [{"displayName": "x"}]}`, 400, "Request_BadRequest", "New password credentials must be generated with service actions."},
		{"an application that is not there", "PATCH /v1.0/applications/99999999-0000-4000-8000-000000000001", `{}`, 404, "Request_ResourceNotFound", "Resource '99999999-0000-4000-8000-000000000001' does not exist or one of its queried reference-property objects are not present."},
		{"a second service principal", "POST /v1.0/servicePrincipals", `{"appId": "` + clientID + `"}`, 409, "Request_MultipleObjectsWithSameKeyValue", "The service principal cannot be created, updated, or restored because the service principal name " + clientID + " is already in use."},
		{"that of no application", "POST /v1.0/servicePrincipals", `{"appId": "99999999-0000-4000-8000-000000000001"}`, 400, "Request_BadRequest", "The appId '99999999-0000-4000-8000-000000000001' of the service principal does not reference a valid application object."},

		{"a name that is taken", "POST " + trusts, w.trust("cluster", "x"), 409, "Request_MultipleObjectsWithSameKeyValue", "FederatedIdentityCredential with name cluster already exists."},
		{"a subject that is taken", "POST " + trusts, w.trust("other", "system:serviceaccount:shop:web-sa"), 400, "InvalidFederatedIdentityCredentialValue", "The combination of issuer and subject must be unique for the application. Issuer " + w.Issuers()[0].URL() + " and Subject: system:serviceaccount:shop:web-sa already exist. paramName: FederatedIdentityCredential.Subject, paramValue: system:serviceaccount:shop:web-sa, objectType: Microsoft.Online.DirectoryServices.Application"},
		{"a name with a space", "POST " + trusts, w.trust("an other", "x"), 400, "InvalidFederatedIdentityCredentialValue", "The specified Name value is not a valid URI last segment. paramName: FederatedIdentityCredential.Name, paramValue: an other, objectType: Microsoft.Online.DirectoryServices.Application"},
		{"a name with a slash", "POST " + trusts, w.trust("a/b", "x"), 400, "InvalidFederatedIdentityCredentialValue", "is not a valid URI last segment."},
		{"no subject", "POST " + trusts, `{"name": "other", "issuer": "https://x.example", "audiences": ["x"]}`, 400, "Request_BadRequest", "Property 'subject' cannot be empty."},
		{"no issuer", "POST " + trusts, `{"name": "other", "subject": "x", "audiences": ["x"]}`, 400, "Request_BadRequest", "Property 'issuer' cannot be empty."},
		{"no audiences", "POST " + trusts, `{"name": "other", "issuer": "https://x.example", "subject": "x"}`, 400, "Request_BadRequest", "Property 'audiences' cannot be empty."},
		{"two audiences", "POST " + trusts, `{"name": "other", "issuer": "https://x.example", "subject": "x", "audiences": ["x", "y"]}`, 400, "InvalidFederatedIdentityCredentialsAudienceLength", "exactly 1 audience"},
		{"an issuer without TLS", "POST " + trusts, `{"name": "other", "issuer": "http://x.example", "subject": "x", "audiences": ["x"]}`, 400, "InvalidFederatedIdentityCredentialValue", "FederatedIdentityCredential.Issuer, paramValue: http://x.example"},
		{"another name", "PATCH " + trusts + "/cluster", `{"name": "other"}`, 400, "InvalidFederatedIdentityCredentialValue", "Name is immutable and cannot be changed after creation."},
		{"one that is not there", "PATCH " + trusts + "/none", `{"subject": "x"}`, 404, "Request_ResourceNotFound", "Resource 'none' does not exist"},
		{"nor deleted", "DELETE " + trusts + "/none", ``, 404, "Request_ResourceNotFound", "Resource 'none' does not exist"},
		{"a flexible one in v1.0", "POST " + trusts, flexible("https://token.actions.githubusercontent.com", "claims['sub'] matches 'x*'"), 400, "Request_BadRequest", "Property 'subject' cannot be empty."},
		{"a flexible one of another issuer", "POST " + strings.Replace(trusts, "v1.0", "beta", 1), flexible("https://x.example", "claims['sub'] matches 'x*'"), 400, "InvalidFederatedIdentityCredentialValue", "FederatedIdentityCredential.Issuer"},
		{"an expression that is none", "POST " + strings.Replace(trusts, "v1.0", "beta", 1), flexible("https://token.actions.githubusercontent.com", "x"), 400, "InvalidFederatedIdentityCredentialValue", "FederatedIdentityCredential.ClaimsMatchingExpression"},

		{"an owner that is not there", "POST " + at + "/owners/$ref", `{"@odata.id": "https://graph.microsoft.com/v1.0/directoryObjects/99999999-0000-4000-8000-000000000001"}`, 404, "Request_ResourceNotFound", "99999999-0000-4000-8000-000000000001"},
		{"an owner that is no address", "POST " + at + "/owners/$ref", `{"@odata.id": "x"}`, 400, "Request_BadRequest", "@odata.id"},
		{"a wrong unique name", "PATCH /v1.0/applications(uniqueName='none')", `{"displayName": "x"}`, 404, "Request_ResourceNotFound", "Resource 'none' does not exist"},
		{"a batch that is none", "POST /v1.0/$batch", `{"requests": 1}`, 400, "BadRequest", "Invalid batch payload format."},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := w.ask(terraformID, row.request, row.body)
			if got.status != row.status || got.value("error", "code") != row.code || !strings.Contains(got.value("error", "message"), row.text) {
				t.Errorf("%s %s\nexpected %d %s %s\nfound %d %s", row.request, row.body, row.status, row.code, row.text, got.status, got.text)
			}
			e := w.Journal().Events()
			if last := e[len(e)-1]; last.Kind != journal.Access || last.Outcome != journal.Denied || last.Error != row.code || last.Meaning == "" && row.status != 404 {
				t.Errorf("journal: %+v", last)
			}
		})
	}
}

// What is made by PATCH is the same the second time.
func TestUpserts(t *testing.T) {
	w := newWorld(t, lab.Options{})
	const at = "/v1.0/applications(uniqueName='shop-web')"
	first := w.do("PATCH "+at, `{"displayName": "web"}`, "Prefer: create-if-missing")
	if first.status != 201 || first.value("uniqueName") != "shop-web" {
		t.Errorf("%d %s", first.status, first.text)
	}
	if again := w.do("PATCH "+at, `{"displayName": "web"}`, "Prefer: create-if-missing"); again.status != 204 {
		t.Errorf("%d %s", again.status, again.text)
	}
	trust := at + "/federatedIdentityCredentials(name='Cluster')"
	made := w.do("PATCH "+trust, w.trust("Cluster", "a"), "Prefer: create-if-missing")
	if made.status != 201 || made.value("name") != "Cluster" {
		t.Errorf("%d %s", made.status, made.text)
	}
	if again := w.do("PATCH "+trust, w.trust("Cluster", "b"), "Prefer: create-if-missing"); again.status != 204 {
		t.Errorf("%d %s", again.status, again.text)
	}
	if got := w.do("GET "+trust, ""); got.value("subject") != "b" || got.value("id") != made.value("id") {
		t.Error(got.text)
	}
	if got := w.ask(terraformID, "POST /v1.0/applications", `{"displayName": "x", "uniqueName": "SHOP-web"}`); got.status != 400 || !strings.Contains(got.text, "Another object with the same value for property uniqueName already exists.") {
		t.Errorf("%d %s", got.status, got.text)
	}
}

// azwi names a credential by a hash in base64url, of which some begin with a dash.
func TestCredentialsOfAzwi(t *testing.T) {
	w := newWorld(t, lab.Options{})
	id, clientID, _ := w.application("web")
	at := "/v1.0/applications/" + id + "/federatedIdentityCredentials"
	w.do("DELETE "+at+"/cluster", "")
	for _, name := range []string{"9RDKujzWPR0f8xXE1qyqCbkYmeTVp__JcoH94wWJfOQ=", "-RDKujzWPR0f8xXE1qyqCbkYmeTVp__JcoH94wWJfOQ=", "_RDKujzWPR0f8xXE1qyqCbkYmeTVp__JcoH94wWJfOQ="} {
		made := w.do("POST "+at, w.trust(name, "system:serviceaccount:shop:web-sa"))
		w.opens(name, w.workload(clientID), graphScope, "")
		if got := w.do("GET "+at+"/"+name, ""); got.value("name") != name || got.value("id") != made.value("id") {
			t.Error(got.text)
		}
		if again := w.ask(terraformID, "POST "+at, w.trust(name, "system:serviceaccount:shop:web-sa")); again.status != 409 || again.value("error", "code") != "Request_MultipleObjectsWithSameKeyValue" {
			t.Errorf("%d %s", again.status, again.text)
		}
		w.do("DELETE "+at+"/"+made.value("id"), "")
	}
}

// The twenty-first federated credential is refused, and the first twenty are good.
func TestTwentyFederatedCredentials(t *testing.T) {
	w := newWorld(t, lab.Options{})
	id, clientID, _ := w.application("web")
	at := "/v1.0/applications/" + id + "/federatedIdentityCredentials"
	for n := range 19 {
		w.do("POST "+at, w.trust(fmt.Sprintf("more-%d", n), fmt.Sprintf("subject-%d", n)))
	}
	if got := w.ask(terraformID, "POST "+at, w.trust("last", "last")); got.status != 403 || got.value("error", "code") != "Directory_ResourceSizeExceeded" {
		t.Errorf("%d %s", got.status, got.text)
	}
	w.opens("with twenty", w.workload(clientID), graphScope, "")
	w.do("DELETE "+at+"/more-3", "")
	w.do("POST "+at, w.trust("last", "last"))
}

// beta has flexible federated credentials; v1.0 breaks off where it should show one.
func TestFlexibleCredentials(t *testing.T) {
	w := newWorld(t, lab.Options{})
	id, _, _ := w.application("web")
	at := "/applications/" + id + "/federatedIdentityCredentials"
	made := w.do("POST /beta"+at, `{"name": "github", "issuer": "https://token.actions.githubusercontent.com", "audiences": ["api://AzureADTokenExchange"], "claimsMatchingExpression": {"value": "claims['sub'] matches 'repo:contoso/*'", "languageVersion": 1}}`)
	if made.status != 201 || made.value("claimsMatchingExpression", "value") != "claims['sub'] matches 'repo:contoso/*'" {
		t.Errorf("%d %s", made.status, made.text)
	}
	if got := w.do("GET /beta"+at, ""); got.value("value", 1, "claimsMatchingExpression", "value") == "" || got.value("value", 0, "subject") == "" {
		t.Error(got.text)
	}
	got := w.do("GET /v1.0"+at, "")
	if json.Valid([]byte(got.text)) || !strings.Contains(got.text, `"issuer":"https://token.actions.githubusercontent.com"{"error":{"code":"InternalServerError","message":"The property 'subject[Nullable=False]' of type 'Edm.String' has a null value, which is not allowed."`) {
		t.Error(got.text)
	}
	if got := w.do("GET /v1.0"+at+"?$select=name", ""); !json.Valid([]byte(got.text)) {
		t.Error(got.text)
	}
	for _, one := range []string{"", "/github"} {
		if got := w.do("GET /v1.0"+at+one+"?$select=subject", ""); json.Valid([]byte(got.text)) || !strings.Contains(got.text, `{"error":{"code":"InternalServerError"`) || strings.Contains(got.text, `,{"error"`) {
			t.Errorf("of %s, the subject alone: %s", one, got.text)
		}
	}
}

func TestCounts(t *testing.T) {
	w := newWorld(t, lab.Options{})
	eventual := "ConsistencyLevel: eventual"
	if got := w.do("GET /v1.0/applications/$count", "", eventual); got.text != "4" || got.header.Get("Content-Type") != "text/plain" {
		t.Errorf("%v %s", got.header, got.text)
	}
	got := w.do("GET /v1.0/applications?$count=true&$top=1&$filter=displayName ne 'nobody'&$select=displayName", "", eventual)
	if !strings.Contains(got.text, `"@odata.count":3,"@odata.nextLink":"`) || got.value("value", 0, "displayName") != "terraform" {
		t.Error(got.text)
	}
}

func TestBatch(t *testing.T) {
	w := newWorld(t, lab.Options{})
	got := w.do("POST /v1.0/$batch", `{"requests": [
		{"id": "1", "method": "POST", "url": "/applications", "headers": {"Content-Type": "application/json"}, "body": {"displayName": "batched"}},
		{"id": "2", "method": "GET", "url": "applications?$filter=displayName eq 'batched'&$select=displayName", "dependsOn": ["1"]},
		{"id": "3", "method": "GET", "url": "/applications/x"},
		{"id": "4", "method": "DELETE", "url": "/applications/x", "dependsOn": ["3"]},
		{"id": "5", "method": "GET", "url": "/applications/$count", "headers": {"ConsistencyLevel": "eventual"}}
	]}`)
	var all struct {
		Responses []struct {
			ID     string
			Status int
			Body   json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(got.text), &all); err != nil {
		t.Fatal(err)
	}
	for n, want := range []struct {
		status int
		text   string
	}{{201, `"displayName":"batched"`}, {200, `"value":[{"displayName":"batched"}]`}, {400, "Invalid object identifier 'x'"}, {424, "FailedDependency"}, {200, "5"}} {
		if r := all.Responses[n]; r.ID != fmt.Sprint(n+1) || r.Status != want.status || !strings.Contains(string(r.Body), want.text) {
			t.Errorf("%d: %s", n+1, got.text)
		}
	}
	var many []string
	for n := range 21 {
		many = append(many, fmt.Sprintf(`{"id": "%d", "method": "GET", "url": "/organization"}`, n))
	}
	if got := w.ask(terraformID, "POST /v1.0/$batch", `{"requests": [`+strings.Join(many, ",")+`]}`); got.status != 400 || got.value("error", "code") != "MaximumValueExceeded" {
		t.Errorf("%d %s", got.status, got.text)
	}
	if got := w.ask(nobodyID, "POST /v1.0/$batch", `{"requests": [{"id": "1", "method": "POST", "url": "/applications", "body": {"displayName": "x"}}]}`); !strings.Contains(got.text, `"status":403`) {
		t.Errorf("a batch gives no rights: %d %s", got.status, got.text)
	}
}

// What one request may make is bounded, however small it is.
func TestTooManyEntries(t *testing.T) {
	w := newWorld(t, lab.Options{})
	many := func(n int) string {
		return `{"displayName": "large", "passwordCredentials": [{}` + strings.Repeat(",{}", n-1) + `]}`
	}
	for _, n := range []int{1201, 200_000} {
		if got := w.ask(terraformID, "POST /v1.0/applications", many(n)); got.status != 403 || got.value("error", "code") != "Directory_ResourceSizeExceeded" {
			t.Errorf("%d passwords: %d", n, got.status)
		}
	}
	made := w.do("POST /v1.0/applications", many(1200))
	at := "/v1.0/applications/" + made.value("id")
	if got := w.ask(terraformID, "POST "+at+"/addPassword", `{}`); got.status != 403 || got.value("error", "code") != "Directory_ResourceSizeExceeded" {
		t.Errorf("one more: %d %s", got.status, got.text)
	}
	w.do("PATCH "+at, `{"displayName": "renamed"}`)
	w.do("POST "+at+"/removePassword", `{"keyId": "`+made.value("passwordCredentials", 0, "keyId")+`"}`)
	w.do("POST "+at+"/addPassword", `{}`)
}

// An application that was deleted is restored once, and what becomes of it then stays.
func TestRestoresAtOnce(t *testing.T) {
	w := newWorld(t, lab.Options{Keep: true, StateDir: t.TempDir()}) // a change takes a while to be on disk
	id := w.do("POST /v1.0/applications", `{"displayName": "gone"}`).value("id")
	w.do("DELETE /v1.0/applications/"+id, "")
	statuses := make(chan int, 16)
	var all sync.WaitGroup
	for range cap(statuses) {
		all.Go(func() { statuses <- w.ask(terraformID, "POST /v1.0/directory/deletedItems/"+id+"/restore", "").status })
	}
	all.Wait()
	close(statuses)
	restored := 0
	for status := range statuses {
		if status < 300 {
			restored++
		} else if status != 404 {
			t.Errorf("a restore is answered with %d", status)
		}
	}
	if restored != 1 {
		t.Errorf("it was restored %d times", restored)
	}
}

// A batch in a batch is refused, however its address is spelt.
func TestABatchInABatch(t *testing.T) {
	w := newWorld(t, lab.Options{})
	for _, at := range []string{"/$batch", "$batch", "/%24batch", "/$%62atch", "/$BATCH/", "/applications/../$batch", "//$batch"} {
		got := w.do("POST /v1.0/$batch", `{"requests": [{"id": "1", "method": "POST", "url": "`+at+`", "body": {"requests": [{"id": "inner", "method": "GET", "url": "/organization"}]}}]}`)
		if !strings.Contains(got.text, `"status":400`) || strings.Contains(got.text, "inner") {
			t.Errorf("%s: %s", at, got.text)
		}
	}
	if got := w.do("POST /v1.0/$batch", `{"requests": [{"id": "1", "method": "GET", "url": "/applications?$filter=displayName eq '$batch'"}]}`); !strings.Contains(got.text, `"status":200`) {
		t.Errorf("a name that only looks like it: %s", got.text)
	}
}

// A fault lets a new object be found late; the token service knows it at once.
func TestAFreshApplication(t *testing.T) {
	w := newWorld(t, lab.Options{})
	id, clientID, _ := w.application("web")
	at := "/v1.0/applications/" + id
	w.inject("object-not-replicated,delay=2m")
	for _, request := range []string{"GET " + at, "PATCH " + at, "POST " + at + "/addPassword", "GET " + at + "/federatedIdentityCredentials", "GET /v1.0/servicePrincipals(appId='" + clientID + "')"} {
		got := w.ask(terraformID, request, "{}")
		if got.status != 404 || got.value("error", "code") != "Request_ResourceNotFound" {
			t.Errorf("%s: %d %s", request, got.status, got.text)
		}
		events := w.Journal().Events()
		if last := events[len(events)-1]; last.Detail[journal.DetailFault] == "" {
			t.Errorf("%s: the journal does not name the fault: %+v", request, last)
		}
	}
	if got := w.do("GET /v1.0/applications?$filter=appId eq '"+clientID+"'", ""); !strings.Contains(got.text, `"value":[]`) {
		t.Error(got.text)
	}
	if got := w.ask(terraformID, "POST /v1.0/servicePrincipals", `{"appId": "`+clientID+`"}`); got.status != 400 || !strings.Contains(got.text, "does not reference a valid application object") {
		t.Errorf("%d %s", got.status, got.text)
	}
	w.opens("at once", w.workload(clientID), graphScope, "")
	if err := w.Clock().Advance(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := w.do("GET "+at+"/federatedIdentityCredentials?$select=name", ""); !strings.Contains(got.text, "cluster") {
		t.Error(got.text)
	}
	w.do("POST "+at+"/federatedIdentityCredentials", w.trust("late", "late"))
	if got := w.do("GET "+at+"/federatedIdentityCredentials?$select=name", ""); strings.Contains(got.text, "late") || !strings.Contains(got.text, "cluster") {
		t.Errorf("a new credential is listed: %s", got.text)
	}
	if got := w.ask(terraformID, "GET "+at+"/federatedIdentityCredentials/late", ""); got.status != 404 {
		t.Errorf("%d %s", got.status, got.text)
	}
}

// What was made is there after a restart, and what was deleted can be restored.
func TestWhatIsKept(t *testing.T) {
	kept := lab.Options{Keep: true, StateDir: t.TempDir()}
	w := newWorld(t, kept)
	id, clientID, _ := w.application("web")
	password := w.do("POST /v1.0/applications/"+id+"/addPassword", "{}").value("secretText")
	gone, _, _ := w.application("gone")
	w.do("DELETE /v1.0/applications/"+gone, "")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, kept)
	w.opens("after a restart", w.secret(clientID, password), graphScope, "")
	w.opens("by its trust", w.workload(clientID), graphScope, "")
	w.do("POST /v1.0/directory/deletedItems/"+gone+"/restore", "")
	if got := w.do("GET /v1.0/applications/"+gone+"/federatedIdentityCredentials", ""); got.value("value", 0, "name") != "cluster" {
		t.Error(got.text)
	}
}

// Ten thousand applications with twenty credentials each, in pages.
func BenchmarkListApplications(b *testing.B) {
	l := newLab(b, crowd(10_000))
	token := l.administrator(b)
	b.ReportAllocs()
	objects := 0
	for b.Loop() {
		for next := "/v1.0/applications?$top=999"; next != ""; {
			w := l.ask(token, "GET", next)
			body := w.Body.String()
			if w.Code != 200 {
				b.Fatal(body)
			}
			_, rest, _ := strings.Cut(body, `"@odata.nextLink":"`)
			next, _, _ = strings.Cut(rest, `"`)
			objects += strings.Count(body, `"appId":`)
		}
	}
	b.ReportMetric(float64(objects)/b.Elapsed().Seconds(), "objects/s")
}

func BenchmarkListFederatedCredentials(b *testing.B) {
	in := crowd(10_000)
	l := newLab(b, in)
	token := l.administrator(b)
	objects, n := 0, 0
	for b.Loop() {
		w := l.ask(token, "GET", "/v1.0/applications(appId='"+in.Principals[n%len(in.Principals)].ClientID+"')/federatedIdentityCredentials")
		if objects, n = objects+strings.Count(w.Body.String(), `"issuer"`), n+1; w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
	b.ReportMetric(float64(objects)/b.Elapsed().Seconds(), "objects/s")
}

func crowd(n int) directory.Tenant {
	in := directory.Tenant{ID: tokentest.Tenant}
	for i := range n {
		p := directory.Principal{Kind: directory.Application, ClientID: fmt.Sprintf("dddddddd-0000-4000-8000-%012d", i), DisplayName: fmt.Sprintf("application %d", i)}
		for k := range 20 {
			p.FederatedCredentials = append(p.FederatedCredentials, directory.FederatedCredential{Name: fmt.Sprintf("name-%d", k), Issuer: "https://radix.oic.wiemu.test/t/u/", Subject: fmt.Sprintf("subject-%d", k), Audience: "api://AzureADTokenExchange"})
		}
		in.Principals = append(in.Principals, p)
	}
	return in
}
