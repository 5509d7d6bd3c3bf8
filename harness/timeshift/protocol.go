package timeshift

// What a Shift and its supervisor tell each other: JSON values, one after another,
// on a stream. Times are nanoseconds; mono is the kernel's CLOCK_MONOTONIC, which
// both read, lab is lab time since 1970.

// order is what the supervisor is told.
type order struct {
	Begin *beginning `json:"begin,omitempty"` // first of all
	Set   *reading   `json:"set,omitempty"`
	Turn  uint64     `json:"turn,omitempty"` // its number: end the waits that are due, wait until all is quiet, and answer
	// Shortest is which waits the answer's next one leaves out, but for multiples of it.
	Shortest int64 `json:"shortest,omitempty"`
	End      bool  `json:"end,omitempty"` // a last report, please
}

type beginning struct {
	Clock    reading `json:"clock"`
	WallOnly bool    `json:"wallOnly,omitempty"`
	Explain  bool    `json:"explain,omitempty"`
}

// answer is what the supervisor tells.
type answer struct {
	Turn   uint64   `json:"turn,omitempty"`  // that has ended
	Quiet  bool     `json:"quiet,omitempty"` // no thread of the program has anything to do now
	Next   int64    `json:"next,omitempty"`  // lab time for which the program waits; 0: none
	Failed *failure `json:"failed,omitempty"`
	Report *Report  `json:"report,omitempty"`
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
		return r.Lab + mono - r.Mono
	}
	return r.Lab + int64(float64(mono-r.Mono)*r.Speed)
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
