package timeshift

import (
	"math"
	"math/bits"
	"time"

	"github.com/wiemu/wiemu/internal/lead"
)

// The protocol between a Shift and its supervisor: JSON values, one after another,
// on a stream. Times are nanoseconds; mono is the kernel's CLOCK_MONOTONIC, which
// both read, lab is lab time since 1970.

// order is a message to the supervisor.
type order struct {
	Begin *startOrder `json:"begin,omitempty"` // first of all
	Set   *reading    `json:"set,omitempty"`
	Turn  uint64      `json:"turn,omitempty"` // its number: end the waits that are due, wait until the program is idle, and answer
	// Shortest is which waits the answer's next one leaves out, but for multiples of it.
	Shortest int64 `json:"shortest,omitempty"`
	End      bool  `json:"end,omitempty"` // asks for the final report
}

type startOrder struct {
	Clock    reading `json:"clock"`
	WallOnly bool    `json:"wallOnly,omitempty"`
	Explain  bool    `json:"explain,omitempty"`

	Arrival time.Duration `json:"arrival,omitempty"` // see Options.Arrival

	Lead *lead.Options `json:"lead,omitempty"`
}

// answer is a message of the supervisor, or of a Remote.
type answer struct {
	Turn   uint64   `json:"turn,omitempty"`  // that has ended
	Quiet  bool     `json:"quiet,omitempty"` // no thread of the program has anything to do now
	Next   int64    `json:"next,omitempty"`  // lab time for which the program waits; 0: none
	Hold   *bool    `json:"hold,omitempty"`  // asks for lab time to stand, or not to any more
	Joins  bool     `json:"joins,omitempty"` // of a Remote: from now on somebody follows the clock there
	Failed *failure `json:"failed,omitempty"`
	Report *Report  `json:"report,omitempty"`

	Led *lead.Report `json:"led,omitempty"` // with Report
}

// failure is what kept a program from starting.
type failure struct {
	Step   string `json:"step"`
	Errno  int    `json:"errno,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// reading is what a clock shows: lab at the moment mono, and from then on speed
// times as fast. The program's wall clock is skew ahead of it.
type reading struct {
	Mono  int64   `json:"mono"`
	Lab   int64   `json:"lab"`
	Speed float64 `json:"speed"`
	Skew  int64   `json:"skew,omitempty"`
}

// at is lab time at a moment.
func (r reading) at(mono int64) int64 {
	switch r.Speed {
	case 0:
		return r.Lab
	case 1:
		return r.Lab + max(0, mono-r.Mono)
	}
	mult, shift := fraction(r.Speed)
	return r.Lab + scaled(mono-r.Mono, mult, shift)
}

// fraction is a speed as mult / 2^shift, with a shift below 64: what the code of
// programs that read the clock page calculates with. It is exact for all speeds of
// which anybody notices.
func fraction(speed float64) (mult, shift uint64) {
	const digits = 53 // of a float64
	part, exponent := math.Frexp(speed)
	switch m, s := uint64(math.Ldexp(part, digits)), digits-exponent; {
	case s < 0:
		return m, 0 // fast enough for everything
	case s > 63:
		return m >> min(s-63, 63), 63
	default:
		return m, uint64(s)
	}
}

// scaled is how far lab time goes in some nanoseconds of the kernel's time.
func scaled(mono int64, mult, shift uint64) int64 {
	high, low := bits.Mul64(uint64(max(0, mono)), mult)
	return int64(high<<(64-shift) | low>>shift)
}

// until is how long, in nanoseconds of the kernel's clock, it takes from a moment
// on until lab time is reached; false: the clock does not get there by itself.
func (r reading) until(lab, mono int64) (int64, bool) {
	left := lab - r.at(mono)
	switch {
	case left <= 0:
		return 0, true
	case r.Speed <= 0:
		return 0, false
	}
	return int64(float64(left) / r.Speed), true
}
