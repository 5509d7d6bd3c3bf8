// Package keyringtest has signing keys for tests of labs: making a key takes longer than all else that
// most of these tests do.
package keyringtest

import (
	"sync"
	"testing"

	"github.com/wiemu/wiemu/internal/keyring"
)

var pool = sync.OnceValues(func() (*keyring.Pool, error) { return keyring.OpenPool("", keyring.PoolOptions{Ahead: 4}) })

// Keys returns a pool that is closed when the test ends. It hands out the same keys, in the same order,
// to all tests of a package: a test that compares the keys of two labs needs pools of its own.
func Keys(t testing.TB) *keyring.Pool {
	t.Helper()
	made, err := pool()
	if err != nil {
		t.Fatal(err)
	}
	leased := made.Lease()
	t.Cleanup(func() {
		if err := leased.Close(); err != nil {
			t.Error(err)
		}
	})
	return leased
}
