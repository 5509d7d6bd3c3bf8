package emulator_test

import (
	"context"
	"fmt"
	"log"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
)

func Example() {
	ctx := context.Background()
	e := emulator.New(config.Config{Workloads: []config.Workload{
		{Namespace: "shop", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"},
	}}, emulator.WithoutListeners())
	if err := e.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer e.Close(ctx)
	token, err := e.Control().Mint(ctx, control.MintRequest{
		Namespace: "shop", ServiceAccount: "web-sa", Audiences: []string{"api://AzureADTokenExchange"},
	})
	if err != nil {
		log.Fatal(err)
	}
	event, err := e.Control().Examine(ctx, control.ExamineRequest{
		Tenant: config.DefaultTenant, ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49", Assertion: token.Token,
	})
	fmt.Println(event.Outcome, err)
	// Output: granted <nil>
}
