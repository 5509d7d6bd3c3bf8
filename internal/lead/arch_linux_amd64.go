package lead

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// calls32 are the numbers by which 32-bit programs connect: connect and socketcall. Source:
// arch/x86/entry/syscalls/syscall_32.tbl. (x32 has another architecture's number in 64 bits
// and is not in use.)
var calls32 = []uint32{362, 102}
