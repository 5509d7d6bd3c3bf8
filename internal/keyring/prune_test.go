package keyring_test

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/internal/keyring"
)

// What is kept of a ring does not grow with the number of rotations, and whatever a
// token that may be valid was signed with is kept.
func TestARingDoesNotGrowWithRotations(t *testing.T) {
	k := newKeeping(t, keyring.Options{})
	var err error
	if k.pool, err = k.pool.Recycled(t.Context(), 4); err != nil { // 1,000 keys for the price of four
		t.Fatal(err)
	}
	k.restart(t)
	const day = 24
	var signed []string // by the last keys, one for each hour
	largest, atHundred := 0, 0
	for n := range 1_000 {
		token, _, err := k.ring.Sign(func(key keyring.Key) string { return `{"alg":"RS256","kid":"` + key.ID + `"}` }, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		signed = append(signed[max(0, len(signed)-day):], token)
		if err := k.clock.Advance(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		k.rotate(t)
		if n == 100 {
			atHundred = len(k.kept)
		}
		largest = max(largest, len(k.kept))
	}
	if largest > atHundred*11/10 {
		t.Errorf("%d bytes are kept after 100 rotations, and up to %d after 1,000", atHundred, largest)
	}
	k.restart(t)
	for age, token := range signed {
		found := false
		for _, key := range k.ring.Usable() {
			signature, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256})
			if err != nil {
				t.Fatal(err)
			}
			_, err = signature.Verify(key.Private.Public())
			found = found || err == nil
		}
		if !found {
			t.Errorf("token %d of the last day is verified by none of %d keys after a restart", age, len(k.ring.Usable()))
		}
	}
}
