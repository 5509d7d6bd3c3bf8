package recording_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

var (
	start = time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	web   = workload.Spec{Workload: workload.Workload{Component: "web", Namespace: "shop", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"}}
)

// pool is shared by the tests: keys are dear.
var pool *keyring.Pool

func TestMain(m *testing.M) {
	var err error
	if pool, err = keyring.OpenPool("", keyring.PoolOptions{}); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// recorded is a lab that is recorded, and what a program in it can do.
type recorded struct {
	*testing.T
	lab      *session.Session
	recorder *recording.Recorder
	control  *control.Client
	env      session.PodEnv
}

func record(t *testing.T, c config.Config, o recording.Options) *recorded {
	t.Helper()
	return recordWith(t, session.Options{Emulator: server.Options{Config: c}}, o)
}

func recordWith(t *testing.T, opts session.Options, o recording.Options) *recorded {
	t.Helper()
	keys := pool.Lease()
	opts.Emulator.Clock, opts.Emulator.Keys = clock.Stopped(start), keys
	started, recorder, err := recording.Start(t.Context(), opts, []workload.Spec{web}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		_ = keys.Close() // a lease
	})
	s := &recorded{T: t, lab: started, recorder: recorder, control: &control.Client{URL: started.Emulator().ControlURL(), Token: started.Emulator().Token()}}
	if s.env, err = session.Admit(t.Context(), s.control, web, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *recorded) do(r *http.Request) (int, string) {
	s.Helper()
	resp, err := s.lab.Emulator().Transport().RoundTrip(r.WithContext(s.Context()))
	if err != nil {
		s.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// assertion is the token in the workload's file.
func (s *recorded) assertion() string {
	s.Helper()
	text, err := os.ReadFile(s.env.TokenFile)
	if err != nil {
		s.Fatal(err)
	}
	return string(text)
}

// exchange asks for an access token, "" when it was refused.
func (s *recorded) exchange(form url.Values) (access string, answer string) {
	s.Helper()
	for name, value := range map[string]string{
		"client_id": web.ClientID, "grant_type": "client_credentials", "scope": "https://vault.azure.net/.default",
		"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
	} {
		if !form.Has(name) {
			form.Set(name, value)
		}
	}
	if form.Has("client_secret") {
		form.Del("client_assertion_type")
	}
	r, err := http.NewRequest(http.MethodPost, "https://login.microsoftonline.com/"+s.env.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, text := s.do(r)
	var reply struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(text), &reply); err != nil {
		s.Fatal(err)
	}
	return reply.AccessToken, text
}

// secret reads, or with a value sets, the secret of the default vault.
func (s *recorded) secret(access, value string) int {
	s.Helper()
	method, body := http.MethodGet, ""
	if value != "" {
		method, body = http.MethodPut, `{"value":"`+value+`"}`
	}
	r, err := http.NewRequest(method, "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6", strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if access != "" {
		r.Header.Set("Authorization", "Bearer "+access)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	status, _ := s.do(r)
	return status
}

func (s *recorded) advance(by string) {
	s.Helper()
	if _, err := s.control.Advance(s.Context(), by); err != nil {
		s.Fatal(err)
	}
}

// written is the recording as a file has it.
func (s *recorded) written() string {
	s.Helper()
	recorded, err := s.recorder.Recording(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	var text bytes.Buffer
	if err := recorded.Write(&text); err != nil {
		s.Fatal(err)
	}
	return text.String()
}

// replay plays what a file has.
func replay(t *testing.T, text string) *recording.Result {
	t.Helper()
	recorded, err := recording.Parse("session.wiemu.json", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	result, err := recording.Replay(t.Context(), recorded, session.Options{Emulator: server.Options{Options: lab.Options{Keys: pool}}})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func wantSame(t *testing.T, result *recording.Result) {
	t.Helper()
	if result.Same {
		return
	}
	for _, c := range result.Inputs {
		for _, d := range c.Differences {
			t.Errorf("input %d (%s): %s was %s, is %s", c.ID, c.Request, d.Field, d.Recorded, d.Now)
		}
	}
	for _, d := range result.Events {
		t.Errorf("%s was %s, is %s", d.Field, d.Recorded, d.Now)
	}
}

// aDay is a session in which much happens: a rotation, an old assertion, an old
// access token, secrets.
func aDay(s *recorded) (secrets []string) {
	old := s.assertion()
	access, _ := s.exchange(url.Values{"client_assertion": {old}})
	secrets = append(secrets, old, access)
	s.secret("", "")
	s.secret(access, "")
	s.secret(access, "a new value of the secret")
	if _, err := s.control.Rotate(s.Context(), "local"); err != nil {
		s.Fatal(err)
	}
	s.advance("70m")
	s.exchange(url.Values{"client_assertion": {old}})
	fresh := s.assertion()
	again, _ := s.exchange(url.Values{"client_assertion": {fresh}})
	s.secret(again, "")
	s.advance("25h")
	s.secret(again, "")
	return append(secrets, fresh, again, "a new value of the secret", "the secret of wiemu")
}

func TestASessionReplaysAsItWas(t *testing.T) {
	s := record(t, config.Config{}, recording.Options{})
	secrets := aDay(s)
	text := s.written()
	if os.Getenv("SHOW") != "" {
		t.Log(text)
	}
	for _, secret := range secrets {
		if signature := secret[strings.LastIndexByte(secret, '.')+1:]; strings.Contains(text, signature) {
			t.Errorf("the file has a secret in it: %s", signature)
		}
	}
	result := replay(t, text)
	wantSame(t, result)
	if result.Requests != 10 || result.Refusals["AADSTS700024"] != 1 || result.Refusals["401 Unauthorized"] != 1 {
		t.Errorf("%d requests, refusals %v", result.Requests, result.Refusals)
	}
}

// What a vault refuses because nobody may open it, it refuses in the replay, too.
// Who looks at a lab, in its console or elsewhere, changes nothing: what is looked at, the value of
// a secret among it, is in no recording.
func TestWhatIsLookedAtIsNotRecorded(t *testing.T) {
	s := record(t, config.Config{}, recording.Options{})
	var shown controlapi.RevealedSecret
	if err := s.control.Do(t.Context(), http.MethodPost, "/v1/resources/secret", controlapi.SecretRequest{Vault: "mykeyvault", Name: "mysecret"}, &shown); err != nil || shown.Value == "" {
		t.Fatal(shown, err)
	}
	if err := s.control.Do(t.Context(), http.MethodPost, "/v1/tokens/inspect", controlapi.InspectRequest{Token: s.assertion()}, new(any)); err != nil {
		t.Fatal(err)
	}
	_ = s.control.Do(t.Context(), http.MethodPost, "/v1/scenarios/expired/run", nil, new(any)) // it has no library
	recorded, err := s.recorder.Recording(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range recorded.Inputs {
		if in.Endpoint == server.ControlEndpoint && in.Path != "/v1/workloads" {
			t.Errorf("%s %s is recorded", in.Method, in.Path)
		}
	}
}

func TestAClosedVaultIsClosedInAReplay(t *testing.T) {
	vault := config.Vault{Name: "mykeyvault", Secrets: map[string]string{"mysecret": "hidden"}}
	for name, closed := range map[string]func(*config.Vault){
		"access":         func(v *config.Vault) { v.Access = []config.Access{} },
		"accessPolicies": func(v *config.Vault) { v.AccessPolicies = []config.AccessPolicy{} },
	} {
		t.Run(name, func(t *testing.T) {
			vault := vault
			closed(&vault)
			s := record(t, config.Config{Vaults: []config.Vault{vault}}, recording.Options{})
			access, _ := s.exchange(url.Values{"client_assertion": {s.assertion()}})
			if status := s.secret(access, ""); status != http.StatusForbidden {
				t.Fatalf("found %d", status)
			}
			wantSame(t, replay(t, s.written()))
		})
	}
}

// sessions are things that happen; each has to replay as it was, and to leave no
// secret in the file.
// A job of GitHub Actions that a server has admitted asks for its token in a replay, too.
func TestAJobReplays(t *testing.T) {
	c, err := config.Config{Workloads: []config.Workload{{Name: "deploy", ClientID: web.ClientID, GitHubJob: config.GitHubJob{Repository: "contoso/shop"}}}}.Complete("")
	if err != nil {
		t.Fatal(err)
	}
	s := record(t, c, recording.Options{})
	env, err := session.Admit(t.Context(), s.control, workload.Declared(c.Workloads[0]), nil)
	if err != nil || env.GitHubJob == nil {
		t.Fatal(env, err)
	}
	r, err := http.NewRequest(http.MethodGet, env.GitHubJob.URL+"&audience=api%3A%2F%2FAzureADTokenExchange", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+env.GitHubJob.Token)
	status, text := s.do(r)
	var given struct{ Value string }
	if err := json.Unmarshal([]byte(text), &given); err != nil || status != http.StatusOK || given.Value == "" {
		t.Fatal(status, text)
	}
	access, answer := s.exchange(url.Values{"client_assertion": {given.Value}})
	if access == "" {
		t.Fatal(answer)
	}
	s.secret(access, "")
	file := s.written()
	for _, secret := range []string{env.GitHubJob.Token, given.Value, access} {
		if strings.Contains(file, secret) {
			t.Errorf("the file has %s", secret)
		}
	}
	wantSame(t, replay(t, file))
}

// A session that is kept in memory is forgotten when it takes more than it may: by what was asked, and
// by what happened by itself.
func TestASessionThatIsTooLongForMemory(t *testing.T) {
	for what, row := range map[string]struct {
		most   int
		happen func(*recorded)
	}{
		"requests": {256 << 10, func(s *recorded) {
			for range 20 {
				s.secret("", strings.Repeat("a", 20<<10))
			}
		}},
		"events": {64 << 10, func(s *recorded) { s.advance("240h") }},
	} {
		s := record(t, config.Config{}, recording.Options{Most: 1000, MostBytes: row.most})
		if _, err := s.recorder.Recording(t.Context()); err != nil {
			t.Fatalf("%s: before: %v", what, err)
		}
		row.happen(s)
		if _, err := s.recorder.Recording(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("more than 1000 requests, or %d KiB", row.most>>10)) {
			t.Errorf("%s: %v", what, err)
		}
		if status := s.secret("", ""); status != http.StatusUnauthorized {
			t.Errorf("%s: a request afterwards: %d", what, status)
		}
	}
}

func TestSessionsReplayAsTheyWere(t *testing.T) {
	withApplication := config.Config{
		Applications: []config.Application{{
			Principal: config.Principal{Name: "api", ClientID: "11111111-2222-4333-8444-555555555555"},
			Secrets:   []config.Secret{{Value: "correct horse+battery&staple"}},
		}},
		Vaults: []config.Vault{{Name: "mykeyvault", Secrets: map[string]string{"mysecret": "tr0ub4dor&3", "another": "x"}}},
	}
	for name, test := range map[string]struct {
		config config.Config
		happen func(s *recorded) (secrets []string)
		refuse []string // codes
	}{
		"client secrets, right and wrong": {config: withApplication, refuse: []string{"AADSTS7000215"}, happen: func(s *recorded) []string {
			id := withApplication.Applications[0].ClientID
			access, answer := s.exchange(url.Values{"client_id": {id}, "client_secret": {"correct horse+battery&staple"}})
			if access == "" {
				s.Fatal(answer)
			}
			s.exchange(url.Values{"client_id": {id}, "client_secret": {"wrong horse"}})
			s.secret(access, "")
			return []string{"correct horse+battery&staple", url.QueryEscape("correct horse+battery&staple"), "wrong horse", "wrong+horse", "tr0ub4dor"}
		}},
		"keys and certificates": {config: config.Config{Vaults: []config.Vault{{
			Name: "mykeyvault", Keys: map[string]config.VaultKey{"made": {}}, Certificates: map[string]config.VaultCertificate{"web": {ContentType: "application/x-pem-file"}},
		}}}, refuse: []string{"400 BadParameter", "409 ObjectIsDeletedButRecoverable"}, happen: func(s *recorded) []string {
			access, answer := s.exchange(url.Values{"client_assertion": {s.assertion()}})
			if access == "" {
				s.Fatal(answer)
			}
			ask := func(method, path, body string) map[string]any {
				s.Helper()
				r, _ := http.NewRequest(method, "https://mykeyvault.vault.azure.net/"+path+"?api-version=7.6", strings.NewReader(body))
				r.Header.Set("Authorization", "Bearer "+access)
				_, text := s.do(r)
				var said map[string]any
				if err := json.Unmarshal([]byte(text), &said); err != nil {
					s.Fatal(text)
				}
				return said
			}
			plain := base64.RawURLEncoding.EncodeToString([]byte("a data encryption key of 32 byte"))
			for range 2 {
				sealed := ask("POST", "keys/made/encrypt", `{"alg":"RSA-OAEP-256","value":"`+plain+`"}`)["value"].(string)
				if opened := ask("POST", "keys/made/decrypt", `{"alg":"RSA-OAEP-256","value":"`+sealed+`"}`)["value"]; opened != plain {
					s.Fatal(opened)
				}
			}
			ask("POST", "keys/made/decrypt", `{"alg":"RSA-OAEP-256","value":"AAAA"}`)
			ask("POST", "keys/ec/create", `{"kty":"EC"}`)
			digest := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
			signature := ask("POST", "keys/ec/sign", `{"alg":"ES256","value":"`+digest+`"}`)["value"].(string)
			if ask("POST", "keys/ec/verify", `{"alg":"ES256","digest":"`+digest+`","value":"`+signature+`"}`)["value"] != true {
				s.Fatal("not verified")
			}
			blob := ask("POST", "keys/ec/backup", "")["value"].(string)
			ask("DELETE", "keys/ec", "")
			ask("POST", "keys/restore", `{"value":"`+blob+`"}`)
			const d = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
			ask("PUT", "keys/imported", `{"key":{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"`+d+`","key_ops":["sign"]},"tags":{"a":"b"}}`)
			ask("POST", "keys/imported/sign", `{"alg":"ES256","value":"`+digest+`"}`)
			own := ask("GET", "secrets/web", "")["value"].(string)
			imported, err := json.Marshal(map[string]any{"value": own, "pwd": "of the file"})
			if err != nil {
				s.Fatal(err)
			}
			ask("POST", "certificates/given/import", string(imported))
			ask("GET", "certificates/given", "")
			ask("POST", "certificates/new/create", `{"policy":{"key_props":{"kty":"EC"},"x509_props":{"subject":"CN=new"},"issuer":{"name":"Self"}}}`)
			ask("GET", "secrets/new", "")
			ask("POST", "certificates/bad/import", `{"value":"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"}`)
			// A vault does not heed the case of members, nor the type and the port.
			ask("PUT", "keys/other", `{"Key":{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"`+d+`"}}`)
			ask("POST", "certificates/other/import", strings.NewReplacer(`"value"`, `"Value"`, `"pwd"`, `"PWD"`).Replace(string(imported)))
			ask("PUT", "secrets/other", `{"value":"an earlier value","VALUE":"the value of other"}`)
			for address, kind := range map[string]string{"mykeyvault.vault.azure.net": "application/x-www-form-urlencoded", "MyKeyVault.vault.azure.net:443": "application/json"} {
				r, _ := http.NewRequest("PUT", "https://"+address+"/secrets/form?api-version=7.6", strings.NewReader(`{"value":"some & other=value"}`))
				r.Header.Set("Authorization", "Bearer "+access)
				r.Header.Set("Content-Type", kind)
				if status, text := s.do(r); status != 200 {
					s.Fatal(text)
				}
			}
			return []string{plain, signature, blob, d, strings.Split(own, "\n")[5], "of the file", "c2VjcmV0", "an earlier value", "the value of other", "some & other", "other=value"}
		}},
		"a secret in a header": {config: withApplication, refuse: []string{"AADSTS7000215"}, happen: func(s *recorded) []string {
			for _, secret := range []string{"correct horse+battery&staple", "wrong horse"} {
				r, _ := http.NewRequest(http.MethodPost, "https://login.microsoftonline.com/"+s.env.TenantID+"/oauth2/v2.0/token", strings.NewReader("grant_type=client_credentials&scope=https%3A%2F%2Fvault.azure.net%2F.default"))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.SetBasicAuth(withApplication.Applications[0].ClientID, url.QueryEscape(secret))
				s.do(r)
			}
			return []string{"correct", base64.StdEncoding.EncodeToString([]byte("correct horse"))[:12], "wrong horse"}
		}},
		"tokens that are none": {refuse: []string{"AADSTS50027", "AADSTS5002738", "AADSTS90014"}, happen: func(s *recorded) []string {
			own := s.assertion()
			parts := strings.Split(own, ".")
			cut := own[:len(own)-120]
			for _, broken := range []string{
				"nothing like a token", parts[0] + "." + parts[1], cut, own + "\n", own[:len(own)-50] + "\n" + own[len(own)-50:], "\ufeff" + own, own + "." + parts[2],
				parts[0] + ".e30." + parts[2], "eyJhbGciOiJub25lIn0." + parts[1] + ".", "eyJhbGciOiJIUzI1NiJ9." + parts[1] + ".c2lnbmF0dXJl",
				"eyJhbGciOiJSUzI1NiIsImFsZyI6Im5vbmUifQ." + parts[1] + "." + parts[2],
				base64.RawURLEncoding.EncodeToString([]byte("{\n  \"alg\": \"RS256\", \"kid\": \"x\" }")) + "." + parts[1] + "." + parts[2],
			} {
				s.exchange(url.Values{"client_assertion": {broken}})
			}
			s.secret(own, "")
			return []string{"nothing like a token", parts[2], cut[strings.LastIndexByte(cut, '.')+1:], parts[2][:100], parts[2][len(parts[2])-50:]}
		}},
		"a part whose clock is wrong": {refuse: []string{"AADSTS700024"}, happen: func(s *recorded) []string {
			if _, err := s.control.Skew(s.Context(), "entra", "-10m"); err != nil {
				s.Fatal(err)
			}
			own := s.assertion()
			s.exchange(url.Values{"client_assertion": {own}})
			s.advance("6m")
			s.exchange(url.Values{"client_assertion": {own}})
			return []string{own}
		}},
		"tokens that were asked for": {happen: func(s *recorded) []string {
			minted, err := s.control.Mint(s.Context(), control.MintRequest{Namespace: "shop", ServiceAccount: "web-sa", Audiences: []string{cloud.Public().TokenExchange}})
			if err != nil {
				s.Fatal(err)
			}
			if access, answer := s.exchange(url.Values{"client_assertion": {minted.Token}}); access == "" {
				s.Fatal(answer)
			}
			body := `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"audiences":["api://AzureADTokenExchange"],"expirationSeconds":3600}}`
			answer := s.at(server.ClusterEndpoint, http.MethodPost, "/clusters/local/api/v1/namespaces/shop/serviceaccounts/web-sa/token", "Bearer "+s.lab.Emulator().Token(), body)
			var requested struct{ Status struct{ Token string } }
			if err := json.Unmarshal([]byte(answer), &requested); err != nil || requested.Status.Token == "" {
				s.Fatal(answer)
			}
			if access, answer := s.exchange(url.Values{"client_assertion": {requested.Status.Token}}); access == "" {
				s.Fatal(answer)
			}
			return []string{minted.Token, requested.Status.Token, s.lab.Emulator().Token()}
		}},
		"machines with managed identities": {happen: func(s *recorded) []string {
			var headers []string
			for _, kind := range []string{"imds", "app-service"} {
				d := web
				d.ManagedIdentity = kind
				d.ServiceAccount = "on-" + kind
				env, err := session.Admit(s.Context(), s.control, d, nil)
				if err != nil {
					s.Fatal(err)
				}
				headers = append(headers, env.Machine.Header)
				path, version := "/metadata/identity/oauth2/token", "2018-02-01"
				if kind == "app-service" {
					path, version = "/msi/token", "2019-08-01"
				}
				r, _ := http.NewRequest(http.MethodGet, "http://"+env.Machine.Address+path+"?resource=https://vault.azure.net&api-version="+version, nil)
				r.Header.Set("Metadata", "true")
				r.Header.Set("X-IDENTITY-HEADER", env.Machine.Header)
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					s.Fatal(err)
				}
				var reply struct {
					AccessToken string `json:"access_token"`
				}
				if err := json.NewDecoder(resp.Body).Decode(&reply); err != nil || reply.AccessToken == "" {
					s.Fatal(resp.Status, err)
				}
				_ = resp.Body.Close()
				if status := s.secret(reply.AccessToken, ""); status != 200 {
					s.Fatal(status)
				}
			}
			return headers
		}},
		"faults": {refuse: []string{"429 Throttled", "AADSTS700213", "connection cut"}, happen: func(s *recorded) []string {
			var ids []string
			inject := func(f fault.Fault) {
				injected, err := s.control.Inject(s.Context(), f)
				if err != nil {
					s.Fatal(err)
				}
				ids = append(ids, injected.ID)
			}
			own := s.assertion()
			ask := func() string {
				access, _ := s.exchange(url.Values{"client_assertion": {own}})
				return access
			}
			inject(fault.Fault{Name: "intermittent-700213", When: fault.Limits{Probability: 0.5}})
			access := ""
			for range 12 {
				access = cmp.Or(ask(), access)
			}
			if err := s.control.Clear(s.Context(), ids[0]); err != nil {
				s.Fatal(err)
			}
			inject(fault.Fault{Name: "throttled", For: fault.Selector{Resource: "keyvault"}, When: fault.Limits{Nth: 2, Count: 1}})
			for range 3 {
				s.secret(access, "")
			}
			for _, name := range []string{"truncated", "malformed", "wrong-content-type", "expires-in-string", "expired-token", "connection-reset"} {
				inject(fault.Fault{Name: name, For: fault.Selector{Resource: "entra"}, When: fault.Limits{Count: 1}})
				s.raw(own)
			}
			inject(fault.Fault{Name: "kid-reused"})
			if _, err := s.control.Rotate(s.Context(), "local"); err != nil {
				s.Fatal(err)
			}
			s.advance("49m")
			fresh := s.assertion()
			s.exchange(url.Values{"client_assertion": {fresh}})
			return []string{own, access, fresh}
		}},
		"faults from the start": {refuse: []string{"429 Throttled"}, config: config.Config{
			Chaos: 7, Faults: []fault.Fault{{Name: "throttled", For: fault.Selector{Resource: "keyvault"}, When: fault.Limits{Probability: 0.6}}},
		}, happen: func(s *recorded) []string {
			for range 12 {
				s.raw(s.assertion())
				s.rawSecret()
				s.advance("10m")
			}
			return nil
		}},
		"many at a time": {happen: func(s *recorded) []string {
			own := s.assertion()
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for range 5 {
						access, _ := s.exchange(url.Values{"client_assertion": {own}})
						s.secret(access, "")
					}
				})
			}
			all.Wait()
			return []string{own}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := record(t, test.config, recording.Options{})
			secrets := test.happen(s)
			text := s.written()
			for _, secret := range secrets {
				secret = secret[strings.LastIndexByte(secret, '.')+1:]
				if secret != "" && strings.Contains(text, secret) {
					t.Errorf("the file has a secret in it: %s", secret)
				}
			}
			result := replay(t, text)
			wantSame(t, result)
			for _, code := range test.refuse {
				if result.Refusals[code] == 0 {
					t.Errorf("expected %s among the refusals, found %v", code, result.Refusals)
				}
			}
			if len(test.refuse) == 0 && len(result.Refusals) > 0 {
				t.Errorf("refusals %v", result.Refusals)
			}
			if t.Failed() {
				t.Log(text)
			}
		})
	}
}

// raw asks for a token and takes whatever comes.
func (s *recorded) raw(assertion string) {
	s.Helper()
	form := url.Values{
		"client_id": {web.ClientID}, "grant_type": {"client_credentials"}, "scope": {"https://vault.azure.net/.default"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	r, err := http.NewRequestWithContext(s.Context(), http.MethodPost, "https://login.microsoftonline.com/"+s.env.TenantID+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.lab.Emulator().Transport().RoundTrip(r)
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body) // it may break off
		_ = resp.Body.Close()
	}
}

// rawSecret asks for a secret without a token and takes whatever comes.
func (s *recorded) rawSecret() {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), http.MethodGet, "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6", nil)
	if err != nil {
		s.Fatal(err)
	}
	if resp, err := s.lab.Emulator().Transport().RoundTrip(r); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body) // it may break off
		_ = resp.Body.Close()
	}
}

// at asks a endpoint in memory.
func (s *recorded) at(endpoint, method, path, authorization, body string) string {
	s.Helper()
	r := httptest.NewRequestWithContext(s.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", authorization)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	if !s.lab.Emulator().Answer(endpoint, w, r) {
		s.Fatalf("no endpoint %s", endpoint)
	}
	return w.Body.String()
}

// With its keys, a recording gives the same tokens to the letter.
func TestWithItsKeysASessionHasTheSameTokens(t *testing.T) {
	s := record(t, config.Config{}, recording.Options{Keys: true})
	aDay(s)
	text := s.written()
	if n := strings.Count(text, "BEGIN PRIVATE KEY"); n != 3 {
		t.Errorf("%d keys, want those of Entra ID and the issuer's two", n)
	}
	if !strings.Contains(text, "the secret of wiemu") {
		t.Error("the secrets of the configuration are not there")
	}
	recorded, err := recording.Parse("session", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	own, err := keyring.OpenPool("", keyring.PoolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	result, err := recording.Replay(t.Context(), recorded, session.Options{Emulator: server.Options{Options: lab.Options{Keys: own}}})
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, result)
}

// A file of an earlier wiemu replays, wherever it was made.
func TestARecordingOfBeforeReplays(t *testing.T) {
	const file = "testdata/day.wiemu.json"
	if os.Getenv("WIEMU_RECORD_AGAIN") != "" {
		s := record(t, config.Config{}, recording.Options{})
		aDay(s)
		if err := os.WriteFile(file, []byte(s.written()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, replay(t, string(text)))
}
