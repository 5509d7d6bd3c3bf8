//go:build amd64 || arm64

package lead

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead/handover"
)

// knownPrograms tell whose threads are. That takes several looks into /proc, so what was found is
// kept as long as the process runs the same program. The zero value is ready.
type knownPrograms struct {
	mu    sync.Mutex
	found map[int]foundProgram // by thread
}

// A foundProgram is known by the random bytes that the kernel gives every program that is
// executed (AT_RANDOM of getauxval(3)).
type foundProgram struct {
	handover.Program
	at     uint64 // where the bytes are
	random [16]byte
}

// maxFound is how many threads are remembered.
const maxFound = 1024

// of says whose a thread is that waits for an answer.
func (ps *knownPrograms) of(tid int) handover.Program {
	ps.mu.Lock()
	p, ok := ps.found[tid]
	ps.mu.Unlock()
	if ok && p.isStill(tid) {
		return p.Program
	}
	// First the bytes: whatever is executed meanwhile has others.
	p, err := withRandom(tid)
	p.Program = programOf(tid)
	if err != nil {
		return p.Program
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.found == nil || len(ps.found) >= maxFound {
		ps.found = map[int]foundProgram{}
	}
	ps.found[tid] = p
	return p.Program
}

// isStill reports whether a thread is one of the same process, which runs the same program.
func (p *foundProgram) isStill(tid int) bool {
	var random [16]byte
	return readMemory(tid, p.at, random[:]) == nil && random == p.random && unix.Tgkill(p.PID, tid, 0) != unix.ESRCH
}

// withRandom reads the random bytes of a thread's program.
func withRandom(tid int) (p foundProgram, err error) {
	const random = 25 // AT_RANDOM
	vector, err := os.ReadFile(fmt.Sprintf("/proc/%d/auxv", tid))
	if err != nil {
		return p, err
	}
	for ; len(vector) >= 16; vector = vector[16:] {
		if binary.NativeEndian.Uint64(vector) == random {
			p.at = binary.NativeEndian.Uint64(vector[8:])
			return p, readMemory(tid, p.at, p.random[:])
		}
	}
	return p, unix.ENOENT
}
