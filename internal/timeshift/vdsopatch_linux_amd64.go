package timeshift

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// vdsoCode returns where the functions in vdsocode_linux_amd64.s are. They run in other programs
// alone, so Go knows none of them.
func vdsoCode() (clockGettime, gettimeofday, wallTime, attach unsafe.Pointer)

// vdsoFunctions returns the code that takes the place of clockFunctions, in their order,
// and the code that attaches the page.
func vdsoFunctions() (replacements [][]byte, attach []byte, err error) {
	clockGettime, gettimeofday, wallTime, attaching := vdsoCode()
	return [][]byte{codeFrom(clockGettime), codeFrom(gettimeofday), codeFrom(wallTime)}, codeFrom(attaching), nil
}

// codeFrom is the code of a function, which a mark ends.
func codeFrom(start unsafe.Pointer) []byte {
	const endMark, longest = 0x444e45444e45444e, 1 << 9
	text := unsafe.Slice((*byte)(start), longest)
	code, _, _ := bytes.Cut(text, binary.LittleEndian.AppendUint64(nil, endMark))
	return code
}

// The functions of a vDSO that tell the time, and where one begins. Source: vdso(7).
var clockFunctions = []string{"__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time"}

const codeAlignment = 16

// breakpoint fills what is left of the kernel's functions: nothing leads there.
const breakpoint = 0xcc // int3

// jumpLength is how long a jump is, in bytes.
const jumpLength = 5

// jumpTo is the instruction jmp rel32.
func jumpTo(from, to uint64) []byte {
	return binary.LittleEndian.AppendUint32([]byte{0xe9}, uint32(to-from-jumpLength))
}

// attachFrom has a thread run the code that attaches the page.
func attachFrom(r *registers, code uint64, page int, secret uint64) {
	r.Rip, r.R12, r.R13 = code, uint64(page), secret
}

// beginProgram has a thread that is stopped at the begin of a system call skip it and go on
// with the registers with which it was executed.
func beginProgram(tid int, executed *registers) error {
	r := *executed
	r.Rax = 0 // it was going to be
	r.Orig_rax = ^uint64(0)
	return unix.PtraceSetRegs(tid, &r)
}
