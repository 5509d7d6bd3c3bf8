package scenarios

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// parseToken shows what a token file holds. A missing or empty file is a token
// without anything; nothing is verified, that is what the emulator is for.
func parseToken(content []byte) (Token, error) {
	if len(content) == 0 {
		return Token{}, nil
	}
	parts := strings.Split(string(content), ".")
	if len(parts) != 3 {
		return Token{}, fmt.Errorf("token file: expected a JWT of three parts, found %d", len(parts))
	}
	header, err := decodePart(parts[0])
	if err != nil {
		return Token{}, fmt.Errorf("token file: header: %w", err)
	}
	claims, err := decodePart(parts[1])
	if err != nil {
		return Token{}, fmt.Errorf("token file: claims: %w", err)
	}
	t := Token{Claims: claims, IssuedAt: moment(claims["iat"]), ExpiresAt: moment(claims["exp"])}
	t.Kid, _ = header["kid"].(string)
	t.Issuer, _ = claims["iss"].(string)
	t.Subject, _ = claims["sub"].(string)
	t.JTI, _ = claims["jti"].(string)
	audience, _ := claims["aud"].([]any) // Kubernetes always writes a list
	for _, a := range audience {
		if text, ok := a.(string); ok {
			t.Audience = append(t.Audience, text)
		}
	}
	return t, nil
}

func decodePart(part string) (map[string]any, error) {
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return nil, err
	}
	if !json.Valid(text) {
		return nil, errors.New("expected JSON")
	}
	object, ok := decodeJSON(text).(map[string]any)
	if !ok {
		return nil, errors.New("expected a JSON object")
	}
	return object, nil
}

// moment is a NumericDate (RFC 7519 §2).
func moment(claim any) time.Time {
	seconds, ok := claim.(int64)
	if !ok {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}
