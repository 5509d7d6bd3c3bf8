package serviceconnection_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/serviceconnection"
)

var connection = config.ServiceConnection{
	Organization: "contoso", OrganizationID: "0ca3ddd9-f0b0-4635-a98c-5866526961b6", Project: "shop", Name: "arm",
	ID: "64171687-7a59-4fce-b2c8-823278dcf176", Issuer: "https://vstoken.dev.azure.com/0ca3ddd9-f0b0-4635-a98c-5866526961b6", Subject: "sc://contoso/shop/arm",
}

// lab is an endpoint with the issuer of an organization, at a fixed time.
type lab struct {
	*serviceconnection.Endpoint
	issuer  *issuer.Issuer
	journal *journals.Journal
}

func newLab(t *testing.T, now time.Time) lab {
	t.Helper()
	stopped := clock.Stopped(now)
	j, err := journals.New(stopped, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.New(context.Background(), stopped, keyringtest.Keys(t), keyring.Options{Name: "azure-devops", Identify: issuer.KeyID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		keys.Close()
		_ = j.Close()
	})
	from, err := issuer.New(connection.Issuer, keys, stopped, issuer.Options{Name: "azure-devops", AzureDevOps: true, Journal: j})
	if err != nil {
		t.Fatal(err)
	}
	return lab{serviceconnection.New(j), from, j}
}

func (l lab) add() serviceconnection.Access {
	return l.Add(connection, serviceconnection.ByAzureDevOps(connection, "api://AzureADTokenExchange", l.issuer))
}

// ask sends a request of a task to the endpoint.
func (l lab) ask(t *testing.T, method, url string, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, url, nil)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w
}

func TestATaskGetsTheTokenOfItsConnection(t *testing.T) {
	now := time.Unix(1745851636, 0) // iat of the token in Teleport's RFD 211
	l := newLab(t, now)
	access := l.add()
	got := l.ask(t, http.MethodPost, access.URL+"?api-version=7.1&serviceConnectionId="+strings.ToUpper(access.ID), map[string]string{"Authorization": "Bearer " + access.Token})
	var answer struct{ OIDCToken string }
	if err := json.Unmarshal(got.Body.Bytes(), &answer); err != nil || got.Code != http.StatusOK {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(answer.OIDCToken, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	delete(claims, "jti")
	if diff := cmp.Diff(map[string]any{
		"sub": "sc://contoso/shop/arm", "aud": "api://AzureADTokenExchange", "iss": "https://vstoken.dev.azure.com/0ca3ddd9-f0b0-4635-a98c-5866526961b6",
		"nbf": 1745851036., "exp": 1745851936., "iat": 1745851636.,
	}, claims); diff != "" {
		t.Errorf("claims, -want +got\n%s", diff)
	}
	document := httptest.NewRecorder()
	l.issuer.Discovery().ServeHTTP(document, httptest.NewRequestWithContext(t.Context(), http.MethodGet, connection.Issuer+"/.well-known/openid-configuration", nil))
	const want = `{"issuer":"https://vstoken.dev.azure.com/0ca3ddd9-f0b0-4635-a98c-5866526961b6","jwks_uri":"https://vstoken.dev.azure.com/0ca3ddd9-f0b0-4635-a98c-5866526961b6/.well-known/jwks",` +
		`"subject_types_supported":["public","pairwise"],"response_types_supported":["id_token"],"claims_supported":["sub","aud","exp","iat","iss","nbf"],"id_token_signing_alg_values_supported":["RS256"],"scopes_supported":["openid"]}`
	if document.Body.String() != want {
		t.Errorf("the discovery document is %s; want %s", document.Body, want)
	}
}

func TestATaskIsRefused(t *testing.T) {
	l := newLab(t, time.Unix(1745851636, 0))
	access, other := l.add(), l.add()
	const suppress = "X-TFS-FedAuthRedirect"
	asked := "?api-version=7.1&serviceConnectionId=" + access.ID
	for _, row := range []struct {
		name, method, url string
		header            map[string]string
		want              int
		says              string
	}{
		{"without a token, by a program", http.MethodPost, access.URL + asked, map[string]string{suppress: "Suppress"}, http.StatusUnauthorized, ""},
		{"without a token, by a browser", http.MethodPost, access.URL + asked, nil, http.StatusFound, "Object moved"},
		{"with the token of another task", http.MethodPost, access.URL + asked, map[string]string{suppress: "Suppress", "Authorization": "Bearer " + other.Token}, http.StatusUnauthorized, ""},
		{"with Basic", http.MethodPost, access.URL + asked, map[string]string{suppress: "Suppress", "Authorization": "Basic " + access.Token}, http.StatusUnauthorized, ""},
		{"with GET", http.MethodGet, access.URL + asked, map[string]string{"Authorization": "Bearer " + access.Token}, http.StatusMethodNotAllowed, "does not support http method 'GET'"},
		{"without a version", http.MethodPost, access.URL + "?serviceConnectionId=" + access.ID, map[string]string{"Authorization": "Bearer " + access.Token}, http.StatusBadRequest, "VssVersionNotSpecifiedException"},
		{"for another connection", http.MethodPost, access.URL + "?api-version=7.1&serviceConnectionId=1", map[string]string{"Authorization": "Bearer " + access.Token}, http.StatusNotFound, `{"count":98,"value":"There is no explicit reference to service connection 1 from current stage`},
		{"for none", http.MethodPost, access.URL + "?api-version=7.1", map[string]string{"Authorization": "Bearer " + access.Token}, http.StatusNotFound, "There is no explicit reference"},
		{"at another path", http.MethodPost, "https://dev.azure.com/contoso/_apis/projects" + asked, map[string]string{"Authorization": "Bearer " + access.Token}, http.StatusNotFound, ""},
	} {
		before := len(l.journal.Events())
		got := l.ask(t, row.method, row.url, row.header)
		if got.Code != row.want || !strings.Contains(got.Body.String(), row.says) || strings.Contains(got.Body.String(), access.Token) {
			t.Errorf("%s: %d %s; want %d %s", row.name, got.Code, got.Body, row.want, row.says)
		}
		events := l.journal.Events()[before:]
		if len(events) != 1 || events[0].Outcome != journal.Denied || events[0].Remedy == "" {
			t.Errorf("%s: the journal has %+v; want one refusal with a remedy", row.name, events)
		}
	}
	if got := l.ask(t, http.MethodPost, other.URL+asked, map[string]string{"Authorization": "bearer " + other.Token}); got.Code != http.StatusOK {
		t.Errorf("the other task: %d %s", got.Code, got.Body)
	}
}
