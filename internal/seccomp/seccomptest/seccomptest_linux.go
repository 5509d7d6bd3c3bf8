// Package seccomptest runs seccomp filters in tests as the kernel does, on any machine: what
// a filter does with a system call is seen without installing it.
package seccomptest

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call is a system call: struct seccomp_data.
type Call struct {
	Number uint32
	Arch   uint32
	Args   [6]uint64
}

// Run returns what a filter has become of a call. It fails the test where the kernel would
// not take the filter: an unknown instruction, a jump or a load that leads out of it, an end
// without a decision. Source: net/core/filter.c, bpf_check_classic.
func Run(t testing.TB, filter []unix.SockFilter, c Call) (action uint32) {
	t.Helper()
	data := binary.LittleEndian.AppendUint32(nil, c.Number)
	data = binary.LittleEndian.AppendUint32(data, c.Arch)
	data = binary.LittleEndian.AppendUint64(data, 0) // instruction_pointer
	for _, arg := range c.Args {
		data = binary.LittleEndian.AppendUint64(data, arg)
	}
	var a uint32
	jump := func(i unix.SockFilter, yes bool) int {
		if yes {
			return int(i.Jt)
		}
		return int(i.Jf)
	}
	for at := 0; at < len(filter); at++ {
		switch i := filter[at]; i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			if int(i.K)+4 > len(data) || i.K%4 != 0 {
				t.Fatalf("instruction %d loads from %d", at, i.K)
			}
			a = binary.LittleEndian.Uint32(data[i.K:])
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= i.K
		case unix.BPF_JMP | unix.BPF_K | unix.BPF_JEQ:
			at += jump(i, a == i.K)
		case unix.BPF_JMP | unix.BPF_K | unix.BPF_JSET:
			at += jump(i, a&i.K != 0)
		case unix.BPF_RET | unix.BPF_K:
			return i.K
		default:
			t.Fatalf("instruction %d is %s", at, fmt.Sprintf("%+v", i))
		}
	}
	t.Fatal("the filter ends without a decision")
	return 0
}

// Emulated is the variable that permits tests to be left out which need listeners: make arm64
// sets it, whose emulator (qemu-user) has no seccomp.
const Emulated = "WIEMU_EMULATED"

// NeedListeners leaves a test out if that is permitted and the kernel, or its emulator, does
// not know seccomp.
func NeedListeners(t testing.TB) {
	t.Helper()
	if os.Getenv(Emulated) == "" {
		return
	}
	const getNotifSizes = 3 // SECCOMP_GET_NOTIF_SIZES
	var sizes [3]uint16
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, getNotifSizes, 0, uintptr(unsafe.Pointer(&sizes))); errno != 0 {
		t.Skipf("the emulator has no seccomp user notification: %v", errno)
	}
}
