package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/wiemu/wiemu/internal/backend"
)

// ask is a program that heeds no proxy, and says whether it was given one.
const ask = `env | grep -ic '^https_proxy='; curl -sS --noproxy '*' -m 20 -o /dev/null -w '%{http_code}\n' https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration`

// With less rights than root programs are led as well, without an option. Where they cannot
// be, a line says why.
func TestLedWithoutRights(t *testing.T) {
	if backend.DefaultNetwork() != backend.Auto {
		t.Skip("these tests are run by the proxy")
	}
	_, err := exec.LookPath("curl")
	need(t, err, "curl")
	for name, less := range map[string]func(*exec.Cmd){
		"as nobody": func(cmd *exec.Cmd) {
			if os.Getuid() == 0 {
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
		},
		"without capabilities": func(cmd *exec.Cmd) {
			if os.Getuid() == 0 {
				setpriv, err := exec.LookPath("setpriv")
				need(t, err, "setpriv")
				cmd.Args = append([]string{"setpriv", "--bounding-set=-all", "--inh-caps=-all", cmd.Path}, cmd.Args[1:]...)
				cmd.Path = setpriv
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCommand(t)
			if name == "as nobody" {
				c.giveToNobody()
			}
			run := func(args ...string) (stdout, stderr string) {
				t.Helper()
				cmd := c.prepare(c.path, args...)
				less(cmd)
				var said strings.Builder
				cmd.Stderr = &said
				out, err := cmd.Output()
				if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
					t.Fatal(err)
				}
				return string(out), said.String()
			}
			text, _ := run("doctor", "-o", "json")
			var permitted struct {
				Findings []struct{ Check, Status string }
			}
			if err := json.Unmarshal([]byte(text), &permitted); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			status := ""
			for _, f := range permitted.Findings {
				if f.Check == "transparent-network" {
					status = f.Status
				}
			}
			stdout, stderr := run("run", "-f", "radixconfig.yaml", "--env", "dev", "web", "--", "sh", "-c", "id -u; grep CapEff /proc/self/status; "+ask)
			if !strings.Contains(stdout, "CapEff:\t0000000000000000\n") {
				t.Errorf("expected a program without capabilities, found\n%s", stdout)
			}
			told := strings.Count(stderr, "programs reach the lab by its proxy: ")
			switch status {
			case "ok":
				if !strings.HasSuffix(stdout, "\n0\n200\n") || stderr != "" {
					t.Errorf("expected a program that is led, without a proxy, found\n%s%s", stdout, stderr)
				}
			case "limited": // only its memory can be written
				if !strings.HasSuffix(stdout, "\n2\n200\n") || told != 0 {
					t.Errorf("expected a program that is led, with a proxy, found\n%s%s", stdout, stderr)
				}
			case "missing":
				if !strings.Contains(stdout, "\n2\n") || told != 1 || !strings.Contains(stderr, "wiemu doctor") {
					t.Errorf("expected a proxy, and one line that says why, found\n%s%s", stdout, stderr)
				}
			default:
				t.Fatalf("expected that wiemu doctor knows, found status %q", status)
			}
			if left := c.left(); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// giveToNobody makes nobody the owner of what c has, if this is root.
func (c *command) giveToNobody() {
	c.t.Helper()
	if os.Getuid() != 0 {
		return
	}
	c.env = append(c.env, "XDG_CACHE_HOME="+filepath.Join(c.dir, "cache")) // which nobody can write
	for _, dir := range []string{c.dir, filepath.Dir(c.path)} {
		for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				c.t.Fatal(err)
			}
		}
	}
	if out, err := exec.Command("chown", "-R", "65534:65534", c.dir).CombinedOutput(); err != nil {
		c.t.Fatalf("%v: %s", err, out)
	}
}
