//go:build e2e

package stack_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/session"
)

// mounting are the files of an application whose component mounts a key vault.
func mounting(t *testing.T, permissions string) session.Files {
	t.Helper()
	dir := t.TempDir()
	var names []string
	for name, text := range map[string]string{
		"radixconfig.yaml": `apiVersion: radix.equinor.com/v1
kind: RadixApplication
metadata: {name: shop}
spec:
  environments: [{name: dev}]
  components:
    - name: web
      identity: {azure: {clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}}
      secretRefs:
        azureKeyVaults:
          - {name: shop-vault, path: /mnt/secrets, useAzureIdentity: true, items: [{name: db-password, envVar: DB_PASSWORD}, {name: signing, type: key}]}
`,
		"wiemu.yaml": `vaults:
  - {name: shop-vault, secrets: {db-password: $ecret}, keys: {signing: {type: EC}}, access: [{identity: b96d264b-7053-4465-a4a7-32be5b0fec49, permissions: [` + permissions + `]}, {identity: 4a7d8f52-3c1b-4e0a-9f6d-2b5c8e7a1d30, permissions: [set]}]}
`,
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, file)
	}
	files, err := session.ReadFiles(dir, names)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A service has what its radixconfig.yaml takes from a key vault, as files and in variables,
// and the files follow the vault on the lab clock.
func TestMountedKeyVaults(t *testing.T) {
	e := open(t)
	project := prepareWith(t, e, "../testdata/mounted/docker-compose.yml", nil, mounting(t, "'*'"))
	up(t, e, project)
	if got := read(t, e, project, "wiemu", "/lab/mounts/shop-dev_web-sa/shop-vault/db-password"); got != "$ecret" {
		t.Errorf("the file of the emulator has %q", got)
	}
	lab := controlOf(t, e, project)
	ended, stop := context.WithTimeout(t.Context(), busy)
	defer stop()
	var looking sync.WaitGroup
	looking.Go(func() { // the driver looks every two minutes
		for ended.Err() == nil {
			_, _ = lab.Advance(ended, "2m") // until the test has ended it
			select {
			case <-ended.Done():
			case <-time.After(200 * time.Millisecond): // of containers
			}
		}
	})
	var logs said
	if code, err := e.Follow(ended, project, "wiemu", &logs); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	stop()
	looking.Wait()
	for _, want := range []string{"web-1 | $ecret $ecret", "web-1 | -----BEGIN PUBLIC KEY-----", "web-1 | later $ecret changed"} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("expected %s in\n%s", want, logs.String())
		}
	}
}

// Where the identity may not read the vault, no service is started, and the error is the
// driver's.
func TestKeyVaultsThatCannotBeMounted(t *testing.T) {
	e := open(t)
	project := prepareWith(t, e, "../testdata/mounted/docker-compose.yml", nil, mounting(t, "list"))
	err := e.Up(t.Context(), project)
	if err == nil || !strings.Contains(err.Error(), "failed to mount secrets store objects for pod shop-dev/dev-web-0") || !strings.Contains(err.Error(), "objectName:db-password") {
		t.Errorf("%v", err)
	}
	if left := leftBehind(t, e, project.Name); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
