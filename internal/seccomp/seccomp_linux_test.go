//go:build amd64 || arm64

package seccomp

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/seccomp/seccomptest"
)

func TestInstructions(t *testing.T) {
	notified := append(IfPointer(2, Notify), Return(Allow))
	number := []unix.SockFilter{Load(Number), Jump(unix.BPF_JEQ, 42, 0, 1), Return(Notify), Return(Allow)}
	arch := []unix.SockFilter{Load(Arch), Jump(unix.BPF_JEQ, 7, 0, 1), Return(Trace), Return(Allow)}
	bits := []unix.SockFilter{Load(High(5)), Jump(unix.BPF_JSET, 1<<31, 0, 1), Return(Trace), Return(Allow)}
	for name, test := range map[string]struct {
		filter []unix.SockFilter
		call   seccomptest.Call
		want   uint32
	}{
		"the number":              {number, seccomptest.Call{Number: 42}, Notify},
		"another number":          {number, seccomptest.Call{Number: 43}, Allow},
		"the architecture":        {arch, seccomptest.Call{Arch: 7}, Trace},
		"another architecture":    {arch, seccomptest.Call{Number: 7}, Allow},
		"a pointer":               {notified, seccomptest.Call{Args: [6]uint64{2: 0x7fff0000}}, Notify},
		"a pointer to high pages": {notified, seccomptest.Call{Args: [6]uint64{2: 1 << 40}}, Notify},
		"nil":                     {notified, seccomptest.Call{Args: [6]uint64{1: 1, 3: 1}}, Allow},
		"the highest bit":         {bits, seccomptest.Call{Args: [6]uint64{5: 1 << 63}}, Trace},
		"the one below":           {bits, seccomptest.Call{Args: [6]uint64{5: 1 << 62}}, Allow},
	} {
		if found := seccomptest.Run(t, test.filter, test.call); found != test.want {
			t.Errorf("%s: found action %#x, want %#x", name, found, test.want)
		}
	}
}
