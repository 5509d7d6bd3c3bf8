package keyring

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"strings"
	"testing"
	"testing/synctest"
)

func TestABoundedPoolHandsOutOtherKeysForEver(t *testing.T) {
	made, err := made.Lease().Recycled(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	keys := take(t, made, 10)
	digest := sha256.Sum256([]byte("signed"))
	for i, key := range keys {
		signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		for j, other := range keys {
			if err := rsa.VerifyPKCS1v15(&other.PublicKey, crypto.SHA256, digest[:], signature); (err == nil) != (i == j) {
				t.Errorf("key %d verifies what key %d signed: %v", j, i, err)
			}
		}
	}
	if !same(keys, take(t, made.Lease(), 10)) {
		t.Error("a lease got other keys")
	}
}

func TestABoundedPoolIsUsedInABubble(t *testing.T) {
	outside, err := made.Lease().Recycled(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // of one bubble nothing is left for the next
		synctest.Test(t, func(t *testing.T) { take(t, outside.Lease(), 3) })
	}
}

func TestABoundedPoolOfNothingIsRefused(t *testing.T) {
	if _, err := made.Lease().Recycled(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "expected at least one") {
		t.Errorf("got %v", err)
	}
}
