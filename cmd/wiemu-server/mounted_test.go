package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// shop is a service with a workload that mounts an item of a vault, with a variable.
func shop(t *testing.T, access, item string) *service {
	t.Helper()
	s := newService(t)
	text := string(read(t, s.path("wiemu.yaml"))) + `workloads: [{namespace: shop, serviceAccount: other-sa, clientId: 22222222-2222-4222-8222-222222222222}, {namespace: shop, serviceAccount: web-sa, clientId: 11111111-1111-4111-8111-111111111111}]
vaults: [{name: shop-vault, secrets: {db-password: hunter22}, access: [{identity: app, permissions: [` + access + `]}]}]
`
	text = strings.Replace(text, "clientId: 11111111-1111-4111-8111-111111111111}]", "clientId: 11111111-1111-4111-8111-111111111111, federatedCredentials: [{name: web, subject: 'system:serviceaccount:shop:web-sa'}]}]", 1)
	vaults := `[null, [{"name": "shop-vault", "items": [{"name": "` + item + `", "type": "secret", "envVar": "DB_PASSWORD"}]}]]`
	for name, content := range map[string]string{"wiemu.yaml": text, "vaults.json": vaults} {
		if err := os.WriteFile(s.path(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// What -vaults names is there when the server is ready: files for other users' containers, and
// variables for a command. When the server ends, the files are gone, and a volume stays.
func TestVaultsAreMountedForContainers(t *testing.T) {
	s := shop(t, "get", "db-password")
	if err := os.MkdirAll(s.path("lab/mounts/shop_web-sa/shop-vault"), 0o755); err != nil { // as a volume is
		t.Fatal(err)
	}
	healthy := settings{healthy: "127.0.0.1:1", lab: s.path("lab")}
	if err := healthy.checkHealth(t.Context()); err == nil || !strings.Contains(err.Error(), "is not ready") {
		t.Errorf("before it is started: %v", err)
	}
	s.start(t, "-vaults", s.path("vaults.json"))
	file := s.path("lab/mounts/shop_web-sa/shop-vault/db-password")
	if got := read(t, file); string(got) != "hunter22" {
		t.Errorf("the file has %q", got)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("its mode: %v, %v", info, err)
	}
	if err := healthy.checkHealth(t.Context()); err == nil || strings.Contains(err.Error(), "is not ready") { // nothing listens there
		t.Errorf("when it is ready: %v", err)
	}
	mounted := func(args ...string) (string, error) {
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		command := exec.CommandContext(t.Context(), program, append([]string{"mounted"}, args...)...)
		command.Env = append(os.Environ(), asServer+"=1", "DB_PASSWORD=of the image")
		out, err := command.CombinedOutput()
		return string(out), err
	}
	variables := s.path("lab/mounted/shop_web-sa/variables.json")
	if out, err := mounted(variables, "--", "sh", "-c", `echo "$DB_PASSWORD $0"`, "mine"); err != nil || out != "hunter22 mine\n" {
		t.Errorf("the command says %q, %v", out, err)
	}
	for _, row := range []struct {
		want string
		args []string
	}{
		{"no-such-command: command not found", []string{variables, "--", "no-such-command"}},
		{"start this program beside a running wiemu-server -vaults", []string{s.path("none"), "--", "true"}},
		{"expected FILE -- and the command", []string{variables, "true"}},
	} {
		if out, err := mounted(row.args...); err == nil || !strings.Contains(out, row.want) {
			t.Errorf("%v: expected %q, found %q, %v", row.args, row.want, out, err)
		}
	}
	if err := s.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := s.command.Wait(); err != nil {
		t.Error(err)
	}
	for _, gone := range []string{file, variables, s.path("lab/ready")} {
		if _, err := os.Stat(gone); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
}

// A server whose workload may not read its vault says so in the driver's words, and is never
// ready.
func TestVaultsThatCannotBeMounted(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("containers do not run Windows")
	}
	const driver = "failed to mount secrets store objects for pod shop/web-sa-0, err: rpc error: code = Unknown desc = failed to mount objects, error: failed to get objectType:secret, objectName:"
	for name, row := range map[string]struct{ access, item, vaults, want string }{
		"without access":      {"list", "db-password", "", driver + "db-password, objectVersion:: GET https://shop-vault.vault.azure.net/secrets/db-password/"},
		"what is not there":   {"get", "other", "", driver + "other"},
		"of other workloads":  {"get", "db-password", "[null]", "expected an entry for each of the 2 workloads of -f, found 1"},
		"what is not written": {"get", "db-password", "{", "-vaults: read "},
	} {
		t.Run(name, func(t *testing.T) {
			s := shop(t, row.access, row.item)
			if row.vaults != "" {
				if err := os.WriteFile(s.path("vaults.json"), []byte(row.vaults), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := settings{file: s.path("wiemu.yaml"), lab: s.path("lab"), vaults: s.path("vaults.json")}.serve(t.Context())
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("expected %q, found %v", row.want, err)
			}
			if left, _ := filepath.Glob(s.path("lab/mounts/*/*/*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
