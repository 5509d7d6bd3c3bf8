package isolation

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Every row is a system call as the filter is shown it.
func TestSeccompFilter(t *testing.T) {
	const i386, x64, x32 = unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_X86_64, 0x40000000
	vm, err := bpf.NewVM(seccompFilter([]abi{
		{arch: x64, ioctl: 16, socket: 41, most: x32},
		{arch: i386, ioctl: 54, socket: 359, socketcall: 102},
	}))
	if err != nil {
		t.Fatal(err)
	}
	allowed := uint32(unix.SECCOMP_RET_ALLOW)
	refused := func(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }
	for _, test := range []struct {
		name          string
		arch, number  uint32
		first, second uint64
		want          uint32
	}{
		{"read", x64, 0, unix.AF_VSOCK, unix.TIOCSTI, allowed},
		{"typing into the terminal", x64, 16, 0, unix.TIOCSTI, refused(unix.EPERM)},
		{"with bits that the kernel ignores", x64, 16, 0, 1<<32 | unix.TIOCSTI, refused(unix.EPERM)},
		{"pasting into the console", x64, 16, 0, 0x541c, refused(unix.EPERM)},
		{"asking for the terminal's size", x64, 16, 0, unix.TIOCGWINSZ, allowed},
		{"a socket to the host of a virtual machine", x64, 41, unix.AF_VSOCK, 0, refused(unix.EAFNOSUPPORT)},
		{"with bits that the kernel ignores", x64, 41, 1<<32 | unix.AF_VSOCK, 0, refused(unix.EAFNOSUPPORT)},
		{"a socket of the Internet", x64, 41, unix.AF_INET, 0, allowed},
		{"a socket of files", x64, 41, unix.AF_UNIX, 0, allowed},
		{"io_uring", x64, 425, 0, 0, refused(unix.ENOSYS)},
		{"clone3", x64, 435, 0, 0, allowed},
		{"x32's ioctl", x64, x32 | 514, 0, unix.TIOCSTI, refused(unix.ENOSYS)},
		{"x32's socket", x64, x32 | 41, unix.AF_VSOCK, 0, refused(unix.ENOSYS)},

		{"a 32-bit ioctl", i386, 54, 0, unix.TIOCSTI, refused(unix.EPERM)},
		{"a 32-bit ioctl of the terminal's size", i386, 54, 0, unix.TIOCGWINSZ, allowed},
		{"a 32-bit socket", i386, 359, unix.AF_VSOCK, 0, refused(unix.EAFNOSUPPORT)},
		{"a 32-bit socket of the Internet", i386, 359, unix.AF_INET, 0, allowed},
		{"a 32-bit socket with hidden arguments", i386, 102, 1, 0, refused(unix.ENOSYS)},
		{"a 32-bit connect with hidden arguments", i386, 102, 3, 0, allowed},
		{"32-bit io_uring", i386, 425, 0, 0, refused(unix.ENOSYS)},
		{"what is an ioctl to others", i386, 16, 0, unix.TIOCSTI, allowed},
		{"another interface", unix.AUDIT_ARCH_ARM, 0, 0, 0, refused(unix.ENOSYS)},
	} {
		data := make([]byte, 64)
		binary.BigEndian.PutUint32(data[dataNumber:], test.number) // as bpf.VM reads
		binary.BigEndian.PutUint32(data[dataArch:], test.arch)
		for at, argument := range map[int]uint64{dataFirst: test.first, dataSecond: test.second} {
			binary.BigEndian.PutUint32(data[at:], uint32(argument)) // the low half comes first
			binary.BigEndian.PutUint32(data[at+4:], uint32(argument>>32))
		}
		got, err := vm.Run(data)
		if err != nil || uint32(got) != test.want {
			t.Errorf("%s: %#x, %v, want %#x", test.name, uint32(got), err, test.want)
		}
	}
}
