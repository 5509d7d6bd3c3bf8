//go:build e2e

package compose_test

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
	"github.com/wiemu/wiemu/harness/compose"
	"github.com/wiemu/wiemu/harness/compose/engine"
)

// image makes the emulator's image.
func image(t *testing.T) (string, client.APIClient) {
	t.Helper()
	docker, err := engine.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = docker.Client().Close() })
	img, err := engine.ServerImage(t.Context(), docker.Client(), server)
	if err != nil {
		t.Fatal(err)
	}
	return img, docker.Client()
}

// Somebody's test, with wiemu as a module of testcontainers.
func TestModule(t *testing.T) {
	img, docker := image(t)
	ctx := t.Context()
	emulator, err := compose.Run(ctx, img,
		compose.WithConfig(config.Config{Vaults: []config.Vault{{Name: "shop", Secrets: map[string]string{"greeting": "hello"}}}}),
		compose.WithWorkload("shop", "web-sa", clientID),
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
	inspected, err := docker.ContainerInspect(ctx, app.GetContainerID(), client.ContainerInspectOptions{})
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
	emulator, err := compose.Run(ctx, img, compose.WithWorkload("shop", "web-sa", clientID), compose.WithFault(broken))
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
