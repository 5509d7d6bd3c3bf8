package keyvault

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // for RSA-OAEP
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource"
)

// use is what clients send to encrypt, wrap, sign, and the other way round.
type use struct {
	Algorithm string  `json:"alg"`
	Value     *string `json:"value"`
	Digest    *string `json:"digest"`
}

func (use) tagged() int { return 0 }

// keyResult is the answer; kid names the version that was used.
type keyResult struct {
	KeyID string `json:"kid"`
	Value string `json:"value"`
}

// begin reads the body, and finds the version, which has to permit the operation.
func (c *call) beginUse(names ...string) (u use, n *keyVersion, kid string, given map[string][]byte, failed *resource.Failure) {
	if failed = c.read(&u); failed != nil {
		return
	}
	c.algorithm = u.Algorithm
	given = map[string][]byte{}
	for _, name := range names {
		text := map[string]*string{"value": u.Value, "digest": u.Digest}[name]
		if text == nil {
			return u, nil, "", nil, badParameter("Property '%s' is required.\r\n", name)
		}
		data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(*text, "="))
		if err != nil || len(data) == 0 {
			// Seen: bruj0/vault-recovery-key#20, 2025.
			return u, nil, "", nil, badParameter("Content of '%[1]s' is not base64url.\r\nProperty '%[1]s' is required.\r\n", name)
		}
		given[name] = data
	}
	if u.Algorithm == "" {
		return u, nil, "", nil, badParameter("Property 'alg' is required.\r\n")
	}
	c.vault.mu.RLock()
	defer c.vault.mu.RUnlock()
	o, n, failed := keys().find(c, c.name, c.id)
	if failed != nil {
		return u, nil, "", nil, failed
	}
	return u, n, c.base() + "/keys/" + o.name + "/" + n.id, given, c.usable(n)
}

// usable checks what a version's attributes and key_ops say of the operation. Outside the
// dates of a key what was made with it can still be read and verified.
// Source: Key Vault, about keys, "key attributes"; Azure/azure-sdk-for-net#7677.
func (c *call) usable(n *keyVersion) *resource.Failure {
	operation := c.op.permission
	if !c.Check("enabled", "enabled", map[bool]string{true: "enabled", false: "disabled"}[n.enabled], n.enabled) {
		return disabled("Key", operation)
	}
	if slices.Contains([]string{"encrypt", "wrapKey", "sign"}, operation) {
		now := c.now.UTC().Format(time.RFC3339)
		if n.notBefore != nil && !c.Check("key valid from", "not before "+unix(*n.notBefore), now, c.now.Unix() >= *n.notBefore) {
			return outsideDates(operation, "before its activation date", "KeyNotYetValid")
		}
		if n.expires != nil && !c.Check("key valid until", "before "+unix(*n.expires), now, c.now.Unix() < *n.expires) {
			return outsideDates(operation, "after its expiration date", "KeyExpired")
		}
	}
	if !c.Check("key_ops", operation, strings.Join(n.operations, ", "), slices.Contains(n.operations, operation)) {
		return notPermitted(operation)
	}
	return nil
}

// outsideDates refuses what a key must not do now. The words are inferred.
func outsideDates(operation, when, inner string) *resource.Failure {
	return &resource.Failure{
		Status: http.StatusForbidden, Code: "Forbidden", Inner: inner,
		Message: fmt.Sprintf("Operation %s is not allowed on a key %s.", operation, when),
		Meaning: "The version of the key that was asked for is used outside the dates (nbf, exp) that it is meant for.",
		Remedy:  "Rotate the key and use its latest version, or change the dates. What was made with the old version can still be decrypted, unwrapped and verified.",
	}
}

// notPermitted refuses an operation that is not in key_ops.
// Seen: Azure/azure-sdk-for-net#11518, 2020.
func notPermitted(operation string) *resource.Failure {
	return &resource.Failure{
		Status: http.StatusForbidden, Code: "Forbidden", Inner: "KeyOperationForbidden",
		Message: "Operation " + operation + " is not permitted on this key.",
		Meaning: "The key's key_ops do not have the operation. That is said of the key, and is not the caller's permission.",
		Remedy:  "Create the key with key_ops that have " + operation + ", or update them.",
	}
}

// encrypt is also wrapKey: the same algorithms, another permission.
func (c *call) encrypt() (int, any, *resource.Failure) {
	u, n, kid, given, failed := c.beginUse("value")
	if failed != nil {
		return 0, nil, failed
	}
	key, failed := forEncryption(n, u.Algorithm, kid)
	if failed != nil {
		return 0, nil, failed
	}
	var sealed []byte
	var err error
	if u.Algorithm == "RSA1_5" {
		sealed, err = rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, given["value"]) //nolint:staticcheck // Key Vault has it
	} else {
		sealed, err = rsa.EncryptOAEP(oaepHash(u.Algorithm).New(), rand.Reader, &key.PublicKey, given["value"], nil)
	}
	if err != nil {
		// That it is the same text as for what cannot be decrypted is inferred.
		return 0, nil, incorrect(fmt.Sprintf("%d bytes are more than %s takes with a key of %d bits.", len(given["value"]), u.Algorithm, key.N.BitLen()))
	}
	return http.StatusOK, keyResult{kid, base64.RawURLEncoding.EncodeToString(sealed)}, nil
}

// decrypt is also unwrapKey.
func (c *call) decrypt() (int, any, *resource.Failure) {
	u, n, kid, given, failed := c.beginUse("value")
	if failed != nil {
		return 0, nil, failed
	}
	key, failed := forEncryption(n, u.Algorithm, kid)
	if failed != nil {
		return 0, nil, failed
	}
	var opened []byte
	var err error
	if u.Algorithm == "RSA1_5" {
		opened, err = rsa.DecryptPKCS1v15(nil, key, given["value"]) //nolint:staticcheck // Key Vault has it
	} else {
		opened, err = rsa.DecryptOAEP(oaepHash(u.Algorithm).New(), nil, key, given["value"], nil)
	}
	if err != nil {
		return 0, nil, incorrect("The value was not encrypted with this version of the key and this algorithm. Without a version, the latest is used: name the one that encrypted.")
	}
	return http.StatusOK, keyResult{kid, base64.RawURLEncoding.EncodeToString(opened)}, nil
}

// incorrect refuses a value that does not fit the key. Seen: pulumi/pulumi#13182, 2023.
func incorrect(meaning string) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, "BadParameter", "The parameter is incorrect.\r\n", meaning, "")
}

func oaepHash(algorithm string) crypto.Hash {
	if algorithm == "RSA-OAEP" {
		return crypto.SHA1
	}
	return crypto.SHA256
}

func forEncryption(n *keyVersion, algorithm, kid string) (*rsa.PrivateKey, *resource.Failure) {
	switch algorithm {
	case "RSA1_5", "RSA-OAEP", "RSA-OAEP-256":
		key, ok := n.private().(*rsa.PrivateKey)
		if !ok {
			return nil, badParameter("Key and encryption algorithm are incompatible. Key %s has type '%s', and algorithm '%s' can only be used with type 'RSA'.", kid, n.kty, algorithm)
		}
		return key, nil
	case "A128GCM", "A192GCM", "A256GCM", "A128KW", "A192KW", "A256KW", "A128CBC", "A192CBC", "A256CBC", "A128CBCPAD", "A192CBCPAD", "A256CBCPAD", "CKM_AES_KEY_WRAP", "CKM_AES_KEY_WRAP_PAD":
		return nil, managedHSMOnly(algorithm)
	default:
		return nil, badParameter("Algorithm '%s' is not supported; expected RSA1_5, RSA-OAEP or RSA-OAEP-256.", algorithm)
	}
}

// signature is one of the algorithms to sign with.
type signature struct {
	hash  crypto.Hash // 0 for RSNULL, which signs what it is given
	pss   bool
	curve string // "" for RSA
}

func signatures() map[string]signature {
	return map[string]signature{
		"RS256": {hash: crypto.SHA256}, "RS384": {hash: crypto.SHA384}, "RS512": {hash: crypto.SHA512}, "RSNULL": {},
		"PS256": {hash: crypto.SHA256, pss: true}, "PS384": {hash: crypto.SHA384, pss: true}, "PS512": {hash: crypto.SHA512, pss: true},
		"ES256": {hash: crypto.SHA256, curve: "P-256"}, "ES384": {hash: crypto.SHA384, curve: "P-384"}, "ES512": {hash: crypto.SHA512, curve: "P-521"},
	}
}

// forSigning checks that algorithm, key and digest go together.
// Seen: "Invalid length" (Azure/azure-cli#28027, 2023), "incompatible" with a curve
// (Azure/azure-sdk-for-java#6262, 2019); with a type it is inferred.
func forSigning(n *keyVersion, algorithm, kid, name string, digest []byte) (signature, *resource.Failure) {
	with, ok := signatures()[algorithm]
	switch {
	case algorithm == "ES256K":
		return with, notEmulated("the curve P-256K and its algorithm ES256K", "Use ES256, ES384 or ES512.")
	case algorithm == "HS256" || algorithm == "HS384" || algorithm == "HS512":
		return with, managedHSMOnly(algorithm)
	case !ok:
		return with, badParameter("Algorithm '%s' is not supported; expected RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or RSNULL.", algorithm)
	}
	const incompatible = "Key and signing algorithm are incompatible. Key %s "
	switch key := n.private().(type) {
	case *rsa.PrivateKey:
		if with.curve != "" {
			return with, badParameter(incompatible+"has type '%s', and algorithm '%s' can only be used with type 'EC'.", kid, n.kty, algorithm)
		}
	case *ecdsa.PrivateKey:
		curve := key.Curve.Params().Name
		switch {
		case with.curve == "":
			return with, badParameter(incompatible+"has type '%s', and algorithm '%s' can only be used with type 'RSA'.", kid, n.kty, algorithm)
		case with.curve != curve:
			return with, badParameter(incompatible+"uses curve '%s', and algorithm '%s' can only be used with curve '%s'.", kid, curve, algorithm, with.curve)
		}
	}
	if with.hash != 0 && len(digest) != with.hash.Size() {
		return with, badParameter("Invalid length of '%s': %d bytes. %s requires %d bytes, encoded with base64url.", name, len(digest), algorithm, with.hash.Size())
	}
	return with, nil
}

func (c *call) sign() (int, any, *resource.Failure) {
	u, n, kid, given, failed := c.beginUse("value")
	if failed != nil {
		return 0, nil, failed
	}
	with, failed := forSigning(n, u.Algorithm, kid, "value", given["value"])
	if failed != nil {
		return 0, nil, failed
	}
	var made []byte
	var err error
	switch key := n.private().(type) {
	case *rsa.PrivateKey:
		if with.pss {
			made, err = rsa.SignPSS(rand.Reader, key, with.hash, given["value"], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			made, err = rsa.SignPKCS1v15(nil, key, with.hash, given["value"])
		}
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, key, given["value"]); err == nil { // both of the curve's size: RFC 7518 §3.4
			size := (key.Curve.Params().BitSize + 7) / 8
			made = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
	}
	if err != nil {
		return 0, nil, incorrect(fmt.Sprintf("%d bytes cannot be signed with %s and this key.", len(given["value"]), u.Algorithm))
	}
	return http.StatusOK, keyResult{kid, base64.RawURLEncoding.EncodeToString(made)}, nil
}

func (c *call) verify() (int, any, *resource.Failure) {
	u, n, kid, given, failed := c.beginUse("digest", "value")
	if failed != nil {
		return 0, nil, failed
	}
	with, failed := forSigning(n, u.Algorithm, kid, "digest", given["digest"])
	if failed != nil {
		return 0, nil, failed
	}
	valid := false
	switch key := n.private().Public().(type) {
	case *rsa.PublicKey:
		if with.pss {
			valid = rsa.VerifyPSS(key, with.hash, given["digest"], given["value"], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		} else {
			valid = rsa.VerifyPKCS1v15(key, with.hash, given["digest"], given["value"]) == nil
		}
	case *ecdsa.PublicKey:
		size := (key.Curve.Params().BitSize + 7) / 8
		valid = len(given["value"]) == 2*size &&
			ecdsa.Verify(key, given["digest"], new(big.Int).SetBytes(given["value"][:size]), new(big.Int).SetBytes(given["value"][size:]))
	}
	return http.StatusOK, struct {
		Value bool `json:"value"`
	}{valid}, nil
}
