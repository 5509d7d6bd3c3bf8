package isolation

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/seccomp"
)

// setupCapabilities are the capabilities, inside the namespaces, that setting them up needs.
func setupCapabilities() []uintptr {
	return []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETPCAP, unix.CAP_DAC_OVERRIDE}
}

// containerCapabilities are the capabilities that a program which runs as root may have inside,
// as containers have them (Docker: daemon/pkg/oci/caps/defaults.go). Others have none.
var containerCapabilities = []int{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FSETID, unix.CAP_FOWNER, unix.CAP_MKNOD, unix.CAP_NET_RAW, unix.CAP_SETGID,
	unix.CAP_SETUID, unix.CAP_SETFCAP, unix.CAP_SETPCAP, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_CHROOT, unix.CAP_KILL, unix.CAP_AUDIT_WRITE,
}

// dropCapabilities drops all capabilities that the program would not have in a container.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	for c := range unix.CAP_LAST_CAP + 1 {
		if slices.Contains(containerCapabilities, c) && os.Getuid() == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); err != nil && err != unix.EINVAL { // an older kernel knows fewer
			return err
		}
	}
	data[0].Inheritable, data[1].Inheritable = 0, 0 // which a program of root's would get
	return unix.Capset(&header, &data[0])
}

// mappings keep every user and group what they are: all that there are here if
// this process may map them, else its own. Source: user_namespaces(7).
func mappings() (uids, gids []syscall.SysProcIDMap, err error) {
	if !mayMapAll() {
		uid, gid := os.Getuid(), os.Getgid()
		return []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}, []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}, nil
	}
	if uids, err = sameIDs("/proc/self/uid_map"); err != nil {
		return nil, nil, err
	}
	gids, err = sameIDs("/proc/self/gid_map")
	return uids, gids, err
}

// mayMapAll reports whether this process may map ids other than its own.
func mayMapAll() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	const needed = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID | 1<<unix.CAP_SETFCAP
	return data[0].Effective&needed == needed
}

// sameIDs maps the ids of this namespace to themselves.
func sameIDs(file string) ([]syscall.SysProcIDMap, error) {
	data, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer data.Close()
	var all []syscall.SysProcIDMap
	lines := bufio.NewScanner(data)
	for lines.Scan() {
		fields := strings.Fields(lines.Text()) // first id here, first id outside, how many
		if len(fields) != 3 {
			return nil, fmt.Errorf("%s: expected three numbers, found %q", file, lines.Text())
		}
		first, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		size, err := strconv.Atoi(fields[2])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, syscall.SysProcIDMap{ContainerID: first, HostID: first, Size: size})
	}
	return all, lines.Err()
}

// Namespaces leave two ways out of which only seccomp(2) knows: what a program pushes
// into the terminal that it shares with its caller (TIOCSTI, and TIOCLINUX on a
// console) is read there as if typed by the user, and sockets of AF_VSOCK lead from a virtual
// machine to its host, whatever the network namespace. io_uring makes sockets, too,
// and is not seen by filters. Container runtimes refuse the same (moby: profiles/seccomp).

// abi is a system call interface of this machine.
type abi struct {
	arch          uint32 // AUDIT_ARCH_…
	ioctl, socket uint32 // system calls
	socketcall    uint32 // the one whose arguments a filter cannot see; 0: there is none
	most          uint32 // calls from this number on belong to yet another interface; 0: there is none
}

// ioUring is io_uring_setup everywhere.
const ioUring = 425

// tioclinux is in asm-generic/ioctls.h.
const tioclinux = 0x541c

// abis are the interfaces of the machine: its own and that of 32-bit programs.
func abis() ([]abi, error) {
	own := abi{ioctl: unix.SYS_IOCTL, socket: unix.SYS_SOCKET}
	switch runtime.GOARCH {
	case "amd64":
		const x32 = 0x40000000 // arch/x86/include/uapi/asm/unistd.h
		own.arch, own.most = unix.AUDIT_ARCH_X86_64, x32
		return []abi{own, {arch: unix.AUDIT_ARCH_I386, ioctl: 54, socket: 359, socketcall: 102}}, nil // arch/x86/entry/syscalls/syscall_32.tbl
	case "arm64":
		own.arch = unix.AUDIT_ARCH_AARCH64
		return []abi{own, {arch: unix.AUDIT_ARCH_ARM, ioctl: 54, socket: 281}}, nil // arch/arm/tools/syscall.tbl
	}
	return nil, errors.ErrUnsupported
}

// Where a filter finds things: struct seccomp_data of linux/seccomp.h, on
// little-endian machines. Of arguments it is the low half: the kernel takes these as
// 32 bits, and a filter that looked at all 64 could be led around.
const (
	dataNumber = 0
	dataArch   = 4
	dataFirst  = 16
	dataSecond = 24
)

// seccompFilter refuses those calls and lets all others pass.
func seccompFilter(all []abi) []bpf.Instruction {
	const allow = unix.SECCOMP_RET_ALLOW
	load := func(offset uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: offset, Size: 4} }
	refuse := func(errno unix.Errno) bpf.Instruction {
		return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(errno)}
	}
	// Both jump over what follows, if not.
	is := func(value uint32, over uint8) bpf.Instruction {
		return bpf.JumpIf{Cond: bpf.JumpEqual, Val: value, SkipFalse: over}
	}
	from := func(value uint32, over uint8) bpf.Instruction {
		return bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: value, SkipFalse: over}
	}
	var program []bpf.Instruction
	for _, a := range all {
		calls := []bpf.Instruction{load(dataNumber)}
		if a.most != 0 {
			calls = append(calls, from(a.most, 1), refuse(unix.ENOSYS))
		}
		calls = append(calls,
			is(ioUring, 1), refuse(unix.ENOSYS), // as a kernel without it, for which programs are prepared

			is(a.ioctl, 5), load(dataSecond),
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.TIOCSTI, SkipTrue: 1},
			is(tioclinux, 1), refuse(unix.EPERM), bpf.RetConstant{Val: allow},

			is(a.socket, 4), load(dataFirst),
			is(unix.AF_VSOCK, 1), refuse(unix.EAFNOSUPPORT), bpf.RetConstant{Val: allow},
		)
		if a.socketcall != 0 {
			const socket = 1 // linux/net.h, SYS_SOCKET
			calls = append(calls, is(a.socketcall, 4), load(dataFirst), is(socket, 1), refuse(unix.ENOSYS), bpf.RetConstant{Val: allow})
		}
		calls = append(calls, bpf.RetConstant{Val: allow})
		program = append(program, load(dataArch), is(a.arch, uint8(len(calls))))
		program = append(program, calls...)
	}
	return append(program, refuse(unix.ENOSYS)) // no such interface is known
}

// refuseCalls has the kernel refuse those system calls to this thread and to whatever it becomes.
// Filters add up: one that package timeshift sets later sees the others. It takes CAP_SYS_ADMIN in
// the namespace, so that programs may still gain privileges by being executed (seccomp(2)).
func refuseCalls() error {
	all, err := abis()
	if err != nil {
		return err
	}
	filter, err := seccomp.Program(seccompFilter(all)...)
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(filter))); errno != 0 {
		return errno
	}
	return nil
}
