//go:build amd64 || arm64

package lead

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Programs that gain privileges are told, each with the reason.
func TestSuits(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := func(name, to string) string {
		path := filepath.Join(dir, name)
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	setuid := file("setuid", "\x7fELF", 0o755|os.ModeSetuid)
	setgid := file("setgid", "\x7fELF", 0o755|os.ModeSetgid)
	plain := file("plain", "\x7fELF", 0o755)
	t.Setenv("PATH", dir)
	own, another := os.Geteuid(), os.Geteuid()+1
	for _, test := range []struct {
		name, path string
		uid        int
		want       string // "": it suits
	}{
		{"a program", plain, own, ""},
		{"none", filepath.Join(dir, "none"), own, ""},
		{"setuid, of another user", setuid, another, "setuid"},
		{"setuid, of this user", setuid, own, ""},
		{"setgid", setgid, another, "setgid"},
		{"a link to a setuid program", link("sudo", "setuid"), another, "setuid"},
		{"a snap", "/snap/bin/node", own, "snap"},
		{"a link to a snap", link("kubectl", "/snap/bin/kubectl"), own, "snap"},
		{"a link to a link to snap itself", link("go", filepath.Base(link("to-snap", "/usr/bin/snap"))), own, "snap"},
		{"a script", file("script", "#!"+plain+" -x\n", 0o755), own, ""},
		{"a script of a setuid program", file("script2", "#! "+setuid+" -x\n", 0o755), another, "setuid"},
		{"a script by env", file("script3", "#!/usr/bin/env -S A=b sudo -x\n", 0o755), another, "setuid"},
		{"a script of a script", file("script4", "#!"+filepath.Join(dir, "script2")+"\n", 0o755), another, "setuid"},
		{"a script of itself", file("script5", "#!"+filepath.Join(dir, "script5")+"\n", 0o755), own, ""},
		{"an empty first line", file("script6", "#!\n", 0o755), own, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := suits(test.path, test.uid)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("found %v, want %q", err, test.want)
			}
		})
	}
	if err := Suits(plain); err != nil {
		t.Error(err)
	}
}

// Capabilities of a file are found. Only root may give them.
func TestSuitsCapabilities(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ping")
	if err := os.WriteFile(path, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	// VFS_CAP_REVISION_2 with CAP_NET_RAW. Source: linux/capability.h.
	capabilities := append([]byte{1, 0, 0, 2, 0, 0x20}, make([]byte, 14)...)
	if err := unix.Setxattr(path, "security.capability", capabilities, 0); err != nil {
		t.Skipf("this user may not give capabilities to files: %v", err)
	}
	if err := suits(path, 1000); err == nil || !strings.Contains(err.Error(), "has capabilities") {
		t.Errorf("found %v", err)
	}
	if err := suits(path, 0); err != nil {
		t.Error(err)
	}
}
