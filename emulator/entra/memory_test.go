//go:build !race

package entra_test

import (
	"testing"
)

// An exchange whose issuer's keys are known allocates less than 64 KiB. With the race
// detector a sync.Pool forgets at random what it holds, so it is not measured there.
func TestMemoryOfAnExchange(t *testing.T) {
	l := newLab(t)
	a := l.federated()
	if got := l.send(t, a); got.status != 200 { // the keys are fetched
		t.Fatal(got.raw)
	}
	result := testing.Benchmark(func(b *testing.B) {
		exchange := l.exchange(b)
		b.ReportAllocs()
		for b.Loop() {
			exchange()
		}
	})
	if bytes := result.AllocedBytesPerOp(); bytes > 64<<10 {
		t.Errorf("an exchange allocates %d bytes in %d pieces, expected at most %d bytes", bytes, result.AllocsPerOp(), 64<<10)
	}
}
