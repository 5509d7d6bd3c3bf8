package secretsstore

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/wiemu/wiemu/internal/workload"
)

// apiVersion is what the provider's clients send (azsecrets 0.x to 1.x).
const apiVersion = "7.5"

type token struct {
	raw     string
	expires time.Time
}

// bundle is what the provider reads of a secret, key or certificate.
type bundle struct {
	ID          string `json:"id"`
	Value       string `json:"value"`
	ContentType string `json:"contentType"`
	KeyID       string `json:"kid"`
	Certificate []byte `json:"cer"`
	Key         struct {
		KeyID string `json:"kid"`
		Type  string `json:"kty"`
		Curve string `json:"crv"`
		N     string `json:"n"`
		E     string `json:"e"`
		X     string `json:"x"`
		Y     string `json:"y"`
	} `json:"key"`
}

// get returns an object's file. secrets-store-csi-driver-provider-azure:
// pkg/provider/provider.go, validate.go.
func (m *Mount) get(ctx context.Context, vault string, item workload.KeyVaultItem) (content []byte, version string, err error) {
	if err := validate(item); err != nil {
		return nil, "", err
	}
	kind, ok := map[string]string{"secret": "secrets", "key": "keys", "cert": "certificates"}[item.Type]
	if !ok {
		return nil, "", errors.New("Invalid vaultObjectTypes. Should be secret, key, or cert") //nolint:staticcheck // the provider's words
	}
	var b bundle
	address := "https://" + vault + "." + m.opts.Cloud.Vault + "/" + kind + "/" + url.PathEscape(item.Name) + "/" + url.PathEscape(item.Version)
	if err := m.ask(ctx, address, &b); err != nil {
		return nil, "", err
	}
	switch item.Type {
	case "key":
		content, err = publicKey(b)
		return content, b.Key.KeyID, err
	case "cert":
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Certificate}), b.ID, nil
	}
	text := b.Value
	if b.KeyID != "" && b.ContentType == "application/x-pkcs12" && !strings.EqualFold(item.Format, "pfx") {
		if text, err = decodePKCS12(b.Value); err != nil {
			return nil, "", err
		}
	}
	content, err = decode(text, item.Encoding)
	return content, b.ID, err
}

func validate(item workload.KeyVaultItem) error {
	switch {
	case item.Format != "" && !strings.EqualFold(item.Format, "pem") && !strings.EqualFold(item.Format, "pfx"):
		return fmt.Errorf("invalid objectFormat: %v, should be PEM or PFX", item.Format)
	case item.Format == "pfx" && item.Type != "secret":
		return errors.New("PFX format only supported for objectType: secret")
	case item.Encoding != "" && item.Type != "secret":
		return errors.New("objectEncoding only supported for objectType: secret")
	case strings.Contains(item.FileName(), ".."):
		return errors.New("file name must not contain '..'")
	case !filepath.IsLocal(item.FileName()):
		return errors.New("file name must be a relative path")
	}
	return nil
}

func decode(text, encoding string) ([]byte, error) {
	switch strings.ToLower(encoding) {
	case "", "utf-8":
		return []byte(text), nil
	case "base64":
		return base64.StdEncoding.DecodeString(text)
	case "hex":
		return hex.DecodeString(text)
	default:
		return nil, errors.New("invalid objectEncoding. Should be utf-8, base64, or hex")
	}
}

// publicKey writes the public part of a key in PEM.
func publicKey(b bundle) ([]byte, error) {
	number := func(text string) *big.Int {
		data, _ := base64.RawURLEncoding.DecodeString(text) // the vault's
		return new(big.Int).SetBytes(data)
	}
	var key any
	switch strings.TrimSuffix(b.Key.Type, "-HSM") {
	case "RSA":
		key = &rsa.PublicKey{N: number(b.Key.N), E: int(number(b.Key.E).Int64())}
	case "EC":
		curve, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[b.Key.Curve]
		if !ok {
			return nil, fmt.Errorf("curve %s is not supported", b.Key.Curve)
		}
		size := (curve.Params().BitSize + 7) / 8
		point := slices.Concat([]byte{4}, number(b.Key.X).FillBytes(make([]byte, size)), number(b.Key.Y).FillBytes(make([]byte, size))) // SEC 1, 2.3.3
		public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
		if err != nil {
			return nil, err
		}
		key = public
	default:
		return nil, fmt.Errorf("failed to get key. key type '%s' currently not supported", b.Key.Type)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// decodePKCS12 turns a certificate's secret into PEM, the key first.
func decodePKCS12(value string) (string, error) {
	der, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return "", err
	}
	key, cert, chain, err := pkcs12.DecodeChain(der, "")
	if err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	blocks := []pem.Block{{Type: "PRIVATE KEY", Bytes: private}, {Type: "CERTIFICATE", Bytes: cert.Raw}}
	for _, ca := range chain {
		blocks = append(blocks, pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})
	}
	for i := range blocks {
		_ = pem.Encode(&text, &blocks[i]) // a buffer takes it
	}
	return text.String(), nil
}

// ask requests an object with the workload's access token. Where a kept one is refused, as
// after a revocation, it is requested again with a new one.
func (m *Mount) ask(ctx context.Context, address string, into *bundle) error {
	kept := m.token.raw != ""
	status, err := m.send(ctx, address, into)
	if status == http.StatusUnauthorized {
		m.token = token{}
		if kept {
			_, err = m.send(ctx, address, into)
		}
	}
	return err
}

// send returns the status of the vault's answer, 0 if there is none.
func (m *Mount) send(ctx context.Context, address string, into *bundle) (status int, err error) {
	raw, err := m.accessToken(ctx)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"?api-version="+apiVersion, nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+raw)
	r.Header.Set("Accept", "application/json")
	return m.do(r, into)
}

// renewBefore is how long before its end an access token is no longer used. The provider
// asks for one at each look; here one is used as long as it lives and is not refused.
const renewBefore = 5 * time.Minute

// accessToken exchanges a service-account token, unless there is an access token; m.mu is
// held.
func (m *Mount) accessToken(ctx context.Context) (string, error) {
	if m.opts.Clock.Now().Before(m.token.expires.Add(-renewBefore)) {
		return m.token.raw, nil
	}
	assertion, err := m.opts.Assertion(ctx)
	if err != nil {
		return "", fmt.Errorf("failed to parse workload identity tokens, error: %w", err)
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {m.opts.ClientID}, "scope": {"https://" + m.opts.Cloud.Vault + "/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.opts.Cloud.Authority()+m.opts.Tenant+"/oauth2/v2.0/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var given struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	if _, err := m.do(r, &given); err != nil {
		return "", fmt.Errorf("ClientAssertionCredential authentication failed. \n%w\nTo troubleshoot, visit https://aka.ms/azsdk/go/identity/troubleshoot", err)
	}
	m.token = token{given.AccessToken, m.opts.Clock.Now().Add(time.Duration(given.ExpiresIn) * time.Second)}
	return m.token.raw, nil
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

// do sends a request, decodes the answer and returns its status. A refusal has the form of the Azure SDK's
// errors. azure-sdk-for-go: sdk/internal/exported/exported.go, azcore.ResponseError.
func (m *Mount) do(r *http.Request, into any) (status int, err error) {
	answer, err := m.opts.Transport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return answer.StatusCode, err
	}
	if answer.StatusCode == http.StatusOK {
		return answer.StatusCode, json.Unmarshal(body, into)
	}
	const line = "--------------------------------------------------------------------------------\n"
	var refusal struct {
		Error json.RawMessage `json:"error"`
	}
	var nested struct {
		Code string `json:"code"`
	}
	code := "ERROR CODE UNAVAILABLE\n"
	if json.Unmarshal(body, &refusal) == nil && json.Unmarshal(refusal.Error, &nested) == nil && nested.Code != "" {
		code = "ERROR CODE: " + nested.Code + "\n"
	}
	var shown bytes.Buffer
	if json.Indent(&shown, bytes.TrimSpace(body), "", "  ") != nil {
		shown.Write(body)
	}
	where := *r.URL
	where.RawQuery = ""
	return answer.StatusCode, &refusedRequest{fmt.Sprintf("%s %s\n%sRESPONSE %d: %s\n%s%s%s\n%s", r.Method, &where, line, answer.StatusCode, statusText(answer), code, line, shown.String(), strings.TrimSuffix(line, "\n"))}
}

// refusedRequest is an answer other than 200.
type refusedRequest struct{ text string }

func (e *refusedRequest) Error() string { return e.text }

// statusText is the status line's text, such as 403 Forbidden.
func statusText(answer *http.Response) string {
	if answer.Status != "" {
		return answer.Status
	}
	return fmt.Sprintf("%d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
}
