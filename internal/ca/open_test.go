package ca

import (
	"bytes"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/statedir"
)

func TestOpenAgain(t *testing.T) {
	first := []string{"login.microsoftonline.com", ".vault.azure.net"}
	for _, test := range []struct {
		name   string
		names  []string
		ips    []netip.Addr
		damage func(t *testing.T, file string)
		why    string // part of Renewed; "": the CA is kept
	}{
		{name: "the same names", names: first},
		{name: "fewer names", names: first[:1], why: `permits "vault.azure.net", which this configuration does not name`},
		{name: "a name below a permitted one", names: []string{"a.vault.azure.net"}, why: "does not permit a.vault.azure.net"},
		{name: "another name", names: append(first, "graph.microsoft.com"), why: "does not permit graph.microsoft.com"},
		{name: "another suffix", names: []string{".azure.net"}, why: "does not permit azure.net"},
		{name: "an address", names: first, ips: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, why: "does not permit 10.0.0.1"},
		{name: "an empty file", names: first, damage: truncate(0), why: "is no CA"},
		{name: "half a file", names: first, damage: truncate(900), why: "is no CA"},
		{name: "no key", names: first, damage: truncate(-20), why: "expected a private key"},
		{name: "another's key", names: first, damage: swapKey, why: "not the intermediate's"},
		{name: "another's root", names: first, damage: swapRoot, why: "not the root's"},
		{name: "everything permitted", names: first, damage: replaceCA(func(c *x509.Certificate) { c.PermittedDNSDomains = append(c.PermittedDNSDomains, "") }), why: `permits "", which`},
		{name: "every address permitted", names: first, damage: replaceCA(func(c *x509.Certificate) {
			c.PermittedIPRanges = append(c.PermittedIPRanges, &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)})
		}), why: `permits "0.0.0.0/0", which`},
		{name: "every URI permitted", names: first, damage: replaceCA(func(c *x509.Certificate) { c.PermittedURIDomains = nil }), why: "constraints that are not wiemu's"},
		{name: "constraints that clients may pass over", names: first, damage: replaceCA(func(c *x509.Certificate) { c.PermittedDNSDomainsCritical = false }), why: "not held to names"},
		{name: "loose permissions", names: first, damage: func(t *testing.T, file string) {
			if err := os.Chmod(file, 0o644); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ca")
			before := open(t, dir, clock.Running(), first...)
			if before.Renewed() != "" {
				t.Errorf("the first CA: renewed: %s", before.Renewed())
			}
			file := filepath.Join(dir, authorityFile)
			if test.damage != nil {
				test.damage(t, file)
			}
			after, err := Open(dir, clock.Running(), Options{Names: test.names, IPs: test.ips})
			if err != nil {
				t.Fatal(err)
			}
			kept := bytes.Equal(before.RootPEM(), after.RootPEM())
			if kept != (test.why == "") || !strings.Contains(after.Renewed(), test.why) || (after.Renewed() == "") != kept {
				t.Errorf("kept: %t; renewed: %q; want %q", kept, after.Renewed(), test.why)
			}
			if !kept && !strings.Contains(after.Renewed(), file) {
				t.Errorf("%q does not name the file", after.Renewed())
			}
			name := strings.TrimPrefix(test.names[0], ".")
			if name != test.names[0] {
				name = "x." + name
			}
			if err := verify(after, handshake(t, after, name), name, time.Now()); err != nil {
				t.Error(err)
			}
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v", file, info.Mode())
			}
			if again, err := Open(dir, clock.Running(), Options{Names: test.names, IPs: test.ips}); err != nil || again.Renewed() != "" {
				t.Errorf("opened once more: %v, renewed: %s", err, again.Renewed())
			}
		})
	}
}

// replaceCA puts a CA there whose root is as wiemu's, but for one change that both
// of its certificates have.
func replaceCA(change func(*x509.Certificate)) func(*testing.T, string) {
	return func(t *testing.T, file string) {
		permitted, err := parseNames(Options{Names: []string{"login.microsoftonline.com", ".vault.azure.net"}})
		if err != nil {
			t.Fatal(err)
		}
		rootKey, err := newKey()
		if err != nil {
			t.Fatal(err)
		}
		made, err := signCA(rootKey, permitted, change)
		if err != nil {
			t.Fatal(err)
		}
		files, err := statedir.Open(filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		if err := store(files, made); err != nil {
			t.Fatal(err)
		}
	}
}

func truncate(size int64) func(*testing.T, string) {
	return func(t *testing.T, file string) {
		if size < 0 {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			size += info.Size()
		}
		if err := os.Truncate(file, size); err != nil {
			t.Fatal(err)
		}
	}
}

// swapKey and swapRoot put a part of another CA in place of the file's own.
func swapKey(t *testing.T, file string) {
	parts(t, file, func(own, other [][]byte) { own[2] = other[2] })
}

func swapRoot(t *testing.T, file string) {
	parts(t, file, func(own, other [][]byte) { own[0] = other[0] })
}

func parts(t *testing.T, file string, change func(own, other [][]byte)) {
	t.Helper()
	other := privateDir(t)
	open(t, other, clock.Running(), "login.microsoftonline.com", ".vault.azure.net")
	read := func(file string) (blocks [][]byte) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for part := range strings.SplitSeq(string(data), "-----BEGIN ") {
			if part != "" {
				blocks = append(blocks, []byte("-----BEGIN "+part))
			}
		}
		return blocks
	}
	own := read(file)
	change(own, read(filepath.Join(other, authorityFile)))
	if err := os.WriteFile(file, bytes.Join(own, nil), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	blocked := filepath.Join(privateDir(t), "blocked")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	aDirectory := privateDir(t)
	if err := os.Mkdir(filepath.Join(aDirectory, authorityFile), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, dir string
		opts      Options
		want      []string
	}{
		{"a wildcard", "", Options{Names: []string{"*.vault.azure.net"}}, []string{`"*.vault.azure.net"`, "suffix such as .vault.azure.net"}},
		{"a name with a port", "", Options{Names: []string{"login.microsoftonline.com:443"}}, []string{"login.microsoftonline.com:443"}},
		{"no name", "", Options{Names: []string{""}}, []string{`""`}},
		{"every name", "", Options{Names: []string{"."}}, []string{`"."`}},
		{"an address that is not set", "", Options{IPs: []netip.Addr{{}}}, []string{"IP addresses"}},
		{"a file for a directory", blocked, Options{}, []string{blocked}},
		{"a directory for a file", aDirectory, Options{}, []string{filepath.Join(aDirectory, authorityFile), "delete it"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(test.dir, clock.Running(), test.opts)
			if err == nil {
				t.Fatal("opened")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

// A CA that somebody else put there is an error, not a reason to make a new one.
func TestOpenRefusesAnothersCA(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() != 0 {
		t.Skip("files of another owner are made by root")
	}
	for _, planted := range []string{"", authorityFile} {
		dir := privateDir(t)
		open(t, dir, clock.Running(), "login.microsoftonline.com")
		if err := os.Chown(filepath.Join(dir, planted), 54321, 54321); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, clock.Running(), Options{Names: []string{"login.microsoftonline.com"}}); err == nil || !strings.Contains(err.Error(), "belongs to user 54321") || !strings.Contains(err.Error(), filepath.Join(dir, planted)) {
			t.Errorf("%s of another: %v", planted, err)
		}
	}
}

// A failing disk leaves neither half a CA nor a temporary file.
func TestStoreFails(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		dir := privateDir(t)
		if err := os.Mkdir(filepath.Join(dir, authorityFile), 0o700); err != nil {
			t.Fatal(err)
		}
		made, err := makeCA(names{})
		if err != nil {
			t.Fatal(err)
		}
		files, err := statedir.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer files.Close()
		if err := store(files, made); err == nil {
			t.Error("a directory was replaced")
		}
		if left, _ := filepath.Glob(filepath.Join(dir, ".authority*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		return
	}
	dir := privateDir(t)
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, clock.Running(), Options{}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("error %v", err)
	}
}

func TestParallelOpensAgree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	var roots sync.Map
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			a, err := Open(dir, clock.Running(), Options{Names: []string{"a.test"}})
			if err != nil {
				t.Error(err)
				return
			}
			roots.Store(string(a.RootPEM()), true)
		})
	}
	all.Wait()
	count := 0
	roots.Range(func(any, any) bool { count++; return true })
	if count != 1 {
		t.Errorf("%d CAs", count)
	}
}

// privateDir is a temporary directory that only its owner can write, whatever the umask.
func privateDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
