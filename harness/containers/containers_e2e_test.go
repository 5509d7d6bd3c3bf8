//go:build e2e

package containers_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/harness/containers"
	"github.com/wiemu/wiemu/internal/docker"
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
