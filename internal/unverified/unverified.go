// Package unverified takes JWTs apart without verifying them, to show them and to find
// what is known about them. Nothing that it returns may be believed: what decides about
// access verifies (see entra and resource).
package unverified

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	strict "github.com/go-jose/go-jose/v4/json"
)

// MaxBytes is the size of the longest token that is looked at. A projected token has
// 1.2 KB.
const MaxBytes = 1 << 20

// Token is a signed JWT in the compact form (RFC 7515 §7.1), its parts as they were sent.
type Token struct {
	Header, Claims Part
	Signature      string
}

// Part is a JSON object in base64url.
type Part string

// Parse splits a token. What the parts hold is for [Part.JSON] and [Part.Decode] to say.
func Parse(raw string) (Token, error) {
	if len(raw) > MaxBytes {
		return Token{}, fmt.Errorf("expected a JWT of at most %d bytes, found %d", MaxBytes, len(raw))
	}
	parts := strings.SplitN(raw, ".", 4)
	if len(parts) != 3 {
		return Token{}, fmt.Errorf("expected a JWT of three parts, found %d", strings.Count(raw, ".")+1)
	}
	return Token{Part(parts[0]), Part(parts[1]), parts[2]}, nil
}

// JSON decodes a part to the JSON in it, with its members in the order of the token.
// Padding, which some clients send, is accepted.
func (p Part) JSON() ([]byte, error) {
	text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(string(p), "="))
	if err == nil && !json.Valid(text) {
		err = errors.New("expected JSON")
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

// Decode decodes the JSON of a part into a value as whoever verifies the token reads it (package
// assertion): names of members are case-sensitive, and none may be there twice. Otherwise a token
// could show here another issuer than the one by which it is judged.
func (p Part) Decode(into any) error {
	text, err := p.JSON()
	if err != nil {
		return err
	}
	return strict.Unmarshal(text, into)
}
