package timeshift

import "errors"

// vdsoFunctions fails: on arm64 programs have no vDSO, and ask.
func vdsoFunctions() (replacements [][]byte, attach []byte, err error) {
	return nil, nil, errors.New("on arm64 wiemu has no code for the vDSO")
}

// What follows is not called without such code.

var clockFunctions = []string{"__kernel_clock_gettime", "__kernel_gettimeofday"}

const (
	codeAlignment = 16
	breakpoint    = 0
	jumpLength    = 4
)

func jumpTo(uint64, uint64) []byte { return nil }

func attachFrom(*registers, uint64, int, uint64) {}

func beginProgram(tid int, executed *registers) error { return setRegisters(tid, executed) }
