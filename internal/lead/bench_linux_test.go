//go:build amd64 || arm64

package lead

import (
	"fmt"
	"net"
	"os/exec"
	"testing"
)

// A led connect should cost less than 50 µs more than a direct one, and reading and writing
// the same.
func BenchmarkConnect(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	cost := func(out string) (connect, transfer float64) {
		if _, err := fmt.Sscan(out, &connect, &transfer); err != nil {
			b.Fatalf("%v: %q", err, out)
		}
		return connect, transfer
	}
	program := compiled(b, "cost")
	b.Run("direct", func(b *testing.B) {
		var connects, transfers float64
		for b.Loop() {
			out, err := exec.Command(program, "2000", l.Addr().String()).Output()
			if err != nil {
				b.Fatal(err)
			}
			connect, transfer := cost(string(out))
			connects, transfers = connects+connect, transfers+transfer
		}
		b.ReportMetric(connects/float64(b.N), "ns/connect")
		b.ReportMetric(transfers/float64(b.N), "ns/transfers")
	})
	for _, way := range []Way{Getfd, Rewrite} {
		for what, to := range map[string]string{"led": "login.example.test", "beside": l.Addr().String()} {
			b.Run(string(way)+"/"+what, func(b *testing.B) {
				opts := newLab(b).options()
				var connects, transfers float64
				for b.Loop() {
					connect, transfer := cost(mustRun(b, way, opts, program, "2000", to).out)
					connects, transfers = connects+connect, transfers+transfer
				}
				b.ReportMetric(connects/float64(b.N), "ns/connect")
				b.ReportMetric(transfers/float64(b.N), "ns/transfers")
			})
		}
	}
}

// A start should cost less than 15 ms more than a direct one.
func BenchmarkStart(b *testing.B) {
	b.Run("direct", func(b *testing.B) {
		for b.Loop() {
			if err := exec.Command("true").Run(); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, ancestor := range map[string]bool{"beside": false, "parent": true} {
		b.Run(name, func(b *testing.B) {
			opts := newLab(b).options()
			opts.Ancestor = ancestor
			for b.Loop() {
				mustRun(b, Getfd, opts, "true")
			}
		})
	}
	b.Run("probe", func(b *testing.B) {
		for b.Loop() {
			if _, err := Probe(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
