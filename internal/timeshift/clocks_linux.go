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

	now     atomic.Pointer[reading]
	changes atomic.Uint64 // of now

	mu   sync.Mutex // guards changes of now, and what is below
	page *clockPage // what programs read without asking; nil if they have none
	last int64      // the latest lab time that a program can have been told
}

// kernelTime reads one of the kernel's clocks, in nanoseconds.
func kernelTime(id int32) int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(id, &ts) // fails for clocks that there are not
	return ts.Nano()
}

// newClocks starts the clocks of a program. They are written to page whenever they
// change, unless page is nil.
func newClocks(b startOrder, page *clockPage) *clocks {
	c := &clocks{wallOnly: b.WallOnly, started: map[int32]int64{}, page: page}
	mono := kernelTime(clockMonotonic)
	c.begun = reading{Mono: mono, Lab: b.Clock.at(mono)}
	for id := int32(0); id <= clockTAI; id++ {
		if isMonotonic(id) {
			c.started[id] = kernelTime(id)
		}
	}
	c.now.Store(&b.Clock)
	if page != nil {
		page.change(c.fill)
	}
	return c
}

func (c *clocks) set(r reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change := func() {
		// A program that has read the page until now was told this at most: while it
		// is being changed, programs ask, and wait for c.mu.
		c.last = max(c.last, c.now.Load().at(kernelTime(clockMonotonic)))
		c.now.Store(&r)
	}
	if c.page == nil {
		change()
	} else {
		c.page.change(func() { change(); c.fill() })
	}
	c.changes.Add(1)
}

// fill writes the setting to the page; c.mu is held, or the clocks are new.
func (c *clocks) fill() {
	p, r := c.page, c.now.Load()
	p.least = c.last
	if r.Speed == 0 {
		p.mode, p.lab = pageStands, max(r.Lab, c.last)
	} else {
		p.mode, p.lab, p.mono = pageRuns, r.Lab, r.Mono
		p.mult, p.shift = fraction(r.Speed)
	}
	p.shifted = 0
	for id := range int32(len(p.ahead)) {
		if c.shifts(id) {
			p.shifted |= 1 << id
			p.ahead[id] = c.ahead(id)
		}
	}
}

// shifts reports whether a clock shows lab time.
func (c *clocks) shifts(id int32) bool { return isWall(id) || isMonotonic(id) && !c.wallOnly }

// ahead is how far a shifted clock is ahead of lab time, in nanoseconds.
func (c *clocks) ahead(id int32) int64 {
	if !isWall(id) {
		return c.started[id] - c.begun.Lab
	}
	ahead := c.now.Load().Skew
	if id == clockTAI {
		// Whole seconds; read one after the other, they are a little more apart.
		const second = 1_000_000_000
		ahead += (kernelTime(clockTAI) - kernelTime(clockRealtime) + second/2) / second * second
	}
	return ahead
}

// lab is lab time. It does not go backwards, although a change of the setting
// arrives a little later than it was made.
func (c *clocks) lab() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, c.now.Load().at(kernelTime(clockMonotonic)))
	return c.last
}

// read is what a clock shows the program.
func (c *clocks) read(id int32) int64 {
	if c.shifts(id) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.last = max(c.last, c.now.Load().at(kernelTime(clockMonotonic)))
		return c.last + c.ahead(id)
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
