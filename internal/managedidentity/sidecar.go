package managedidentity

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/faults"
)

// sidecarToken is a granted request, in adal's form.
// azure-workload-identity: pkg/proxy/proxy.go
type sidecarToken struct {
	AccessToken  string      `json:"access_token"`
	RefreshToken string      `json:"refresh_token"`
	ExpiresIn    json.Number `json:"expires_in"`
	ExpiresOn    string      `json:"expires_on"`
	NotBefore    json.Number `json:"not_before"`
	Resource     string      `json:"resource"`
	Type         string      `json:"token_type"`
}

// serveSidecar answers as the proxy sidecar does, to which a pod's init
// container redirects 169.254.169.254:80: the token path ("metadata" in any
// case, whatever follows) with an exchange of the pod's own token, the rest with
// what the machine below the pod answers. It asks for no Metadata header and no
// version. azure-workload-identity: pkg/proxy/proxy.go
func (m *machine) serveSidecar(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if len(path) > len("/metadata") && strings.EqualFold(path[:len("/metadata")], "/metadata") && strings.HasPrefix(path[len("/metadata"):], "/identity/oauth2/token") {
		m.serveSidecarToken(w, r)
		return
	}
	if strings.HasPrefix(path, "/readyz") {
		_, _ = io.WriteString(w, "ok") // the client has gone
		return
	}
	m.serveIMDS(w, r)
}

func (m *machine) serveSidecarToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "azure-workload-identity/proxy/v1.6.0 (linux/amd64)")
	q := request{Request: r, resource: r.URL.Query().Get("resource"), selector: selectorOf(r), service: "azwi-proxy"}
	refuse := func(status int, text, remedy string) {
		m.refused(q, status, text, "", remedy)
		http.Error(w, text, status)
	}
	if status, _, refused := faults.Refusal(r.Context()); refused {
		refuse(status, http.StatusText(status), outageCause(r)+".")
		return
	}
	clientID := cmp.Or(q.selector.clientID, m.ClientID)
	switch {
	case clientID == "":
		refuse(http.StatusBadRequest, "The client_id parameter or AZURE_CLIENT_ID environment variable must be set", "Give the workload a client id, or send client_id.")
		return
	case q.resource == "":
		refuse(http.StatusBadRequest, "The resource parameter is required.", "Name the resource that the token is for, such as resource=https://vault.azure.net.")
		return
	}
	scope := q.resource
	if !strings.HasSuffix(scope, "/.default") {
		scope += "/.default"
	}
	t, err := m.federated(r, clientID, scope)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError) // Entra ID's own event says why
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(sidecarToken{
		AccessToken: t.AccessToken, Resource: q.resource, Type: "Bearer",
		ExpiresIn: json.Number(seconds(t.ExpiresAt.Sub(m.now()) - 10*time.Second)), ExpiresOn: unix(t.ExpiresAt), NotBefore: "0",
	}); err != nil {
		return // the client has gone
	}
}

// federated exchanges the pod's token, as azidentity's WorkloadIdentityCredential
// does for the sidecar, and caches the access token until shortly before it expires.
func (m *machine) federated(r *http.Request, clientID, scope string) (entra.Token, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := cacheKey{clientID, scope}
	if t, ok := m.cache[key]; ok && m.now().Add(renewBefore).Before(t.ExpiresAt) {
		return t, nil
	}
	assertion, err := os.ReadFile(m.TokenFile)
	if err != nil {
		return entra.Token{}, fmt.Errorf("WorkloadIdentityCredential: %w. To troubleshoot, visit https://aka.ms/azsdk/go/identity/troubleshoot#workload", err)
	}
	form := url.Values{
		"client_id": {clientID}, "grant_type": {"client_credentials"}, "scope": {scope + " openid offline_access profile"}, "client_info": {"1"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {string(assertion)},
	}
	endpoint := m.service.config.Entra.Cloud().Authority() + m.Tenant + "/oauth2/v2.0/token"
	req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return entra.Token{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("User-Agent", "azsdk-go-azidentity/v1.15.0 (go1.26; linux)")
	resp, err := m.service.config.Login.RoundTrip(req)
	if err != nil {
		return entra.Token{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return entra.Token{}, err
	}
	if resp.StatusCode != http.StatusOK {
		return entra.Token{}, authenticationFailed(req, resp, body)
	}
	var reply struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return entra.Token{}, err
	}
	t := entra.Token{AccessToken: reply.AccessToken, Resource: scope, ExpiresAt: m.now().Add(time.Duration(reply.ExpiresIn) * time.Second).Truncate(time.Second)}
	if len(m.cache) >= maxCached {
		clear(m.cache)
	}
	m.cache[key] = t
	return t, nil
}

// authenticationFailed is azidentity's error, which the sidecar answers with.
// azidentity v1.15.0: errors.go, AuthenticationFailedError.Error
func authenticationFailed(req *http.Request, resp *http.Response, body []byte) error {
	rule := strings.Repeat("-", 80)
	var reply bytes.Buffer
	if err := json.Indent(&reply, body, "", "  "); err != nil {
		reply.Write(body)
	}
	return fmt.Errorf("WorkloadIdentityCredential authentication failed. \n%s %s\n%s\nRESPONSE %d: %s\n%s\n%s\n%s\nTo troubleshoot, visit https://aka.ms/azsdk/go/identity/troubleshoot#workload",
		req.Method, req.URL, rule, resp.StatusCode, resp.Status, rule, reply.String(), rule)
}
