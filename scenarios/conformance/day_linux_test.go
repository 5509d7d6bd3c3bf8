package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A day of a client in lockstep should cost less than one and a half times the processor time
// of its own program: elapsed/program on an idle machine. all/program has the processor time of
// the supervisor and of wiemu instead of what the machine did meanwhile, and says more on a busy
// one, though not how much of it is done at the same time as the program's.
//
// The clients are those that make conformance has installed.
func BenchmarkDay(b *testing.B) {
	wiemu := filepath.Join(b.TempDir(), "wiemu")
	if out, err := exec.Command("go", "build", "-o", wiemu, "github.com/wiemu/wiemu/cmd/wiemu").CombinedOutput(); err != nil {
		b.Fatalf("build wiemu: %v\n%s", err, out)
	}
	o, err := parse([]string{"-root", filepath.Join("..", ".."), "-wiemu", wiemu}, io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	d, err := newDriver(o, io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"node-workload", "azidentity-go", "python-identity", "java-identity"} {
		b.Run(name, func(b *testing.B) {
			client, err := readClient(filepath.Join(o.clients, name, "client.yaml"))
			if err != nil {
				b.Fatal(err)
			}
			if missing := d.missing(client); len(missing) > 0 {
				b.Skipf("left out, because %s is missing", strings.Join(missing, ", "))
			}
			runtime, err := d.cache.bash(b.Context(), client, client.Dir, client.Runtime)
			if err != nil {
				b.Fatalf("runtime: %v\n%s", err, runtime)
			}
			key, err := client.key(strings.TrimSpace(runtime))
			if err != nil {
				b.Fatal(err)
			}
			dir, found := d.cache.found(filepath.Join(d.cache.Dir, name+"-"+key))
			if !found {
				b.Skip("left out, because it is not installed; make conformance installs it")
			}
			var sum dayCost
			for b.Loop() {
				sum.add(d.day(b, client, dir))
			}
			n := float64(b.N)
			b.ReportMetric(sum.elapsed/sum.program, "elapsed/program")
			b.ReportMetric((sum.program+sum.supervisor+sum.wiemu)/sum.program, "all/program")
			b.ReportMetric(sum.program/n, "program-s")
			b.ReportMetric(sum.supervisor/n, "supervisor-s")
			b.ReportMetric(sum.wiemu/n, "wiemu-s")
		})
	}
}

// dayCost is what a day costs, in seconds: from start to end, and of processors.
type dayCost struct{ elapsed, program, supervisor, wiemu float64 }

func (c *dayCost) add(other dayCost) {
	c.elapsed += other.elapsed
	c.program += other.program
	c.supervisor += other.supervisor
	c.wiemu += other.wiemu
}

// measuring runs a program as its child. When it is asked to end, it writes what the program, its
// tracer and wiemu have had of processors by then, as proc_pid_stat(5) tells it, and passes that on.
// It costs one process that is at rest all day. A program that was asked to end as well, and has been
// waited for by then, is in what this process has had.
const measuring = `#!/usr/bin/env bash
cd %s
end() {
	while read -r name value; do [ "$name" = TracerPid: ] && tracer=$value; done </proc/self/status
	for pid in $program $tracer $PPID; do read -r stat </proc/$pid/stat || read -r stat </proc/$$/stat; echo "$stat"; done 2>/dev/null >%s
	kill -TERM $program
}
trap end TERM
%s "$@" &
program=$!
until wait $program; [ ! -d /proc/$program ]; do :; done
`

// day runs a client for 26 hours of lab time.
func (d *driver) day(b *testing.B, c Client, dir string) dayCost {
	b.Helper()
	costs := filepath.Join(b.TempDir(), "costs")
	start := time.Now() // wall time: that is what is measured
	_, err := d.play(b.Context(), []string{"day"}, fmt.Sprintf(measuring, quoted(dir), quoted(costs), strings.TrimSpace(c.Run)))
	if err != nil {
		b.Fatal(err)
	}
	cost := dayCost{elapsed: time.Since(start).Seconds()}
	text, err := os.ReadFile(costs)
	if err != nil {
		b.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 3 {
		b.Fatalf("expected lines of three processes, found %q", text)
	}
	cost.program, cost.supervisor, cost.wiemu = processorTime(b, lines[0]), processorTime(b, lines[1]), processorTime(b, lines[2])
	return cost
}

// processorTime is that of a process and of its children that have ended, in seconds, of a line of
// proc_pid_stat(5).
func processorTime(b *testing.B, stat string) (seconds float64) {
	b.Helper()
	const ticks = 100 // of each second: USER_HZ
	_, rest, _ := strings.Cut(stat, ") ")
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		b.Fatalf("expected a line of /proc/PID/stat, found %q", stat)
	}
	for _, text := range fields[11:15] { // utime, stime, cutime, cstime; the first field is the third
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			b.Fatal(err)
		}
		seconds += n / ticks
	}
	return seconds
}
