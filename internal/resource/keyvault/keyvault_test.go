package keyvault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/roles"
)

// lab is a vault mykeyvault with the secret mysecret, and who may open it.
type lab struct {
	clock   *clock.Lab
	journal *journals.Journal
	tokens  *tokentest.Service
	roles   *roles.Set
	service *keyvault.Service
	handler http.Handler
}

func everything() string { return "*" }

func newLab(tb testing.TB, permissions ...string) *lab {
	tb.Helper()
	clk := clock.Stopped(tokentest.Start())
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tokens := tokentest.New(tb, clk)
	assigned := roles.New(roles.Config{Clock: clk, Journal: j})
	service, err := keyvault.New(resource.Kit{Resource: keyvault.Description(), Roles: assigned, Tokens: resource.NewValidator(clk, tokens.Source(), resource.Options{}), Clock: clk, Journal: j}, []keyvault.Vault{{
		Name: "mykeyvault", Tenant: tokentest.Tenant,
		Access:  []keyvault.Access{{ClientID: tokentest.ClientID, Permissions: permissions}},
		Secrets: map[string]string{"mysecret": "hello"},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return &lab{clk, j, tokens, assigned, service, service.Handler()}
}

func (l *lab) token(tb testing.TB) string { return l.tokens.Mint(tb, "https://vault.azure.net", nil) }

// ask sends "METHOD target" with a token and returns the answer.
func (l *lab) ask(tb testing.TB, token, request, body string) *http.Response {
	tb.Helper()
	method, target, _ := strings.Cut(request, " ")
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if !strings.HasPrefix(target, "http") {
		r.Host = "mykeyvault.vault.azure.net"
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, r)
	return w.Result()
}

func (l *lab) last() journal.Event {
	events := l.journal.Events()
	return events[len(events)-1]
}

func text(tb testing.TB, r *http.Response) string {
	tb.Helper()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func TestTheChallengeIsKeyVaultsOwn(t *testing.T) {
	l := newLab(t, everything())
	r := httptest.NewRequest("GET", "/secrets/mysecret?api-version=7.6", nil)
	r.Host = "mykeyvault.vault.azure.net"
	r.Header.Set("x-ms-client-request-id", "49f9e80d-a21c-4010-9693-79e7068212c4")
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, r)
	if w.Code != 401 {
		t.Errorf("status %d", w.Code)
	}
	for name, value := range map[string]string{
		"WWW-Authenticate":       `Bearer authorization="https://login.microsoftonline.com/` + tokentest.Tenant + `", resource="https://vault.azure.net"`,
		"Content-Type":           "application/json; charset=utf-8",
		"Cache-Control":          "no-cache",
		"Pragma":                 "no-cache",
		"Expires":                "-1",
		"X-Ms-Client-Request-Id": "49f9e80d-a21c-4010-9693-79e7068212c4",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := w.Header().Get(name); got != value {
			t.Errorf("%s: expected %q, found %q", name, value, got)
		}
	}
	for _, name := range []string{"X-Ms-Request-Id", "X-Ms-Keyvault-Region", "X-Ms-Keyvault-Service-Version", "X-Ms-Keyvault-Network-Info", "Strict-Transport-Security"} {
		if w.Header().Get(name) == "" {
			t.Errorf("no header %s", name)
		}
	}
	if got, expected := strings.TrimSpace(w.Body.String()), `{"error":{"code":"Unauthorized","message":"AKV10000: Request is missing a Bearer or PoP token."}}`; got != expected {
		t.Errorf("expected %s, found %s", expected, got)
	}
}

func TestBodiesAreByteForByteKeyVaults(t *testing.T) {
	l := newLab(t, everything())
	token := l.token(t)
	created := l.clock.Now().Unix()
	attributes := fmt.Sprintf(`"attributes":{"enabled":true,"created":%d,"updated":%d,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90}`, created, created)
	set := text(t, l.ask(t, token, "PUT /secrets/one?api-version=7.6", `{"value":"a<b>&c","contentType":"text/plain","tags":{"x":"y"}}`))
	var bundle struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal([]byte(set), &bundle); err != nil {
		t.Fatal(err)
	}
	if expected := `{"value":"a<b>&c","contentType":"text/plain","id":"` + bundle.ID + `",` + attributes + `,"tags":{"x":"y"}}`; set != expected {
		t.Errorf("\nexpected %s\nfound    %s", expected, set)
	}
	list := text(t, l.ask(t, token, "GET /secrets?api-version=7.6&maxresults=1", ""))
	expected := `{"value":[{"id":"https://mykeyvault.vault.azure.net/secrets/mysecret",` + attributes + `}],"nextLink":"https://mykeyvault.vault.azure.net:443/secrets?api-version=7.6&maxresults=1&$skiptoken=`
	if !strings.HasPrefix(list, expected) {
		t.Errorf("\nexpected %s…\nfound    %s", expected, list)
	}
	gone := text(t, l.ask(t, token, "DELETE /secrets/mysecret?api-version=7.6", ""))
	expected = fmt.Sprintf(`{"recoveryId":"https://mykeyvault.vault.azure.net/deletedsecrets/mysecret","deletedDate":%d,"scheduledPurgeDate":%d,"id":"https://mykeyvault.vault.azure.net/secrets/mysecret/`, created, created+90*24*3600)
	if !strings.HasPrefix(gone, expected) || !strings.HasSuffix(gone, attributes+`}`) {
		t.Errorf("\nexpected %s…\nfound    %s", expected, gone)
	}
}

func TestRequests(t *testing.T) {
	const v = "api-version=7.6"
	for _, row := range []struct {
		name, request, body string
		status              int
		code, message       string // parts of the body
	}{
		{"the latest version", "GET /secrets/mysecret?" + v, "", 200, "", `"value":"hello"`},
		{"with a trailing slash", "GET /secrets/mysecret/?" + v, "", 200, "", `"value":"hello"`},
		{"in capitals, with doubled slashes", "GET //SECRETS//MySecret?" + v, "", 200, "", `/secrets/mysecret/`},
		{"a date as api-version", "GET /secrets/mysecret?api-version=2026-04-01", "", 200, "", "hello"},
		{"a preview as api-version", "GET /secrets/mysecret?api-version=7.6-preview.2", "", 200, "", "hello"},
		{"the oldest api-version", "GET /secrets/mysecret?api-version=2015-06-01", "", 200, "", "hello"},
		{"with the port", "GET https://MyKeyVault.vault.azure.net:443/secrets/mysecret?" + v, "", 200, "", `"id":"https://mykeyvault.vault.azure.net/secrets/mysecret/`},
		{"on another port", "GET https://mykeyvault.vault.azure.net:8443/secrets/mysecret?" + v, "", 200, "", `"id":"https://mykeyvault.vault.azure.net:8443/secrets/mysecret/`},
		{"a list that fits", "GET /secrets?" + v, "", 200, "", `"nextLink":null`},
		{"an empty bin", "GET /deletedsecrets?" + v, "", 200, "", `{"value":[],"nextLink":null}`},
		{"no api-version", "GET /secrets/mysecret", "", 400, "BadParameter", "api-version must be specified"},
		{"an api-version that is none", "GET /secrets/mysecret?api-version=latest", "", 400, "BadParameter", "latest"},
		{"an api-version with a tail", "GET /secrets/mysecret?api-version=7.6-previewer", "", 400, "BadParameter", "previewer"},
		{"an unknown secret", "GET /secrets/other?" + v, "", 404, "SecretNotFound", "A secret with (name/id) other was not found in this key vault."},
		{"an unknown version", "GET /secrets/mysecret/00000000000000000000000000000000?" + v, "", 404, "SecretNotFound", "mysecret/0000"},
		{"a name with an underscore", "GET /secrets/my_secret?" + v, "", 400, "BadParameter", "The request URI contains an invalid name: my_secret"},
		{"a name of 128 characters", "PUT /secrets/" + strings.Repeat("a", 128) + "?" + v, `{"value":"x"}`, 400, "BadParameter", "invalid name"},
		{"a name of 127 characters", "PUT /secrets/" + strings.Repeat("a", 127) + "?" + v, `{"value":"x"}`, 200, "", ""},
		{"a name with a dot", "GET /secrets/a.b?" + v, "", 400, "BadParameter", ""},
		{"a name that climbs", "GET /secrets/..%2f..%2fetc?" + v, "", 400, "BadParameter", ""},
		{"set without a value", "PUT /secrets/x?" + v, `{}`, 400, "BadParameter", "value"},
		{"set a null value", "PUT /secrets/x?" + v, `{"value":null}`, 400, "BadParameter", "value"},
		{"set an empty value", "PUT /secrets/x?" + v, `{"value":""}`, 200, "", `"value":""`},
		{"set without a body", "PUT /secrets/x?" + v, ``, 400, "BadParameter", "JSON"},
		{"set a number", "PUT /secrets/x?" + v, `{"value":1}`, 400, "BadParameter", "'value'"},
		{"set 25 KiB", "PUT /secrets/x?" + v, `{"value":"` + strings.Repeat("x", 25<<10) + `"}`, 200, "", ""},
		{"set a byte more", "PUT /secrets/x?" + v, `{"value":"` + strings.Repeat("x", 25<<10+1) + `"}`, 400, "BadParameter", "25601"},
		{"set more than 32 KiB", "PUT /secrets/x?" + v, `{"value":"` + strings.Repeat("x", 32<<10) + `"}`, 400, "BadParameter", "longer than 32768 bytes"},
		{"set a megabyte", "PUT /secrets/x?" + v, `{"value":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "BadParameter", "longer"},
		{"sixteen tags", "PUT /secrets/x?" + v, `{"value":"x","tags":{"1":"","2":"","3":"","4":"","5":"","6":"","7":"","8":"","9":"","10":"","11":"","12":"","13":"","14":"","15":"","16":""}}`, 400, "BadParameter", "tags"},
		{"update an unknown secret", "PATCH /secrets/other?" + v, `{}`, 404, "SecretNotFound", "other"},
		{"delete an unknown secret", "DELETE /secrets/other?" + v, "", 404, "SecretNotFound", "other"},
		{"an unknown deleted secret", "GET /deletedsecrets/other?" + v, "", 404, "SecretNotFound", "Deleted Secret not found: other"},
		{"recover an unknown secret", "POST /deletedsecrets/other/recover?" + v, "", 404, "SecretNotFound", "Deleted Secret"},
		{"purge an unknown secret", "DELETE /deletedsecrets/other?" + v, "", 404, "SecretNotFound", "Deleted Secret"},
		{"a page of none", "GET /secrets?maxresults=0&" + v, "", 400, "BadParameter", "maxresults"},
		{"a page of 26", "GET /secrets?maxresults=26&" + v, "", 400, "BadParameter", "maxresults"},
		{"a skiptoken that is none", "GET /secrets?$skiptoken=abc&" + v, "", 400, "BadParameter", "skiptoken"},
		{"backup", "POST /secrets/mysecret/backup?" + v, "", 501, "NotImplemented", "backup"},
		{"an unknown operation", "POST /secrets/mysecret/explode?" + v, "", 400, "BadParameter", "Method POST does not allow operation 'explode'"},
		{"an unknown vault", "GET https://nosuch.vault.azure.net/secrets/mysecret?" + v, "", 404, "VaultNotFound", "would not resolve"},
		{"a name below a vault", "GET https://x.mykeyvault.vault.azure.net/secrets/mysecret?" + v, "", 404, "VaultNotFound", "x.mykeyvault"},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := newLab(t, everything())
			answer := l.ask(t, l.token(t), row.request, row.body)
			body := text(t, answer)
			if answer.StatusCode != row.status || !strings.Contains(body, row.message) || row.code != "" && !strings.Contains(body, `"code":"`+row.code+`"`) {
				t.Errorf("expected %d %s %q, found %d %.300s", row.status, row.code, row.message, answer.StatusCode, body)
			}
			e := l.last()
			if e.Kind != journal.Access || e.Status != row.status || e.Summary == "" || (e.Outcome == journal.Granted) != (row.status == 200) {
				t.Errorf("journal: %+v", e)
			}
			if row.status >= 400 && (e.Error == "" || e.Meaning == "") {
				t.Errorf("the journal does not say why: %+v", e)
			}
		})
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	l := newLab(t, everything())
	now := l.clock.Now().Unix()
	for _, row := range []struct{ name, token, message string }{
		{"for Graph", l.tokens.Mint(t, "https://graph.microsoft.com", nil), "AKV10022: Invalid audience. Expected https://vault.azure.net or cfa8b339-82a2-471a-a3c9-0fc0be7a4093, found: https://graph.microsoft.com."},
		{"for the service principal form", l.tokens.Mint(t, "spn:cfa8b339-82a2-471a-a3c9-0fc0be7a4093", nil), "AKV10022: Invalid audience."},
		{"of another tenant", l.tokens.Mint(t, "https://vault.azure.net", tokentest.Claims{"tid": "22222222-2222-4222-8222-222222222222", "iss": "https://sts.windows.net/22222222-2222-4222-8222-222222222222/"}),
			"AKV10032: Invalid issuer. Expected one of https://sts.windows.net/" + tokentest.Tenant + "/, found https://sts.windows.net/22222222-2222-4222-8222-222222222222/."},
		{"of a service account", l.tokens.Mint(t, "api://AzureADTokenExchange", tokentest.Claims{"ver": nil, "appid": nil, "tid": nil, "iss": "https://radix.oic.wiemu.test/t/u/", "kubernetes.io": tokentest.Claims{}}),
			"AKV10032: Invalid issuer. Expected one of https://sts.windows.net/" + tokentest.Tenant + "/, found https://radix.oic.wiemu.test/t/u/."},
		{"expired", l.tokens.Mint(t, "https://vault.azure.net", tokentest.Claims{"exp": now - 3600}), "[TokenExpired] Error validating token: 'S2S12086'."},
		{"not yet valid", l.tokens.Mint(t, "https://vault.azure.net", tokentest.Claims{"nbf": now + 3600}), "IDX10222"},
		{"garbage", "abc", "IDX12741"},
		{"with a broken signature", l.token(t)[:len(l.token(t))-8] + "AAAAAAAA", "IDX10511"},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer := l.ask(t, row.token, "GET /secrets/mysecret?api-version=7.6", "")
			if body := text(t, answer); answer.StatusCode != 401 || !strings.Contains(body, row.message) || !strings.Contains(body, `"code":"Unauthorized"`) {
				t.Errorf("expected %q, found %d %s", row.message, answer.StatusCode, body)
			}
			if answer.Header.Get("WWW-Authenticate") == "" {
				t.Error("no challenge")
			}
			e := l.last()
			if e.Outcome != journal.Denied || e.Meaning == "" || e.Remedy == "" || e.Detail["challenge"] != "" {
				t.Errorf("%+v", e)
			}
			for _, part := range strings.Split(row.token, ".") {
				if data, _ := json.Marshal(e); len(part) > 20 && bytes.Contains(data, []byte(part)) {
					t.Error("part of the token is in the journal")
				}
			}
		})
	}
}

// A program that lives on the lab clock keeps an old token because of its own
// cache; one that does not, perhaps because the lab's clock alone was moved.
func TestWhyAnOldTokenIsSent(t *testing.T) {
	l := newLab(t, everything())
	old := l.tokens.Mint(t, "https://vault.azure.net", tokentest.Claims{"exp": l.clock.Now().Unix() - 3600})
	remedy := func() string {
		_ = text(t, l.ask(t, old, "GET /secrets/mysecret?api-version=7.6", ""))
		return l.last().Remedy
	}
	const moved, cached = "when only the lab's clock was moved", "so this is not the clock"
	if got := remedy(); !strings.Contains(got, moved) || strings.Contains(got, cached) {
		t.Error(got)
	}
	leave := l.clock.Follow(idle{})
	if got := remedy(); strings.Contains(got, moved) || !strings.Contains(got, cached) {
		t.Error(got)
	}
	leave()
	if got := remedy(); !strings.Contains(got, moved) {
		t.Error(got)
	}
}

// idle is a program in lockstep that waits for nothing.
type idle struct{}

func (idle) Next() (time.Time, bool)                   { return time.Time{}, false }
func (idle) Turn(context.Context, time.Duration) error { return nil }

func TestEachPermissionOpensItsOperations(t *testing.T) {
	const v = "?api-version=7.6"
	requests := map[string]string{ // request → permission
		"GET /secrets" + v:                          "list",
		"GET /secrets/mysecret/versions" + v:        "list",
		"GET /deletedsecrets" + v:                   "list",
		"GET /secrets/mysecret" + v:                 "get",
		"GET /deletedsecrets/mysecret" + v:          "get",
		"PUT /secrets/new" + v:                      "set",
		"PATCH /secrets/mysecret" + v:               "set",
		"DELETE /secrets/mysecret" + v:              "delete",
		"POST /deletedsecrets/mysecret/recover" + v: "recover",
		"DELETE /deletedsecrets/mysecret" + v:       "purge",
	}
	for request, needed := range requests {
		for _, held := range keyvault.Permissions() {
			l := newLab(t, held)
			answer := l.ask(t, l.token(t), request, `{"value":"x"}`)
			if forbidden := answer.StatusCode == 403; forbidden != (held != needed) {
				t.Errorf("%s with %s: status %d", request, held, answer.StatusCode)
			}
		}
	}
	l := newLab(t)
	answer := l.ask(t, l.token(t), "GET /secrets/mysecret"+v, "")
	body := text(t, answer)
	for _, part := range []string{
		`Caller: appid=` + tokentest.ClientID + `;oid=` + tokentest.ObjectID + `;iss=https://sts.windows.net/` + tokentest.Tenant + `/\r\n`,
		`Action: 'Microsoft.KeyVault/vaults/secrets/getSecret/action'\r\n`,
		`"innererror":{"code":"ForbiddenByRbac"}`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
}

func TestWhoIsLetIn(t *testing.T) {
	for _, row := range []struct {
		name   string
		access keyvault.Access
		in     bool
	}{
		{"by client id, in any case", keyvault.Access{ClientID: strings.ToUpper(tokentest.ClientID)}, true},
		{"by object id", keyvault.Access{ObjectID: tokentest.ObjectID}, true},
		{"everybody", keyvault.Access{ClientID: "*"}, true},
		{"somebody else", keyvault.Access{ClientID: "cccccccc-0000-4000-8000-000000000001"}, false},
	} {
		l := newLab(t)
		row.access.Permissions = []string{"Get"}
		if err := l.service.Put(keyvault.Vault{Name: "MyKeyVault", Tenant: tokentest.Tenant, Access: []keyvault.Access{row.access}}); err != nil {
			t.Fatal(err)
		}
		answer := l.ask(t, l.token(t), "GET /secrets/mysecret?api-version=7.6", "")
		if in := answer.StatusCode == 200; in != row.in {
			t.Errorf("%s: status %d", row.name, answer.StatusCode)
		}
	}
}

// Key Vault hands out what is expired or not valid yet; the journal says so.
func TestDatesOfASecretAreAdvice(t *testing.T) {
	l := newLab(t, everything())
	token := l.token(t)
	now := l.clock.Now().Unix()
	for name, attributes := range map[string]string{
		"secret valid until": fmt.Sprintf(`{"exp":%d}`, now),
		"secret valid from":  fmt.Sprintf(`{"nbf":%d}`, now+1),
	} {
		l.ask(t, token, "PUT /secrets/dated?api-version=7.6", `{"value":"x","attributes":`+attributes+`}`)
		answer := l.ask(t, token, "GET /secrets/dated?api-version=7.6", "")
		if answer.StatusCode != 200 {
			t.Errorf("%s: status %d", name, answer.StatusCode)
		}
		checks := l.last().Checks
		if last := checks[len(checks)-1]; last.Name != name || last.Outcome != journal.Skipped || last.Note == "" {
			t.Errorf("%s: %+v", name, last)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	l := newLab(t, everything())
	token := l.token(t)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range 20 {
				name := fmt.Sprintf("s%d", (w+i)%5)
				for _, request := range []string{"PUT /secrets/" + name, "GET /secrets/" + name, "PATCH /secrets/" + name, "GET /secrets", "GET /secrets/" + name + "/versions", "DELETE /secrets/" + name, "GET /deletedsecrets", "POST /deletedsecrets/" + name + "/recover"} {
					if answer := l.ask(t, token, request+"?api-version=7.6", `{"value":"x","tags":{"a":"b"},"attributes":{"exp":1}}`); answer.StatusCode >= 500 {
						t.Errorf("%s: %d", request, answer.StatusCode)
					}
				}
			}
		})
	}
	all.Wait()
}

func BenchmarkReadSecret(b *testing.B) {
	l := newLab(b, everything())
	token := l.token(b)
	r := httptest.NewRequest("GET", "/secrets/mysecret?api-version=7.6", nil)
	r.Host = "mykeyvault.vault.azure.net"
	r.Header.Set("Authorization", "Bearer "+token)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		l.handler.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
