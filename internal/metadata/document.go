package metadata

import (
	"cmp"
	"context"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // refuses duplicate members, unlike encoding/json

	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

// place is where keys are found: behind an issuer's discovery document, or at
// the address of a JWKS. Exactly one of the two is set.
type place struct{ issuer, jwks string }

func (p place) String() string { return p.issuer + p.jwks }

// first is the address that is read first. The document's address is made from
// the issuer without its trailing slash. Source: OpenID Connect Discovery 1.0 §4.1.
func (p place) first() string {
	if p.issuer == "" {
		return p.jwks
	}
	return strings.TrimSuffix(p.issuer, "/") + "/.well-known/openid-configuration"
}

// document is the part of a discovery document that is looked at. Pointers tell
// "left out" from "empty".
type document struct {
	Issuer        string   `json:"issuer"`
	JWKS          string   `json:"jwks_uri"`
	Authorization *string  `json:"authorization_endpoint"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
}

// parseDocument reads a discovery document as strictly as Entra ID does, which
// refused SPIRE's with an empty authorization_endpoint and no subject type, and
// accepts a kube-apiserver's, which has no authorization_endpoint at all.
func parseDocument(data []byte, issuer string) (document, error) {
	var d document
	if err := json.Unmarshal(data, &d); err != nil {
		return document{}, fmt.Errorf("the discovery document is not valid: %w", err)
	}
	var found []error
	for _, rule := range []struct {
		kept bool
		says string
	}{
		{d.Issuer == issuer, fmt.Sprintf("issuer must be %q exactly, it is %q", issuer, d.Issuer)},
		{isHTTPS(d.JWKS), fmt.Sprintf("jwks_uri must be an https address, it is %q", d.JWKS)},
		{d.Authorization == nil || *d.Authorization != "", "authorization_endpoint must not be empty; leave it out"},
		{len(d.ResponseTypes) > 0, "response_types_supported must name at least one type"},
		{len(d.SubjectTypes) > 0, "subject_types_supported must name at least one type"},
		{len(d.Algorithms) > 0, "id_token_signing_alg_values_supported must name at least one algorithm"},
	} {
		if !rule.kept {
			found = append(found, errors.New(rule.says))
		}
	}
	if len(found) > 0 {
		return document{}, fmt.Errorf("the discovery document is not valid: %w", errors.Join(found...))
	}
	return d, nil
}

func isHTTPS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.User == nil && u.Fragment == ""
}

// unusable is a key of a JWKS that verifies nothing, and why.
type unusable struct{ id, why string }

// parseKeys reads a JWKS. Keys of unknown kinds and keys that are not for verifying
// are left out, as RFC 7517 §5 asks, with the reason; secret keys are left out because
// they have no place there.
func parseKeys(data []byte) (keys []jose.JSONWebKey, left []unusable, err error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, nil, fmt.Errorf("the key set is not valid: %w", err)
	}
	if set.Keys == nil {
		return nil, nil, errors.New(`the key set is not valid: it has no member "keys"`)
	}
	for _, raw := range *set.Keys {
		key, why := parseKey(raw)
		if why != "" {
			left = append(left, unusable{key.KeyID, why})
			continue
		}
		keys = append(keys, key)
	}
	return keys, left, nil
}

// maxModulus is the largest RSA key that is read, in bits: as in .NET, which Entra ID
// runs on (RSACryptoServiceProvider: 16,384; inferred, no limit is documented). What
// size an assertion may be signed with is Entra ID's check.
const maxModulus = 16384

func parseKey(raw json.RawMessage) (key jose.JSONWebKey, why string) {
	var about struct {
		Kind       string    `json:"kty"`
		ID         string    `json:"kid"`
		Use        string    `json:"use"`
		Operations *[]string `json:"key_ops"`
		Algorithm  string    `json:"alg"`
		Modulus    string    `json:"n"`
		Exponent   string    `json:"e"`
		Private    string    `json:"d"`
	}
	if err := json.Unmarshal(raw, &about); err != nil {
		return key, "it is not valid: " + err.Error()
	}
	err := key.UnmarshalJSON(raw)
	if err != nil && about.Kind == "RSA" && about.Private == "" { // go-jose takes up to jose.MaxRSAModulusBits
		if large, ok := largeKey(about.Modulus, about.Exponent); ok {
			key, err = jose.JSONWebKey{Key: large, KeyID: about.ID, Use: about.Use, Algorithm: about.Algorithm}, nil
		}
	}
	key.KeyID = about.ID
	switch {
	case err != nil:
		return key, fmt.Sprintf("it is no key that wiemu knows (kty %s, alg %s): %v", cmp.Or(about.Kind, "none"), cmp.Or(about.Algorithm, "none"), err)
	case !key.IsPublic():
		return key, "it is not a public key"
	case about.Use != "" && about.Use != "sig": // RFC 7517 §4.2; Microsoft.IdentityModel passes over these, too: JsonWebKeySet.GetSigningKeys
		return key, fmt.Sprintf("its use is %q, not sig", about.Use)
	case about.Operations != nil && !slices.Contains(*about.Operations, "verify"): // RFC 7517 §4.3
		return key, fmt.Sprintf("its key_ops are %q, without verify", *about.Operations)
	}
	return key, ""
}

func largeKey(modulus, exponent string) (*rsa.PublicKey, bool) {
	n, err := base64.RawURLEncoding.DecodeString(modulus)
	if err != nil {
		return nil, false
	}
	e, err := base64.RawURLEncoding.DecodeString(exponent)
	if err != nil {
		return nil, false
	}
	key := rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e[:min(len(e), 4)]).Int64())}
	bits := key.N.BitLen()
	return &key, len(e) <= 4 && key.E >= 3 && key.E <= math.MaxInt32 && key.E&1 == 1 && bits > jose.MaxRSAModulusBits && bits <= maxModulus && key.N.Bit(0) == 1
}

// KeySet is the keys that an issuer published at one moment. It is never
// changed; share it freely.
type KeySet struct {
	URL       string    // of the JWKS
	FetchedAt time.Time // lab time

	hits []faults.Hit      // faults that made it what it is
	keys []jose.JSONWebKey // public signing keys, in the order of the document
	left []unusable        // the other keys of the document
}

// Key returns the key with an id. A kid is an opaque name: it is compared, never
// opened, resolved or followed.
func (k KeySet) Key(id string) (jose.JSONWebKey, bool) {
	for _, key := range k.keys {
		if key.KeyID == id {
			return key, true
		}
	}
	return jose.JSONWebKey{}, false
}

// IDs returns the key ids in the order of the document.
func (k KeySet) IDs() []string {
	ids := make([]string, len(k.keys))
	for i, key := range k.keys {
		ids[i] = key.KeyID
	}
	return ids
}

// without says that a key is not there, and if the document has one of that id, why it
// does not count.
func (k KeySet) without(at place, id string) error {
	for _, key := range k.left {
		if key.id == id {
			return fmt.Errorf("%s: key %q: %w; it is in the key set, and verifies nothing: %s", at, id, ErrNoSuchKey, key.why)
		}
	}
	return fmt.Errorf("%s: key %q: %w; it has %s", at, id, ErrNoSuchKey, k.list())
}

func (k KeySet) list() string {
	if len(k.keys) == 0 {
		return "no usable key"
	}
	return strings.Join(k.IDs(), ", ")
}

func (s *Source) read(ctx context.Context, at place) (KeySet, error) {
	// Its age counts from before it was asked for, not from its arrival (RFC 9111
	// §4.2.3): the issuer may have changed its keys meanwhile.
	found := KeySet{URL: at.jwks, FetchedAt: s.clock.Now()}
	by := s.access(at).Transport
	if at.issuer != "" {
		data, err := s.get(ctx, s.opts.Faults.Documents(faultkind.AtDiscovery, at.issuer, by), at.first())
		if err != nil {
			return KeySet{}, err
		}
		d, err := parseDocument(data, at.issuer)
		if err != nil {
			return KeySet{}, err
		}
		found.URL = d.JWKS
	}
	data, err := s.get(ctx, s.opts.Faults.Documents(faultkind.AtJWKS, at.issuer, by), found.URL)
	if err != nil {
		return KeySet{}, err
	}
	if found.keys, found.left, err = parseKeys(data); err != nil {
		return KeySet{}, err
	}
	return found, nil
}

// get reads one document: https, one answer of status 200, not too big, not too
// slow. It talks to the transport itself, so there are no redirects and no
// cookies.
func (s *Source) get(ctx context.Context, by http.RoundTripper, address string) ([]byte, error) {
	if by == nil {
		return nil, errors.New("there is no network to reach issuers by")
	}
	if !isHTTPS(address) {
		return nil, fmt.Errorf("%q is not an https address", address)
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Timeout) // machine time: it bounds input and output
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	// An API server answers 406 to requests for its keys that do not accept the second.
	request.Header.Set("Accept", "application/json, application/jwk-set+json")
	response, err := by.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", address, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		if to := response.Header.Get("Location"); to != "" {
			return nil, fmt.Errorf("GET %s: status %d to %s; redirects are not followed", address, response.StatusCode, to)
		}
		return nil, fmt.Errorf("GET %s: status %d, expected 200", address, response.StatusCode)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, s.opts.MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("GET %s: read the answer: %w", address, err)
	}
	if int64(len(data)) > s.opts.MaxBytes {
		return nil, fmt.Errorf("GET %s: the answer is longer than %d bytes", address, s.opts.MaxBytes)
	}
	return data, nil
}
