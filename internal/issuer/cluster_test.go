package issuer

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/kubeversion"
)

const admin = "the-cluster-endpoints-token"

// call sends a request with a body to a cluster endpoint, as its admin.
func call(t testing.TB, handler http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+admin)
	for h := range slices.Chunk(headers, 2) {
		r.Header.Set(h[0], h[1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

const (
	tokenPath  = "/api/v1/namespaces/my-radix-app-dev/serviceaccounts/web-sa/token"
	reviewPath = "/apis/authentication.k8s.io/v1/tokenreviews"
)

func TestWhoMayUseTheClusterEndpoint(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	for _, row := range []struct {
		name, token, header string
		code                int
	}{
		{"the bearer token", admin, "Bearer " + admin, 201},
		{"in another case", admin, "bearer " + admin, 201},
		{"nothing", admin, "", 401},
		{"another token", admin, "Bearer " + admin + "x", 401},
		{"the beginning of it", admin, "Bearer " + admin[:5], 401},
		{"an empty token", admin, "Bearer ", 401},
		{"another scheme", admin, "Basic " + admin, 401},
		{"a service account's token", admin, "Bearer " + c.mint(t, TokenRequest{}).Raw, 401},
		{"an endpoint without a token", "", "Bearer ", 401},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := call(t, c.Cluster(row.token), http.MethodPost, tokenPath, "{}", "Authorization", row.header)
			if got.Code != row.code {
				t.Fatalf("got %d %s", got.Code, got.Body)
			}
			if want := `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}` + "\n"; row.code == 401 && got.Body.String() != want {
				t.Errorf("got %s, want %s", got.Body, want)
			}
		})
	}
}

func TestTokenRequestAnswers(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	pod := c.PutPod(Pod{Namespace: namespace, Name: "web-1", ServiceAccount: account})
	uid := c.ServiceAccounts()[0].UID
	for _, row := range []struct{ name, body, want, warning string }{
		{"everything left to the server", `{}`,
			`"metadata":{"name":"web-sa","namespace":"my-radix-app-dev","uid":"` + uid + `","creationTimestamp":"2026-11-23T10:00:00Z"},"spec":{"audiences":["` + testURL + `"],"expirationSeconds":3600,"boundObjectRef":null},"status":{"token":"TOKEN","expirationTimestamp":"2026-11-23T11:00:00Z"}}`, ""},
		{"what a kubelet sends", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","metadata":{"creationTimestamp":null,"uid":"` + uid + `"},"spec":{"audiences":["api://AzureADTokenExchange"],"expirationSeconds":600,"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"web-1","uid":"` + pod.UID + `"}},"status":{"token":"","expirationTimestamp":null}}`,
			`"spec":{"audiences":["api://AzureADTokenExchange"],"expirationSeconds":600,"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"web-1","uid":"` + pod.UID + `"}},"status":{"token":"TOKEN","expirationTimestamp":"2026-11-23T10:10:00Z"}}`, ""},
		{"a week", `{"spec":{"audiences":[],"expirationSeconds":604800}}`,
			`"expirationSeconds":86400,"boundObjectRef":null},"status":{"token":"TOKEN","expirationTimestamp":"2026-11-24T10:00:00Z"}}`, `299 - "requested expiration of 604800 seconds shortened to 86400 seconds"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := call(t, c.Cluster(admin), http.MethodPost, tokenPath, row.body, "Content-Type", "application/json")
			if got.Code != http.StatusCreated || got.Header().Get("Content-Type") != "application/json" || got.Header().Get("Warning") != row.warning {
				t.Fatalf("got %d %v %s", got.Code, got.Header(), got.Body)
			}
			token := between(got.Body.String(), `"token":"`, `"`)
			body := strings.Replace(got.Body.String(), token, "TOKEN", 1)
			if !strings.HasPrefix(body, `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{`) || !strings.HasSuffix(body, row.want+"\n") {
				t.Errorf("got %s\nwant it to end in %s", body, row.want)
			}
			if strings.Count(token, ".") != 2 {
				t.Errorf("token %q", token)
			}
		})
	}
}

// between returns what stands between the first before and the next after.
func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}

func TestTokenRequestsThatAreRefused(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	status := func(rest string) string {
		return `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":` + rest + "}\n"
	}
	for _, row := range []struct {
		name, method, path, body string
		code                     int
		want                     string
	}{
		{"599 seconds", "POST", tokenPath, `{"spec":{"expirationSeconds":599}}`, 422,
			status(`"TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes","reason":"Invalid","details":{"group":"authentication.k8s.io","kind":"TokenRequest","causes":[{"reason":"FieldValueInvalid","message":"Invalid value: 599: may not specify a duration less than 10 minutes","field":"spec.expirationSeconds"}]},"code":422`)},
		{"zero seconds", "POST", tokenPath, `{"spec":{"expirationSeconds":0}}`, 422, "Invalid value: 0: may not"},
		{"an empty audience", "POST", tokenPath, `{"spec":{"audiences":[""]}}`, 422, `"field":"spec.audiences[0]"`},
		{"an unknown service account", "POST", strings.Replace(tokenPath, "web-sa", "nobody", 1), `{}`, 404,
			status(`"serviceaccounts \"nobody\" not found","reason":"NotFound","details":{"name":"nobody","kind":"serviceaccounts"},"code":404`)},
		{"the UID of another service account", "POST", tokenPath, `{"metadata":{"uid":"u"}}`, 409, `"details":{"name":"web-sa","group":"authentication.k8s.io","kind":"TokenRequest"},"code":409}`},
		{"the UID of another pod", "POST", tokenPath, `{"spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"web-1","uid":"u"}}}`, 409, `"details":{"name":"web-1","kind":"Pod"},"code":409}`},
		{"another name in the body", "POST", tokenPath, `{"metadata":{"name":"x"}}`, 422, `TokenRequest.authentication.k8s.io \"web-sa\" is invalid: metadata.name: Invalid value: \"x\": must match the service account name if specified`},
		{"another namespace in the body", "POST", tokenPath, `{"metadata":{"namespace":"x"}}`, 400, "the namespace of the provided object does not match the namespace sent on the request"},
		{"no body", "POST", tokenPath, ``, 400, `the object provided is unrecognized (must be of type TokenRequest): couldn't get version/kind; json parse error: unexpected end of JSON input (\u003cempty\u003e)`},
		{"no JSON", "POST", tokenPath, `hello`, 400, `(68656c6c6f)`},
		{"a long body that is cut short", "POST", tokenPath, `{"spec":{"audiences":["aaaaaaaaaaaaaaa`, 400, `({\"spec\":{\"audiences\":[\"aaaaaaa ...)`},
		{"an audience that is no list", "POST", tokenPath, `{"spec":{"audiences":"x"}}`, 400, `TokenRequest in version \"v1\" cannot be handled as a TokenRequest: json: cannot unmarshal string`},
		{"another kind", "POST", tokenPath, `{"kind":"Pod","apiVersion":"v1"}`, 400, `Pod in version \"v1\" cannot be handled as a TokenRequest: no kind \"Pod\" is registered for version \"v1\"`},
		{"a body that is too long", "POST", tokenPath, strings.Repeat(" ", maxBody+1), 413, "Request entity too large: limit is 1048576"},
		{"a method that it has not", "GET", tokenPath, ``, 405, `"reason":"MethodNotAllowed","details":{},"code":405`},
		{"a path that is not served", "GET", "/api/v1/pods", ``, 404, `"the server could not find the requested resource","reason":"NotFound","details":{},"code":404`},
		{"a doubled slash, which is not redirected", "POST", "/api/v1//namespaces", ``, 404, "could not find"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c.PutPod(Pod{Namespace: namespace, Name: "web-1", ServiceAccount: account})
			got := call(t, c.Cluster(admin), row.method, row.path, row.body, "Content-Type", "application/json")
			if got.Code != row.code || !strings.Contains(got.Body.String(), row.want) {
				t.Errorf("got %d %s\nwant %d with %s", got.Code, got.Body, row.code, row.want)
			}
		})
	}
}

func TestWhatIsSpoken(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	for _, row := range []struct {
		name, content, accept string
		code                  int
	}{
		{"JSON", "application/json", "application/json", 201},
		{"JSON with a character set", "application/json; charset=utf-8", "application/json", 201},
		{"anything", "", "*/*", 201},
		{"nothing said", "", "", 201},
		{"client-go's way", "application/json", "application/vnd.kubernetes.protobuf,application/json", 201},
		{"YAML", "application/yaml", "*/*", 415},
		{"no media type", "///", "*/*", 415},
		{"protobuf alone", "application/json", "application/vnd.kubernetes.protobuf", 406},
		{"a table alone", "application/json", "application/json;as=Table;v=v1;g=meta.k8s.io", 406},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := call(t, c.Cluster(admin), "POST", tokenPath, "{}", "Content-Type", row.content, "Accept", row.accept)
			if got.Code != row.code {
				t.Errorf("got %d %s", got.Code, got.Body)
			}
		})
	}
}

func TestTokenReviewAnswers(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	token := c.mint(t, TokenRequest{Audiences: []string{exchange}})
	uid := c.ServiceAccounts()[0].UID
	for _, row := range []struct {
		name, body string
		code       int
		want       string
	}{
		{"a good token", `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"` + token.Raw + `","audiences":["api://AzureADTokenExchange"]}}`, 201,
			`{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{"token":"` + token.Raw + `","audiences":["api://AzureADTokenExchange"]},"status":{"authenticated":true,"user":{"username":"system:serviceaccount:my-radix-app-dev:web-sa","uid":"` + uid + `","groups":["system:serviceaccounts","system:serviceaccounts:my-radix-app-dev","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=` + token.ID + `"]}},"audiences":["api://AzureADTokenExchange"]}}` + "\n"},
		{"a token for somebody else", `{"spec":{"token":"` + token.Raw + `"}}`, 201, `"status":{"user":{},"error":"[invalid bearer token, token audiences [\"api://AzureADTokenExchange\"] is invalid for the target audiences [\"` + testURL + `\"]]"}}`},
		{"no token", `{"spec":{}}`, 400, "token is required for TokenReview in authentication"},
		{"no review", `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1"}`, 400, "cannot be handled as a TokenReview"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := call(t, c.Cluster(admin), "POST", reviewPath, row.body, "Content-Type", "application/json")
			if got.Code != row.code || !strings.Contains(got.Body.String(), row.want) {
				t.Errorf("got %d %s\nwant %d with %s", got.Code, got.Body, row.code, row.want)
			}
		})
	}
}

func TestWhatCanBeRead(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	c.PutServiceAccount("a-namespace", "b", map[string]string{"azure.workload.identity/client-id": "c"})
	uid := c.ServiceAccounts()[0].UID
	item := `"metadata":{"name":"b","namespace":"a-namespace","uid":"` + uid + `","resourceVersion":"1","creationTimestamp":"2026-11-23T10:00:00Z","annotations":{"azure.workload.identity/client-id":"c"}}}`
	for _, row := range []struct {
		path string
		code int
		want string
	}{
		{"/api/v1/namespaces/a-namespace/serviceaccounts/b", 200, `{"kind":"ServiceAccount","apiVersion":"v1",` + item + "\n"},
		{"/api/v1/namespaces/a-namespace/serviceaccounts", 200, `{"kind":"ServiceAccountList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[{` + item + "]}\n"},
		{"/api/v1/namespaces/none/serviceaccounts", 200, `"items":[]}`},
		{"/api/v1/serviceaccounts", 200, `"name":"web-sa"`},
		{"/api/v1/serviceaccounts?watch=true", 405, "MethodNotAllowed"},
		{"/api/v1/namespaces/a-namespace/serviceaccounts/none", 404, `serviceaccounts \"none\" not found`},
		{"/api/v1/namespaces", 200, `"items":[{"metadata":{"name":"a-namespace","resourceVersion":"1","creationTimestamp":"2026-11-23T10:00:00Z","labels":{"kubernetes.io/metadata.name":"a-namespace"}},"spec":{},"status":{"phase":"Active"}},{`},
		{"/api/v1/namespaces/a-namespace", 200, `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"a-namespace"`},
		{"/api/v1/namespaces/none", 404, `namespaces \"none\" not found`},
		{"/version", 200, `"minor":"` + strconv.Itoa(kubeversion.Minor) + `","gitVersion":"` + kubeversion.Version + `+wiemu"`},
		{"/api?timeout=32s", 200, `{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]}`},
		{"/api/v1", 200, `{"name":"serviceaccounts/token","singularName":"","namespaced":true,"group":"authentication.k8s.io","version":"v1","kind":"TokenRequest","verbs":["create"]}`},
		{"/apis", 200, `{"kind":"APIGroupList","apiVersion":"v1","groups":[{"name":"authentication.k8s.io","versions":[{"groupVersion":"authentication.k8s.io/v1","version":"v1"}],"preferredVersion":{"groupVersion":"authentication.k8s.io/v1","version":"v1"}}]}`},
		{"/apis/authentication.k8s.io", 200, `{"kind":"APIGroup","apiVersion":"v1","name":"authentication.k8s.io"`},
		{"/apis/authentication.k8s.io/v1", 200, `{"name":"tokenreviews","singularName":"tokenreview","namespaced":false,"kind":"TokenReview","verbs":["create"]}`},
		{"/.well-known/openid-configuration", 200, `{"issuer":"` + testURL + `"`},
		{"/openid/v1/jwks", 200, `{"keys":[{"use":"sig"`},
	} {
		t.Run(row.path, func(t *testing.T) {
			got := call(t, c.Cluster(admin), "GET", row.path, "", "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
			if got.Code != row.code || !strings.Contains(got.Body.String(), row.want) {
				t.Errorf("got %d %s\nwant %d with %s", got.Code, got.Body, row.code, row.want)
			}
		})
	}
}
