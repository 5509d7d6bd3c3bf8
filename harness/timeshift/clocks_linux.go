//go:build amd64 || arm64

package timeshift

import (
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// clocks are what the program sees of time: its wall clocks are lab time and its
// skew, its monotonic ones go on from what the kernel's showed when it started.
type clocks struct {
	begun    reading         // lab and kernel time when the program started
	started  map[int32]int64 // the kernel's monotonic clocks at that moment
	wallOnly bool

	mu      sync.Mutex // guards changes of now
	now     atomic.Pointer[reading]
	changes atomic.Uint64 // of now
	last    atomic.Int64  // the latest lab time that anybody was told
}

// kernelTime reads one of the kernel's clocks, in nanoseconds.
func kernelTime(id int32) int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(id, &ts) // fails for clocks that there are not
	return ts.Nano()
}

func newClocks(b beginning) *clocks {
	c := &clocks{wallOnly: b.WallOnly, started: map[int32]int64{}}
	mono := kernelTime(clockMonotonic)
	c.begun = reading{Mono: mono, Lab: b.Clock.at(mono)}
	for id := int32(0); id <= clockTAI; id++ {
		if isMonotonic(id) {
			c.started[id] = kernelTime(id)
		}
	}
	c.now.Store(&b.Clock)
	return c
}

func (c *clocks) set(r reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Store(&r)
	c.changes.Add(1)
}

// lab is lab time. It does not go backwards, although a change of the setting
// arrives a little later than it was made.
func (c *clocks) lab() int64 {
	now := c.now.Load().at(kernelTime(clockMonotonic))
	for {
		last := c.last.Load()
		if now <= last {
			return last
		}
		if c.last.CompareAndSwap(last, now) {
			return now
		}
	}
}

// read is what a clock shows the program.
func (c *clocks) read(id int32) int64 {
	switch {
	case isWall(id):
		wall := c.lab() + c.now.Load().Skew
		if id == clockTAI {
			// Whole seconds; read one after the other, they are a little more apart.
			const second = 1_000_000_000
			wall += (kernelTime(clockTAI) - kernelTime(clockRealtime) + second/2) / second * second
		}
		return wall
	case isMonotonic(id) && !c.wallOnly:
		return c.started[id] + c.lab() - c.begun.Lab
	}
	return kernelTime(id)
}

// labAt is the lab time at which a clock shows a time.
func (c *clocks) labAt(id int32, shown int64) int64 {
	if isWall(id) {
		return shown - c.now.Load().Skew
	}
	return c.begun.Lab + shown - c.started[id]
}
