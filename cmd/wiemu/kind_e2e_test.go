//go:build e2e

package main

import (
	"os/exec"
	"strings"
	"testing"
)

// The README's section about clusters, word for word, after those that build wiemu.
func TestREADMEInKind(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Fatal("kubectl is not in the PATH; make kubectl builds it into bin/")
	}
	t.Cleanup(func() { // of a block that failed half way
		if out, err := exec.Command("docker", "rm", "--force", "--volumes", "wiemu-control-plane").CombinedOutput(); err != nil && !strings.Contains(string(out), "No such container") {
			t.Errorf("%v: %s", err, out)
		}
	})
	out := runREADME(t, func(block string) bool {
		return strings.HasPrefix(block, "make build\n") || strings.Contains(block, "wiemu kind up\n")
	})
	for _, want := range []string{
		"cluster   wiemu is made",
		"until a pod had exchanged its token and read a secret",
		`"value":"the secret of wiemu"`,
		"exchange granted: my-radix-app-dev/web-sa",
		"cluster wiemu is gone",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the README's commands did not show %q:\n%s", want, out)
		}
	}
}
