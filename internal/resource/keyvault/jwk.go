package keyvault

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/internal/resource"
)

// jsonWebKey is a key as a client imports it: RFC 7517, but for kty, which may end in
// -HSM, and members for hardware keys.
type jsonWebKey struct {
	Type       string    `json:"kty"`
	Curve      string    `json:"crv"`
	Operations *[]string `json:"key_ops"`
	Wrapped    string    `json:"key_hsm"`
	Symmetric  string    `json:"k"`

	numbers map[string]string
}

// numbers are the members that a key consists of.
func numbers() []string {
	return []string{"n", "e", "d", "p", "q", "dp", "dq", "qi", "x", "y"}
}

// UnmarshalJSON keeps the numbers as they are written.
func (k *jsonWebKey) UnmarshalJSON(data []byte) error {
	type plain jsonWebKey
	if err := json.Unmarshal(data, (*plain)(k)); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	k.numbers = map[string]string{}
	for _, name := range numbers() {
		var text string
		if raw, ok := all[name]; ok && string(raw) != "null" {
			if err := json.Unmarshal(raw, &text); err != nil {
				return err
			}
			k.numbers[name] = text
		}
	}
	return nil
}

// private returns the key, and its type as it is shown.
func (k jsonWebKey) private() (crypto.Signer, string, *resource.Failure) {
	kty := k.Type
	switch {
	case kty == "":
		return nil, "", badParameter("Property 'key' is required, with 'kty'.\r\n")
	case k.Wrapped != "":
		return nil, "", notEmulated("the import of wrapped hardware keys (key_hsm)", "Import the key in software.")
	case k.Symmetric != "" || strings.HasPrefix(kty, "oct"):
		return nil, "", managedHSMOnly("oct")
	}
	if strings.HasPrefix(kty, "EC") {
		if _, failed := curveOf(k.Curve); failed != nil {
			return nil, "", failed
		}
	}
	for name, text := range k.numbers {
		if _, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "=")); err != nil {
			return nil, "", badParameter("Content of '%s' is not base64url.\r\n", name)
		}
	}
	if k.numbers["d"] == "" {
		return nil, "", badParameter("Property 'd' is required: a key is imported with its private part.\r\n")
	}
	standard := map[string]string{"kty": strings.TrimSuffix(kty, "-HSM"), "crv": k.Curve}
	for name, text := range k.numbers {
		standard[name] = strings.TrimRight(text, "=")
	}
	if k.Curve == "" {
		delete(standard, "crv")
	}
	text, err := json.Marshal(standard)
	if err != nil {
		return nil, "", badParameter("The key is not valid: %v", err)
	}
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(text); err != nil {
		return nil, "", badParameter("The key is not valid: %v", err)
	}
	private, failed := checked(parsed.Key)
	return private, kty, failed
}

// checked refuses keys that Key Vault does not take.
func checked(key any) (crypto.Signer, *resource.Failure) {
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); !slices.Contains(rsaSizes(), bits) {
			return nil, badParameter("The RSA key has %d bits; expected 2048, 3072 or 4096.", bits)
		}
		if key.E != 65537 {
			return nil, badParameter("The RSA key has the public exponent %d; expected 65537.", key.E)
		}
		if err := key.Validate(); err != nil {
			return nil, badParameter("The RSA key is not valid: its numbers do not belong together.")
		}
		return key, nil
	case *ecdsa.PrivateKey:
		if _, failed := curveOf(key.Curve.Params().Name); failed != nil {
			return nil, failed
		}
		raw, err := key.Bytes()
		if err != nil {
			return nil, badParameter("The EC key is not valid: %v", err)
		}
		fits, err := ecdsa.ParseRawPrivateKey(key.Curve, raw)
		if err != nil || !fits.PublicKey.Equal(&key.PublicKey) {
			return nil, badParameter("The EC key is not valid: its private part does not belong to its public part.")
		}
		return key, nil
	default:
		return nil, badParameter("The key is not an RSA or EC key with its private part.")
	}
}

// publicKey is the public part as it is shown, in the order of Key Vault's answers.
type publicKey struct {
	KeyID      string   `json:"kid"`
	Type       string   `json:"kty"`
	Operations []string `json:"key_ops"`
	N          string   `json:"n,omitempty"`
	E          string   `json:"e,omitempty"`
	Curve      string   `json:"crv,omitempty"`
	X          string   `json:"x,omitempty"`
	Y          string   `json:"y,omitempty"`
}

func (n *keyVersion) public(kid string) publicKey {
	shown := publicKey{KeyID: kid, Type: n.kty, Operations: n.operations}
	encode := base64.RawURLEncoding.EncodeToString
	switch key := n.private().Public().(type) {
	case *rsa.PublicKey:
		shown.N, shown.E = encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		size := (key.Curve.Params().BitSize + 7) / 8
		point, err := key.Bytes()
		if err != nil { // of a key that was checked, or made here
			return shown
		}
		shown.Curve, shown.X, shown.Y = key.Curve.Params().Name, encode(point[1:1+size]), encode(point[1+size:])
	}
	return shown
}
