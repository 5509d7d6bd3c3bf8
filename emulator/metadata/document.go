package metadata

import (
	"errors"
	"fmt"
	"net/url"
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

// parseKeys reads a JWKS. Keys of unknown kinds and keys for encryption are left
// out, as RFC 7517 §5 asks; secret keys are left out because they have no place
// there.
func parseKeys(data []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("the key set is not valid: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New(`the key set is not valid: it has no member "keys"`)
	}
	var keys []jose.JSONWebKey
	for _, raw := range *set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) != nil || !key.IsPublic() || key.Use == "enc" {
			continue
		}
		keys = append(keys, key)
	}
	return keys, nil
}
