package externaljwt_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"k8s.io/externaljwt/apis/v1"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/externaljwt"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
)

const url = "https://local.oic.wiemu.test/a/b/"

// lab is an issuer whose tokens an API server makes.
type lab struct {
	clock   *clock.Lab
	journal *journals.Journal
	faults  *faults.Set
	ring    *keyring.Ring
	issuer  *issuer.Issuer
	socket  string
	signer  *externaljwt.Signer
	server  *apiServer
}

func start(t *testing.T, opts externaljwt.Options) *lab {
	t.Helper()
	l := &lab{clock: clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)), socket: filepath.Join(t.TempDir(), "signer.sock")}
	var err error
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l.journal, err = journals.New(l.clock, journals.Options{})
	must(err)
	l.faults = faults.New(l.clock, l.journal, 1)
	l.faults.SetIssuers(map[string]string{"local": url})
	pool, err := keyring.OpenPool("", keyring.PoolOptions{})
	must(err)
	t.Cleanup(func() { _ = pool.Close() })
	l.ring, err = keyring.New(t.Context(), l.clock, pool, keyring.Options{Name: "local", Issuer: url, Identify: issuer.KeyID, Journal: l.journal, Faults: l.faults})
	must(err)
	t.Cleanup(l.ring.Close)
	l.issuer, err = issuer.New(url, l.ring, l.clock, issuer.Options{Journal: l.journal, Faults: l.faults})
	must(err)
	l.signer, err = externaljwt.Start(l.socket, l.issuer, l.clock, opts)
	must(err)
	t.Cleanup(func() { _ = l.signer.Close(context.Background()) })
	l.server, err = connect(t, l.socket)
	must(err)
	return l
}

// token is a token of a service account as the API server makes it.
func (l *lab) token(t *testing.T, audience string) string {
	t.Helper()
	token, err := l.server.token(t.Context(), l.claims(audience))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (l *lab) claims(audience string) map[string]any {
	now := l.clock.Now().Unix()
	return map[string]any{
		"aud": []string{audience}, "exp": now + 3600, "iat": now, "nbf": now, "iss": url, "jti": "5d4d12a1-3c4b-4f6a-8b0d-0c9f6f8f0a11",
		"sub": "system:serviceaccount:shop:web-sa",
		"kubernetes.io": map[string]any{
			"namespace": "shop", "serviceaccount": map[string]any{"name": "web-sa", "uid": "u"},
			"pod": map[string]any{"name": "web-1", "uid": "p"}, "node": map[string]any{"name": "n", "uid": "nu"}, "warnafter": now + 3607,
		},
	}
}

// events are the journaled ones of a kind.
func (l *lab) events(kind journal.Kind) []journal.Event {
	return slices.DeleteFunc(l.journal.Events(), func(e journal.Event) bool { return e.Kind != kind })
}

func TestTokensAreSignedByTheIssuersKeyAndJournaled(t *testing.T) {
	l := start(t, externaljwt.Options{})
	token := l.token(t, "api://AzureADTokenExchange")
	header := part(t, token, 0)
	if want := `{"alg":"RS256","kid":"` + l.ring.Signing().ID + `","typ":"JWT"}`; header != want {
		t.Errorf("the header is %s, want %s", header, want)
	}
	if !verifies(t, token, l.ring.Signing().Private.Public()) {
		t.Error("the signature is not the signing key's")
	}
	minted := l.events(journal.Mint)
	if len(minted) != 1 {
		t.Fatalf("%d tokens are journaled, want one", len(minted))
	}
	e := minted[0]
	if e.Kid != l.ring.Signing().ID || e.JTI != "5d4d12a1-3c4b-4f6a-8b0d-0c9f6f8f0a11" || e.Subject != "system:serviceaccount:shop:web-sa" || e.Issuer != url ||
		e.Workload != "shop/web-sa" || !slices.Equal(e.Audience, []string{"api://AzureADTokenExchange"}) || e.Detail["pod"] != "web-1" ||
		e.ExpiresAt == nil || !e.ExpiresAt.Equal(l.clock.Now().Add(time.Hour)) || e.Outcome != journal.OK {
		t.Errorf("the journal says %+v", e)
	}
}

func TestARotationTakesEffectAtTheNextToken(t *testing.T) {
	l := start(t, externaljwt.Options{})
	before := l.token(t, "a")
	old := l.ring.Signing()
	key, err := l.ring.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after := l.token(t, "a")
	if kid(t, before) != old.ID || kid(t, after) != key.ID || old.ID == key.ID {
		t.Errorf("tokens by %s and %s, want %s and %s", kid(t, before), kid(t, after), old.ID, key.ID)
	}
	for _, token := range []string{before, after} {
		if err := l.server.authenticates(t.Context(), token); err != nil {
			t.Errorf("the API server refuses a token: %v", err)
		}
	}
	if err := l.ring.Remove(old.ID); err != nil {
		t.Fatal(err)
	}
	if err := l.server.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.server.authenticates(t.Context(), before); err == nil {
		t.Error("the API server takes a token whose key was removed")
	}
}

func TestKeysAreToldAsTheAPIServerWantsThem(t *testing.T) {
	l := start(t, externaljwt.Options{})
	l.clock.Advance(t.Context(), 90*time.Minute)
	if _, err := l.ring.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	response, err := l.server.client.FetchKeys(t.Context(), &v1.FetchKeysRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if response.RefreshHintSeconds != 1 || !response.DataTimestamp.AsTime().Equal(l.clock.Now()) {
		t.Errorf("keys of %v, to be asked for again after %d s; want those of %v, after one", response.DataTimestamp.AsTime(), response.RefreshHintSeconds, l.clock.Now())
	}
	published := l.ring.Published()
	if len(response.Keys) != 2 || len(published) != 2 {
		t.Fatalf("%d keys are told and %d published, want two", len(response.Keys), len(published))
	}
	for n, key := range response.Keys {
		public, err := x509.ParsePKIXPublicKey(key.Key)
		if err != nil || key.KeyId != published[n].ID || key.ExcludeFromOidcDiscovery || !published[n].Private.Public().(*rsa.PublicKey).Equal(public) {
			t.Errorf("key %d is told as %v %v, want %s", n, key, err, published[n].ID)
		}
	}
	meta, err := l.server.client.Metadata(t.Context(), &v1.MetadataRequest{})
	if err != nil || meta.MaxTokenExpirationSeconds != 24*3600 {
		t.Errorf("tokens may live %v %v, want 24 hours", meta, err)
	}
}

// What goes wrong with keys goes wrong with real tokens: the API server hands out
// whatever the signer gives it.
func TestFaultsOfKeysReachTokens(t *testing.T) {
	for _, row := range []struct {
		name  string
		fault fault.Fault
		look  func(t *testing.T, l *lab, old keyring.Key, token string)
	}{
		{"signed before it is published", fault.Fault{Name: faultkind.SignBeforePublish, Parameters: fault.Settings{"publish-after": "0s"}}, func(t *testing.T, l *lab, old keyring.Key, token string) {
			if _, published := l.ring.Key(kid(t, token)); published || kid(t, token) == old.ID {
				t.Errorf("signed by %s, which is published: %v", kid(t, token), published)
			}
			if err := l.server.authenticates(t.Context(), token); err != nil {
				t.Errorf("the cluster does not know its own key: %v", err)
			}
		}},
		{"the key before is gone too early", fault.Fault{Name: faultkind.RetireEarly}, func(t *testing.T, l *lab, old keyring.Key, token string) {
			if _, published := l.ring.Key(old.ID); published {
				t.Error("the old key is published still")
			}
		}},
		{"a key id of another key", fault.Fault{Name: faultkind.KidReused}, func(t *testing.T, l *lab, old keyring.Key, token string) {
			if kid(t, token) != old.ID || verifies(t, token, old.Private.Public()) {
				t.Errorf("kid %s, and the old key verifies: %v", kid(t, token), verifies(t, token, old.Private.Public()))
			}
		}},
		{"an EC key", fault.Fault{Name: faultkind.ECKeys}, func(t *testing.T, l *lab, old keyring.Key, token string) {
			if header := part(t, token, 0); !strings.HasPrefix(header, `{"alg":"ES256",`) {
				t.Errorf("the header is %s", header)
			}
			if err := l.server.authenticates(t.Context(), token); err != nil {
				t.Errorf("the API server refuses it: %v", err)
			}
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			l := start(t, externaljwt.Options{})
			row.fault.For = fault.Selector{Issuer: "local"}
			if _, err := l.faults.Inject(row.fault); err != nil {
				t.Fatal(err)
			}
			old := l.ring.Signing()
			if _, err := l.ring.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
			row.look(t, l, old, l.token(t, "a"))
		})
	}
}

func TestChaosRotatesTheKeyOfTheCluster(t *testing.T) {
	l := start(t, externaljwt.Options{})
	if _, err := l.faults.Inject(fault.Fault{Name: faultkind.IssuerKeyRotated, Parameters: fault.Settings{"ahead": "0s"}, When: fault.Limits{Count: 1}}); err != nil {
		t.Fatal(err)
	}
	if first, second := kid(t, l.token(t, "a")), kid(t, l.token(t, "a")); first == second {
		t.Errorf("both tokens are signed by %s", first)
	}
}

func TestKeysOfTokensInSecretsVerifyAndAreNotPublished(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sa.pub")
	l := start(t, externaljwt.Options{LegacyKeys: file})
	if keys := l.fetch(t); len(keys) != 1 {
		t.Errorf("%d keys before the cluster is made, want the issuer's alone", len(keys))
	}
	legacy := ecKey(t)
	writePublic(t, file, legacy.Public(), l.ring.Signing().Private.Public())
	keys := l.fetch(t)
	id, err := issuer.PublicKeyID(legacy.Public())
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 2 || keys[0].ExcludeFromOidcDiscovery || keys[1].KeyId != id || !keys[1].ExcludeFromOidcDiscovery {
		t.Errorf("%v, want the issuer's key, published though it is in the file, and %s, which is not", keys, id)
	}
	l.token(t, "a") // the signing key is not taken for an old one

	for _, broken := range []string{"", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		if err := os.WriteFile(file, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := l.server.client.FetchKeys(t.Context(), &v1.FetchKeysRequest{}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%q in the file: %v", broken, err)
		}
	}
}

func TestWhatCannotBeSigned(t *testing.T) {
	l := start(t, externaljwt.Options{})
	other := l.claims("a")
	other["iss"] = "https://kubernetes.default.svc.cluster.local"
	for name, row := range map[string]struct{ claims, want string }{
		"no base64":          {"{}", "expected base64url"},
		"padded base64":      {base64.URLEncoding.EncodeToString([]byte(`{"iss":"a"}`)), "expected base64url"},
		"no claims":          {base64.RawURLEncoding.EncodeToString([]byte(`[]`)), "expected those of a service-account token"},
		"of another issuer":  {encode(t, other), `expected ` + url + `, whose signer this is, found "https://kubernetes.default.svc.cluster.local"`},
		"nothing whatsoever": {"", "expected those of a service-account token"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := l.server.client.Sign(t.Context(), &v1.SignJWTRequest{Claims: row.claims}); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
	if minted := l.events(journal.Mint); len(minted) > 0 {
		t.Errorf("journaled as minted: %+v", minted)
	}
}

func TestTheSocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("API servers do not run on Windows")
	}
	l := start(t, externaljwt.Options{})
	if info, err := os.Stat(l.socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v %v, want 0600", info.Mode(), err)
	}
	if _, err := externaljwt.Start(l.socket, l.issuer, l.clock, externaljwt.Options{}); err == nil || !strings.Contains(err.Error(), "another process listens on it") {
		t.Errorf("a second signer: %v", err)
	}
	if err := l.signer.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(l.socket); !os.IsNotExist(err) {
		t.Errorf("it is left behind: %v", err)
	}

	stale, err := net.Listen("unix", l.socket) // of a process that was killed
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := externaljwt.Start(l.socket, l.issuer, l.clock, externaljwt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l.token(t, "a") // by the same connection: the API server finds the signer again
	if err := again.Close(t.Context()); err != nil {
		t.Error(err)
	}

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := externaljwt.Start(file, l.issuer, l.clock, externaljwt.Options{}); err == nil || !strings.Contains(err.Error(), "expected a socket, or nothing") {
		t.Errorf("a file in its place: %v", err)
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != "precious" {
		t.Errorf("the file holds %q %v", data, err)
	}
}

// apiServer is what kube-apiserver does with a signer.
// Kubernetes 1.37: pkg/serviceaccount/externaljwt/plugin/{plugin,keycache}.go
type apiServer struct {
	client v1.ExternalJWTSignerClient
	keys   map[string]*v1.Key
}

func connect(t *testing.T, socket string) (*apiServer, error) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)), grpc.WithContextDialer(func(ctx context.Context, path string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}))
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &apiServer{client: v1.NewExternalJWTSignerClient(conn)}
	return s, s.sync(t.Context())
}

// sync is getTokenVerificationKeys.
func (s *apiServer) sync(ctx context.Context) error {
	response, err := s.client.FetchKeys(ctx, &v1.FetchKeysRequest{})
	switch {
	case err != nil:
		return err
	case response.RefreshHintSeconds <= 0:
		return fmt.Errorf("found invalid refresh hint (%ds)", response.RefreshHintSeconds)
	case len(response.Keys) == 0:
		return errors.New("found no keys")
	case response.DataTimestamp.CheckValid() != nil:
		return fmt.Errorf("invalid data timestamp: %w", response.DataTimestamp.CheckValid())
	}
	s.keys = map[string]*v1.Key{}
	for _, key := range response.Keys {
		if len(key.KeyId) == 0 || len(key.KeyId) > 1024 {
			return fmt.Errorf("found invalid public key id %q", key.KeyId)
		}
		if _, err := x509.ParsePKIXPublicKey(key.Key); err != nil {
			return fmt.Errorf("while parsing external public keys: %w", err)
		}
		s.keys[key.KeyId] = key
	}
	return nil
}

// find is GetPublicKeys: an unknown id makes it ask again.
func (s *apiServer) find(ctx context.Context, id string) (*v1.Key, error) {
	if key, ok := s.keys[id]; ok {
		return key, nil
	}
	err := s.sync(ctx)
	return s.keys[id], err
}

// token is signAndAssembleJWT.
func (s *apiServer) token(ctx context.Context, claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	encoded := base64.RawURLEncoding.EncodeToString(payload)
	response, err := s.client.Sign(ctx, &v1.SignJWTRequest{Claims: encoded})
	if err != nil {
		return "", err
	}
	raw, err := base64.RawURLEncoding.DecodeString(response.Header)
	if err != nil {
		return "", fmt.Errorf("while unwrapping header: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var header struct {
		Algorithm string `json:"alg,omitempty"`
		KeyID     string `json:"kid,omitempty"`
		Type      string `json:"typ,omitempty"`
	}
	if err := decoder.Decode(&header); err != nil {
		return "", fmt.Errorf("while parsing header JSON: %w", err)
	}
	switch {
	case header.Type != "JWT":
		return "", errors.New("bad type")
	case header.KeyID == "" || len(header.KeyID) > 1024:
		return "", errors.New("key id missing or longer than 1 kb")
	case !slices.Contains([]string{"RS256", "ES256", "ES384", "ES512"}, header.Algorithm):
		return "", fmt.Errorf("bad signing algorithm %q", header.Algorithm)
	case response.Signature == "":
		return "", errors.New("empty signature returned")
	}
	key, err := s.find(ctx, header.KeyID)
	if err != nil {
		return "", err
	}
	if key != nil && key.ExcludeFromOidcDiscovery {
		return "", fmt.Errorf("key used for signing JWT (kid: %s) is excluded from OIDC discovery docs", header.KeyID)
	}
	return response.Header + "." + encoded + "." + response.Signature, nil
}

// authenticates checks a token's signature as the API server's authenticator does.
func (s *apiServer) authenticates(ctx context.Context, token string) error {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return err
	}
	key, err := s.find(ctx, signed.Signatures[0].Header.KeyID)
	if err != nil {
		return err
	}
	if key == nil {
		return errors.New("invalid signature, no keys found")
	}
	public, err := x509.ParsePKIXPublicKey(key.Key)
	if err != nil {
		return err
	}
	_, err = signed.Verify(public)
	return err
}

func (l *lab) fetch(t *testing.T) []*v1.Key {
	t.Helper()
	response, err := l.server.client.FetchKeys(t.Context(), &v1.FetchKeysRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return response.Keys
}

func encode(t *testing.T, claims map[string]any) string {
	t.Helper()
	data, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

func part(t *testing.T, token string, n int) string {
	t.Helper()
	data, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[n])
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func kid(t *testing.T, token string) string {
	t.Helper()
	var header struct{ Kid string }
	if err := json.Unmarshal([]byte(part(t, token, 0)), &header); err != nil {
		t.Fatal(err)
	}
	return header.Kid
}

// verifies reports whether an RSA key has signed the token.
func verifies(t *testing.T, token string, key crypto.PublicKey) bool {
	t.Helper()
	last := strings.LastIndex(token, ".")
	sum := sha256.Sum256([]byte(token[:last]))
	return rsa.VerifyPKCS1v15(key.(*rsa.PublicKey), crypto.SHA256, sum[:], []byte(part(t, token, 2))) == nil
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePublic(t *testing.T, file string, keys ...crypto.PublicKey) {
	t.Helper()
	var data []byte
	for _, key := range keys {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		data = append(data, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
