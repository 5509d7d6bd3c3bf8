package isolation

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// layNetwork makes every address this machine's own: what the program sends to
// anybody arrives in its own network namespace, which has no way out.
func layNetwork() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	for _, all := range []string{"0.0.0.0/0", "::/0"} {
		_, dst, err := net.ParseCIDR(all)
		if err != nil {
			return err
		}
		// ip route add local default dev lo
		err = netlink.RouteAdd(&netlink.Route{
			LinkIndex: lo.Attrs().Index, Dst: dst, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST,
		})
		if err != nil && all == "0.0.0.0/0" { // a kernel without IPv6 has no way out by it
			return fmt.Errorf("route %s to loopback: %w", all, err)
		}
	}
	// As container runtimes do, so that the program may serve on any port (ip(7)).
	_ = os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0)
	return nil
}

// hidden are the services behind sockets of /run that would look up names outside,
// and the secrets of the machine, which may be a pod itself.
var hidden = []string{"secrets", "systemd/resolve", "nscd", "avahi-daemon"}

// layFiles mounts what a pod sees.
func layFiles(p plan) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return &os.PathError{Op: "keep mounts to the program", Path: "/", Err: err}
	}
	if err := unix.Mount("tmpfs", p.Run, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return &os.PathError{Op: "mount a tmpfs on", Path: p.Run, Err: err}
	}
	// /var/run is /run, or a directory of its own.
	var runs []string
	for _, name := range []string{"/var/run", "/run"} {
		if real, err := filepath.EvalSymlinks(name); err == nil && !slices.Contains(runs, real) {
			runs = append(runs, real)
		}
	}
	if len(runs) == 0 {
		return errors.New("expected a directory /run or /var/run, found neither")
	}
	// Where names lead is found before anything is covered.
	files := existing(p.Files)
	for n, run := range runs {
		made := filepath.Join(p.Run, fmt.Sprint(n))
		if err := os.Mkdir(made, 0o755); err != nil {
			return err
		}
		if err := copyTree(run, made, hidden); err != nil {
			return err
		}
		if n == 0 { // where /var/run leads
			tokens := filepath.Join(made, strings.TrimPrefix(TokenDir, "/var/run/"))
			if err := os.MkdirAll(tokens, 0o755); err != nil {
				return err
			}
			if err := bind(p.Tokens, tokens); err != nil {
				return err
			}
		}
	}
	for _, f := range files {
		if err := bind(f.From, f.At); err != nil {
			return err
		}
	}
	for n, run := range runs {
		if err := bind(filepath.Join(p.Run, fmt.Sprint(n)), run); err != nil {
			return err
		}
	}
	return reenter()
}

// reenter looks the working directory up again: it may be in what was covered.
func reenter() error {
	dir, err := os.Getwd()
	if err != nil {
		return nil //nolint:nilerr // it was removed, and stays so
	}
	return os.Chdir(dir)
}

// existing are the places that there are on this machine, each once, without
// symbolic links.
func existing(all []bound) []bound {
	var found []bound
	for _, b := range all {
		at, err := filepath.EvalSymlinks(b.At)
		if err == nil && !slices.ContainsFunc(found, func(o bound) bool { return o.At == at || strings.HasPrefix(at, o.At+"/") }) {
			found = append(found, bound{b.From, at})
		}
	}
	return found
}

// copyTree has every entry of a directory appear in another one, but for those
// that are left out, which are relative to it.
func copyTree(from, to string, leaveOut []string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if slices.Contains(leaveOut, e.Name()) {
			continue
		}
		source, target := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if err := copyEntry(e, source, target, below(leaveOut, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) { // it may be gone meanwhile
			return err
		}
	}
	return nil
}

func copyEntry(e fs.DirEntry, source, target string, leaveOut []string) error {
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		link, err := os.Readlink(source)
		if err != nil {
			return err
		}
		return os.Symlink(link, target)
	case e.IsDir():
		if err := os.Mkdir(target, 0o755); err != nil {
			return err
		}
		if len(leaveOut) > 0 {
			return copyTree(source, target, leaveOut)
		}
		return bind(source, target)
	default: // files, sockets, pipes
		if err := os.WriteFile(target, nil, 0o644); err != nil {
			return err
		}
		return bind(source, target)
	}
}

// below are the paths that start with a directory, relative to it.
func below(paths []string, dir string) []string {
	var found []string
	for _, p := range paths {
		if rest, ok := strings.CutPrefix(p, dir+"/"); ok {
			found = append(found, rest)
		}
	}
	return found
}

// bind has a file or directory appear in another place, with what is mounted
// below it.
func bind(from, at string) error {
	if err := unix.Mount(from, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return &os.PathError{Op: "mount " + from + " on", Path: at, Err: err}
	}
	return nil
}
