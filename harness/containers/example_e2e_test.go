//go:build e2e

package containers_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/wiemu/wiemu/harness/containers"
	"github.com/wiemu/wiemu/internal/docker"
)

// An application that reads a secret with its workload identity.
func ExampleRun() {
	ctx := context.Background()
	api, err := docker.Connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	img, err := docker.ServerImage(ctx, api.Client(), "../../bin/wiemu-server") // or a name, such as wiemu-server:local
	if err != nil {
		log.Fatal(err)
	}
	emulator, err := containers.Run(ctx, img, containers.WithWorkload("shop", "web-sa", "b96d264b-7053-4465-a4a7-32be5b0fec49"))
	defer func() { _ = testcontainers.TerminateContainer(emulator) }()
	if err != nil {
		log.Print(err)
		return
	}
	app, err := testcontainers.Run(ctx, "wiemu/workload:local",
		emulator.Workload("shop", "web-sa"),
		testcontainers.WithCmd("secret", "get", "mykeyvault", "mysecret"),
		testcontainers.WithWaitStrategy(wait.ForExit()),
	)
	defer func() { _ = testcontainers.TerminateContainer(app) }()
	if err != nil {
		log.Print(err)
		return
	}
	said, err := app.Logs(ctx)
	if err != nil {
		log.Print(err)
		return
	}
	text, err := io.ReadAll(said)
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println(strings.Contains(string(text), "the secret of wiemu"))
	// Output: true
}
