package azure_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/azure"
)

// getter returns a client of azcore, as those of services are built, that asks a resource
// with a token of the workload's.
func getter(t *testing.T, lab *harness.Lab, pod *harness.Pod, scope string) func(address string) error {
	t.Helper()
	bearer := runtime.NewBearerTokenPolicy(azure.Credential(t, lab, pod), []string{scope}, nil)
	options := azure.ClientOptions(lab)
	pipeline := runtime.NewPipeline("test", "v1", runtime.PipelineOptions{PerRetry: []policy.Policy{bearer}}, &options)
	return func(address string) error {
		request, err := runtime.NewRequest(context.Background(), http.MethodGet, address)
		if err != nil {
			return err
		}
		request.Raw().Header.Set("x-ms-version", "2025-11-05") // which Storage takes tokens with
		response, err := pipeline.Do(request)
		if err != nil {
			return err
		}
		if !runtime.HasStatusCode(response, http.StatusOK) {
			return runtime.NewResponseError(response)
		}
		return nil
	}
}

// trusted is a workload whose tokens a configured identity trusts.
func trusted(lab *harness.Lab, account, clientID string) *harness.Pod {
	lab.Entra().Trust(clientID, directory.FederatedCredential{Subject: "system:serviceaccount:" + strings.Replace(account, "/", ":", 1)})
	return lab.Workload(account, harness.As(clientID))
}

const (
	graphScope   = "https://graph.microsoft.com/.default"
	organization = "https://graph.microsoft.com/v1.0/organization"
)

// An application at Graph, with a client that understands claims challenges: the kept token
// is refused, azcore comes back with the claims, and the new one is let in. Nothing of it
// needs the application's help.
func TestARevokedApplicationComesBackWithClaims(t *testing.T) {
	t.Parallel()
	const id = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	lab := harness.New(t, harness.WithConfig(config.Config{Applications: []config.Application{
		{Principal: config.Principal{Name: "web", ClientID: id, Roles: []string{"Organization.Read.All"}}},
	}}))
	get := getter(t, lab, trusted(lab, "shop/web-sa", id), graphScope)
	for range 2 {
		if err := get(organization); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(lab.Journal().All(journal.Event{Kind: journal.Exchange})); got != 1 {
		t.Fatalf("%d exchanges before the revocation, want 1", got)
	}
	for round := 1; round <= 2; round++ { // within a second, so that the time of a token alone does not tell
		lab.Entra().Revoke("web")
		for range 2 {
			if err := get(organization); err != nil {
				t.Fatal(err)
			}
		}
		refused := lab.Journal().All(journal.Event{Kind: journal.Access, Outcome: journal.Denied, Status: 401})
		if exchanges := lab.Journal().All(journal.Event{Kind: journal.Exchange, Outcome: journal.Granted}); len(exchanges) != 1+round || len(refused) != round {
			t.Fatalf("round %d: %d exchanges, %d refusals", round, len(exchanges), len(refused))
		}
		if e := refused[round-1]; !strings.Contains(e.Message, "TokenIssuedBeforeRevocationTimestamp") || !strings.HasPrefix(e.Meaning, "The identity's sessions were revoked") {
			t.Errorf("%+v", e)
		}
	}
}

// What no resource evaluates continuously lives on until it expires: the tokens of managed
// identities, and those of applications at other resources than Graph.
func TestARevokedManagedIdentityKeepsItsTokens(t *testing.T) {
	t.Parallel()
	const id, application = "b96d264b-7053-4465-a4a7-32be5b0fec49", "b96d264b-7053-4465-a4a7-32be5b0fec4a"
	lab := harness.New(t, harness.WithConfig(config.Config{
		Identities:   []config.Identity{{Principal: config.Principal{Name: "web", ClientID: id, Roles: []string{"Organization.Read.All"}}}},
		Applications: []config.Application{{Principal: config.Principal{Name: "api", ClientID: application}}},
	}))
	vault := lab.Vault("mykeyvault").URL + "secrets/mysecret?api-version=7.6"
	graph := getter(t, lab, trusted(lab, "shop/web-sa", id), graphScope)
	secret := getter(t, lab, trusted(lab, "shop/api-sa", application), "https://vault.azure.net/.default")
	both := func() error { return errors.Join(graph(organization), secret(vault)) }
	if err := both(); err != nil {
		t.Fatal(err)
	}
	lab.Entra().Revoke("web")
	lab.Entra().Revoke("api")
	if err := both(); err != nil {
		t.Error(err)
	}
	lab.Journal().Never(journal.Event{Kind: journal.Access, Outcome: journal.Denied})
	if got := len(lab.Journal().All(journal.Event{Kind: journal.Exchange})); got != 2 {
		t.Errorf("%d exchanges, want 2", got)
	}
	lab.Journal().Await(journal.Event{Kind: journal.Directory, Summary: "changes nothing: no resource evaluates the access of managed identities"})
}

func TestEveryResourceCanChallengeARevokedToken(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, scope, address string }{
		{"Key Vault", "https://vault.azure.net/.default", "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6"},
		{"Resource Manager", "https://management.azure.com/.default", "https://management.azure.com/subscriptions?api-version=2022-12-01"},
		{"Storage", "https://storage.azure.com/.default", "https://orders.blob.core.windows.net/?comp=list"},
		{"Graph", graphScope, organization},
	} {
		for _, how := range []string{"revoked", "fault"} {
			t.Run(row.name+", "+how, func(t *testing.T) {
				t.Parallel()
				const id = "b96d264b-7053-4465-a4a7-32be5b0fec49"
				configured, err := config.Parse("wiemu.yaml", []byte("identities: [{name: web, clientId: "+id+", roles: [Organization.Read.All]}]\nstorageAccounts: [{name: orders}]\n"))
				if err != nil {
					t.Fatal(err)
				}
				lab := harness.New(t, harness.WithConfig(configured))
				get := getter(t, lab, trusted(lab, "shop/web-sa", id), row.scope)
				if err := get(row.address); err != nil {
					t.Fatal(err)
				}
				if how == "fault" {
					lab.Inject("sessions-revoked,when.count=1")
				} else {
					if _, err := lab.Control().ChangeDirectory(t.Context(), control.DirectoryChange{Identity: "web", Revoked: true, Everywhere: true}); err != nil {
						t.Fatal(err)
					}
				}
				for range 2 {
					if err := get(row.address); err != nil {
						t.Fatal(err)
					}
				}
				refused := lab.Journal().All(journal.Event{Kind: journal.Access, Outcome: journal.Denied})
				if exchanges := lab.Journal().All(journal.Event{Kind: journal.Exchange}); len(exchanges) != 2 || len(refused) != 1 || refused[0].Status != 401 {
					t.Errorf("%d exchanges, %d refusals", len(exchanges), len(refused))
				}
			})
		}
	}
}

// A client without the capability that keeps its token is refused until it has expired.
func TestAFaultWithoutACountRefusesEveryToken(t *testing.T) {
	t.Parallel()
	lab := harness.New(t)
	get := getter(t, lab, lab.Workload("shop/web-sa"), "https://vault.azure.net/.default")
	lab.Inject("sessions-revoked,for.resource=keyvault")
	var refused *azcore.ResponseError
	if err := get("https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6"); !errors.As(err, &refused) || refused.StatusCode != 401 {
		t.Error(fmt.Errorf("the client is let in: %w", err))
	}
}
