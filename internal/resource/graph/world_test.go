package graph_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
)

// Applications of the configuration, each with a secret.
const (
	terraformID = "aaaaaaaa-0000-4000-8000-000000000011" // may write all
	pipelineID  = "aaaaaaaa-0000-4000-8000-000000000012" // may write what it owns
	readerID    = "aaaaaaaa-0000-4000-8000-000000000013" // may read
	nobodyID    = "aaaaaaaa-0000-4000-8000-000000000014"
)

const graphScope = "https://graph.microsoft.com/.default"

// world is a lab with clients.
type world struct {
	*lab.Lab
	t      testing.TB
	tokens map[string]string
}

func newWorld(t testing.TB, opts lab.Options) *world {
	t.Helper()
	opts.Keys, opts.Clock = keyringtest.Keys(t), clock.Stopped(tokentest.Start())
	app := func(name, id string, roles ...string) config.Application {
		return config.Application{Principal: config.Principal{Name: name, ClientID: id, Roles: roles}, Secrets: []config.Secret{{Value: "secret of " + id}}}
	}
	l, err := lab.New(t.Context(), config.Config{
		Tenants: []config.Tenant{{ID: tokentest.Tenant, Domains: []string{"contoso.example"}}},
		Applications: []config.Application{
			app("terraform", terraformID, "Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All", "Directory.Read.All"), app("pipeline", pipelineID, "Application.ReadWrite.OwnedBy"),
			app("reader", readerID, "Application.Read.All"), app("nobody", nobodyID),
		},
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &world{l, t, map[string]string{}}
}

func (w *world) options() azcore.ClientOptions {
	return azcore.ClientOptions{Transport: &http.Client{Transport: w.Transport()}, Retry: policy.RetryOptions{MaxRetries: -1}}
}

// secret is the credential of an application with a client secret.
func (w *world) secret(clientID, value string) azcore.TokenCredential {
	w.t.Helper()
	cred, err := azidentity.NewClientSecretCredential(tokentest.Tenant, clientID, value, &azidentity.ClientSecretCredentialOptions{ClientOptions: w.options(), DisableInstanceDiscovery: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return cred
}

// certificate is the credential of an application with a certificate, at lab time: azidentity's own
// looks at the machine's clock.
func (w *world) certificate(clientID string, own *x509.Certificate, key *rsa.PrivateKey) azcore.TokenCredential {
	w.t.Helper()
	assertion := func(context.Context) (string, error) {
		now, thumbprint := w.Clock().Now(), sha256.Sum256(own.Raw)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.PS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(thumbprint[:])))
		if err != nil {
			return "", err
		}
		return jwt.Signed(signer).Claims(jwt.Claims{
			Audience: jwt.Audience{"https://login.microsoftonline.com/" + tokentest.Tenant + "/oauth2/v2.0/token"}, Issuer: clientID, Subject: clientID, ID: now.String(),
			NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(10 * time.Minute)),
		}).Serialize()
	}
	cred, err := azidentity.NewClientAssertionCredential(tokentest.Tenant, clientID, assertion, &azidentity.ClientAssertionCredentialOptions{ClientOptions: w.options(), DisableInstanceDiscovery: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return cred
}

// workload is the credential of the service account shop/web-sa.
func (w *world) workload(clientID string) azcore.TokenCredential {
	w.t.Helper()
	assertion := func(ctx context.Context) (string, error) {
		from := w.Issuers()[0]
		from.PutServiceAccount("shop", "web-sa", nil)
		token, err := from.Mint(ctx, issuer.TokenRequest{Namespace: "shop", ServiceAccount: "web-sa", Audiences: []string{cloud.Public().TokenExchange}})
		return token.Raw, err
	}
	cred, err := azidentity.NewClientAssertionCredential(tokentest.Tenant, clientID, assertion, &azidentity.ClientAssertionCredentialOptions{ClientOptions: w.options(), DisableInstanceDiscovery: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return cred
}

// opens asks for a token and fails unless it is given, or refused with an error that says why.
func (w *world) opens(what string, cred azcore.TokenCredential, scope, refusal string) (roles []string) {
	w.t.Helper()
	token, err := cred.GetToken(w.t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
	if refusal != "" {
		if err == nil || !strings.Contains(err.Error(), refusal) {
			w.t.Errorf("%s: expected %s, found %v", what, refusal, err)
		}
		return nil
	}
	if err != nil {
		w.t.Errorf("%s: %v", what, err)
		return nil
	}
	var claims struct{ Roles []string }
	data, _ := base64.RawURLEncoding.DecodeString(strings.Split(token.Token, ".")[1])
	if err := json.Unmarshal(data, &claims); err != nil {
		w.t.Error(err)
	}
	return claims.Roles
}

type reply struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// value is a member of the answer, by its path.
func (r reply) value(path ...any) string {
	var at any = r.body
	for _, name := range path {
		switch in := at.(type) {
		case map[string]any:
			at = in[fmt.Sprint(name)]
		case []any:
			if i, ok := name.(int); ok && i < len(in) {
				at = in[i]
				continue
			}
			at = nil
		}
	}
	text, _ := at.(string)
	return text
}

// ask sends "METHOD path" as an application; headers are NAME: VALUE.
func (w *world) ask(clientID, request, body string, headers ...string) reply {
	w.t.Helper()
	if w.tokens[clientID] == "" {
		token, err := w.secret(clientID, "secret of "+clientID).GetToken(w.t.Context(), policy.TokenRequestOptions{Scopes: []string{graphScope}})
		if err != nil {
			w.t.Fatal(err)
		}
		w.tokens[clientID] = token.Token
	}
	method, path, _ := strings.Cut(request, " ")
	r, err := http.NewRequestWithContext(w.t.Context(), method, "https://graph.microsoft.com"+strings.ReplaceAll(path, " ", "%20"), strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.tokens[clientID])
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	answer, err := w.Transport().RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	got := reply{status: answer.StatusCode, header: answer.Header, text: string(data)}
	_ = json.Unmarshal(data, &got.body) // it may have none
	return got
}

// do is ask as terraform, which has to succeed.
func (w *world) do(request, body string, headers ...string) reply {
	w.t.Helper()
	got := w.ask(terraformID, request, body, headers...)
	if got.status >= 300 {
		w.t.Fatalf("%s: %d %s", request, got.status, got.text)
	}
	return got
}

func (w *world) inject(text string) {
	w.t.Helper()
	f, err := fault.Parse(text)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.Faults().Inject(f); err != nil {
		w.t.Fatal(err)
	}
}

// application registers one with a service principal and a federated credential for shop/web-sa.
func (w *world) application(name string) (id, clientID, objectID string) {
	w.t.Helper()
	made := w.do("POST /v1.0/applications", `{"displayName": "`+name+`"}`)
	principal := w.do("POST /v1.0/servicePrincipals", `{"appId": "`+made.value("appId")+`"}`)
	w.do("POST /v1.0/applications/"+made.value("id")+"/federatedIdentityCredentials", w.trust("cluster", "system:serviceaccount:shop:web-sa"))
	return made.value("id"), made.value("appId"), principal.value("id")
}

func (w *world) trust(name, subject string) string {
	return `{"name": "` + name + `", "issuer": "` + w.Issuers()[0].URL() + `", "subject": "` + subject + `", "audiences": ["api://AzureADTokenExchange"]}`
}

// newCertificate is one that is valid at the tests' time.
func newCertificate(t testing.TB, name string) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: tokentest.Start().Add(-time.Hour), NotAfter: tokentest.Start().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	own, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return own, key
}

func tokenOptions() policy.TokenRequestOptions {
	return policy.TokenRequestOptions{Scopes: []string{graphScope}}
}
