package main

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // x5t is SHA-1 by definition: RFC 7515 §4.1.7
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

func (t Table) request(c Case, base string, keys Keys, now time.Time) (*http.Request, error) {
	form, err := t.form(c, keys, now)
	if err != nil {
		return nil, err
	}
	method, path := cmp.Or(c.Method, http.MethodPost), cmp.Or(c.Path, "/{tenant}/oauth2/v2.0/token")
	body, contentType := form.Encode(), "application/x-www-form-urlencoded"
	switch {
	case c.Multipart:
		if body, contentType, err = inParts(form); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
	case c.Body != "":
		body = t.fill(c.Body)
	case method != http.MethodPost:
		body = ""
	}
	r, err := http.NewRequest(method, base+t.fill(path), strings.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", contentType)
	}
	for name, value := range c.Header {
		r.Header.Set(name, t.fill(value))
	}
	return r, nil
}

// form is the good one that a case starts from, with what it changes.
func (t Table) form(c Case, keys Keys, now time.Time) (url.Values, error) {
	form := url.Values{}
	switch c.Base {
	case "federated", "certificate":
		assertion, err := t.assertion(c, keys, now)
		if err != nil {
			return nil, err
		}
		form = url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
			"client_id": {t.Variables["app"]}, "grant_type": {"client_credentials"}, "scope": {"https://graph.microsoft.com/.default"},
		}
		if c.Base == "certificate" {
			form.Set("client_id", t.Variables["signer"])
		}
	case "secret":
		form = t.withSecret("https://graph.microsoft.com/.default")
	}
	for name, value := range c.Form {
		form.Del(name)
		if value != nil {
			form.Set(name, t.fill(*value))
		}
	}
	return form, nil
}

func (t Table) withSecret(scope string) url.Values {
	return url.Values{
		"client_id": {t.Variables["app"]}, "client_secret": {t.Variables["secret"]}, "grant_type": {"client_credentials"}, "scope": {scope},
	}
}

// inParts is a form as curl -F sends it.
func inParts(form url.Values) (body, contentType string, err error) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for name := range form {
		if err := w.WriteField(name, form.Get(name)); err != nil {
			return "", "", err
		}
	}
	err = w.Close()
	return b.String(), w.FormDataContentType(), err
}

// bearer gets an access token for a scope, as the app with its secret.
func (t Table) bearer(client *http.Client, base, scope string) (string, error) {
	resp, err := client.PostForm(base+t.fill("/{tenant}/oauth2/v2.0/token"), t.withSecret(t.fill(scope)))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var reply struct {
		AccessToken string `json:"access_token"`
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(text, &reply)
	}
	if err != nil || reply.AccessToken == "" {
		return "", fmt.Errorf("get a token for %s: %w: %s", scope, err, text)
	}
	return reply.AccessToken, nil
}

// assertion is a token as a cluster mints it, or one that the client signs itself,
// with what the case changes.
func (t Table) assertion(c Case, keys Keys, now time.Time) (string, error) {
	claims := map[string]any{
		"iss": t.Variables["issuer"], "sub": t.Variables["subject"], "aud": []string{t.Variables["audience"]}, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	header := map[string]any{"kid": keyID}
	if c.Base == "certificate" {
		claims = map[string]any{
			"iss": t.Variables["signer"], "sub": t.Variables["signer"], "aud": t.fill("https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"), "jti": rand.Text(),
			"nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		}
		header = map[string]any{"typ": "JWT", "x5t": t.Variables["thumbprint"]}
	}
	for name, offset := range c.Times {
		claims[name] = now.Add(offset).Unix()
	}
	header["alg"] = cmp.Or(c.Alg, "RS256")
	change(claims, c.Assertion, t)
	change(header, c.Jose, t)
	key := keys.own
	if c.Key == "other" {
		key = keys.other
	}
	token, err := sign(header, claims, key, c)
	if c.Quote {
		token = `"` + token + `"`
	}
	return token, err
}

// sign makes a compact JWS by hand: a library would not pad it, nor sign what is
// wrong on purpose.
func sign(header, claims map[string]any, key *rsa.PrivateKey, c Case) (string, error) {
	encoding := base64.RawURLEncoding
	if c.Pad {
		encoding = base64.URLEncoding
	}
	var parts []string
	for _, part := range []any{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			return "", err
		}
		parts = append(parts, encoding.EncodeToString(text))
	}
	signed := strings.Join(parts, ".")
	digest := sha256.Sum256([]byte(signed))
	var signature []byte
	var err error
	if c.Alg == "PS256" {
		signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	} else {
		signature, err = rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	}
	return signed + "." + encoding.EncodeToString(signature), err
}

func change(members, by map[string]any, t Table) {
	for name, value := range by {
		delete(members, name)
		if value != nil {
			members[name] = t.fillAny(value)
		}
	}
}

// issuer publishes the keys, as a cluster's does, below the path of its URL.
func (t Table) issuer(keys Keys) (http.Handler, error) {
	at, err := url.Parse(t.Variables["issuer"])
	if err != nil {
		return nil, fmt.Errorf("variable issuer: %w", err)
	}
	path := strings.TrimSuffix(at.Path, "/")
	answer := func(value any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(value) // an error means that the client is gone
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET "+path+"/.well-known/openid-configuration", answer(map[string]any{
		"issuer": t.Variables["issuer"], "jwks_uri": strings.TrimSuffix(t.Variables["issuer"], "/") + "/openid/v1/jwks",
		"response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"RS256"},
	}))
	mux.Handle("GET "+path+"/openid/v1/jwks", answer(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: &keys.own.PublicKey, KeyID: keyID, Algorithm: "RS256", Use: "sig"},
	}}))
	return mux, nil
}

// Keys sign the assertions: the issuer's own, and one that it does not publish.
type Keys struct{ own, other *rsa.PrivateKey }

const keyID = "key-1"

func newKeys() (Keys, error) {
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Keys{}, err
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	return Keys{own, other}, err
}

// certify writes the signer's certificates into dir, all of the own key: one that
// is valid, one that has expired, and one that is not valid yet. It returns the
// variables that name the files and their hashes.
func (k Keys) certify(dir string, now time.Time) (map[string]string, error) {
	variables := map[string]string{}
	for i, c := range []struct {
		name     string
		from, to time.Duration
	}{{"", -24 * time.Hour, 24 * time.Hour}, {"expired-", -48 * time.Hour, -24 * time.Hour}, {"future-", 24 * time.Hour, 48 * time.Hour}} {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: "signer"}, NotBefore: now.Add(c.from), NotAfter: now.Add(c.to)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, k.own.Public(), k.own)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, c.name+"certificate.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			return nil, err
		}
		short, long := sha1.Sum(der), sha256.Sum256(der)
		for name, value := range map[string]string{
			"certificate": file, "der": base64.StdEncoding.EncodeToString(der), "hex": strings.ToUpper(hex.EncodeToString(short[:])),
			"thumbprint": base64.RawURLEncoding.EncodeToString(short[:]), "thumbprint-padded": base64.URLEncoding.EncodeToString(short[:]),
			"thumbprint-base64": base64.StdEncoding.EncodeToString(short[:]), "thumbprint-sha256": base64.RawURLEncoding.EncodeToString(long[:]),
			"thumbprint-sha256-base64": base64.StdEncoding.EncodeToString(long[:]),
		} {
			variables[c.name+name] = value
		}
	}
	return variables, nil
}
