// Package assertion reads the JWTs by which clients authenticate themselves, as
// strictly as all of them allow, and verifies their signatures. It judges no
// claim; see the checks of package entra.
package assertion

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha256" // of RS256 and PS256
	_ "crypto/sha512" // of RS384 and RS512
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // member names are case-sensitive here

	"github.com/wiemu/wiemu/internal/truncate"
)

// The limits of an assertion. Entra ID's own are not known; a projected token
// has 1.2 KB, one of GitHub Actions 1.6 KB.
const (
	maxBytes   = 32 << 10
	maxNesting = 16 // levels of JSON
)

// Assertion is a JWT by which a client authenticates itself. Nothing in it is to
// be believed before Verify.
type Assertion struct {
	signed    string // what the signature is over: header and payload as they were sent
	signature []byte
	Header    Header

	Issuer, Subject, ID string // iss, sub, jti
	Audience            Audience
	IssuedAt            time.Time // iat; zero: missing
	NotBefore           time.Time // nbf; zero: missing
	ExpiresAt           time.Time // exp; zero: missing

	workflow *string // job_workflow_ref, GitHub's; nil: missing

	Missing string // a claim that every assertion must have and this lacks
	Problem error  // a claim of a wrong type
}

// Header is the part of a JOSE header that is looked at. The raw members would
// have a key, an address or a meaning of the sender's choice followed: that they
// are there is noted, what they say is never read.
type Header struct {
	Type      *string `json:"typ"`
	Algorithm string  `json:"alg"`
	KeyID     string  `json:"kid"`
	X5T       string  `json:"x5t"`
	X5TS256   string  `json:"x5t#S256"`

	Critical   json.RawMessage `json:"crit"`
	Unencoded  json.RawMessage `json:"b64"`
	Key        json.RawMessage `json:"jwk"`
	KeySetURL  json.RawMessage `json:"jku"`
	ChainURL   json.RawMessage `json:"x5u"`
	Compressed json.RawMessage `json:"zip"`
	Encrypted  json.RawMessage `json:"enc"`
}

// Forbidden names the members that an assertion's header must not have.
func (h *Header) Forbidden() []string {
	var names []string
	for _, member := range []struct {
		name  string
		value json.RawMessage
	}{
		{"crit", h.Critical}, {"b64", h.Unencoded}, {"jwk", h.Key}, {"jku", h.KeySetURL},
		{"x5u", h.ChainURL}, {"zip", h.Compressed}, {"enc", h.Encrypted},
	} {
		if member.value != nil {
			names = append(names, member.name)
		}
	}
	return names
}

// KeyID is what names the signing key: kid, or else a certificate's thumbprint.
func (a *Assertion) KeyID() string {
	_, id := a.KeyName()
	return id
}

// KeyName is what names the signing key, and the member of the header that does.
// White space around a thumbprint is dropped, as Entra ID does.
// Source: help.univention.com 23196 (2024): an x5t with a line break at its end
// was looked up.
func (a *Assertion) KeyName() (member, id string) {
	for _, named := range [][2]string{{"kid", a.Header.KeyID}, {"x5t", strings.TrimSpace(a.Header.X5T)}, {"x5t#S256", strings.TrimSpace(a.Header.X5TS256)}} {
		if named[1] != "" {
			return named[0], named[1]
		}
	}
	return "", ""
}

// Parse reads a compact JWS as strictly as clients allow: three parts in
// base64url without line breaks, header and payload one JSON object each, UTF-8,
// no member twice at any level, no deep nesting. A claim of a wrong type is noted,
// not an error: the header is looked at first.
func Parse(raw string) (*Assertion, error) {
	if len(raw) > maxBytes {
		return nil, fmt.Errorf("it has %d bytes; at most %d are taken", len(raw), maxBytes)
	}
	parts := strings.SplitN(raw, ".", 4)
	if len(parts) != 3 {
		return nil, fmt.Errorf("a signed JWT has three parts with dots between; this has %d", strings.Count(raw, ".")+1)
	}
	head, err := decodeObject(parts[0])
	if err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	payload, err := decodeObject(parts[1])
	if err != nil {
		return nil, fmt.Errorf("the payload: %w", err)
	}
	signature, err := decodeBase64(parts[2])
	if err != nil {
		return nil, fmt.Errorf("the signature: %w", err)
	}
	a := &Assertion{signed: raw[:len(parts[0])+1+len(parts[1])], signature: signature}
	if err := json.Unmarshal(head, &a.Header); err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	a.Problem = a.readClaims(payload)
	return a, nil
}

// readClaims reads what the checks look at. null counts as missing.
func (a *Assertion) readClaims(payload []byte) error {
	var c struct {
		Issuer    *string      `json:"iss"`
		Subject   *string      `json:"sub"`
		Audience  Audience     `json:"aud"`
		ID        *string      `json:"jti"`
		Workflow  *string      `json:"job_workflow_ref"`
		IssuedAt  *numericDate `json:"iat"`
		NotBefore *numericDate `json:"nbf"`
		ExpiresAt *numericDate `json:"exp"`
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return err
	}
	switch {
	case c.Issuer == nil:
		a.Missing = "iss"
	case c.Subject == nil:
		a.Missing = "sub"
	case len(c.Audience) == 0 || len(c.Audience) == 1 && c.Audience[0] == "":
		a.Missing = "aud"
	}
	a.workflow = c.Workflow
	a.Issuer, a.Subject, a.ID, a.Audience = stringOrEmpty(c.Issuer), stringOrEmpty(c.Subject), stringOrEmpty(c.ID), c.Audience
	a.IssuedAt, a.NotBefore, a.ExpiresAt = timeOrZero(c.IssuedAt), timeOrZero(c.NotBefore), timeOrZero(c.ExpiresAt)
	return nil
}

// Claim is one that flexible federated credentials look at.
func (a *Assertion) Claim(name string) (string, bool) {
	switch {
	case name == "sub":
		return a.Subject, true
	case name == "job_workflow_ref" && a.workflow != nil:
		return *a.workflow, true
	}
	return "", false
}

func stringOrEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func timeOrZero(i *numericDate) time.Time {
	if i == nil {
		return time.Time{}
	}
	return i.Time
}

// Verify checks the signature with a key and none but the given algorithms. It
// is the only place where an assertion's signature is checked, and nothing
// remembers its result. It works on the text as it was sent: go-jose would encode
// header and payload again, without the padding that some clients sign.
func (a *Assertion) Verify(key jose.JSONWebKey, algorithms ...jose.SignatureAlgorithm) error {
	algorithm := jose.SignatureAlgorithm(a.Header.Algorithm)
	public, ok := key.Key.(*rsa.PublicKey)
	if !ok || !slices.Contains(algorithms, algorithm) {
		return fmt.Errorf("%s is not verified with a %T", algorithm, key.Key)
	}
	hash, ok := map[jose.SignatureAlgorithm]crypto.Hash{ // RFC 7518 §3.3 and §3.5
		jose.RS256: crypto.SHA256, jose.RS384: crypto.SHA384, jose.RS512: crypto.SHA512, jose.PS256: crypto.SHA256,
	}[algorithm]
	if !ok {
		return fmt.Errorf("algorithm %s: expected RS256, RS384, RS512 or PS256", algorithm)
	}
	h := hash.New()
	_, _ = io.WriteString(h, a.signed) // a hash takes everything
	if algorithm == jose.PS256 {
		return rsa.VerifyPSS(public, hash, h.Sum(nil), a.signature, nil)
	}
	return rsa.VerifyPKCS1v15(public, hash, h.Sum(nil), a.signature)
}

// Audience is the aud claim: one string, or a list of them (RFC 7519 §4.1.3).
type Audience []string

func (a Audience) String() string { return strings.Join(a, ", ") }

// UnmarshalJSON accepts both forms.
func (a *Audience) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*a = Audience{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(a))
}

// numericDate is a NumericDate up to the year 9999. A fraction is let go: RFC 7519
// §2 allows one, and MSAL for Python writes it. So is a text of digits, which
// MSAL.NET writes (src/client/Microsoft.Identity.Client/Internal/JsonWebToken.cs,
// 2026). Signs and exponents are refused.
type numericDate struct{ time.Time }

// UnmarshalJSON reads decimal digits.
func (i *numericDate) UnmarshalJSON(data []byte) error {
	const year9999 = 253402300799
	text := string(data)
	if len(text) > 2 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseUint(whole, 10, 63)
	if err == nil && fraction != "" {
		_, err = strconv.ParseUint(fraction[:min(len(fraction), 18)], 10, 64)
	}
	if err != nil || n > year9999 {
		return fmt.Errorf("%s is no time in seconds since 1970", clipped(string(data)))
	}
	i.Time = time.Unix(int64(n), 0).UTC()
	return nil
}

// decodeObject decodes one part of a JWT to the JSON object in it.
func decodeObject(part string) ([]byte, error) {
	data, err := decodeBase64(part)
	if err != nil {
		return nil, err
	}
	if !utf8.Valid(data) {
		return nil, errors.New("it is not UTF-8")
	}
	return data, checkObject(data)
}

// decodeBase64 decodes base64url (RFC 7515 §2), without padding or with all of
// it: azure-identity for Python pads what aio.CertificateCredential sends, and
// Entra ID accepts that. Go's decoder alone would skip line breaks.
// Source: azure-identity 1.27.0, _internal/aad_client_base.py.
func decodeBase64(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") {
		return nil, errors.New("there is a line break in it")
	}
	encoding := base64.RawURLEncoding
	if strings.HasSuffix(part, "=") {
		encoding = base64.URLEncoding
	}
	return encoding.Strict().DecodeString(part)
}

func clipped(s string) string { return truncate.Bytes(s, 80) }
