package identitybinding

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/httpjson"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/requestbody"
	"github.com/wiemu/wiemu/internal/truncate"
)

// maxBody is how long a token request may be, in bytes, as at Entra ID.
const maxBody = 128 << 10

// call is one request on its way through the checks, which store what later ones need.
type call struct {
	proxy   *Proxy
	request *http.Request
	form    url.Values

	cluster  *issuer.Issuer
	review   issuer.ReviewStatus
	account  [2]string // namespace and name
	tenant   directory.Tenant
	identity *directory.Principal

	checks []journal.Check
}

// refusal is what the proxy answers instead of forwarding a request.
type refusal struct {
	status int
	code   string // OAuth error
	text   string
	remedy string
}

// check is one condition of a token request. Its run returns what was expected and
// presented.
type check struct {
	name string
	run  func(*call) (expected, presented string, _ *refusal)
}

func checks() []check {
	return []check{
		{"assertion present", checkAssertion},
		{"the cluster's token for " + Audience, checkToken},
		{"managed identity", checkIdentity},
		{"identity binding", checkBinding},
	}
}

// ServeHTTP forwards requests to the login host: those for discovery documents as
// they are, token requests with an assertion that Entra ID accepts.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{proxy: p, request: r}
	if c.cluster = p.clusterOf(r); c.cluster == nil {
		http.Error(w, "This is the identity-binding proxy of wiemu's clusters. Ask for a cluster by the TLS server name in AZURE_KUBERNETES_SNI_NAME.", http.StatusMisdirectedRequest)
		return
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		p.forward(w, r, r.URL.Path, nil)
		return
	}
	release, err := c.read(w)
	if err != nil {
		w.Header().Set("Connection", "close") // rather than wait for the rest
		c.refuse(w, refusal{http.StatusBadRequest, "invalid_request", "The request's body is no form: " + err.Error() + ".", "Send a token request as to Entra ID."})
		return
	}
	defer release()
	for _, condition := range checks() {
		expected, presented, refused := condition.run(c)
		made := journal.Check{Name: condition.name, Expected: expected, Presented: clipped(presented), Outcome: journal.Passed}
		if refused != nil {
			made.Outcome = journal.Failed
		}
		c.checks = append(c.checks, made)
		if refused != nil {
			c.refuse(w, *refused)
			return
		}
	}
	assertion, err := c.replaceAssertion()
	if err != nil {
		c.refuse(w, refusal{http.StatusServiceUnavailable, "temporarily_unavailable", "The proxy could not sign: " + err.Error() + ".", ""})
		return
	}
	c.form.Set("client_assertion", assertion)
	path := r.URL.Path
	if path == "" || path == "/" { // AKS's documentation sends curl there
		path = "/" + c.tenant.ID + "/oauth2/v2.0/token"
	}
	p.forward(w, r, path, []byte(c.form.Encode()))
}

func (p *Proxy) clusterOf(r *http.Request) *issuer.Issuer {
	if r.TLS == nil {
		return nil
	}
	return p.clusters[strings.ToLower(r.TLS.ServerName)]
}

// read reads the form. The caller calls release when nothing refers to it any more.
func (c *call) read(w http.ResponseWriter) (release func(), err error) {
	body, release, err := requestbody.Read(w, c.request, maxBody)
	if err != nil {
		return nil, err
	}
	c.form, err = url.ParseQuery(string(body))
	if err == nil && c.request.Method != http.MethodPost {
		err = errors.New("the method is " + c.request.Method)
	}
	if err != nil {
		release()
	}
	return release, err
}

func checkAssertion(c *call) (expected, presented string, _ *refusal) {
	if c.form.Get("client_assertion") == "" {
		return "client_assertion", "none", &refusal{http.StatusBadRequest, "invalid_request",
			"The request has no client_assertion: the identity-binding proxy passes on requests with a service-account token only.",
			"Use WorkloadIdentityCredential with the token file of AZURE_FEDERATED_TOKEN_FILE."}
	}
	return "client_assertion", "present", nil
}

// checkToken asks the cluster whose token it is, as AKS does with a TokenReview.
func checkToken(c *call) (expected, presented string, _ *refusal) {
	c.review = c.cluster.Review(c.form.Get("client_assertion"), []string{Audience})
	expected = "a service-account token of " + c.cluster.URL() + " for " + Audience
	if !c.review.Authenticated {
		presented = c.review.Error
		return expected, presented, &refusal{http.StatusUnauthorized, "invalid_client",
			"The cluster does not accept the client_assertion as a service-account token with audience " + Audience + ": " + presented,
			"Project the token with audience " + Audience + ": wiemu run --identity-binding does, and so does AKS's webhook for pods annotated azure.workload.identity/use-identity-binding."}
	}
	parts := strings.Split(c.review.User.Username, ":") // system:serviceaccount:NAMESPACE:NAME
	c.account = [2]string{parts[2], parts[3]}
	return expected, c.review.User.Username, nil
}

func checkIdentity(c *call) (expected, presented string, _ *refusal) {
	presented = c.form.Get("client_id")
	tenant := httppath.Segment(c.request, 0)
	if tenant == "" {
		tenant = c.proxy.tenantOf(presented)
	}
	var known bool
	if c.tenant, known = c.proxy.config.Directory.Tenant(tenant); known {
		c.identity, known = c.proxy.config.Directory.Principal(c.tenant.ID, presented)
	}
	expected = "client_id of a managed identity of the tenant"
	if !known || c.identity.Kind != directory.ManagedIdentity {
		return expected, presented, &refusal{http.StatusForbidden, "unauthorized_client",
			fmt.Sprintf("There is no identity binding for client id '%s' in tenant '%s'.", clipped(presented), clipped(tenant)),
			"Set AZURE_CLIENT_ID and AZURE_TENANT_ID to those of a managed identity; identity bindings are not for app registrations."}
	}
	return expected, presented, nil
}

// tenantOf is the tenant of a bound identity, for requests that name none.
func (p *Proxy) tenantOf(clientID string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.bindings {
		if strings.EqualFold(b.ClientID, clientID) {
			return b.Tenant
		}
	}
	return ""
}

func checkBinding(c *call) (expected, presented string, _ *refusal) {
	wanted := Binding{c.cluster.Name(), c.account[0], c.account[1], c.tenant.ID, strings.ToLower(c.identity.ClientID)}
	expected = "a binding of service account " + c.account[0] + "/" + c.account[1] + " to " + c.identity.ClientID
	ok, others := c.proxy.bound(wanted)
	if ok {
		return expected, "bound", nil
	}
	presented = "none"
	if len(others) > 0 {
		presented = "one to " + strings.Join(others, ", ")
	}
	// Kubernetes: staging/src/k8s.io/apiserver/pkg/endpoints/handlers/responsewriters/errors.go, forbiddenMessage
	return expected, presented, &refusal{http.StatusForbidden, "unauthorized_client",
		fmt.Sprintf("User %q cannot use-managed-identity resource %q in API group \"cid.wi.aks.azure.com\" at the cluster scope.", c.review.User.Username, c.identity.ClientID),
		"Bind the service account: a ClusterRole with verb use-managed-identity, API group cid.wi.aks.azure.com and the client id as resource, and a ClusterRoleBinding to the account. In wiemu.yaml list it under identityBindings."}
}

// assertionLifetime is that of the tokens that the proxy makes, which are used once.
const assertionLifetime = 10 * time.Minute

// replaceAssertion makes the assertion that is sent to Entra ID, and records it.
func (c *call) replaceAssertion() (string, error) {
	p := c.proxy
	p.mu.Lock()
	keys := p.keys
	p.mu.Unlock()
	now := p.config.Clock.Now().Truncate(time.Second)
	expires := now.Add(assertionLifetime)
	claims := struct {
		Audience  []string `json:"aud"`
		Expiry    int64    `json:"exp"`
		IssuedAt  int64    `json:"iat"`
		Issuer    string   `json:"iss"`
		ID        string   `json:"jti"`
		NotBefore int64    `json:"nbf"`
		Subject   string   `json:"sub"`
	}{
		[]string{p.config.Cloud.TokenExchange}, expires.Unix(), now.Unix(), p.IssuerURL(c.tenant.ID, c.identity.ClientID),
		uuid.NewString(), now.Unix(), strings.ToLower(c.identity.ClientID),
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	raw, key, err := keys.Sign(func(k keyring.Key) string { return `{"alg":"RS256","kid":"` + k.ID + `"}` }, payload)
	if err != nil {
		return "", err
	}
	e := c.event()
	e.Kind, e.Outcome, e.Issuer, e.Subject, e.Audience = journal.Mint, journal.OK, claims.Issuer, claims.Subject, claims.Audience
	e.Kid, e.JTI, e.IssuedAt, e.ExpiresAt = key.ID, claims.ID, &now, &expires
	e.Summary = fmt.Sprintf("identity binding: the token of %s swapped for one of %s", e.Workload, c.identity.DisplayName)
	p.config.Journal.Record(e)
	return raw, nil
}

// forward sends a request to the login host of the cloud, whichever host the client
// meant, and its answer back.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	target := url.URL{Scheme: "https", Host: p.config.Cloud.Login, Path: path, RawQuery: r.URL.RawQuery}
	if path == r.URL.Path {
		target.RawPath = r.URL.RawPath
	}
	out, err := http.NewRequestWithContext(r.Context(), r.Method, target.String(), bytes.NewReader(body))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for name, values := range r.Header {
		if name != "Connection" && name != "Content-Length" && name != "Accept-Encoding" {
			out.Header[name] = values
		}
	}
	resp, err := p.config.Login.RoundTrip(out)
	if err != nil {
		http.Error(w, "the identity-binding proxy could not reach the login host: "+err.Error(), http.StatusBadGateway)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	maps.Copy(w.Header(), resp.Header)
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // the client has gone
}

func (c *call) refuse(w http.ResponseWriter, refused refusal) {
	e := c.event()
	e.Kind, e.Outcome, e.Status, e.Error, e.Message = journal.Exchange, journal.Denied, refused.status, refused.code, refused.text
	e.Summary = "identity-binding proxy: " + refused.text
	e.Meaning = "The proxy of the cluster refused the request; Entra ID was not asked."
	e.Remedy = refused.remedy
	c.proxy.config.Journal.Record(e)
	httpjson.Write(w, refused.status, map[string]string{"error": refused.code, "error_description": refused.text})
}

func (c *call) event() journal.Event {
	e := journal.Event{
		Component: "identity-binding proxy", ClientID: c.form.Get("client_id"), Tenant: c.tenant.ID, Host: c.request.Host,
		Method: c.request.Method, Path: c.request.URL.Path, Checks: c.checks,
	}
	if c.account[0] != "" {
		e.Workload = c.account[0] + "/" + c.account[1]
	}
	if c.identity != nil {
		e.Identity = c.identity.DisplayName
	}
	return e
}

func clipped(s string) string { return truncate.Bytes(s, 512) }
