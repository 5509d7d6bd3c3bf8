package recording

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"

	"github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/unverified"
)

// keys are all keys that the rings have had, also removed ones.
type keys struct {
	names *names

	mu    sync.Mutex
	rings map[string][]key // by ring, in the order of their ordinals
}

// key is a key of a ring, or the public part of one that others have.
type key struct {
	keyring.Key
	public any
}

func newKeys(n *names) *keys { return &keys{names: n, rings: map[string][]key{}} }

func (k *keys) look(ring string, all []keyring.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, one := range all {
		if k.knows(ring, one) {
			continue
		}
		own := key{Key: one}
		if own.Private != nil {
			own.public = own.Private.Public()
		}
		k.names.put(fmt.Sprintf("key %s %d", ring, len(k.rings[ring])+1), own.ID)
		k.add(ring, own)
	}
}

// knows reports whether a ring's key has been taken up: ids may come twice, for other
// keys. k.mu is held.
func (k *keys) knows(ring string, one keyring.Key) bool {
	return slices.ContainsFunc(k.rings[ring], func(known key) bool {
		return known.ID == one.ID && (one.Private == nil || known.Private == one.Private)
	})
}

// others takes up the public part of a key that others have, unless it is known,
// and returns its ordinal. The private part is nil where only they have it.
func (k *keys) others(ring, id string, public any, private crypto.Signer) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if comparable, ok := public.(interface{ Equal(crypto.PublicKey) bool }); ok {
		if i := slices.IndexFunc(k.rings[ring], func(known key) bool { return comparable.Equal(known.public) }); i >= 0 {
			return i + 1
		}
	}
	k.add(ring, key{Key: keyring.Key{ID: id, Private: private}, public: public})
	return len(k.rings[ring])
}

// add gives a key the next ordinal; k.mu is held.
func (k *keys) add(ring string, own key) {
	k.rings[ring] = append(k.rings[ring], own)
	for what, part := range publicParts(own.public) {
		k.names.put(fmt.Sprintf("%s %s %d", what, ring, len(k.rings[ring])), part)
	}
}

// publicParts are the members of a JWK that are different for every key.
func publicParts(public any) map[string]string {
	if public == nil {
		return nil
	}
	text, err := json.Marshal(jose.JSONWebKey{Key: public})
	if err != nil {
		return nil
	}
	var parts map[string]string
	if json.Unmarshal(text, &parts) != nil {
		return nil
	}
	maps.DeleteFunc(parts, func(name, _ string) bool { return name != "n" && name != "x" && name != "y" })
	return parts
}

// first are the names of all rings, with these in front.
func (k *keys) first(rings ...string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(k.rings)) {
		if !slices.Contains(rings, name) {
			rings = append(rings, name)
		}
	}
	return rings
}

// signerOf finds the key that made a token's signature, in the first of the rings
// that has it: labs of one machine may have the same keys.
func (k *keys) signerOf(raw string, rings []string) (string, bool) {
	signed, err := takeApart(raw)
	if err != nil {
		return "", false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, ring := range rings {
		for i, key := range slices.Backward(k.rings[ring]) { // the newest has signed most
			if signed.by(key.public) {
				return fmt.Sprintf("%s %d", ring, i+1), true
			}
		}
	}
	return "", false
}

// signature is the signature of a compact JWS and what it is over, as it was sent:
// some clients pad base64url, and sign the padding.
type signature struct {
	algorithm string
	digest    [sha256.Size]byte
	bytes     []byte
}

func takeApart(raw string) (signature, error) {
	token, err := unverified.Parse(raw)
	var named struct {
		Algorithm string `json:"alg"`
	}
	if err == nil {
		err = token.Header.Decode(&named)
	}
	if err != nil {
		return signature{}, fmt.Errorf("no signed token: %w", err)
	}
	made, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(token.Signature, "="))
	return signature{named.Algorithm, sha256.Sum256([]byte(strings.TrimSuffix(raw, "."+token.Signature))), made}, err
}

func (s signature) by(public any) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if s.algorithm == keyring.PS256 {
			return rsa.VerifyPSS(key, crypto.SHA256, s.digest[:], s.bytes, nil) == nil
		}
		return s.algorithm == keyring.RS256 && rsa.VerifyPKCS1v15(key, crypto.SHA256, s.digest[:], s.bytes) == nil
	case *ecdsa.PublicKey:
		size := len(s.bytes) / 2
		return s.algorithm == keyring.ES256 && size == 32 && len(s.bytes) == 64 &&
			ecdsa.Verify(key, s.digest[:], new(big.Int).SetBytes(s.bytes[:size]), new(big.Int).SetBytes(s.bytes[size:]))
	}
	return false
}

// key returns a key by ring and ordinal, such as local 2.
func (k *keys) key(id string) (keyring.Key, bool) {
	ring, number, ok := cutLast(id, " ")
	var n int
	if _, err := fmt.Sscanf(number, "%d", &n); !ok || err != nil {
		return keyring.Key{}, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if n < 1 || n > len(k.rings[ring]) {
		return keyring.Key{}, false
	}
	return k.rings[ring][n-1].Key, true
}
