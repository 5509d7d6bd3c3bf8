//go:build amd64 || arm64

package timeshift

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// clockPage is a page of memory from which programs read the time without asking.
// All of them map it, and none can write it. The code in their vDSO that reads it is
// in vdsocode_linux_amd64.s, which knows the offsets of these fields.
type clockPage struct {
	version atomic.Uint64       // odd while the page is being changed: then ask
	mode    uint64              // one of those below
	lab     int64               // lab time, or what it was at mono
	mono    int64               // the kernel's CLOCK_MONOTONIC
	mult    uint64              // in 1<<shift nanoseconds of the kernel's, lab time goes on by mult
	shift   uint64              // below 64
	least   int64               // lab time is not before this
	shifted uint64              // a bit for each clock that shows lab time; the others are the kernel's
	ahead   [clockTAI + 1]int64 // of lab time, by clock
}

// What the code in a program does.
const (
	pageAsks   = iota // it makes the system call, as if there was no page
	pageStands        // lab time is lab
	pageRuns          // lab time goes on with the kernel's clock
)

const pageSize = 4096

// A sharedPage is a clockPage and the number by which a program attaches it: it is
// System V shared memory, for which a program needs no file.
type sharedPage struct {
	*clockPage
	id int
}

// newSharedPage makes a page, which every user may read, since programs change their
// user. It is marked as removed at once, so that it goes with the last process that
// has attached it; on Linux it can be attached by its number all the same. Source:
// shmctl(2).
func newSharedPage() (*sharedPage, error) {
	const everyoneReads, ownerWrites = 0o444, 0o200
	id, err := unix.SysvShmGet(unix.IPC_PRIVATE, pageSize, unix.IPC_CREAT|everyoneReads|ownerWrites)
	if err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	memory, err := unix.SysvShmAttach(id, 0, 0)
	_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) // it is ours
	if err != nil {
		return nil, fmt.Errorf("attach shared memory: %w", err)
	}
	return &sharedPage{(*clockPage)(unsafe.Pointer(&memory[0])), id}, nil
}

// change has f change the page. Programs that read the clock meanwhile ask.
func (p *clockPage) change(f func()) {
	p.version.Add(1)
	f()
	p.version.Add(1)
}
