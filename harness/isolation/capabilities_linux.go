package isolation

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// layoutCapabilities are what laying out the namespaces takes, in them alone.
func layoutCapabilities() []uintptr {
	return []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_NET_BIND_SERVICE, unix.CAP_SETPCAP, unix.CAP_DAC_OVERRIDE}
}

// kept are the capabilities that a program which runs as root may have inside,
// as containers have them (Docker: daemon/pkg/oci/caps/defaults.go). Others have none.
var kept = []int{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FSETID, unix.CAP_FOWNER, unix.CAP_MKNOD, unix.CAP_NET_RAW, unix.CAP_SETGID,
	unix.CAP_SETUID, unix.CAP_SETFCAP, unix.CAP_SETPCAP, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_CHROOT, unix.CAP_KILL, unix.CAP_AUDIT_WRITE,
}

// dropCapabilities leaves the program what it would have in a container.
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
		if slices.Contains(kept, c) && os.Getuid() == 0 {
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
