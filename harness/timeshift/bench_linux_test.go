//go:build amd64 || arm64

package timeshift

import (
	"os/exec"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// A question about time should cost under 25 µs; on a bare machine it is 50 ns.
func BenchmarkQuestion(b *testing.B) {
	var cost time.Duration
	n := 0
	for b.Loop() {
		p, err := Probe(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		cost += p.Cost
		n++
	}
	b.ReportMetric(float64(cost.Nanoseconds())/float64(n), "ns/question")
}

// A turn is what every stop of an Advance costs for every program.
func BenchmarkTurn(b *testing.B) {
	shift := begin(b, "sleep", "1000000000")
	for b.Loop() {
		if err := shift.Turn(b.Context(), 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		shift, err := Start(clock.Stopped(start), Options{})
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command("true")
		if err := shift.Prepare(cmd); err != nil {
			b.Fatal(err)
		}
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		if err := shift.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// begin runs a program for as long as a benchmark takes.
func begin(b *testing.B, args ...string) *Shift {
	b.Helper()
	shift, err := Start(clock.Stopped(start), Options{})
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	if err := shift.Prepare(cmd); err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = shift.Close()
	})
	return shift
}
