//go:build amd64 || arm64

package timeshift

import (
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// Reading the clock while time runs should cost under 0.5 µs, and under 25 µs where the supervisor
// is asked; on a bare machine it is 50 ns.
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

// Reading the clock while time stands should cost under 100 ns.
func BenchmarkRead(b *testing.B) {
	program := compile(b, "reads")
	var sum float64
	n := 0
	for b.Loop() {
		shift, err := Start(clock.Stopped(start), Options{})
		if err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(program, "cost")
		var out strings.Builder
		if err := shift.Prepare(cmd); err != nil {
			b.Fatal(err)
		}
		cmd.Stdout = &out
		if err := errors.Join(cmd.Run(), shift.Close()); err != nil {
			b.Fatal(err)
		}
		line, _, _ := strings.Cut(out.String(), "\n")
		cost, err := strconv.ParseFloat(line, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += cost
		n++
	}
	b.ReportMetric(sum/float64(n), "ns/read")
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

// A day of a program that does something every minute, as clients that poll do.
func BenchmarkDay(b *testing.B) {
	for _, program := range []struct{ name, flag, text string }{
		{"python3", "-c", `
import threading, time
end = time.time() + 26 * 3600
def poll():
    while time.time() < end:
        for _ in range(100): time.monotonic()
        time.sleep(60)
threads = [threading.Thread(target=poll) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()`},
		{"node", "-e", `
const end = Date.now() + 26 * 3600e3
for (let i = 0; i < 4; i++) {
  const timer = setInterval(() => {
    for (let i = 0; i < 100; i++) performance.now()
    if (Date.now() >= end) clearInterval(timer)
  }, 60e3)
}`},
	} {
		b.Run(program.name, func(b *testing.B) {
			if _, err := exec.LookPath(program.name); err != nil {
				b.Skip(err)
			}
			for b.Loop() {
				lab := clock.Stopped(start)
				shift, err := Start(lab, Options{})
				if err != nil {
					b.Fatal(err)
				}
				cmd := exec.Command(program.name, program.flag, program.text)
				if err := shift.Prepare(cmd); err != nil {
					b.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				if err := lab.Advance(b.Context(), 27*time.Hour); err != nil {
					b.Fatal(err)
				}
				if err := errors.Join(cmd.Wait(), shift.Close()); err != nil {
					b.Fatal(err)
				}
			}
		})
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
