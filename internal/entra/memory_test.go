//go:build !race

package entra_test

import (
	"runtime"
	"testing"
)

// TestMemoryOfAnExchange: an exchange whose issuer's keys are known allocates less than 64 KiB. With the race
// detector a sync.Pool forgets at random what it holds, so it is not measured there.
func TestMemoryOfAnExchange(t *testing.T) {
	l := newLab(t)
	a := l.federated()
	if got := l.send(t, a); got.status != 200 { // the keys are fetched
		t.Fatal(got.raw)
	}
	exchange := l.exchange(t)
	exchange()
	const times = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		exchange()
	}
	runtime.ReadMemStats(&after)
	if bytes := (after.TotalAlloc - before.TotalAlloc) / times; bytes > 64<<10 {
		t.Errorf("an exchange allocates %d bytes in %d pieces, expected at most %d bytes", bytes, (after.Mallocs-before.Mallocs)/times, 64<<10)
	}
}
