// Command azidentity-go-default is a client of the conformance table: azidentity's
// DefaultAzureCredential, and azsecrets, with no option set.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

func main() {
	again := bufio.NewScanner(os.Stdin)
	for {
		if err := round(context.Background()); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("round done")
		if !again.Scan() {
			return
		}
	}
}

func round(ctx context.Context) error {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return err
	}
	if _, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}}); err != nil {
		return err
	}
	fmt.Println("graph ok")
	client, err := azsecrets.NewClient("https://mykeyvault.vault.azure.net", credential, nil)
	if err != nil {
		return err
	}
	secret, err := client.GetSecret(ctx, "mysecret", "", nil)
	if err != nil {
		return err
	}
	fmt.Println("secret", *secret.Value)
	return nil
}
