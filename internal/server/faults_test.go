package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
)

// victim is a lab whose clock stands and an application that trusts.
type victim struct {
	*testing.T
	*server.Server
	clock  *clock.Lab
	client *http.Client
}

func newVictim(t *testing.T, faults ...fault.Fault) *victim {
	t.Helper()
	clk := clock.Stopped(time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC))
	e := start(t, server.Options{Options: lab.Options{Clock: clk, Seed: 7, Faults: faults}, Config: config.Config{
		Workloads: []config.Workload{{Name: "web", Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", ClientID: clientID}},
	}})
	return &victim{t, e, clk, e.HTTPClient()}
}

// token asks Entra ID for an access token and returns all that came.
func (v *victim) token() (*http.Response, string, error) {
	v.Helper()
	raw, err := assertion(v.Context(), v.Server)
	if err != nil {
		v.Fatal(err)
	}
	return all(v.client.PostForm("https://login.microsoftonline.com/"+config.DefaultTenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "scope": {"https://vault.azure.net/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {raw},
	}))
}

func (v *victim) get(address, token string) (*http.Response, string, error) {
	v.Helper()
	r, err := http.NewRequestWithContext(v.Context(), http.MethodGet, address, nil)
	if err != nil {
		v.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return all(v.client.Do(r))
}

// all reads an answer to its end.
func all(resp *http.Response, err error) (*http.Response, string, error) {
	if err != nil {
		return resp, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func (v *victim) inject(f fault.Fault) string {
	v.Helper()
	id, err := v.Faults().Inject(f)
	if err != nil {
		v.Fatal(err)
	}
	return id
}

func (v *victim) advance(d time.Duration) {
	v.Helper()
	if err := v.clock.Advance(v.Context(), d); err != nil {
		v.Fatal(err)
	}
}

// last is the newest event of a kind that says that the fault hit it.
func (v *victim) last(kind journal.Kind, id string) journal.Event {
	v.Helper()
	for _, e := range slices.Backward(v.Journal().Events()) {
		if e.Kind != kind {
			continue
		}
		if e.Detail["fault"] != id || !strings.Contains(e.Detail["remark"], "fault "+id+" was injected") || !strings.Contains(e.Summary, "(fault "+id+": ") {
			v.Errorf("the event does not say that fault %s hit it: %+v", id, e)
		}
		var page bytes.Buffer
		if err := explain.Write(&page, e, nil); err != nil || !strings.Contains(page.String(), "On purpose: fault "+id+" was injected") {
			v.Errorf("explain does not tell the fault: %v\n%s", err, page.String())
		}
		return e
	}
	v.Fatalf("there is no event of kind %s", kind)
	return journal.Event{}
}

func TestFaultsOfEntrasAnswers(t *testing.T) {
	type answer struct {
		status int
		header http.Header
		body   string
		err    error
	}
	valid := func(body string) bool { return json.Valid([]byte(body)) }
	for _, test := range []struct {
		fault fault.Fault
		seen  func(answer) bool
		event journal.Outcome
	}{
		{fault.Fault{Name: faultkind.Throttled, Parameters: map[string]string{"retry-after": "3s"}}, func(a answer) bool {
			return a.status == 429 && a.header.Get("Retry-After") == "3" && strings.Contains(a.body, "AADSTS90055") && strings.Contains(a.body, `"error":"temporarily_unavailable"`)
		}, journal.Denied},
		{fault.Fault{Name: faultkind.Throttled, Parameters: map[string]string{"retry-after": "0s"}}, func(a answer) bool {
			return a.status == 429 && a.header.Get("Retry-After") == ""
		}, journal.Denied},
		{fault.Fault{Name: faultkind.ServerError, Parameters: map[string]string{"status": "504"}}, func(a answer) bool {
			return a.status == 504 && strings.Contains(a.body, "AADSTS90033")
		}, journal.Denied},
		{fault.Fault{Name: faultkind.Slow, Parameters: map[string]string{"latency": "1ms"}}, func(a answer) bool { return a.status == 200 && valid(a.body) }, journal.Granted},
		{fault.Fault{Name: faultkind.ConnectionReset}, func(a answer) bool { return broken(a.err) }, journal.Failed},
		{fault.Fault{Name: faultkind.ConnectionReset, Parameters: map[string]string{"stage": "after"}}, func(a answer) bool { return broken(a.err) }, journal.Granted},
		{fault.Fault{Name: faultkind.ConnectionReset, Parameters: map[string]string{"stage": "body"}}, func(a answer) bool { return broken(a.err) }, journal.Granted},
		{fault.Fault{Name: faultkind.Truncated}, func(a answer) bool {
			return a.status == 200 && errors.Is(a.err, io.ErrUnexpectedEOF) && strings.HasPrefix(a.body, `{"token_type":"Bearer"`) && !valid(a.body)
		}, journal.Granted},
		{fault.Fault{Name: faultkind.Malformed}, func(a answer) bool {
			return a.status == 200 && a.err == nil && strings.HasPrefix(a.body, `{"token_type":"Bearer"`) && !valid(a.body)
		}, journal.Granted},
		{fault.Fault{Name: faultkind.WrongContentType, Parameters: map[string]string{"status": "502"}}, func(a answer) bool {
			return a.status == 502 && strings.HasPrefix(a.header.Get("Content-Type"), "text/html") && strings.Contains(a.body, "<h1>502 Bad Gateway</h1>")
		}, journal.Failed},
		{fault.Fault{Name: faultkind.ExpiresInString}, func(a answer) bool { return strings.Contains(a.body, `"expires_in":"86399"`) }, journal.Granted},
	} {
		for name, client := range map[string]func(*victim) *http.Client{
			"over HTTP/2":   func(v *victim) *http.Client { return v.HTTPClient() },
			"over HTTP/1.1": func(v *victim) *http.Client { return firstVersion(v) },
			"in memory":     func(v *victim) *http.Client { return &http.Client{Transport: v.Transport()} },
		} {
			t.Run(test.fault.String()+" "+name, func(t *testing.T) {
				v := newVictim(t)
				v.client = client(v)
				if resp, _, err := v.token(); err != nil || resp.StatusCode != 200 {
					t.Fatalf("without a fault: %v", err)
				}
				test.fault.For.Client = clientID
				test.fault.When.Count = 1
				id := v.inject(test.fault)
				a := answer{}
				resp, body, err := v.token()
				if a.body, a.err = body, err; resp != nil {
					a.status, a.header = resp.StatusCode, resp.Header
				}
				if !test.seen(a) {
					t.Errorf("the client saw %d %v %q %v", a.status, a.header, a.body, a.err)
				}
				if e := v.last(journal.Exchange, id); e.Outcome != test.event {
					t.Errorf("the exchange was %s, want %s", e.Outcome, test.event)
				}
				if resp, body, err := v.token(); err != nil || resp.StatusCode != 200 || !strings.Contains(body, `"expires_in":86399`) {
					t.Errorf("after the fault was spent: %v %s", err, body)
				}
			})
		}
	}
}

// broken reports whether a connection ended that should not have: over HTTP/2 and
// over TLS that went half through, clients word it in several ways.
func broken(err error) bool {
	return err != nil && (errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || strings.Contains(err.Error(), "connection"))
}

// firstVersion is a client that speaks HTTP/1.1 alone.
func firstVersion(v *victim) *http.Client {
	t := v.HTTPClient().Transport.(*http.Transport)
	t.ForceAttemptHTTP2 = false
	t.TLSClientConfig.NextProtos = []string{"http/1.1"}
	return &http.Client{Transport: t}
}

func TestTheConnectionIsResetAndNotJustClosed(t *testing.T) {
	v := newVictim(t, fault.Fault{Name: faultkind.ConnectionReset})
	v.client = firstVersion(v)
	if _, _, err := v.token(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client saw %v, want ECONNRESET", err)
	}
}

func TestEveryResourceRefusesInItsOwnWords(t *testing.T) {
	v := newVictim(t)
	_, body, err := v.token()
	if err != nil {
		t.Fatal(err)
	}
	token := decode(t, body)["access_token"].(string)
	for _, test := range []struct{ part, address, throttled, failed string }{
		{"keyvault", "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6", `{"error":{"code":"Throttled","message":"Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached"}}`, `"code":"ServiceUnavailable"`},
		{"graph", "https://graph.microsoft.com/v1.0/organization", `"code":"TooManyRequests"`, `"code":"serviceNotAvailable"`},
		{"arm", "https://management.azure.com/subscriptions?api-version=2022-12-01", `"code":"ResourceRequestsThrottled"`, `"code":"ServerTimeout"`},
	} {
		for name, want := range map[string]string{faultkind.Throttled: test.throttled, faultkind.ServerError: test.failed} {
			id := v.inject(fault.Fault{Name: name, For: fault.Selector{Resource: test.part, Client: clientID}, Parameters: map[string]string{"retry-after": "4s"}})
			resp, body, err := v.get(test.address, token)
			if err != nil || !strings.Contains(body, want) || resp.Header.Get("Retry-After") != "4" || resp.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s of %s: %v %v %s", name, test.part, err, resp, body)
			}
			if e := v.last(journal.Access, id); e.Outcome != journal.Denied || e.Status != resp.StatusCode {
				t.Errorf("%s of %s was written down as %s %d", name, test.part, e.Outcome, e.Status)
			}
			if err := v.Faults().Clear(id); err != nil {
				t.Fatal(err)
			}
		}
	}
	if resp, body, err := v.get("https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6", token); err != nil || resp.StatusCode != 200 {
		t.Errorf("when all is cleared: %v %s", err, body)
	}
}

// A resource fetches Entra ID's keys; that is no request of a client.
func TestFaultsOfEntraSpareTheLabsOwnRequests(t *testing.T) {
	v := newVictim(t)
	_, body, err := v.token()
	if err != nil {
		t.Fatal(err)
	}
	v.inject(fault.Fault{Name: faultkind.ServerError, For: fault.Selector{Resource: "entra"}})
	if resp, body, err := v.get("https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6", decode(t, body)["access_token"].(string)); err != nil || resp.StatusCode != 200 {
		t.Errorf("%v %s", err, body)
	}
}

func TestMetadataRequestsAreRefusedToo(t *testing.T) {
	v := newVictim(t)
	id := v.inject(fault.Fault{Name: faultkind.Throttled, For: fault.Selector{Resource: "entra"}})
	resp, body, err := v.get("https://login.microsoftonline.com/"+config.DefaultTenant+"/v2.0/.well-known/openid-configuration", "")
	if err != nil || resp.StatusCode != 429 || !strings.Contains(body, "AADSTS90055") || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("%v %s", err, body)
	}
	v.last(journal.Discovery, id)
}

func TestTokensThatAreNoGood(t *testing.T) {
	const secret = "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6"
	for name, reason := range map[string]string{faultkind.ExpiredToken: "[TokenExpired]", faultkind.NotYetValidToken: "IDX10222"} {
		v := newVictim(t, fault.Fault{Name: name, When: fault.Limits{Count: 1}})
		resp, body, err := v.token()
		if err != nil || resp.StatusCode != 200 || decode(t, body)["expires_in"] != 86399.0 {
			t.Fatalf("%s: %v %s", name, err, body)
		}
		v.last(journal.Exchange, "f1")
		token := decode(t, body)["access_token"].(string)
		if resp, body, err := v.get(secret, token); err != nil || resp.StatusCode != 401 || !strings.Contains(body, reason) {
			t.Errorf("%s: %v %s", name, err, body)
		}
		if name == faultkind.NotYetValidToken {
			v.advance(15 * time.Minute)
			if resp, body, err := v.get(secret, token); err != nil || resp.StatusCode != 200 {
				t.Errorf("%s, in time: %v %s", name, err, body)
			}
		}
	}
}

func TestANewFederatedCredentialIsNotKnownAtOnce(t *testing.T) {
	v := newVictim(t, fault.Fault{Name: faultkind.Propagation, Parameters: map[string]string{"delay": "5m"}})
	code := func() string {
		_, body, err := v.token()
		if err != nil {
			t.Fatal(err)
		}
		text, _ := decode(t, body)["error_description"].(string)
		before, _, _ := strings.Cut(text, ":")
		return before
	}
	if got := code(); got != "AADSTS70025" {
		t.Fatalf("who has just been trusted gets %q", got)
	}
	v.advance(5 * time.Minute)
	if got := code(); got != "" {
		t.Fatalf("who has been trusted for five minutes is refused with %s", got)
	}
	change := func(to string) {
		t.Helper()
		if err := v.Directory().Update(config.DefaultTenant, clientID, func(p *directory.Principal) error {
			p.FederatedCredentials[0].Subject = to
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	const subject = "system:serviceaccount:my-radix-app-dev:web-sa"
	change("system:serviceaccount:my-radix-app-prod:web-sa")
	if got := code(); got != "" {
		t.Errorf("the credential that was changed is refused with %s before that is known", got)
	}
	v.last(journal.Exchange, "f1")
	v.advance(5 * time.Minute)
	if got := code(); got != "AADSTS700213" {
		t.Errorf("when the change is known: %s", got)
	}
	change(subject)
	v.advance(4 * time.Minute)
	if got := code(); got != "AADSTS700213" {
		t.Errorf("four minutes after it was put right: %s", got)
	}
	if e := v.last(journal.Exchange, "f1"); e.Code != 700213 {
		t.Errorf("the exchange ended with %d", e.Code)
	}
	v.advance(time.Minute)
	if got := code(); got != "" {
		t.Errorf("five minutes after it was put right: %s", got)
	}
}

func TestOneExchangeInFortyFiveIsRefused(t *testing.T) {
	run := func() (refused []int) {
		v := newVictim(t, fault.Fault{Name: faultkind.Intermittent700213, When: fault.Limits{Probability: 0.1, Seed: 3}})
		v.client = &http.Client{Transport: v.Transport()}
		for n := range 60 {
			_, body, err := v.token()
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(body, "AADSTS700213") {
				refused = append(refused, n)
			}
		}
		return refused
	}
	first := run()
	if len(first) < 2 || len(first) > 12 {
		t.Errorf("calls %v of 60 were refused, expected about six", first)
	}
	if again := run(); !slices.Equal(first, again) {
		t.Errorf("the same seed refused %v, then %v", first, again)
	}
}

func TestEntraStaysWithAStaleKeySet(t *testing.T) {
	v := newVictim(t)
	if resp, body, err := v.token(); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v %s", err, body)
	}
	id := v.inject(fault.Fault{Name: faultkind.StaleJWKS, For: fault.Selector{Issuer: "local"}, Parameters: map[string]string{"lifetime": "24h"}})
	v.advance(2 * time.Hour)
	if resp, body, err := v.token(); err != nil || resp.StatusCode != 200 {
		t.Fatalf("with a key of the old set: %v %s", err, body)
	}
	v.last(journal.Exchange, id)
	ring, err := v.KeyRing("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, body, err := v.token(); err != nil || !strings.Contains(body, "AADSTS7000272") {
		t.Errorf("with a new key: %v %s", err, body)
	}
	v.last(journal.Exchange, id)
	if n := v.Faults().Active()[0].Hits; n != 2 {
		t.Errorf("two exchanges were hit %d times", n)
	}
	v.advance(22 * time.Hour)
	if resp, body, err := v.token(); err != nil || resp.StatusCode != 200 {
		t.Errorf("a day after the keys were fetched: %v %s", err, body)
	}
}

func TestFaultsOfAnIssuersDocuments(t *testing.T) {
	for _, test := range []struct {
		fault fault.Fault
		code  string // "": the exchange is granted
		text  string // of the discovery event
	}{
		{fault.Fault{Name: faultkind.DiscoveryUnreachable}, "AADSTS501661", "connection refused"},
		{fault.Fault{Name: faultkind.DiscoveryUnreachable, Parameters: map[string]string{"status": "503"}}, "AADSTS501661", "status 503"},
		{fault.Fault{Name: faultkind.DiscoverySlow, Parameters: map[string]string{"latency": "1ms"}}, "", ""},
		{fault.Fault{Name: faultkind.DiscoveryMalformed}, "AADSTS501661", "the discovery document is not valid"},
		{fault.Fault{Name: faultkind.DiscoveryWrongIssuer, Parameters: map[string]string{"issuer": "https://elsewhere.example/"}}, "AADSTS501661", `it is \"https://elsewhere.example/\"`},
		{fault.Fault{Name: faultkind.DiscoveryWrongIssuer}, "AADSTS501661", "issuer must be"},
		{fault.Fault{Name: faultkind.JWKSUnreachable}, "AADSTS501661", "connection refused"},
		{fault.Fault{Name: faultkind.JWKSSlow, Parameters: map[string]string{"latency": "1ms"}}, "", ""},
		{fault.Fault{Name: faultkind.JWKSMalformed}, "AADSTS501661", "the key set is not valid"},
		{fault.Fault{Name: faultkind.JWKSWrongIssuer}, "AADSTS7000272", ""},
		{fault.Fault{Name: faultkind.JWKSShuffled}, "", ""},
	} {
		t.Run(test.fault.String(), func(t *testing.T) {
			test.fault.For.Issuer = "local"
			v := newVictim(t, test.fault)
			_, body, err := v.token()
			if err != nil {
				t.Fatal(err)
			}
			text, _ := decode(t, body)["error_description"].(string)
			if got, _, _ := strings.Cut(text, ":"); got != test.code {
				t.Errorf("the exchange ended with %q, want %q", got, test.code)
			}
			if test.code != "" {
				v.last(journal.Exchange, "f1")
			}
			said, err := json.Marshal(v.last(journal.Discovery, "f1"))
			if err != nil || !strings.Contains(string(said), test.text) {
				t.Errorf("the fetch was written down as %s", said)
			}
			v.Faults().ClearAll()
			v.advance(time.Hour)
			if resp, body, err := v.token(); err != nil || resp.StatusCode != 200 {
				t.Errorf("when the fault is cleared: %v %s", err, body)
			}
		})
	}
}

func TestAnotherIssuersFaultsDoNotHit(t *testing.T) {
	v := newVictim(t, fault.Fault{Name: faultkind.DiscoveryUnreachable, For: fault.Selector{Issuer: "https://other.example/"}})
	if resp, body, err := v.token(); err != nil || resp.StatusCode != 200 {
		t.Errorf("%v %s", err, body)
	}
}

func TestFaultsOfTheLabAreChecked(t *testing.T) {
	_, err := server.Start(t.Context(), server.Options{Options: lab.Options{Faults: []fault.Fault{{Name: "throtled"}}}})
	if err == nil || !strings.Contains(err.Error(), "did you mean throttled?") {
		t.Errorf("started with %v", err)
	}
	v := newVictim(t)
	if _, err := v.Faults().Inject(fault.Fault{Name: faultkind.StaleJWKS, For: fault.Selector{Issuer: "loca"}}); err == nil || !strings.Contains(err.Error(), "did you mean local?") {
		t.Errorf("injected with %v", err)
	}
}

func TestTheJournalCountsEveryHit(t *testing.T) {
	v := newVictim(t, fault.Fault{Name: faultkind.Throttled, When: fault.Limits{Nth: 2, Count: 2}})
	for range 5 {
		if _, _, err := v.token(); err != nil {
			t.Fatal(err)
		}
	}
	hits := map[string]int{}
	for _, e := range v.Journal().Events() {
		if e.Kind == journal.Fault {
			hits[e.Detail["action"]]++
		}
	}
	if !maps.Equal(hits, map[string]int{"injected": 1, "hit": 2}) {
		t.Errorf("the journal has %v", hits)
	}
}
