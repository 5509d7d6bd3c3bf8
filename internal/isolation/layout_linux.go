package isolation

import (
	"crypto/sha1" //nolint:gosec // OpenSSL names the files of its directory by SHA-1
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/wiemu/wiemu/internal/httppath"
)

// setUpNetwork routes every address to loopback: what the program sends to any host
// arrives in its own network namespace, which has no way out.
func setUpNetwork() error {
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

// mountFiles mounts the files of a pod over those of this machine.
func mountFiles(p plan) error {
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
	for _, v := range p.Volumes {
		if err := mountVolume(p.Run, v); err != nil {
			return err
		}
	}
	return reenter()
}

// mountVolume has a directory appear at a path that need not exist: then the nearest
// directory above it that does is covered by one that also has the path.
func mountVolume(run string, v bindMount) error {
	at := v.At
	if real, err := filepath.EvalSymlinks(at); err == nil {
		return bind(v.From, real)
	}
	above := filepath.Dir(at)
	for !isDirectory(above) {
		above = filepath.Dir(above)
	}
	if above == "/" {
		return fmt.Errorf("mount a volume at %s: expected a path below a directory of this machine, such as /mnt, found none; make %s, or use another path", at, firstStep(at))
	}
	real, err := filepath.EvalSymlinks(above)
	if err != nil {
		return err
	}
	made, err := os.MkdirTemp(run, "volume-")
	if err != nil {
		return err
	}
	inside := filepath.Join(made, strings.TrimPrefix(at, above))
	for _, err := range []error{os.Chmod(made, 0o755), copyTree(real, made, nil), os.MkdirAll(inside, 0o755)} {
		if err != nil {
			return err
		}
	}
	if err := bind(v.From, inside); err != nil {
		return err
	}
	return bind(made, real)
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// firstStep is the directory at the top of an absolute path.
func firstStep(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return "/" + first
}

// reenter looks the working directory up again: it may be in what was covered.
func reenter() error {
	dir, err := os.Getwd()
	if err != nil {
		return nil //nolint:nilerr // it was removed, and stays so
	}
	return os.Chdir(dir)
}

// existing are the places that there are on this machine, each once, without symbolic links.
func existing(all []bindMount) []bindMount {
	var found []bindMount
	for _, b := range all {
		at, err := filepath.EvalSymlinks(b.At)
		if err == nil && !slices.ContainsFunc(found, func(o bindMount) bool { return o.At == at || strings.HasPrefix(at, o.At+"/") }) {
			found = append(found, bindMount{b.From, at})
		}
	}
	return found
}

// copyTree binds the entries of a directory into another one, except those left out.
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

// bind has a file or directory appear in another place, with what is mounted below it.
func bind(from, at string) error {
	if err := unix.Mount(from, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return &os.PathError{Op: "mount " + from + " on", Path: at, Err: err}
	}
	return nil
}

// plan tells the helper process what to set up.
type plan struct {
	Command  string            `json:"command"` // path of the program
	Run      string            `json:"run"`     // directory where the new /run is made
	Tokens   string            `json:"tokens"`  // directory that becomes TokenDir
	Files    []bindMount       `json:"files"`   // what else looks different inside
	Volumes  []bindMount       `json:"volumes,omitempty"`
	Ports    []uint16          `json:"ports"` // that are answered on any address
	Forwards map[string]string `json:"forwards,omitempty"`
	Proxy    string            `json:"proxy"`
	Publish  bool              `json:"publish,omitempty"`
}

// bindMount is a file or directory that is seen in another's place, if that exists.
type bindMount struct {
	From string `json:"from"`
	At   string `json:"at"`
}

// resolverOptions are those of resolv.conf. Questions are answered at once, but a program's
// seconds may be a few microseconds: then it is to wait as long as libc lets it.
// Source: resolv.conf(5), which caps them at 30 and 5.
func (o Options) resolverOptions() string {
	if o.LabClock {
		return "attempts:5 timeout:30"
	}
	return "attempts:1 timeout:2"
}

// newPlan writes what the program is to see into the run's directory.
func newPlan(o Options) (plan, error) {
	name, err := os.Hostname()
	if err != nil {
		return plan{}, fmt.Errorf("isolate the program: %w", err)
	}
	in := func(name string) string { return filepath.Join(o.Dir, name) }
	certs, err := writeCertDirectory(in("certs"), o.Roots)
	err = errors.Join(err,
		os.WriteFile(in("hosts"), []byte("127.0.0.1\tlocalhost "+name+"\n::1\tlocalhost ip6-localhost ip6-loopback\n"), 0o644),
		os.WriteFile(in("resolv.conf"), []byte("nameserver "+resolver.String()+"\noptions "+o.resolverOptions()+"\n"), 0o644),
		os.MkdirAll(in("run"), 0o755))
	if err != nil {
		return plan{}, fmt.Errorf("isolate the program: %w", err)
	}
	p := plan{
		Run: in("run"), Tokens: o.Tokens, Ports: append([]uint16{tlsPort}, o.Ports...),
		Forwards: o.Forwards, Proxy: o.Proxy, Publish: len(o.Publish) > 0,
		Files: []bindMount{{in("hosts"), "/etc/hosts"}, {in("resolv.conf"), "/etc/resolv.conf"}, {certs, "/etc/ssl/certs"}},
	}
	for _, file := range rootFiles() {
		p.Files = append(p.Files, bindMount{o.Roots, file})
	}
	for _, at := range slices.Sorted(maps.Keys(o.Volumes)) {
		if !filepath.IsAbs(at) {
			return plan{}, fmt.Errorf("isolate the program: volume at %q: expected an absolute path", at)
		}
		p.Volumes = append(p.Volumes, bindMount{o.Volumes[at], filepath.Clean(at)})
	}
	return p, nil
}

// rootFiles are where systems keep their trusted roots as one file: Fedora and RHEL, openSUSE,
// Alpine (Go: crypto/x509/root_linux.go). Debian's is in /etc/ssl/certs.
func rootFiles() []string {
	return []string{
		"/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
		"/var/lib/ca-certificates/ca-bundle.pem",
		"/etc/ssl/ca-bundle.pem",
		"/etc/ssl/cert.pem",
	}
}

// writeCertDirectory makes a directory of trusted roots as OpenSSL and GnuTLS read it: one file
// each, named by the hash of its subject, and all of them in one (openssl-rehash(1)).
func writeCertDirectory(dir, rootsFile string) (string, error) {
	roots, err := os.ReadFile(rootsFile)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "ca-certificates.crt"), roots, 0o644); err != nil {
		return "", err
	}
	taken := map[uint32]int{}
	for rest := roots; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return dir, nil
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue // other programs pass over it as well
		}
		hash, err := subjectHash(cert.RawSubject)
		if err != nil {
			return "", fmt.Errorf("%s: %w", rootsFile, err)
		}
		name := fmt.Sprintf("%08x.%d", hash, taken[hash])
		taken[hash]++
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o644); err != nil {
			return "", err
		}
	}
}

// subjectHash is OpenSSL's X509_NAME_hash: of the name in canonical form, which
// is UTF-8 in lower case, without needless white space and without the outermost
// SEQUENCE (crypto/x509/x_name.c, x509_name_canon).
func subjectHash(subject []byte) (uint32, error) {
	var sets []asn1.RawValue
	if _, err := asn1.Unmarshal(subject, &sets); err != nil {
		return 0, fmt.Errorf("the subject of a root: %w", err)
	}
	var canonical []byte
	for _, set := range sets {
		encoded, err := canonicalSet(set)
		if err != nil {
			return 0, fmt.Errorf("the subject of a root: %w", err)
		}
		canonical = append(canonical, encoded...)
	}
	sum := sha1.Sum(canonical) //nolint:gosec // see above
	return binary.LittleEndian.Uint32(sum[:]), nil
}

// canonicalSet is one part of a name, such as CN=…, in canonical form.
func canonicalSet(set asn1.RawValue) ([]byte, error) {
	var members []byte
	for rest := set.Bytes; len(rest) > 0; {
		var attribute struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		var err error
		if rest, err = asn1.Unmarshal(rest, &attribute); err != nil {
			return nil, err
		}
		switch attribute.Value.Tag {
		case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagT61String:
			text := strings.Join(strings.Fields(httppath.Lower(string(attribute.Value.Bytes))), " ")
			attribute.Value = asn1.RawValue{Tag: asn1.TagUTF8String, Bytes: []byte(text)}
		}
		member, err := asn1.Marshal(attribute)
		if err != nil {
			return nil, err
		}
		members = append(members, member...)
	}
	return asn1.Marshal(asn1.RawValue{Tag: asn1.TagSet, IsCompound: true, Bytes: members})
}
