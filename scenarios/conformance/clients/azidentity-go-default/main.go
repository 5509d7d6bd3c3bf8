// Command azidentity-go-default is a client of the conformance table: azidentity's
// DefaultAzureCredential, and azsecrets, with no option set.
package main

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

func main() { round.Again(read) }

func read(ctx context.Context) {
	credential := round.Must(azidentity.NewDefaultAzureCredential(nil))
	round.Must(credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}}))
	fmt.Println("graph ok")
	client := round.Must(azsecrets.NewClient("https://mykeyvault.vault.azure.net", credential, nil))
	fmt.Println("secret", *round.Must(client.GetSecret(ctx, "mysecret", "", nil)).Value)
}
