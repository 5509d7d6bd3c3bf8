//go:build amd64 || arm64

package lead

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/seccomp"
	"github.com/wiemu/wiemu/internal/seccomp/seccomptest"
)

// highestCall is above the numbers of all system calls.
const highestCall = 1024

// The calls that the supervisor is asked about are those that it decides about, by which
// lockstep tells them from its own; each may be asked about, and with nil for an address those that
// send(2) and recv(2) make are not.
func TestFilter(t *testing.T) {
	pointers := [6]uint64{1, 1, 1, 1, 1, 1}
	receiving := map[uint32]bool{unix.SYS_RECVFROM: true, unix.SYS_RECVMSG: true, unix.SYS_RECVMMSG: true}
	withNil := map[uint32]bool{unix.SYS_SENDTO: true, unix.SYS_RECVFROM: true}
	for _, receive := range []bool{true, false} {
		for number := range uint32(highestCall) {
			want := uint32(seccomp.Allow)
			switch {
			case number == unix.SYS_IO_URING_SETUP:
				want = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
			case IsCall(auditArch, int32(number)) && (receive || !receiving[number]):
				want = seccomp.Notify
			}
			call := seccomptest.Call{Number: number, Arch: auditArch, Args: pointers}
			if found := seccomptest.Run(t, filter(receive), call); found != want {
				t.Errorf("call %d, receiving %v: found action %#x, want %#x", number, receive, found, want)
			}
			if withNil[number] {
				call.Args[4] = 0
				if found := seccomptest.Run(t, filter(receive), call); found != seccomp.Allow {
					t.Errorf("call %d with nil for an address: found action %#x", number, found)
				}
			}
		}
	}
}

// Of a 32-bit program the supervisor is asked about connections, which it reports, and
// nothing else.
func TestFilterOf32BitPrograms(t *testing.T) {
	for number := range uint32(highestCall) {
		want := uint32(seccomp.Allow)
		for _, nr := range calls32 {
			if nr == number {
				want = seccomp.Notify
			}
		}
		if found := seccomptest.Run(t, filter(true), seccomptest.Call{Number: number, Arch: auditArch ^ 0x80000000}); found != want {
			t.Errorf("call %d: found action %#x, want %#x", number, found, want)
		}
	}
}
