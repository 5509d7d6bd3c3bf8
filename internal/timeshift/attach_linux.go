//go:build amd64 || arm64

package timeshift

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// preparePage makes the page from which programs read the time, and the patch of their vDSO
// that has them do so. It returns nil, and s.noPage says why, where this machine does not
// have what that takes: then programs have no vDSO, and ask.
func (s *supervisor) preparePage() *clockPage {
	var random [8]byte
	_, _ = rand.Read(random[:]) // it never fails
	// Neither half is 0, as an argument often is that was not set.
	s.secret = binary.LittleEndian.Uint64(random[:]) | 1<<32 | 1
	if s.patch, s.noPage = newVDSOPatch(s.secret); s.noPage != nil {
		return nil
	}
	if s.page, s.noPage = newSharedPage(); s.noPage != nil {
		return nil
	}
	return s.page.clockPage
}

// slowReads is the note of a program that asks for the time.
func slowReads(reason error) string {
	return "its clock reads are system calls, which take microseconds instead of nanoseconds: " + reason.Error()
}

// An attaching program runs our code first.
type attaching struct {
	executed registers // with which it begins then
	vdso     uint64
}

// patchProgram has a program that has just been executed, with registers, read the clock
// page: it patches the vDSO, and has the program attach the page before anything else. There
// is one thread then, and no handler of a signal. The error says why that is not possible.
func (t *tracer) patchProgram(pid int, vdso uint64, executed *registers) error {
	if t.s.noPage != nil {
		return t.s.noPage
	}
	if err := t.sharesPageWith(pid); err != nil {
		return err
	}
	p := t.s.patch
	found := make([]byte, len(p.before))
	if n, err := t.s.threads.read(pid, vdso+p.start, found); n != len(found) {
		return fmt.Errorf("read its vDSO: %w", err)
	}
	if !bytes.Equal(found, p.before) {
		return errors.New("its vDSO is not that of the supervisor")
	}
	if err := t.patchMemory(pid, vdso+p.start, p.after); err != nil {
		return fmt.Errorf("change its vDSO: %w", err)
	}
	for _, rules := range p.unwind {
		if err := t.patchMemory(pid, vdso+rules.from, make([]byte, rules.length())); err != nil { // DW_CFA_nop
			return fmt.Errorf("change its vDSO: %w", err)
		}
	}
	r := *executed
	attachFrom(&r, vdso+p.attach, t.s.page.id, t.s.secret)
	if err := setRegisters(pid, &r); err != nil {
		return err
	}
	t.attaching[pid] = attaching{*executed, vdso}
	return nil
}

// attached has a program begin that has attached the page at an address, or tells the error
// in its place. With an error its code goes on asking, as does everybody else who does not
// know of the page.
func (t *tracer) attached(tid int, address uint64) {
	a, ok := t.attaching[tid]
	if !ok {
		return // the kernel does not have such a clock, and says so
	}
	delete(t.attaching, tid)
	err := error(nil)
	if address%pageSize != 0 {
		err = fmt.Errorf("attach shared memory: %w", unix.Errno(-int64(address)))
	}
	for _, at := range t.s.patch.pages {
		if err == nil {
			err = t.patchMemory(tid, a.vdso+at, binary.LittleEndian.AppendUint64(nil, address))
		}
	}
	if err != nil {
		t.s.note(tid, slowReads(err))
	} else {
		t.s.threads.countsReads(tid, address+pageSize)
	}
	_ = beginProgram(tid, &a.executed) // fails if it was killed meanwhile
}

// patchMemory writes what a program may not write itself.
func (t *tracer) patchMemory(tid int, at uint64, data []byte) error {
	if t.s.threads.write(tid, at, data) == nil {
		return nil
	}
	// A kernel may refuse that by the file (CONFIG_PROC_MEM_NO_FORCE).
	_, err := unix.PtracePokeText(tid, uintptr(at), data)
	return err
}

// sharesPageWith reports whether a process can attach the page, and has the same monotonic
// clock: by the same number another namespace of IPC may have the memory of somebody
// else, and a filter that a program did not have from the start may kill it for the attempt.
func (t *tracer) sharesPageWith(pid int) error {
	process := "/proc/" + strconv.Itoa(pid)
	for _, namespace := range []struct{ file, name string }{{"ipc", "IPC"}, {"time", "time"}} {
		ours, err := os.Readlink("/proc/self/ns/" + namespace.file)
		if err != nil {
			continue // the kernel does not have them
		}
		if theirs, err := os.Readlink(process + "/ns/" + namespace.file); err != nil {
			return fmt.Errorf("look for its %s namespace: %w", namespace.name, err)
		} else if theirs != ours {
			return fmt.Errorf("it has its own %s namespace", namespace.name)
		}
	}
	filters := filtersOf(process)
	if !t.executedAny {
		t.executedAny, t.filters = true, filters
	}
	if filters != t.filters {
		return errors.New("it has a seccomp filter of its own")
	}
	return nil
}

// filtersOf counts the seccomp filters of a process, where the kernel tells (Linux 5.9).
func filtersOf(process string) int {
	status, _ := os.ReadFile(process + "/status") // of one that has ended, it does not matter
	_, rest, _ := bytes.Cut(status, []byte("\nSeccomp_filters:\t"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, _ := strconv.Atoi(string(line))
	return n
}
