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

// keyResult is the answer; kid names the version that was used.
type keyResult struct {
	KeyID string `json:"kid"`
	Value string `json:"value"`
}

func (u used) result(data []byte) keyResult {
	return keyResult{u.kid, base64.RawURLEncoding.EncodeToString(data)}
}

// used is what a version of a key is used with.
type used struct {
	algorithm, kid string
	*keyVersion
	value, digest []byte
}

// using is an operation with a key. The body has what is named; the version has to permit the
// operation.
func using(serve func(*call, used) (any, *resource.Failure), names ...string) handler {
	return taking(func(c *call, sent use) (int, any, *resource.Failure) {
		c.algorithm = sent.Algorithm
		u := used{algorithm: sent.Algorithm}
		for _, name := range names {
			text, into := sent.Value, &u.value
			if name == "digest" {
				text, into = sent.Digest, &u.digest
			}
			if text == nil {
				return 0, nil, badParameter("Property '%s' is required.\r\n", name)
			}
			data, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(*text, "="))
			if err != nil || len(data) == 0 {
				// Seen: bruj0/vault-recovery-key#20, 2025.
				return 0, nil, badParameter("Content of '%[1]s' is not base64url.\r\nProperty '%[1]s' is required.\r\n", name)
			}
			*into = data
		}
		if u.algorithm == "" {
			return 0, nil, badParameter("Property 'alg' is required.\r\n")
		}
		if failed := c.find(&u); failed != nil {
			return 0, nil, failed
		}
		answer, failed := serve(c, u)
		return http.StatusOK, answer, failed
	})
}

// find sets the version that the request names, which has to permit the operation.
func (c *call) find(u *used) *resource.Failure {
	c.vault.mu.RLock()
	defer c.vault.mu.RUnlock()
	o, n, failed := keys().find(c, c.name, c.id)
	if failed != nil {
		return failed
	}
	u.keyVersion, u.kid = n, c.base()+"/keys/"+o.name+"/"+n.id
	return c.usable(n)
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
func (c *call) encrypt(u used) (any, *resource.Failure) {
	key, failed := forEncryption(u)
	if failed != nil {
		return nil, failed
	}
	var sealed []byte
	var err error
	if u.algorithm == "RSA1_5" {
		sealed, err = rsa.EncryptPKCS1v15(rand.Reader, &key.PublicKey, u.value) //nolint:staticcheck // Key Vault has it
	} else {
		sealed, err = rsa.EncryptOAEP(oaepHash(u.algorithm).New(), rand.Reader, &key.PublicKey, u.value, nil)
	}
	if err != nil {
		// That it is the same text as for what cannot be decrypted is inferred.
		return nil, incorrect(fmt.Sprintf("%d bytes are more than %s takes with a key of %d bits.", len(u.value), u.algorithm, key.N.BitLen()))
	}
	return u.result(sealed), nil
}

// decrypt is also unwrapKey.
func (c *call) decrypt(u used) (any, *resource.Failure) {
	key, failed := forEncryption(u)
	if failed != nil {
		return nil, failed
	}
	var opened []byte
	var err error
	if u.algorithm == "RSA1_5" {
		opened, err = rsa.DecryptPKCS1v15(nil, key, u.value) //nolint:staticcheck // Key Vault has it
	} else {
		opened, err = rsa.DecryptOAEP(oaepHash(u.algorithm).New(), nil, key, u.value, nil)
	}
	if err != nil {
		return nil, incorrect("The value was not encrypted with this version of the key and this algorithm. Without a version, the latest is used: name the one that encrypted.")
	}
	return u.result(opened), nil
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

func forEncryption(u used) (*rsa.PrivateKey, *resource.Failure) {
	switch u.algorithm {
	case "RSA1_5", "RSA-OAEP", "RSA-OAEP-256":
		key, ok := u.private().(*rsa.PrivateKey)
		if !ok {
			return nil, badParameter("Key and encryption algorithm are incompatible. Key %s has type '%s', and algorithm '%s' can only be used with type 'RSA'.", u.kid, u.kty, u.algorithm)
		}
		return key, nil
	case "A128GCM", "A192GCM", "A256GCM", "A128KW", "A192KW", "A256KW", "A128CBC", "A192CBC", "A256CBC", "A128CBCPAD", "A192CBCPAD", "A256CBCPAD", "CKM_AES_KEY_WRAP", "CKM_AES_KEY_WRAP_PAD":
		return nil, managedHSMOnly(u.algorithm)
	default:
		return nil, badParameter("Algorithm '%s' is not supported; expected RSA1_5, RSA-OAEP or RSA-OAEP-256.", u.algorithm)
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
func forSigning(u used, name string, digest []byte) (signature, *resource.Failure) {
	algorithm := u.algorithm
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
	switch key := u.private().(type) {
	case *rsa.PrivateKey:
		if with.curve != "" {
			return with, badParameter(incompatible+"has type '%s', and algorithm '%s' can only be used with type 'EC'.", u.kid, u.kty, algorithm)
		}
	case *ecdsa.PrivateKey:
		curve := key.Curve.Params().Name
		switch {
		case with.curve == "":
			return with, badParameter(incompatible+"has type '%s', and algorithm '%s' can only be used with type 'RSA'.", u.kid, u.kty, algorithm)
		case with.curve != curve:
			return with, badParameter(incompatible+"uses curve '%s', and algorithm '%s' can only be used with curve '%s'.", u.kid, curve, algorithm, with.curve)
		}
	}
	if with.hash != 0 && len(digest) != with.hash.Size() {
		return with, badParameter("Invalid length of '%s': %d bytes. %s requires %d bytes, encoded with base64url.", name, len(digest), algorithm, with.hash.Size())
	}
	return with, nil
}

func (c *call) sign(u used) (any, *resource.Failure) {
	with, failed := forSigning(u, "value", u.value)
	if failed != nil {
		return nil, failed
	}
	var made []byte
	var err error
	switch key := u.private().(type) {
	case *rsa.PrivateKey:
		if with.pss {
			made, err = rsa.SignPSS(rand.Reader, key, with.hash, u.value, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		} else {
			made, err = rsa.SignPKCS1v15(nil, key, with.hash, u.value)
		}
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, key, u.value); err == nil { // both of the curve's size: RFC 7518 §3.4
			size := (key.Curve.Params().BitSize + 7) / 8
			made = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
	}
	if err != nil {
		return nil, incorrect(fmt.Sprintf("%d bytes cannot be signed with %s and this key.", len(u.value), u.algorithm))
	}
	return u.result(made), nil
}

func (c *call) verify(u used) (any, *resource.Failure) {
	with, failed := forSigning(u, "digest", u.digest)
	if failed != nil {
		return nil, failed
	}
	valid := false
	switch key := u.private().Public().(type) {
	case *rsa.PublicKey:
		if with.pss {
			valid = rsa.VerifyPSS(key, with.hash, u.digest, u.value, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		} else {
			valid = rsa.VerifyPKCS1v15(key, with.hash, u.digest, u.value) == nil
		}
	case *ecdsa.PublicKey:
		size := (key.Curve.Params().BitSize + 7) / 8
		valid = len(u.value) == 2*size &&
			ecdsa.Verify(key, u.digest, new(big.Int).SetBytes(u.value[:size]), new(big.Int).SetBytes(u.value[size:]))
	}
	return struct {
		Value bool `json:"value"`
	}{valid}, nil
}
