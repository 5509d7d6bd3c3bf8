//go:build e2e

package containers_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness/containers"
	"github.com/wiemu/wiemu/internal/docker"
	"github.com/wiemu/wiemu/internal/resource/postgres/postgrestest"
)

// server is the program that make e2e-compose builds before.
const server = "../../bin/wiemu-server"

const clientID = "b96d264b-7053-4465-a4a7-32be5b0fec49"

// image makes the emulator's image.
func image(t *testing.T) (string, client.APIClient) {
	t.Helper()
	api, err := docker.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = api.Client().Close() })
	img, err := docker.ServerImage(t.Context(), api.Client(), server)
	if err != nil {
		t.Fatal(err)
	}
	return img, api.Client()
}

// A container has what its radixconfig.yaml takes from a key vault, as files and in variables.
func TestMountedKeyVaults(t *testing.T) {
	img, _ := image(t)
	file := filepath.Join(t.TempDir(), "radixconfig.yaml")
	if err := os.WriteFile(file, []byte(`apiVersion: radix.equinor.com/v1
kind: RadixApplication
metadata: {name: shop}
spec:
  environments: [{name: dev}]
  components:
    - name: web
      identity: {azure: {clientId: `+clientID+`}}
      secretRefs: {azureKeyVaults: [{name: shop-vault, useAzureIdentity: true, items: [{name: db-password, envVar: DB_PASSWORD}]}]}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	emulator, err := containers.Run(t.Context(), img, containers.WithConfigFile(file),
		containers.WithConfig(config.Config{Vaults: []config.Vault{{Name: "shop-vault", Secrets: map[string]string{"db-password": "hunter22"}}}}))
	testcontainers.CleanupContainer(t, emulator)
	if err != nil {
		t.Fatal(err)
	}
	app, err := testcontainers.Run(t.Context(), "curlimages/curl:8.11.1", emulator.Workload("shop-dev", "web-sa"),
		testcontainers.WithEntrypoint("sh", "-c", `echo "$DB_PASSWORD and $(cat /mnt/azure-key-vault/shop-vault/db-password)"`), testcontainers.WithWaitStrategy(wait.ForExit()))
	testcontainers.CleanupContainer(t, app)
	if err != nil {
		t.Fatal(err)
	}
	if said := logs(t, app); !strings.Contains(said, "hunter22 and hunter22") {
		t.Errorf("the application says %s", said)
	}
}

// Somebody's test, with wiemu as a module of testcontainers.
func TestModule(t *testing.T) {
	img, api := image(t)
	ctx := t.Context()
	emulator, err := containers.Run(ctx, img,
		containers.WithConfig(config.Config{Vaults: []config.Vault{{Name: "shop", Secrets: map[string]string{"greeting": "hello"}}}}),
		containers.WithWorkload("shop", "web-sa", clientID),
	)
	testcontainers.CleanupContainer(t, emulator)
	if err != nil {
		t.Fatal(err)
	}
	app, err := testcontainers.Run(ctx, "wiemu/workload:local",
		emulator.Workload("shop", "web-sa"), testcontainers.WithCmd("secret", "get", "shop", "greeting"), testcontainers.WithWaitStrategy(wait.ForExit()),
	)
	testcontainers.CleanupContainer(t, app)
	if err != nil {
		t.Fatal(err)
	}
	if said := logs(t, app); !strings.Contains(said, `"value":"hello"`) {
		t.Errorf("the application says %s", said)
	}
	lab, err := emulator.ControlClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	before, err := emulator.Token(ctx, "shop", "web-sa")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Advance(ctx, "1h"); err != nil {
		t.Fatal(err)
	}
	if after, err := emulator.Token(ctx, "shop", "web-sa"); err != nil || string(after) == string(before) {
		t.Errorf("an hour later the token is the same one: %v", err)
	}
	if ca, err := emulator.CA(ctx); err != nil || !strings.HasPrefix(string(ca), "-----BEGIN CERTIFICATE-----") {
		t.Errorf("the CA is %s, %v", ca, err)
	}
	inspected, err := api.ContainerInspect(ctx, app.GetContainerID(), client.ContainerInspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range inspected.Container.Mounts {
		if m.RW {
			t.Errorf("the application can write %s", m.Destination)
		}
	}
}

// Containers of workloads reach databases by the names that Azure gives them.
func TestModuleWithDatabases(t *testing.T) {
	img, _ := image(t)
	ctx := t.Context()
	emulator, err := containers.Run(ctx, img, containers.WithConfigFile(databases(t, postgrestest.InDocker(t))))
	testcontainers.CleanupContainer(t, emulator)
	if err != nil {
		t.Fatal(err)
	}
	const query = "SELECT USER_NAME()"
	for _, row := range []struct {
		account string
		command []string
		want    string
	}{
		{"web-sa", []string{"sql", "query", "orders", "sales", query}, `"value":[["web"]]`},
		{"web-sa", []string{"postgres", "query", "orders", "orders", "web", "select current_user"}, `"value":[["web"]]`},
		{"web-sa", []string{"redis", "set", "orders", "seen", "yes"}, `"value":"OK"`},
		{"web-sa", []string{"redis", "set", "orders.northeurope", "seen", "yes"}, `"value":"OK"`},
		{"other-sa", []string{"sql", "query", "orders", "sales", query}, `"reason":"18456"`},
		{"other-sa", []string{"postgres", "query", "orders", "orders", "web", "select current_user"}, `"reason":"28000"`},
		{"other-sa", []string{"redis", "get", "orders", "seen"}, "ERR WRONGPASS"},
	} {
		app, err := testcontainers.Run(ctx, "wiemu/workload:local",
			emulator.Workload("shop", row.account), testcontainers.WithCmd(row.command...), testcontainers.WithWaitStrategy(wait.ForExit()))
		testcontainers.CleanupContainer(t, app)
		if err != nil {
			t.Fatal(err)
		}
		if said := logs(t, app); !strings.Contains(said, row.want) {
			t.Errorf("%s %q: expected %s, found %s", row.account, row.command, row.want, said)
		}
	}
	lab, err := emulator.ControlClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	events, err := lab.Events(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]string{}
	for _, e := range events {
		if e.Kind == journal.Access && e.Outcome == journal.Denied {
			refused[e.Resource] = e.Meaning
		}
	}
	for resource, want := range map[string]string{
		"Azure SQL":                     "no user there has the SID that its client id makes",
		"Azure Database for PostgreSQL": `the role "web" belongs to another identity, web`,
		"Azure Cache for Redis":         "The identity is assigned no data access policy of the cache",
	} {
		if !strings.Contains(refused[resource], want) {
			t.Errorf("why %s refused: expected %q, found %q", resource, want, refused[resource])
		}
	}
}

// An image without PostgreSQL does not start for a server without a url, and the error says why.
func TestModuleWithoutPostgreSQL(t *testing.T) {
	img, _ := image(t)
	emulator, err := containers.Run(t.Context(), img, containers.WithConfigFile(databases(t, "")))
	testcontainers.CleanupContainer(t, emulator)
	if err == nil || !strings.Contains(err.Error(), "PostgreSQL server orders: find PostgreSQL: initdb is neither on PATH nor in ") {
		t.Errorf("expected what the emulator wrote, found %v", err)
	}
}

// databases writes a wiemu.yaml with a server of each protocol, and returns its path.
func databases(t *testing.T, postgres string) string {
	t.Helper()
	text, err := os.ReadFile("../../internal/compose/testdata/databases/wiemu.yaml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "wiemu.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "${POSTGRES}", postgres)), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestModuleWithAFault(t *testing.T) {
	img, _ := image(t)
	ctx := t.Context()
	broken, err := fault.Parse("throttled,for.resource=entra")
	if err != nil {
		t.Fatal(err)
	}
	emulator, err := containers.Run(ctx, img, containers.WithWorkload("shop", "web-sa", clientID), containers.WithFault(broken))
	testcontainers.CleanupContainer(t, emulator)
	if err != nil {
		t.Fatal(err)
	}
	lab, err := emulator.ControlClient(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if faults, err := lab.Faults(ctx); err != nil || len(faults.Active) != 1 {
		t.Errorf("%+v, %v", faults, err)
	}
}

func logs(t *testing.T, c testcontainers.Container) string {
	t.Helper()
	said, err := c.Logs(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	text, err := io.ReadAll(said)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
