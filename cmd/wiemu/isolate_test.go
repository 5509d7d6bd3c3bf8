//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user and a group without any rights.
const nobody = 65534

// Isolation needs no root: the tests often run as root, so this one gives it up.
func TestIsolateAsNobody(t *testing.T) {
	c := newCommand(t)
	if os.Getuid() == 0 {
		for dir := c.dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if out, err := exec.Command("chown", "-R", "65534:65534", c.dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if err := os.Chmod(filepath.Dir(filepath.Dir(c.path)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := c.prepare(c.path, "run", "--isolate", "-f", "radixconfig.yaml", "--env", "dev", "web", "--",
		"sh", "-c", "id -u; test -s $AZURE_FEDERATED_TOKEN_FILE && echo token; grep CapEff /proc/self/status; mount -t tmpfs x /mnt || echo no mounts; touch made; ls /var/run/secrets")
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"token\n", "CapEff:\t0000000000000000\n", "no mounts\n", "azure\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("expected %q in\n%s", want, out)
		}
	}
	if left := c.left(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
