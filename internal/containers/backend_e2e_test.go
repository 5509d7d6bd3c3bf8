//go:build e2e

package containers_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/containers"
	"github.com/wiemu/wiemu/internal/workload"
)

// The programs that make e2e-compose builds before.
const (
	server  = "../../bin/wiemu-server"
	program = "../../bin/wiemu-workload"
)

func place(t *testing.T) *containers.Backend {
	t.Helper()
	p, err := containers.Open(t.Context(), containers.Options{Server: server, Workload: program})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

const clientID = "b96d264b-7053-4465-a4a7-32be5b0fec49"

var web = workload.Spec{Workload: workload.Workload{Namespace: "shop", ServiceAccount: "web-sa", ClientID: clientID}}

// world opens a world with one workload.
func world(t *testing.T, p *containers.Backend) (backend.Session, backend.Workload) {
	t.Helper()
	c, err := config.Config{}.Complete("")
	if err != nil {
		t.Fatal(err)
	}
	site, err := p.Open(t.Context(), backend.Spec{
		Name: "test", Config: c, Dir: t.TempDir(), Start: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC), Seed: 1, Workloads: []workload.Spec{web},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := site.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r, err := site.Workload(t.Context(), web)
	if err != nil {
		t.Fatal(err)
	}
	return site, r
}

// run runs a program to its end.
func run(t *testing.T, r backend.Workload, p backend.Program) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	p.Stdout, p.Stderr = &out, &err
	started, failed := r.Start(t.Context(), p)
	if failed != nil {
		t.Fatal(failed)
	}
	code, failed = started.Wait(t.Context())
	if failed != nil {
		t.Fatal(failed)
	}
	return code, out.String(), err.String()
}

func TestAPlaceOfContainers(t *testing.T) {
	p := place(t)
	began := time.Now()
	site, r := world(t, p)
	t.Logf("a world is open after %v", time.Since(began))
	began = time.Now()
	if code, out, errs := run(t, r, backend.Program{Command: []string{backend.WorkloadProgram, "secret", "get", "mykeyvault", "mysecret"}}); code != 0 || !strings.Contains(out, "the secret of wiemu") {
		t.Errorf("an azidentity program: exit code %d, %s%s", code, out, errs)
	}
	t.Logf("a program has its secret after %v", time.Since(began))
	code, out, errs := run(t, r, backend.Program{Command: []string{"sh", "-c", `cat "$AZURE_FEDERATED_TOKEN_FILE"; echo more >&2; exit $CODE`}, Env: map[string]string{"CODE": "7"}})
	token, err := r.Token(t.Context())
	if code != 7 || errs != "more\n" || err != nil || out != string(token) || strings.Count(out, ".") != 2 {
		t.Errorf("exit code %d, stdout %q, stderr %q; the token is %q, %v", code, out, errs, token, err)
	}
	if _, out, _ = run(t, r, backend.Program{Command: []string{"sh", "-c", `cat "$AZURE_FEDERATED_TOKEN_FILE"`}, Token: []byte("kept")}); out != "kept" {
		t.Errorf("a token of its own: %q", out)
	}
	if _, err := site.Control().Advance(t.Context(), "1h"); err != nil {
		t.Fatal(err)
	}
	later, err := r.Token(t.Context())
	if err != nil || bytes.Equal(later, token) {
		t.Errorf("an hour later the token is the same one: %v", err)
	}
	if _, out, _ := run(t, r, backend.Program{Command: []string{"sh", "-c", `cat "$AZURE_FEDERATED_TOKEN_FILE"`}}); out != string(later) {
		t.Error("the program reads another token than the emulator wrote")
	}
	missing, err := r.Start(t.Context(), backend.Program{Command: []string{"no-such-program"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := missing.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "no-such-program") {
		t.Errorf("a program that is not there: %v", err)
	}
}

func TestProgramsInContainersAreStopped(t *testing.T) {
	_, r := world(t, place(t))
	reads, writes := io.Pipe()
	started, err := r.Start(t.Context(), backend.Program{Command: []string{"sh", "-c", `trap 'exit 3' TERM; echo trapped; sleep 600 & wait $!`}, Stdout: writes})
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-started.Done(); _ = writes.Close() }()
	if line, err := bufio.NewReader(reads).ReadString('\n'); line != "trapped\n" {
		t.Fatalf("it has ended by itself: %q, %v", line, err)
	}
	started.Stop()
	if code, err := started.Wait(t.Context()); code != 3 || err != nil {
		t.Errorf("exit code %d, %v; want that of its trap", code, err)
	}
}

func TestWorldsInContainersStandSideBySide(t *testing.T) {
	p := place(t)
	began := time.Now()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			_, r := world(t, p)
			if code, out, errs := run(t, r, backend.Program{Command: []string{backend.WorkloadProgram, "secret", "get", "mykeyvault", "mysecret"}}); code != 0 {
				t.Errorf("exit code %d, %s%s", code, out, errs)
			}
		})
	}
	all.Wait()
	t.Logf("three worlds at a time: %v", time.Since(began))
}

// A program has what its workload takes from a key vault, as files, which follow the vault, and
// in variables, which do not.
func TestMountedKeyVaultsOfPrograms(t *testing.T) {
	c, err := config.Config{Vaults: []config.Vault{{Name: "shop-vault", Secrets: map[string]string{"db-password": "hunter22"}}}}.Complete("")
	if err != nil {
		t.Fatal(err)
	}
	mounting := web
	mounting.KeyVaults = []workload.KeyVault{{Name: "shop-vault", Items: []workload.KeyVaultItem{{Name: "db-password", Type: "secret", EnvVar: "DB_PASSWORD"}}}}
	site, err := place(t).Open(t.Context(), backend.Spec{
		Name: "test", Config: c, Dir: t.TempDir(), Start: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC), Seed: 1, Workloads: []workload.Spec{mounting},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := site.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r, err := site.Workload(t.Context(), mounting)
	if err != nil {
		t.Fatal(err)
	}
	show := backend.Program{Command: []string{"sh", "-c", `echo "$DB_PASSWORD $(cat /mnt/azure-key-vault/shop-vault/db-password)"`}}
	if code, out, errs := run(t, r, show); code != 0 || out != "hunter22 hunter22\n" {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
	if code, out, errs := run(t, r, backend.Program{Command: []string{backend.WorkloadProgram, "secret", "set", "shop-vault", "db-password", "changed"}}); code != 0 {
		t.Fatalf("exit code %d, %s%s", code, out, errs)
	}
	if _, err := site.Control().Advance(t.Context(), "2m"); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := run(t, r, show); code != 0 || out != "hunter22 changed\n" {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
}
