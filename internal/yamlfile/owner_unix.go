//go:build unix

package yamlfile

import (
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// ownedByCaller returns the owner of a file, and whether the caller trusts that user
// anyway.
func ownedByCaller(info fs.FileInfo) (owner int, trusted bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, false
	}
	owner = int(stat.Uid)
	switch caller := os.Geteuid(); {
	case owner == caller, owner == 0:
		return owner, true
	case caller == 0: // sudo(8): the user who invoked it
		behind, err := strconv.ParseUint(os.Getenv("SUDO_UID"), 10, 32)
		return owner, err == nil && int(behind) == owner
	}
	return owner, false
}
