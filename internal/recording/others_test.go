package recording_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
)

const application = "11111111-2222-4333-8444-555555555555"

// open is a recorded lab of a configuration in a folder.
func open(t *testing.T, o server.Options) *recorded {
	t.Helper()
	o.Keys, o.Clock = pool.Lease(), clock.Stopped(start)
	started, recorder, err := recording.Start(t.Context(), session.Options{Emulator: o}, nil, recording.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return &recorded{T: t, lab: started, recorder: recorder, env: session.PodEnv{TenantID: config.DefaultTenant}, control: &control.Client{URL: started.Emulator().ControlURL(), Token: started.Emulator().Token()}}
}

// The keys of an issuer outside are nobody's here. A replay has others in their
// place, needs no network, and comes to the same.
func TestIssuersOutsideReplay(t *testing.T) {
	const url1 = "https://token.actions.example"
	there, err := server.Start(t.Context(), server.Options{Config: config.Config{Issuers: []config.Issuer{{Name: "there", URL: url1}}}, Options: lab.Options{Keys: pool.Lease(), Clock: clock.Stopped(start)}, InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close(t.Context())
	from := there.Issuers()[0]
	from.PutServiceAccount("ns", "job", nil)
	mint := func() string {
		token, err := from.Mint(t.Context(), issuer.TokenRequest{Namespace: "ns", ServiceAccount: "job", Audiences: []string{cloud.Public().TokenExchange}})
		if err != nil {
			t.Fatal(err)
		}
		return token.Raw
	}
	s := open(t, server.Options{Options: lab.Options{Outside: there.Transport()}, Config: config.Config{
		Issuers: []config.Issuer{{Name: "there", URL: url1, External: true}},
		Applications: []config.Application{{Principal: config.Principal{Name: "job", ClientID: application,
			FederatedCredentials: &[]config.FederatedCredential{{Name: "job", Issuer: "there", Subject: "system:serviceaccount:ns:job"}}}}},
	}})
	first := mint()
	access, answer := s.exchange(url.Values{"client_id": {application}, "client_assertion": {first}})
	if access == "" {
		t.Fatal(answer)
	}
	parts := strings.Split(first, ".")
	forged := parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 256))
	s.exchange(url.Values{"client_id": {application}, "client_assertion": {forged}})
	ring, err := there.KeyRing("there")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := mint()
	s.advance("10m") // until it is asked for unknown keys again
	if access, answer := s.exchange(url.Values{"client_id": {application}, "client_assertion": {second}}); access == "" {
		t.Fatal(answer)
	}
	text := s.written()
	for _, secret := range []string{parts[2], second[strings.LastIndexByte(second, '.')+1:]} {
		if strings.Contains(text, secret) {
			t.Error("the signature is in the file")
		}
	}
	if n := strings.Count(text, `"signedBy": "outside `); n != 2 {
		t.Errorf("%d tokens signed by keys outside, want 2", n)
	}
	result := replay(t, text)
	wantSame(t, result)
	if len(result.Refusals) != 1 || result.Refusals["AADSTS700027"] != 1 {
		t.Errorf("refusals %v", result.Refusals)
	}
}

// What curl -F sends is a form, too: its secrets stay out of the file.
func TestFormsInPartsReplay(t *testing.T) {
	s := open(t, server.Options{Config: config.Config{Applications: []config.Application{{
		Principal: config.Principal{Name: "daemon", ClientID: application}, Secrets: []config.Secret{{Value: "its own~secret"}},
	}}}})
	send := func(secret string) string {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for _, field := range [][2]string{{"grant_type", "client_credentials"}, {"client_id", application}, {"scope", "https://vault.azure.net/.default"}, {"client_secret", secret}} {
			if err := w.WriteField(field[0], field[1]); err != nil {
				t.Fatal(err)
			}
		}
		_ = w.Close() // a buffer takes everything
		r, err := http.NewRequest(http.MethodPost, "https://login.microsoftonline.com/"+s.env.TenantID+"/oauth2/v2.0/token", &body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", w.FormDataContentType())
		_, text := s.do(r)
		return text
	}
	if answer := send("its own~secret"); !strings.Contains(answer, "access_token") {
		t.Fatal(answer)
	}
	if answer := send("somebody else's+secret"); !strings.Contains(answer, "AADSTS7000215") {
		t.Fatal(answer)
	}
	text := s.written()
	for _, secret := range []string{"own~secret", "somebody else"} {
		if strings.Contains(text, secret) {
			t.Errorf("the secret %q is in the file", secret)
		}
	}
	wantSame(t, replay(t, text))
}

// A client certificate's key is the client's. A replay has another certificate in
// its place.
func TestClientCertificatesReplay(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "daemon"}, NotBefore: start.AddDate(0, -1, 0), NotAfter: start.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "daemon.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "conf")
	if err := os.Mkdir(conf, 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, server.Options{Options: lab.Options{ConfigFile: filepath.Join(conf, "wiemu.yaml")}, Config: config.Config{Applications: []config.Application{{
		Principal: config.Principal{Name: "daemon", ClientID: application}, Certificates: []config.Certificate{{File: "../daemon.pem"}},
	}}}})
	thumbprint := sha1.Sum(der)
	sign := func(x5c bool) string {
		header := map[string]any{"alg": "RS256", "typ": "JWT", "x5t": base64.RawURLEncoding.EncodeToString(thumbprint[:])}
		if x5c {
			header["x5c"] = []string{base64.StdEncoding.EncodeToString(der)}
		}
		now := s.lab.Clock().Now().Unix()
		claims, _ := json.Marshal(map[string]any{
			"aud": "https://login.microsoftonline.com/" + config.DefaultTenant + "/oauth2/v2.0/token", "iss": application, "sub": application, "jti": fmt.Sprint("own-", now), "nbf": now, "exp": now + 600,
		})
		text, _ := json.Marshal(header)
		token, err := keyring.Key{ID: "own", Private: key}.Sign(string(text), claims)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for _, x5c := range []bool{false, true} {
		if access, answer := s.exchange(url.Values{"client_id": {application}, "client_assertion": {sign(x5c)}}); access == "" {
			t.Fatal(answer)
		}
	}
	// As MSAL for Go signs, and azure-identity for Python.
	long := sha256.Sum256(der)
	own := func(name string) []byte {
		claims, _ := json.Marshal(map[string]any{
			"aud": "https://login.microsoftonline.com/" + config.DefaultTenant + "/oauth2/v2.0/token", "iss": application, "sub": application, "jti": name, "exp": s.lab.Clock().Now().Unix() + 600,
		})
		return claims
	}
	header, _ := json.Marshal(map[string]any{"alg": "PS256", "typ": "JWT", "x5t#S256": base64.StdEncoding.EncodeToString(long[:])})
	pss, err := keyring.Key{ID: "own", Private: key}.SignPSS(string(header), own("pss"))
	if err != nil {
		t.Fatal(err)
	}
	header, _ = json.Marshal(map[string]any{"alg": "RS256", "typ": "JWT", "x5t": base64.URLEncoding.EncodeToString(thumbprint[:])})
	padded := base64.URLEncoding.EncodeToString(header) + "." + base64.URLEncoding.EncodeToString(own("padded!"))
	digest := sha256.Sum256([]byte(padded))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	padded += "." + base64.URLEncoding.EncodeToString(signature)
	for _, assertion := range []string{pss, padded} {
		if access, answer := s.exchange(url.Values{"client_id": {application}, "client_assertion": {assertion}}); access == "" {
			t.Fatal(answer)
		}
	}
	s.advance("2h")
	if access, _ := s.exchange(url.Values{"client_id": {application}, "client_assertion": {sign(false)}}); access != "" {
		t.Error("a certificate that has expired was taken")
	}
	text := s.written()
	if n := strings.Count(text, `"signedBy": "certificate 1"`); n != 5 {
		t.Errorf("%d tokens signed with the certificate, want 5", n)
	}
	for _, sent := range []string{pss, padded} {
		if strings.Contains(text, sent[strings.LastIndexByte(sent, '.')+1:]) {
			t.Error("a signature is in the file")
		}
	}
	result := replay(t, text)
	wantSame(t, result)
	if len(result.Refusals) != 1 {
		t.Errorf("refusals %v", result.Refusals)
	}
	if t.Failed() {
		t.Log(text)
	}
}
