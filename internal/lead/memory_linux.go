//go:build amd64 || arm64

package lead

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/lead/handover"
)

// readMemory reads a thread's memory. By its id, not by a file that is kept open: after an
// exec such a file has the memory of before.
func readMemory(tid int, at uint64, into []byte) error {
	if len(into) == 0 {
		return nil
	}
	local := []unix.Iovec{{Base: &into[0], Len: uint64(len(into))}}
	n, err := unix.ProcessVMReadv(tid, local, []unix.RemoteIovec{{Base: uintptr(at), Len: len(into)}}, 0)
	if err == nil && n == len(into) {
		return nil
	}
	if err == nil || errors.Is(err, unix.EFAULT) {
		return unix.EFAULT
	}
	// Podman's profile refuses process_vm_readv, but not the file.
	f, failed := os.Open(fmt.Sprintf("/proc/%d/mem", tid))
	if failed != nil {
		return errors.Join(err, failed)
	}
	defer f.Close()
	return memoryError(f.ReadAt(into, int64(at)))
}

// writeMemory writes a thread's memory. By the file it could write even where the program
// itself may only read, so that is the second choice.
func writeMemory(tid int, at uint64, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	local := []unix.Iovec{{Base: &data[0], Len: uint64(len(data))}}
	n, err := unix.ProcessVMWritev(tid, local, []unix.RemoteIovec{{Base: uintptr(at), Len: len(data)}}, 0)
	if err == nil && n == len(data) {
		return nil
	}
	f, failed := os.OpenFile(fmt.Sprintf("/proc/%d/mem", tid), os.O_WRONLY, 0)
	if failed != nil {
		return errors.Join(err, failed)
	}
	defer f.Close()
	return memoryError(f.WriteAt(data, int64(at)))
}

// memoryError is what an access by /proc/PID/mem says of memory that is not there: EIO.
func memoryError(_ int, err error) error {
	if errors.Is(err, unix.EIO) || errors.Is(err, io.EOF) {
		return unix.EFAULT
	}
	return err
}

// isRefused reports whether the system does not permit what was tried, rather than that the
// program gave an address of nothing or is gone.
func isRefused(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSYS)
}

// copyOf is a copy of a thread's file: the same open file, as after dup(2). The caller
// closes it.
func copyOf(tid, fd int) (int, error) {
	const thread = unix.O_EXCL                // PIDFD_THREAD, Linux 6.9
	pidfd, err := unix.PidfdOpen(tid, thread) // a thread may have files of its own
	if errors.Is(err, unix.EINVAL) {
		var pid int
		if pid, err = processOf(tid); err == nil && pid != tid && socketOf(pid, fd) != socketOf(tid, fd) {
			return -1, fmt.Errorf("copy from a thread with files of its own: %w", unix.ENOSYS) // and not another socket in its place
		}
		if err == nil {
			pidfd, err = unix.PidfdOpen(pid, 0)
		}
	}
	if err != nil {
		return -1, fmt.Errorf("pidfd_open: %w", err)
	}
	defer func() { _ = unix.Close(pidfd) }()
	dup, err := unix.PidfdGetfd(pidfd, fd, 0)
	if err != nil {
		return -1, fmt.Errorf("pidfd_getfd: %w", err)
	}
	return dup, nil
}

// processOf is the process that a thread belongs to.
func processOf(tid int) (int, error) {
	if pidfd, err := unix.PidfdOpen(tid, 0); err == nil { // the first thread: it has the process's id
		_ = unix.Close(pidfd)
		return tid, nil
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := bytes.Cut(status, []byte("\nTgid:\t"))
	if !ok {
		return 0, errors.New("expected a line Tgid in the status of the thread")
	}
	number, _, _ := bytes.Cut(rest, []byte("\n"))
	return strconv.Atoi(string(number))
}

// programOf says whose a thread is.
func programOf(tid int) handover.Program {
	p := handover.Program{PID: tid}
	if pid, err := processOf(tid); err == nil {
		p.PID = pid
	}
	p.Executable, _ = os.Readlink(fmt.Sprintf("/proc/%d/exe", tid)) // "" of another user's
	p.Name = firstArgument(tid)
	return p
}

// firstArgument is argv[0] of a thread's process, as much of it as anybody wants to see.
func firstArgument(tid int) string {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/cmdline", tid), unix.O_RDONLY|unix.O_CLOEXEC, 0) // os.Open takes twice as long
	if err != nil {
		return ""
	}
	defer func() { _ = unix.Close(fd) }()
	var line [512]byte
	n, err := unix.Read(fd, line[:])
	if err != nil {
		return ""
	}
	name, _, _ := bytes.Cut(line[:n], []byte{0})
	return string(name)
}
