package lab_test

import (
	"runtime"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/lab"
)

// readyKeys returns a pool whose keys have been made, so that a lab that takes some
// pays for none.
func readyKeys(tb testing.TB) *keyring.Pool {
	tb.Helper()
	pool, err := keyring.OpenPool("", keyring.PoolOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = pool.Close() })
	ready, err := pool.Recycled(tb.Context(), 4)
	if err != nil {
		tb.Fatal(err)
	}
	return ready
}

// One server is to host hundreds of labs: each allocates less than 1 MB while it is
// made, keys aside.
func TestALabAllocatesLessThanAMegabyte(t *testing.T) {
	const labs, limit = 50, 1 << 20
	keys := readyKeys(t)
	open := func() {
		l, err := lab.New(t.Context(), config.Config{}, lab.Options{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
	open() // what is made once for all labs
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range labs {
		open()
	}
	runtime.ReadMemStats(&after)
	each := (after.TotalAlloc - before.TotalAlloc) / labs
	t.Logf("a lab allocates %d KiB", each>>10)
	if each > limit {
		t.Errorf("a lab allocates %d bytes: expected at most %d", each, limit)
	}
}

func BenchmarkNew(b *testing.B) {
	keys := readyKeys(b)
	b.ReportAllocs()
	for b.Loop() {
		l, err := lab.New(b.Context(), config.Config{}, lab.Options{Keys: keys})
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
