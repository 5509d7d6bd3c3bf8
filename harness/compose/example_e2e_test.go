//go:build e2e

package compose_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/wiemu/wiemu/harness/compose"
	"github.com/wiemu/wiemu/harness/compose/engine"
)

// An application that reads a secret with its workload identity.
func ExampleRun() {
	ctx := context.Background()
	docker, err := engine.Connect(ctx)
	if err != nil {
		log.Fatal(err)
	}
	img, err := engine.ServerImage(ctx, docker.Client(), "../../bin/wiemu-server") // or a name, such as wiemu-server:local
	if err != nil {
		log.Fatal(err)
	}
	emulator, err := compose.Run(ctx, img, compose.WithWorkload("shop", "web-sa", "b96d264b-7053-4465-a4a7-32be5b0fec49"))
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
