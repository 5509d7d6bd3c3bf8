package azure_test

import (
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/azure"
)

func TestThePasswordIsReadEveryDay(t *testing.T) {
	lab := harness.New(t)              // an Entra ID, a cluster's issuer, vaults: in memory
	web := lab.Workload("shop/web-sa") // a pod with its token file, and who trusts it
	lab.Vault("orders").Set("password", "hunter2")
	options := azsecrets.ClientOptions{ClientOptions: azure.ClientOptions(lab)}
	start := func() *azsecrets.Client { // the application starts; it knows nothing of the lab
		client, _ := azsecrets.NewClient(lab.Vault("orders").URL, azure.Credential(t, lab, web), &options)
		return client
	}
	for range 3 {
		if _, err := start().GetSecret(t.Context(), "password", "", nil); err != nil {
			t.Fatalf("read the password: %v", err)
		}
		lab.Issuer().Rotate()               // the cluster signs with another key
		lab.Clock().Advance(25 * time.Hour) // token files rotate, tokens and key caches expire
	}
	lab.Journal().Never(journal.Event{Outcome: journal.Denied})

	lab.Entra().Change(web.ClientID, directory.FederatedCredential{Subject: "system:serviceaccount:shop:api-sa"})
	if _, err := start().GetSecret(t.Context(), "password", "", nil); err == nil {
		t.Fatalf("the password is read without a matching federated credential")
	}
	lab.Journal().Await(journal.Event{Kind: journal.Exchange, Code: 700213})
}
