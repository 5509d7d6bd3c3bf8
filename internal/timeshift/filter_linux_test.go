//go:build amd64 || arm64

package timeshift

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/seccomp"
	"github.com/wiemu/wiemu/internal/seccomp/seccomptest"
)

// What the filter does with a call, on either architecture, whether or not the network is led.
func TestFilter(t *testing.T) {
	const secret = 0x1234567800000001
	for _, way := range []lead.Way{"", lead.Getfd, lead.Rewrite} {
		action := func(wallOnly bool, number int32, args ...uint64) uint32 {
			call := seccomptest.Call{Number: uint32(number), Arch: auditArch}
			copy(call.Args[:], args)
			return seccomptest.Run(t, filter(wallOnly, secret, way), call)
		}
		expect := func(what string, found, want uint32) {
			if found != want {
				t.Errorf("%s, led by %q: found action %#x, want %#x", what, way, found, want)
			}
		}
		for id := range int32(clockTAI + 2) {
			want, wantWall := uint32(seccomp.Allow), uint32(seccomp.Allow)
			if isWall(id) {
				wantWall = seccomp.Notify
			}
			if isWall(id) || isMonotonic(id) {
				want = seccomp.Notify
			}
			expect("a clock read", action(false, unix.SYS_CLOCK_GETTIME, uint64(id), 1), want)
			expect("a clock read with the date shifted alone", action(true, unix.SYS_CLOCK_GETTIME, uint64(id), 1), wantWall)
			expect("a read by our code", action(false, unix.SYS_CLOCK_GETTIME, uint64(id), 1, 0, 0, 0, secret), seccomp.Allow)
		}
		for number, c := range waitCalls() {
			args := make([]uint64, 6)
			expect(c.name+" without a time-out", action(false, number, args...), seccomp.Allow)
			args[c.timeout] = 1 << 20
			expect(c.name+" with one", action(false, number, args...), seccomp.Trace)
			expect(c.name+" with the date shifted alone", action(true, number, args...), seccomp.Allow)
			if c.form == millis {
				args[c.timeout] = 0xffffffff // -1: for ever
				expect(c.name+" for ever", action(false, number, args...), seccomp.Allow)
			}
		}
		for operation := range uint64(futexCommand) {
			want := uint32(seccomp.Allow)
			if operation == futexWait || absoluteFutex[uint32(operation)] {
				want = seccomp.Trace
			}
			expect("futex", action(false, unix.SYS_FUTEX, 1, operation|128, 0, 1), want) // FUTEX_PRIVATE_FLAG
			expect("futex without a time-out", action(false, unix.SYS_FUTEX, 1, operation|128, 0, 0), seccomp.Allow)
		}
		want := uint32(seccomp.Allow)
		if way != "" {
			want = seccomp.Notify
		}
		expect("connect", action(false, unix.SYS_CONNECT, 3, 1, 16), want)
		expect("read", action(false, unix.SYS_READ, 3, 1, 16), seccomp.Allow)
		expect("a call of a 32-bit program", seccomptest.Run(t, filter(false, secret, way), seccomptest.Call{Number: unix.SYS_CLOCK_GETTIME, Arch: auditArch ^ 0x80000000}), seccomp.Allow)
	}
}

// The registers of a call are those of the architecture's convention: what is set is found.
func TestRegisters(t *testing.T) {
	var r registers
	for n := range 6 {
		setArgument(&r, n, uint64(100+n))
	}
	if found, want := argumentsOf(&r), [6]uint64{100, 101, 102, 103, 104, 105}; found != want {
		t.Errorf("arguments %v, want %v", found, want)
	}
	setReturned(&r, -int64(unix.EINTR))
	if found := returned(&r); found != -int64(unix.EINTR) {
		t.Errorf("returned %d", found)
	}
	for n := range 6 {
		restoreArgument(&r, n, uint64(200+n))
	}
	if found := argumentsOf(&r); [5]uint64(found[1:]) != [5]uint64{201, 202, 203, 204, 205} || returned(&r) != -int64(unix.EINTR) && found[0] != 200 {
		t.Errorf("restored arguments %v, returned %d", found, returned(&r))
	}
}
