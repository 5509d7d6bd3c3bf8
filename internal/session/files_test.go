package session_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/session"
)

func TestReadFilesTellsKindsApart(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	radix := write("radixconfig.yaml", read(t, filepath.Join("..", "..", "docs", "examples", "radixconfig.yaml")))
	own := write("wiemu.yaml", read(t, filepath.Join("..", "..", "docs", "examples", "wiemu.yaml")))
	files, err := session.ReadFiles(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	declared := files.Workloads()
	if len(declared) != 4 || files.ConfigFile != own {
		t.Errorf("workloads %+v of %s, want two of each file", declared, files.ConfigFile)
	}
	for name, c := range map[string]struct {
		component, environment, want string
	}{
		"one of an environment":   {"web", "dev", ""},
		"one of wiemu.yaml":       {"report", "", ""},
		"several environments":    {"web", "", "say which with --env"},
		"none, where several are": {"", "", "which workload? expected one of: web --env"},
		"an unknown component":    {"wbe", "dev", "expected one of: web --env"},
		"an unknown environment":  {"web", "staging", "expected one of: web --env"},
	} {
		_, err := session.Find(declared, c.component, c.environment)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"two wiemu.yaml": {[]string{own, own}, "expected one wiemu configuration"},
		"another kind":   {[]string{write("d.yaml", "apiVersion: radix.equinor.com/v1\nkind: RadixDNSAlias\n")}, "d.yaml:2:7: kind: expected Configuration, RadixApplication or a Kubernetes object"},
		"a mistyped one": {[]string{write("m.yaml", "kind: Deployment\nspec: {template: {spec: []}}\n")}, "m.yaml:2:25: spec.template.spec: expected a mapping, found a list"},
		"no file":        {[]string{filepath.Join(dir, "none.yaml")}, "none.yaml"},
		"no YAML":        {[]string{write("b.yaml", "a: [")}, "b.yaml:1"},
	} {
		if _, err := session.ReadFiles(dir, c.files); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for unread, named := range map[string][]string{"": {radix, own}, own: {radix}} {
		if files, err := session.ReadFiles(dir, named); err != nil || files.Unread != unread {
			t.Errorf("%v: not read is %q, %v", named, files.Unread, err)
		}
	}
}

func TestAWorkloadWithoutANameIsCalledAsItsServiceAccount(t *testing.T) {
	declared := readFiles(t, "workloads: [{namespace: a, serviceAccount: report-sa, clientId: "+clientID+"}]\n").Workloads()
	if _, err := session.Find(declared, "report-sa", ""); err != nil {
		t.Error(err)
	}
	if d, err := session.Find(declared, "", ""); err != nil || d.ServiceAccount != "report-sa" {
		t.Errorf("%+v, %v, want the only one there is", d, err)
	}
	if _, err := session.Find(nil, "", ""); err == nil || !strings.Contains(err.Error(), "which workload? name a component") {
		t.Errorf("%v, want to be told how to name one", err)
	}
	if _, err := session.Find(declared, "reprot", ""); err == nil || !strings.Contains(err.Error(), "expected one of: report-sa") {
		t.Errorf("%v, want the name that it has", err)
	}
}

func TestVaultsThatARadixConfigNamesAreThere(t *testing.T) {
	const radix = `apiVersion: radix.equinor.com/v1
kind: RadixApplication
metadata: {name: shop}
spec:
  environments: [{name: dev}]
  components:
  - name: web
    identity: {azure: {clientId: ` + clientID + `}}
    secretRefs:
      azureKeyVaults:
      - {name: Shop-Vault, useAzureIdentity: true, items: [{name: Pass, envVar: A}, {name: pass, envVar: B}, {name: tls, type: cert, envVar: C}]}
      - {name: own-vault, useAzureIdentity: true, items: [{name: other, envVar: D}]}
      - {name: kv, useAzureIdentity: true, items: [{name: x, envVar: E}]}
`
	for name, c := range map[string]struct{ own, want string }{
		"beside the default": {"", "map[Shop-Vault:map[Pass:the placeholder of wiemu for Pass] mykeyvault:map[mysecret:the secret of wiemu] own-vault:map[other:the placeholder of wiemu for other]]"},
		"beside those of wiemu.yaml": {"vaults: [{name: Own-Vault, secrets: {mine: x}}]\n",
			"map[Own-Vault:map[mine:x] Shop-Vault:map[Pass:the placeholder of wiemu for Pass]]"},
	} {
		completed, err := readFiles(t, c.own, radix).Configuration().Complete("wiemu.yaml")
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]map[string]string{}
		for _, v := range completed.Vaults {
			got[v.Name] = v.Secrets
			if v.Access[0].Identity != "*" {
				t.Errorf("%s: %s is open to %+v, want everybody of the tenant", name, v.Name, v.Access)
			}
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

// readFiles reads the files of a directory: the first becomes wiemu.yaml, the second radixconfig.yaml.
func readFiles(t *testing.T, contents ...string) session.Files {
	t.Helper()
	dir := t.TempDir()
	for i, content := range contents {
		if err := os.WriteFile(filepath.Join(dir, []string{"wiemu.yaml", "radixconfig.yaml"}[i]), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := session.ReadFiles(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestAFoundFileSendsNoFileFromElsewhereAway is an attack: a repository's wiemu.yaml
// names a file of its reader's and the server that is to get it.
func TestAFoundFileSendsNoFileFromElsewhereAway(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		token  string
		refuse bool
	}{
		"in the folder":           {"token", false},
		"below it":                {"./tokens/token", false},
		"a link that stays in it": {"stays", false},
		"missing":                 {"missing", false}, // for the lab to tell, as of one that was named
		"by its path":             {secret, true},
		"above it":                {"../secret", true},
		"a link out of it":        {"leaves", true},
		"below a link out of it":  {"out/secret", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "wiemu.yaml")
			text := "issuers:\n  - {name: a, url: https://issuer.example/, external: true, server: https://collector.example, bearerTokenFile: " + row.token + "}\n"
			if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.WriteFile(filepath.Join(dir, "token"), nil, 0o600), os.Mkdir(filepath.Join(dir, "tokens"), 0o700),
				os.WriteFile(filepath.Join(dir, "tokens", "token"), nil, 0o600), os.Symlink("tokens/token", filepath.Join(dir, "stays")),
				os.Symlink(secret, filepath.Join(dir, "leaves")), os.Symlink(filepath.Dir(secret), filepath.Join(dir, "out"))); err != nil {
				t.Fatal(err)
			}
			_, err := session.ReadFiles(dir, nil)
			switch {
			case !row.refuse && err != nil:
				t.Error(err)
			case row.refuse && (err == nil || !strings.Contains(err.Error(), "issuers[0].bearerTokenFile: expected a file in the folder of this one") ||
				!strings.Contains(err.Error(), "its content is sent to https://collector.example; if that is meant, name this file: -f "+file)):
				t.Errorf("%v", err)
			}
			if _, err := session.ReadFiles(dir, []string{file}); err != nil {
				t.Errorf("a file that was named: %v", err)
			}
		})
	}
}
