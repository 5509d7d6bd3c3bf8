package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// Keys sign the assertions: the issuer's own, and one that it does not publish.
type Keys struct{ own, other *rsa.PrivateKey }

// keyID is what the issuer calls its key.
const keyID = "key-1"

func newKeys() (Keys, error) {
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Keys{}, err
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	return Keys{own, other}, err
}

// request is the one that a case describes, to a server at base.
func (t Table) request(c Case, base string, keys Keys, now time.Time) (*http.Request, error) {
	form := url.Values{}
	switch c.Base {
	case "federated":
		assertion, err := t.assertion(c, keys, now)
		if err != nil {
			return nil, err
		}
		form = url.Values{
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
			"client_id": {t.Variables["app"]}, "grant_type": {"client_credentials"}, "scope": {"https://graph.microsoft.com/.default"},
		}
	case "secret":
		form = url.Values{
			"client_id": {t.Variables["app"]}, "client_secret": {t.Variables["secret"]}, "grant_type": {"client_credentials"},
			"scope": {"https://graph.microsoft.com/.default"},
		}
	}
	for name, value := range c.Form {
		form.Del(name)
		if value != nil {
			form.Set(name, t.fill(*value))
		}
	}
	method, path := http.MethodPost, "/{tenant}/oauth2/v2.0/token"
	if c.Method != "" {
		method = c.Method
	}
	if c.Path != "" {
		path = c.Path
	}
	var body *strings.Reader
	if method == http.MethodPost {
		body = strings.NewReader(form.Encode())
	} else {
		body = strings.NewReader("")
	}
	r, err := http.NewRequest(method, base+t.fill(path), body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range c.Header {
		r.Header.Set(name, t.fill(value))
	}
	return r, nil
}

// assertion is a token as a cluster mints it, with what the case changes.
func (t Table) assertion(c Case, keys Keys, now time.Time) (string, error) {
	claims := map[string]any{
		"iss": t.Variables["issuer"], "sub": t.Variables["subject"], "aud": []string{t.Variables["audience"]}, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	for name, offset := range c.Times {
		claims[name] = now.Add(offset).Unix()
	}
	change(claims, c.Assertion, t)
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	header := map[string]any{"kid": keyID}
	change(header, c.Jose, t)
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	key := keys.own
	if c.Key == "other" {
		key = keys.other
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, options)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	token, err := signed.CompactSerialize()
	if c.Quote {
		token = `"` + token + `"`
	}
	return token, err
}

// change sets members, and takes those away that are null.
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
			_ = json.NewEncoder(w).Encode(value) // the client is gone: nobody to tell
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
