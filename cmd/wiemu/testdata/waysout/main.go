// Command waysout makes the system calls that lead out of namespaces and prints what
// each gave. The arguments are chosen so that a kernel that does not refuse the call
// as such answers with another error, whatever machine it is.
package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

func main() {
	const (
		tiocsti, tioclinux = 0x5412, 0x541c
		afVsock            = 40
		noSuchType         = 999 // EINVAL, if the family may be asked for
		ioUringSetup       = 425 // EFAULT, if there is io_uring
	)
	socket := uintptr(socketCalls[runtime.GOARCH])
	pipe, _, err := os.Pipe() // no terminal: ENOTTY, if the call may be made
	if err != nil {
		panic(err)
	}
	fd := pipe.Fd()
	for _, call := range []struct {
		name                         string
		number, first, second, third uintptr
	}{
		{"TIOCSTI", syscall.SYS_IOCTL, fd, tiocsti, 0},
		{"TIOCLINUX", syscall.SYS_IOCTL, fd, tioclinux, 0},
		{"TIOCGWINSZ", syscall.SYS_IOCTL, fd, syscall.TIOCGWINSZ, 0},
		{"AF_VSOCK", socket, afVsock, noSuchType, 0},
		{"AF_INET", socket, syscall.AF_INET, noSuchType, 0},
		{"io_uring", ioUringSetup, 1, 0, 0},
	} {
		_, _, errno := syscall.RawSyscall(call.number, call.first, call.second, call.third)
		fmt.Printf("%s: %v\n", call.name, errno)
	}
}

var socketCalls = map[string]int{"amd64": 41, "386": 359, "arm64": 198, "arm": 281}
