package scenarios

import (
	"testing"

	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/scenarios/library"
)

// BenchmarkLibrary is all of the library with a warm key pool; ten scenarios are
// to take less than ten seconds on two cores.
func BenchmarkLibrary(b *testing.B) {
	program := client(b)
	list, err := LoadFS(library.Files())
	if err != nil {
		b.Fatal(err)
	}
	keys, err := keyring.OpenPool(b.TempDir(), keyring.PoolOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer keys.Close()
	warm := keys.Lease()
	for range 4 { // as many as a scenario takes
		if _, err := warm.Take(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	if err := warm.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if report := Run(b.Context(), list, Options{Program: program, Keys: keys}); report.ExitCode() != 0 {
			b.Fatal(report.Failed, "scenarios failed")
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*len(list)), "ms/scenario")
}

// BenchmarkLoad is what checking the library costs before anything runs.
func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := LoadFS(library.Files()); err != nil {
			b.Fatal(err)
		}
	}
}
