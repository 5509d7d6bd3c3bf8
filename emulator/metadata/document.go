package metadata

import (
	"cmp"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/url"
	"slices"
	"strings"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // refuses duplicate members, unlike encoding/json
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

// parseKey reads a key, or says why it verifies nothing.
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

// largeKey reads an RSA key that is larger than go-jose reads.
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
