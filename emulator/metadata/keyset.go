package metadata

import (
	"fmt"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/emulator/fault"
)

// KeySet is the keys that an issuer published at one moment. It is never
// changed; share it freely.
type KeySet struct {
	Issuer    string    // as in the discovery document; "" when only the JWKS was read
	URL       string    // of the JWKS
	FetchedAt time.Time // lab time

	hits []fault.Hit       // faults that made it what it is
	keys []jose.JSONWebKey // public signing keys, in the order of the document
	left []unusable        // the other keys of the document
}

// Key returns the key with an id. A kid is an opaque name: it is compared, never
// opened, resolved or followed.
func (k KeySet) Key(id string) (jose.JSONWebKey, bool) {
	for _, key := range k.keys {
		if key.KeyID == id {
			return key, true
		}
	}
	return jose.JSONWebKey{}, false
}

// IDs returns the key ids in the order of the document.
func (k KeySet) IDs() []string {
	ids := make([]string, len(k.keys))
	for i, key := range k.keys {
		ids[i] = key.KeyID
	}
	return ids
}

// without says that a key is not there, and if the document has one of that id, why it
// does not count.
func (k KeySet) without(at place, id string) error {
	for _, key := range k.left {
		if key.id == id {
			return fmt.Errorf("%s: key %q: %w; it is in the key set, and verifies nothing: %s", at, id, ErrNoSuchKey, key.why)
		}
	}
	return fmt.Errorf("%s: key %q: %w; it has %s", at, id, ErrNoSuchKey, k.list())
}

// list is the ids for a sentence.
func (k KeySet) list() string {
	if len(k.keys) == 0 {
		return "no usable key"
	}
	return strings.Join(k.IDs(), ", ")
}
