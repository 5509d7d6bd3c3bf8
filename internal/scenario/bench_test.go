package scenario

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/keyring"
)

// warmPool is a pool with as many keys as a scenario takes.
func warmPool(b *testing.B) *keyring.Pool {
	b.Helper()
	keys, err := keyring.OpenPool(b.TempDir(), keyring.PoolOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := keys.Close(); err != nil {
			b.Error(err)
		}
	})
	warm := keys.Lease()
	for range 4 { // as many as a scenario takes
		if _, err := warm.Take(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if err := warm.Close(); err != nil {
		b.Fatal(err)
	}
	return keys
}

// BenchmarkOverhead is a scenario that starts no program: its lab, one workload
// with its token, an advance and an expectation. It is to stay under 30 ms.
func BenchmarkOverhead(b *testing.B) {
	head, _, _ := strings.Cut(minimal, "steps:")
	s, err := Parse("overhead.yaml", []byte(head+"steps:\n  - advance: 5m\n  - expect: [workloads.web.token.expiresAt > clock.now]\n"))
	if err != nil {
		b.Fatal(err)
	}
	keys := warmPool(b)
	for b.Loop() {
		if ran := Run(b.Context(), []Scenario{s}, Options{Keys: keys}); ran.ExitCode() != 0 {
			b.Fatal(ran.Scenarios[0].Texts())
		}
	}
}

// BenchmarkLibrary is all of the library with a warm key pool; it is to take less
// than 20 seconds on two cores. With -short it is ten scenarios.
func BenchmarkLibrary(b *testing.B) {
	program := client(b)
	list, err := LoadFS(library)
	if err != nil {
		b.Fatal(err)
	}
	if testing.Short() {
		list = list[:10]
	}
	keys := warmPool(b)
	for b.Loop() {
		if ran := Run(b.Context(), list, Options{Program: program, Keys: keys}); ran.ExitCode() != 0 {
			b.Fatal(ran.Failed, "scenarios failed")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*len(list)), "ms/scenario")
}

// BenchmarkLoad is what checking the library costs before anything runs.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := LoadFS(library); err != nil {
			b.Fatal(err)
		}
	}
}
