package keyring

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/emulator/clock"
)

func TestARingOfEllipticKeys(t *testing.T) {
	b, again := newBench(t, Options{Algorithm: ES256}), newBench(t, Options{Algorithm: ES256})
	for range 2 {
		compact, key, err := b.Sign(func(k Key) string { return `{"alg":"` + k.Algorithm() + `","kid":"` + k.ID + `"}` }, []byte(`{"a":1}`))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		if payload, err := signed.Verify(key.Private.Public()); err != nil || string(payload) != `{"a":1}` {
			t.Errorf("verified %q, %v", payload, err)
		}
		same, _, err := again.Sign(func(k Key) string { return `{"alg":"` + k.Algorithm() + `","kid":"` + k.ID + `"}` }, []byte(`{"a":1}`))
		if same != compact || err != nil {
			t.Errorf("another ring from the same pool signs %s, want %s (%v)", same, compact, err)
		}
		for _, ring := range []*bench{b, again} {
			if _, err := ring.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	ids := []string{b.Keys()[0].ID, b.Keys()[1].ID, b.Keys()[2].ID}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 3 {
		t.Errorf("three keys with the ids %s", ids)
	}
}

func TestAnAlgorithmThatThereIsNot(t *testing.T) {
	_, err := New(t.Context(), clock.Stopped(start), made.Lease(), Options{Name: "r", Identify: identify, Algorithm: "HS256"})
	if err == nil || !strings.Contains(err.Error(), `"HS256": expected one of RS256, ES256`) {
		t.Errorf("got %v", err)
	}
}
