package recording_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/managedidentity"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/timeline"
)

// An asked is a request, in which everything that a client chooses can be something
// else. Words in capitals are filled in.
type asked struct {
	endpoint, method, url string
	header, form          map[string]string
	json                  string // body
}

// endpoints are requests that every endpoint answers.
var endpoints = map[string]asked{
	"token v2": {method: "POST", url: "https://login.microsoftonline.com/TENANT/oauth2/v2.0/token", form: map[string]string{
		"grant_type": "client_credentials", "client_id": "CLIENT", "scope": "https://vault.azure.net/.default",
		"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": "ASSERTION",
		"claims": "{}", "username": "u", "password": "p", "redirect_uri": "r", "code": "c", "refresh_token": "t", "requested_token_use": "x",
	}},
	"token v1": {method: "POST", url: "https://login.microsoftonline.com/TENANT/oauth2/token?api-version=1.0", form: map[string]string{
		"grant_type": "client_credentials", "client_id": "CLIENT", "resource": "https://vault.azure.net", "client_secret": "SECRET",
	}},
	"instance":           {method: "GET", url: "https://login.microsoftonline.com/common/discovery/instance?api-version=1.1&authorization_endpoint=https://login.microsoftonline.com/x/oauth2/v2.0/authorize"},
	"user realm":         {method: "GET", url: "https://login.microsoftonline.com/common/userrealm/user?api-version=1.0"},
	"openid":             {method: "GET", url: "https://login.microsoftonline.com/TENANT/v2.0/.well-known/openid-configuration?appid=x"},
	"keys":               {method: "GET", url: "https://login.microsoftonline.com/TENANT/discovery/v2.0/keys"},
	"nothing at Entra":   {method: "GET", url: "https://login.microsoftonline.com/TENANT/nothing/here?x=y"},
	"get secret":         {method: "GET", url: "https://mykeyvault.vault.azure.net/secrets/mysecret/version?api-version=7.6", header: map[string]string{"Authorization": "Bearer ACCESS"}},
	"set secret":         {method: "PUT", url: "https://mykeyvault.vault.azure.net/secrets/other?api-version=7.6", header: map[string]string{"Authorization": "Bearer ACCESS"}, json: `{"value":"abc","contentType":"text","tags":{"a":"b"}}`},
	"list secrets":       {method: "GET", url: "https://mykeyvault.vault.azure.net/secrets?api-version=7.6&$skiptoken=x", header: map[string]string{"Authorization": "Bearer ACCESS"}},
	"deleted secret":     {method: "DELETE", url: "https://mykeyvault.vault.azure.net/deletedsecrets/gone?api-version=7.6", header: map[string]string{"Authorization": "Bearer ACCESS"}},
	"nothing in a vault": {method: "GET", url: "https://mykeyvault.vault.azure.net/keys/nothing?api-version=7.6", header: map[string]string{"Authorization": "Bearer ACCESS"}},
	"graph":              {method: "GET", url: "https://graph.microsoft.com/v1.0/servicePrincipals/x?$select=id&$filter=y", header: map[string]string{"Authorization": "Bearer ACCESS", "ConsistencyLevel": "eventual"}},
	"resource manager":   {method: "GET", url: "https://management.azure.com/subscriptions/x/resourceGroups/y?api-version=2021-04-01", header: map[string]string{"Authorization": "Bearer ACCESS"}},
	"issuer":             {method: "GET", url: "https://local.oic.wiemu.test/a/b/.well-known/openid-configuration?x=y"},
	"nobody's host":      {method: "GET", url: "https://nobody.example.com/path?x=y"},
	"token request":      {endpoint: server.ClusterEndpoint, method: "POST", url: "/clusters/local/api/v1/namespaces/shop/serviceaccounts/web-sa/token", header: map[string]string{"Authorization": "Bearer CONTROL"}, json: `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","spec":{"audiences":["x"],"expirationSeconds":3600,"boundObjectRef":{"kind":"Pod","name":"p","uid":"u"}}}`},
	"token review":       {endpoint: server.ClusterEndpoint, method: "POST", url: "/clusters/local/apis/authentication.k8s.io/v1/tokenreviews", header: map[string]string{"Authorization": "Bearer CONTROL"}, json: `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"ASSERTION","audiences":["x"]}}`},
	"event":              {endpoint: server.ControlEndpoint, method: "POST", url: "/v1/events", header: map[string]string{"Authorization": "Bearer CONTROL"}, json: `{"kind":"run","outcome":"ok","summary":"started x","workload":"shop/web","clientId":"c","message":"m","remedy":"r","nearest":{"credential":"c","differences":[{"field":"f","expected":"e","presented":"p"}]},"detail":{"a":"b"},"checks":[{"name":"n","expected":"e","presented":"p","outcome":"passed"}],"audience":["a"]}`},
	"fault":              {endpoint: server.ControlEndpoint, method: "POST", url: "/v1/faults", header: map[string]string{"Authorization": "Bearer CONTROL"}, json: `{"kind":"throttled","for":{"client":"x"}}`},
	"rotate":             {endpoint: server.ControlEndpoint, method: "POST", url: "/v1/keys/nothing/rotate", header: map[string]string{"Authorization": "Bearer CONTROL"}},
	"imds":               {endpoint: server.MachineEndpoint + "shop/vm", method: "GET", url: "/metadata/identity/oauth2/token?resource=https://vault.azure.net&api-version=2018-02-01&client_id=x&bypass_cache=y", header: map[string]string{"Metadata": "true"}},
	"app service":        {endpoint: server.MachineEndpoint + "shop/app", method: "GET", url: "/msi/token?resource=https://vault.azure.net&api-version=2019-08-01&mi_res_id=x", header: map[string]string{"X-IDENTITY-HEADER": "MACHINE"}},
}

// fields are the things in a request that can be replaced, each by what replaces it.
func (a asked) fields() map[string]func(*asked, string) {
	fields := map[string]func(*asked, string){
		"method": func(r *asked, v string) { r.method = v },
	}
	u, _ := url.Parse(a.url)
	if u.Host != "" {
		fields["host"] = func(r *asked, v string) { r.url = strings.Replace(r.url, u.Host, v, 1) }
		fields["host's name"] = func(r *asked, v string) {
			_, rest, _ := strings.Cut(u.Host, ".")
			r.url = strings.Replace(r.url, u.Host, v+"."+rest, 1)
		}
	}
	for _, segment := range strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' }) {
		fields["path "+segment] = func(r *asked, v string) { r.url = strings.Replace(r.url, "/"+segment, "/"+url.PathEscape(v), 1) }
	}
	for name, values := range u.Query() {
		fields["query "+name] = func(r *asked, v string) {
			r.url = strings.Replace(r.url, name+"="+values[0], name+"="+url.QueryEscape(v), 1)
		}
	}
	fields["query's name"] = func(r *asked, v string) {
		r.url += map[bool]string{true: "&", false: "?"}[u.RawQuery != ""] + url.QueryEscape(v) + "=1"
	}
	for _, name := range []string{"User-Agent", "Accept", "Client-Request-Id", "X-Client-Sku", "X-Client-Ver", "X-Ms-Client-Request-Id", "Content-Type", "Authorization", "Metadata", "X-IDENTITY-HEADER", "Prefer"} {
		fields["header "+name] = func(r *asked, v string) { r.header[name] = v }
	}
	fields["basic credential"] = func(r *asked, v string) { r.header["Authorization"] = "Basic " + v }
	for name := range a.form {
		fields["form "+name] = func(r *asked, v string) { r.form[name] = v }
	}
	if a.form != nil {
		fields["form's name"] = func(r *asked, v string) { r.form[v] = "x" }
	}
	for _, text := range textsOf(a.json) {
		quoted := `"` + text + `"`
		fields["json "+text] = func(r *asked, v string) { r.json = strings.Replace(r.json, quoted, `"`+v+`"`, 1) }
	}
	return fields
}

// textsOf are the texts and names in JSON.
func textsOf(text string) []string {
	var found []string
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 && !slices.Contains(found, part) {
			found = append(found, part)
		}
	}
	return found
}

func (a asked) copy() asked {
	a.header, a.form = maps.Clone(a.header), maps.Clone(a.form)
	if a.header == nil {
		a.header = map[string]string{}
	}
	return a
}

// request is nil for one that no client can send.
func (a asked) request(fill *strings.Replacer) *http.Request {
	body, kind := a.json, "application/json"
	if a.form != nil {
		values := url.Values{}
		for name, value := range a.form {
			values.Set(name, fill.Replace(value))
		}
		body, kind = values.Encode(), "application/x-www-form-urlencoded"
	}
	r, err := http.NewRequest(a.method, fill.Replace(a.url), strings.NewReader(fill.Replace(body)))
	if err != nil {
		return nil
	}
	r.RequestURI = r.URL.RequestURI()
	if body != "" {
		r.Header.Set("Content-Type", kind)
	}
	for name, value := range a.header {
		r.Header.Set(name, fill.Replace(value))
	}
	return r
}

// Nothing that is kept or shown of a session has a token or secret in it, whatever
// field of whatever endpoint a client has put it into; and the session can be
// replayed.
func TestTokensAndSecretsInTheWrongPlace(t *testing.T) {
	const (
		clientSecret = "Client~Secret8_of.the-app"
		vaultValue   = "the value: of a Vault&Secret"
	)
	app := "0b2c4d4a-5a4c-4a6e-9d25-6e2a3a7f1c11"
	file := filepath.Join(t.TempDir(), "run.jsonl")
	s := recordInto(t, file, config.Config{
		Applications: []config.Application{{Principal: config.Principal{ClientID: app, Name: "shop"}, Secrets: []config.Secret{{Value: clientSecret}}}},
		Vaults:       []config.Vault{{Name: "mykeyvault", Secrets: map[string]string{"mysecret": vaultValue}}},
	})
	machine := ""
	for name, kind := range map[string]managedidentity.Kind{"vm": managedidentity.IMDS, "app": managedidentity.AppService} {
		w := web
		w.ServiceAccount, w.ManagedIdentity = name, string(kind)
		env, err := session.Admit(t.Context(), s.control, w, nil)
		if err != nil {
			t.Fatal(err)
		}
		if name == "app" {
			machine = env.Machine.Header
		}
	}
	access, answer := s.exchange(url.Values{"client_assertion": {s.assertion()}})
	if access == "" {
		t.Fatal(answer)
	}
	control := s.lab.Emulator().Token()
	never := map[string]string{
		"the assertion": s.assertion(), "the access token": access, "the client secret": clientSecret, "the value in the vault": vaultValue,
		"the control token": control, "the machine's secret": machine,
	}
	fill := strings.NewReplacer("TENANT", s.env.TenantID, "CLIENT", app, "ASSERTION", s.assertion(), "ACCESS", access, "SECRET", clientSecret, "CONTROL", control, "MACHINE", machine)
	sent := 0
	for _, endpoint := range slices.Sorted(maps.Keys(endpoints)) {
		fields := endpoints[endpoint].fields()
		for _, field := range slices.Sorted(maps.Keys(fields)) {
			for _, what := range slices.Sorted(maps.Keys(never)) {
				if changesCase(endpoint, field) && strings.Count(never[what], ".") == 2 {
					continue // it is in lower case then, and no token any more
				}
				if field == "path other" && (what == "the control token" || what == "the machine's secret") {
					continue // the ids of a secret's versions depend on its name, which is another one in every lab
				}
				if (field == "form claims" || field == "form client_assertion") && strings.Count(never[what], ".") != 2 {
					continue // what is wrong there is told by its first character and its length
				}
				changed := endpoints[endpoint].copy()
				fields[field](&changed, never[what])
				r := changed.request(fill)
				if r == nil {
					continue
				}
				sent++
				s.send(changed.endpoint, r)
			}
		}
	}
	if sent < 1_000 {
		t.Fatalf("%d requests were sent", sent)
	}

	written := s.written()
	kept := map[string]string{"the recording": written}
	memory, err := json.Marshal(s.lab.Journal().Events())
	if err != nil {
		t.Fatal(err)
	}
	kept["the journal in memory"] = string(memory)
	onDisk, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	kept["the journal's file"] = string(onDisk)
	var explained bytes.Buffer
	all := s.lab.Journal().Events()
	for _, e := range all {
		if err := explain.Write(&explained, e, nil); err != nil {
			t.Fatal(err)
		}
	}
	kept["what explain says"] = explained.String()
	for _, format := range timeline.Formats() {
		var picture bytes.Buffer
		if err := timeline.Write(&picture, format, timeline.About{}, all); err != nil {
			t.Fatal(err)
		}
		kept["the report as "+string(format)] = picture.String()
	}
	if _, err := recording.Parse("session.wiemu.json", []byte(written)); err != nil { // shorter than what replay says
		t.Fatal(err)
	}
	result := replay(t, written)
	wantSame(t, result)
	compared, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	kept["the replay's result"] = string(compared)
	for place, text := range kept {
		for what, value := range never {
			if parts := strings.Split(value, "."); len(parts) == 3 {
				value = parts[2][:64] // of its signature
			}
			for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value), strings.ToLower(value)} {
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("%s holds %s: …%s…", place, what, text[max(0, at-300):min(len(text), at+100)])
					break
				}
			}
		}
	}
	if !strings.Contains(kept["the journal's file"], "Application with identifier '[redacted: token RS256 sha256:") && !strings.Contains(kept["the journal's file"], "[redacted: client secret of shop]") {
		t.Error("nothing says what was redacted")
	}
}

// changesCase reports whether a field is put into lower case.
func changesCase(endpoint, field string) bool {
	return strings.HasPrefix(field, "host") || strings.HasSuffix(endpoint, "secret") && field == "path secrets" || endpoint == "list secrets" && field == "path secrets" || endpoint == "nothing in a vault" && strings.HasPrefix(field, "path ") ||
		endpoint == "deleted secret" && field == "path deletedsecrets"
}

// recordInto is record, with a file for the journal.
func recordInto(t *testing.T, file string, c config.Config) *recorded {
	return recordWith(t, session.Options{Emulator: server.Options{Config: c, Options: lab.Options{JournalFile: file, KeepEvents: 100_000}}}, recording.Options{})
}

// send sends a request to a endpoint, "" being the gateway.
func (s *recorded) send(endpoint string, r *http.Request) {
	s.Helper()
	if endpoint == "" {
		if resp, err := s.lab.Emulator().Transport().RoundTrip(r.WithContext(s.Context())); err == nil { // what is cut is recorded, too
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		return
	}
	r.Host = "127.0.0.1"
	if !s.lab.Emulator().Answer(endpoint, httptest.NewRecorder(), r.WithContext(s.Context())) {
		s.Fatalf("there is no endpoint %s", endpoint)
	}
}
