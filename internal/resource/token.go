package resource

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // refuses duplicate members, unlike encoding/json
)

// maxToken is the longest token that is parsed, in bytes. Real ones stay below 8 KiB;
// web servers refuse longer headers.
const maxToken = 32 << 10

type claims struct {
	Issuer    string   `json:"iss"`
	Audience  audience `json:"aud"`
	Tenant    string   `json:"tid"`
	Version   string   `json:"ver"`
	ObjectID  string   `json:"oid"`
	AppID     string   `json:"appid"` // v1
	AZP       string   `json:"azp"`   // v2
	Name      string   `json:"app_displayname"`
	UTI       string   `json:"uti"`
	Scope     string   `json:"scp"`
	Roles     []string `json:"roles"`
	ClientCan audience `json:"xms_cc"` // the capabilities of the client that the resource minds
	IssuedAt  seconds  `json:"iat"`
	NotBefore seconds  `json:"nbf"`
	Expiry    seconds  `json:"exp"`

	Kubernetes json.RawMessage `json:"kubernetes.io"` // marks a service-account token
}

type presented struct {
	signed    *jose.JSONWebSignature
	algorithm string
	kid       string
	claims    claims
}

// parse reads a compact JWS without verifying anything.
func parse(raw string) (presented, error) {
	if len(raw) > maxToken {
		return presented{}, fmt.Errorf("a token of %d bytes; at most %d are looked at", len(raw), maxToken)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return presented{}, fmt.Errorf("%d parts; a signed JWT has 3", len(parts))
	}
	for i, part := range parts {
		// go-jose is lenient about line breaks and the bits behind the last byte; a
		// token has one spelling (RFC 4648 §3.5, RFC 7515 §2).
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return presented{}, fmt.Errorf("part %d is not in base64url as it has to be", i+1)
		}
	}
	// Every algorithm is accepted here so that the check of the algorithm can say
	// what it found; the signature is verified with RS256 only.
	signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.HS256, jose.HS384, jose.HS512, jose.EdDSA, "none",
	})
	if err != nil {
		return presented{}, err
	}
	t := presented{signed: signed, algorithm: signed.Signatures[0].Header.Algorithm, kid: signed.Signatures[0].Header.KeyID}
	if err := json.Unmarshal(signed.UnsafePayloadWithoutVerification(), &t.claims); err != nil {
		return presented{}, fmt.Errorf("claims: %w", err)
	}
	return t, nil
}

// audience is a string or a list of strings. Access tokens have a string.
type audience []string

func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = audience{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(data, &many); err != nil {
		return fmt.Errorf("aud: expected a string: %w", err)
	}
	*a = many
	return nil
}

func (a audience) String() string { return strings.Join(a, ", ") }

// seconds is a NumericDate (RFC 7519 §2) in whole seconds; 0 if absent.
type seconds int64

// UnmarshalJSON cuts fractions off and refuses what no time can be.
func (s *seconds) UnmarshalJSON(data []byte) error {
	var n float64
	if err := json.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("expected seconds since 1970: %w", err)
	}
	const farthest = 1 << 40 // some 34,000 years
	if n < 0 || n > farthest {
		return fmt.Errorf("expected seconds since 1970, found %g", n)
	}
	*s = seconds(n)
	return nil
}

// time returns the zero time for an absent claim.
func (s seconds) time() time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(s), 0).UTC()
}
