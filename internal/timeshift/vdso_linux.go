//go:build amd64 || arm64

package timeshift

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// Entries of an auxiliary vector. Source: getauxval(3).
const (
	auxEnd     = 0  // AT_NULL
	auxIgnore  = 1  // AT_IGNORE
	auxSysinfo = 33 // AT_SYSINFO_EHDR: where the vDSO is
)

// changeVDSO has a program that has just been executed read the clock page. Where it
// cannot, its vDSO is hidden, and slow says why: libc and Go's runtime then make system
// calls. It walks from the stack pointer over the arguments and the environment to the
// auxiliary vector, and has the entry ignored that says where the vDSO is. Source:
// "Process Initialization" of the System V ABI.
func (t *tracer) changeVDSO(pid int) (slow, err error) {
	if class, err := classOf(pid); err == nil && class != elfClass64 {
		return nil, errors.New("it is a 32-bit program")
	}
	var r registers
	if err := getRegisters(pid, &r); err != nil {
		return nil, err
	}
	const maxWords = 1 << 20 // 8 MiB of pointers: more than Linux allows
	at := stackPointer(&r)
	words := wordReader{threads: t.s.threads, pid: pid, at: at}
	for nulls, n := 0, 0; n < maxWords; n++ {
		word, err := words.next()
		if err != nil {
			return nil, fmt.Errorf("read its stack: %w", err)
		}
		if nulls < 2 { // the count of arguments, they, nil, the environment, nil
			if n > 0 && word == 0 {
				nulls++
			}
			continue
		}
		at := words.position() - 8
		value, err := words.next()
		switch {
		case word == auxEnd:
			return errors.New("this kernel has no vDSO"), nil
		case err != nil:
			return nil, fmt.Errorf("read its stack: %w", err)
		case word == auxSysinfo:
			if slow = t.patchProgram(pid, value, &r); slow == nil {
				return nil, nil
			}
			return slow, t.s.threads.write(pid, at, binary.LittleEndian.AppendUint64(nil, auxIgnore))
		}
	}
	return nil, errors.New("its auxiliary vector was not found")
}

// wordReader reads the words of a stack, some at a time.
type wordReader struct {
	threads *threads
	pid     int
	at      uint64 // of what comes behind buffer
	buffer  []byte
	chunk   [4096]byte
}

func (w *wordReader) next() (uint64, error) {
	if len(w.buffer) < 8 {
		n, err := w.threads.read(w.pid, w.at, w.chunk[:])
		if n < 8 {
			return 0, errors.Join(err, io.ErrUnexpectedEOF)
		}
		w.buffer = w.chunk[:n/8*8]
		w.at += uint64(len(w.buffer))
	}
	word := binary.LittleEndian.Uint64(w.buffer)
	w.buffer = w.buffer[8:]
	return word, nil
}

// position is where the next word stands.
func (w *wordReader) position() uint64 { return w.at - uint64(len(w.buffer)) }

// classOf reports whether a process runs a program of 32 or 64 bits.
func classOf(pid int) (byte, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var ident [elfIdentity]byte
	if _, err := io.ReadFull(f, ident[:]); err != nil {
		return 0, err
	}
	return ident[elfClass], nil
}
