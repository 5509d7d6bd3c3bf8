package controlapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/controlapi"
	tokens "github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/lab"
)

const readerID = "b96d264b-7053-4465-a4a7-32be5b0fec49"

// shownLab is a lab with something to show: an identity that trusts web-sa of shop, an
// application with a secret, a vault.
func shownLab(t *testing.T) (*lab.Lab, *control.Client) {
	t.Helper()
	l := newLab(t, config.Config{
		Issuers:      []config.Issuer{{Name: "local"}},
		Applications: []config.Application{{Principal: config.Principal{Name: "api", ClientID: "6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11"}, Secrets: []config.Secret{{Value: "sesame-open-now"}, {Value: "short"}}}},
		Identities: []config.Identity{{Principal: config.Principal{Name: "reader", ClientID: readerID, FederatedCredentials: &[]config.FederatedCredential{
			{Name: "shop", Issuer: "local", Subject: "system:serviceaccount:shop:web-sa"},
		}}}},
	})
	return l, controlapi.InMemory("secret", controlapi.New(l, controlapi.Endpoints{}, "secret"))
}

// post returns what the API answers, also if it refuses.
func post(l *lab.Lab, path, body string) []byte {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer secret")
	controlapi.New(l, controlapi.Endpoints{}, "secret").ServeHTTP(w, r)
	return w.Body.Bytes()
}

func read[T any](t *testing.T, c *control.Client, method, path string, in any) T {
	t.Helper()
	var out T
	if err := c.Do(t.Context(), method, path, in, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// Nothing that is secret is read: of secrets the first three characters, unless they are short.
func TestTheDirectoryIsReadWithoutSecrets(t *testing.T) {
	_, c := shownLab(t)
	var raw json.RawMessage
	if err := c.Do(t.Context(), http.MethodGet, "/v1/directory", nil, &raw); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"sesame-open-now", "esame", "short", "sho\""} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("the answer holds %s: %s", secret, raw)
		}
	}
	tenants := read[[]controlapi.Tenant](t, c, http.MethodGet, "/v1/directory", nil)
	if len(tenants) != 1 || len(tenants[0].Identities) != 2 {
		t.Fatalf("%+v", tenants)
	}
	api, reader := tenants[0].Identities[0], tenants[0].Identities[1]
	if len(api.Secrets) != 2 || api.Secrets[0].Hint != "ses" || api.Secrets[1].Hint != "" || api.FederatedCredentials == nil {
		t.Errorf("%+v", api)
	}
	if reader.Name != "reader" || len(reader.FederatedCredentials) != 1 || reader.FederatedCredentials[0].Subject != "system:serviceaccount:shop:web-sa" {
		t.Errorf("%+v", reader)
	}
	for _, r := range read[[]controlapi.Resource](t, c, http.MethodGet, "/v1/resources", nil) {
		if r.Name == "mykeyvault" && (len(r.Secrets) != 1 || r.Secrets[0] != "mysecret" || r.Hosts[0] != "mykeyvault.vault.azure.net") {
			t.Errorf("%+v", r)
		}
	}
}

// One value at a time is shown to who asks for it.
func TestASecretIsRevealed(t *testing.T) {
	_, c := shownLab(t)
	revealed := read[controlapi.RevealedSecret](t, c, http.MethodPost, "/v1/resources/secret", controlapi.SecretRequest{Vault: "mykeyvault", Name: "mysecret"})
	if revealed.Value == "" {
		t.Error("the value is empty")
	}
	err := c.Do(t.Context(), http.MethodPost, "/v1/resources/secret", controlapi.SecretRequest{Vault: "mykeyvault", Name: "nothing"}, nil)
	if err == nil || !strings.Contains(err.Error(), `secret "nothing" of vault "mykeyvault"`) {
		t.Error(err)
	}
}

func TestAnEventIsExplained(t *testing.T) {
	l, c := shownLab(t)
	denied := l.Journal().Record(journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, TraceID: "trace", JTI: "a", Nearest: &journal.Nearest{Credential: "shop", Differences: []journal.Difference{{Field: "audience", Expected: "x", Presented: "y", Kind: "other"}}}})
	l.Journal().Record(journal.Event{Kind: journal.Mint, Outcome: journal.OK, JTI: "a"})
	for _, id := range []string{denied.ID, "trace"} {
		e := read[controlapi.Explained](t, c, http.MethodGet, "/v1/events/"+id, nil)
		if e.Event.ID != denied.ID || e.Diagnosis != "The audience is y, the credential trusts x" || len(e.Chain) != 2 {
			t.Errorf("%s: %+v", id, e)
		}
	}
	err := c.Do(t.Context(), http.MethodGet, "/v1/events/999", nil, nil)
	if err == nil || !strings.Contains(err.Error(), `event "999": expected the id of an event`) {
		t.Error(err)
	}
}

// What the directory refuses is told field by field.
func TestRefusalsOfTheDirectoryNameTheirFields(t *testing.T) {
	l, _ := shownLab(t)
	answer := post(l, "/v1/directory", `{"identity": "reader", "addFederatedCredential": {"name": "a b", "issuer": "http://x/", "subject": "s"}}`)
	var p struct {
		Fields []struct{ Field, Expected, Found string }
	}
	if err := json.Unmarshal(answer, &p); err != nil {
		t.Fatal(err)
	}
	if len(p.Fields) != 2 || p.Fields[0].Field != "federatedCredentials[1].name" || p.Fields[0].Found != `"a b"` || p.Fields[1].Field != "federatedCredentials[1].issuer" {
		t.Errorf("%+v of %s", p.Fields, answer)
	}
}

func TestATokenIsInspected(t *testing.T) {
	l, c := shownLab(t)
	from, err := l.Issuer("local")
	if err != nil {
		t.Fatal(err)
	}
	mint := func(namespace string) string {
		from.PutServiceAccount(namespace, "web-sa", nil)
		token, err := from.Mint(t.Context(), tokens.TokenRequest{Namespace: namespace, ServiceAccount: "web-sa", Audiences: []string{cloud.Public().TokenExchange}})
		if err != nil {
			t.Fatal(err)
		}
		return token.Raw
	}
	inspect := func(req controlapi.InspectRequest) controlapi.Inspected {
		return read[controlapi.Inspected](t, c, http.MethodPost, "/v1/tokens/inspect", req)
	}
	shop, other := mint("shop"), mint("other")
	if x := inspect(controlapi.InspectRequest{Token: shop + "\n"}); x.Identity != "reader" || x.Trust == nil || x.Trust.Code != 0 || x.Signature.Outcome != journal.Passed {
		t.Errorf("the token of shop: %+v", x)
	}
	if x := inspect(controlapi.InspectRequest{Token: other}); x.Trust == nil || x.Trust.Code != 700213 || x.Trust.Nearest == nil {
		t.Errorf("the token of another namespace: %+v", x)
	}
	if x := inspect(controlapi.InspectRequest{Token: shop, Identity: "api"}); x.Identity != "api" || x.Trust == nil || x.Trust.Code != 70025 {
		t.Errorf("met by the application: %+v", x)
	}
	parts := strings.Split(shop, ".")
	if x := inspect(controlapi.InspectRequest{Token: parts[0] + "." + strings.Split(other, ".")[1] + "." + parts[2]}); x.Signature.Outcome != journal.Failed {
		t.Errorf("claims of another token: %+v", x.Signature)
	}
	ring, err := l.KeyRing("local")
	if err != nil {
		t.Fatal(err)
	}
	old := ring.Signing().ID
	if _, err := ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if x := inspect(controlapi.InspectRequest{Token: shop}); x.Signature.Outcome != journal.Passed || !strings.Contains(x.Signature.Note, "retired") {
		t.Errorf("by a retired key: %+v", x.Signature)
	}
	if err := ring.Remove(old); err != nil {
		t.Fatal(err)
	}
	if x := inspect(controlapi.InspectRequest{Token: shop}); x.Signature.Outcome == journal.Passed {
		t.Errorf("by a key that is removed: %+v", x.Signature)
	}
	for _, e := range l.Journal().Events() {
		if e.Kind == journal.Exchange {
			t.Errorf("it is journaled: %s", e.Summary)
		}
		data, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), parts[1]) {
			t.Errorf("the token is in the journal: %s", data)
		}
	}
	for _, wrong := range []string{"", "a.b", "a.b.c", "e30.e30", "e30.W10.x"} {
		err := c.Do(t.Context(), http.MethodPost, "/v1/tokens/inspect", controlapi.InspectRequest{Token: wrong}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "token: ") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// An answer that JSON cannot hold is an error with a reason, and no empty 200.
func TestAnAnswerThatIsNoJSON(t *testing.T) {
	s := controlapi.New(newLab(t, config.Config{}), controlapi.Endpoints{}, "secret")
	s.Handle(http.MethodGet, "/v1/late", func(*http.Request) (any, error) { return time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), nil })
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v1/late", nil)
	r.Header.Set("Authorization", "Bearer secret")
	s.ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"GET /v1/late: the answer cannot be written as JSON: `) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
