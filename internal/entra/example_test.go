package entra_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/metadata"
	"github.com/wiemu/wiemu/internal/tenants"
)

// newService is a token service with one application that has a secret.
func newService(ctx context.Context) *entra.Service {
	clk := clock.Stopped(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	dir, err := tenants.New(directory.Tenant{
		ID: "3aa4a235-b6e2-48d5-9195-7fcf05b459b0",
		Principals: []directory.Principal{{
			Kind: directory.Application, ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49", DisplayName: "daemon",
			Secrets: []directory.Secret{{Value: "its-secret"}},
		}},
	})
	if err != nil {
		panic(err)
	}
	keys, err := keyring.New(ctx, clk, pool().Lease(), keyring.Options{Name: "entra", Identify: entra.KeyID})
	if err != nil {
		panic(err)
	}
	return entra.New(entra.Config{Directory: dir, Keys: keys, Clock: clk, Issuers: metadata.New(clk, metadata.Options{})})
}

func ExampleService_Exchange() {
	ctx := context.Background()
	service := newService(ctx)
	token, refusal := service.Exchange(ctx, entra.Request{
		Tenant:       "3aa4a235-b6e2-48d5-9195-7fcf05b459b0",
		GrantType:    "client_credentials",
		ClientID:     "b96d264b-7053-4465-a4a7-32be5b0fec49",
		ClientSecret: "its-secret",
		Scope:        "https://vault.azure.net/.default",
	})
	if refusal != nil {
		fmt.Println(refusal)
		return
	}
	fmt.Println(token.Resource, "for", token.ExpiresIn)
	// Output: https://vault.azure.net for 59m59s
}

func ExampleService_Handler() {
	server := httptest.NewServer(newService(context.Background()).Handler())
	defer server.Close()
	response, err := http.PostForm(server.URL+"/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/oauth2/v2.0/token", url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {"b96d264b-7053-4465-a4a7-32be5b0fec49"},
		"client_secret": {"wrong"},
		"scope":         {"https://vault.azure.net/.default"},
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = response.Body.Close() }()
	fmt.Println(response.Status, response.Header.Get("Cache-Control"))
	// Output: 401 Unauthorized no-store, no-cache
}

// A token that the credential does not match is examined without asking for an
// access token.
func ExampleService_Examine() {
	service := newService(context.Background())
	e := service.Examine(context.Background(), "3aa4a235-b6e2-48d5-9195-7fcf05b459b0", "b96d264b-7053-4465-a4a7-32be5b0fec49", "not.a.token")
	for _, c := range e.Checks {
		if c.Outcome == "failed" {
			fmt.Printf("%s: expected %s\n", c.Name, c.Expected)
		}
	}
	// Output:
	// assertion is a JWT: expected a signed JWT
	// federated credentials exist: expected at least one federated credential
}
