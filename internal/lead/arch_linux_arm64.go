package lead

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

// calls32 are the numbers by which 32-bit programs connect. Source:
// arch/arm/tools/syscall.tbl.
var calls32 = []uint32{283}
