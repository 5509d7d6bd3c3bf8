// Command azidentity-go is a client of the conformance table: azidentity's
// WorkloadIdentityCredential, and azsecrets, with no option set.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

func main() {
	var err error
	if len(os.Args) > 1 {
		err = watch(os.Args[2], len(os.Args) > 3 && os.Args[3] == "always")
	} else {
		err = rounds()
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func rounds() error {
	again := bufio.NewScanner(os.Stdin)
	for {
		credential, err := azidentity.NewWorkloadIdentityCredential(nil)
		if err != nil {
			return err
		}
		secret, err := read(context.Background(), credential)
		if err != nil {
			return err
		}
		fmt.Println("graph ok")
		fmt.Println("secret", secret)
		fmt.Println("round done")
		if !again.Scan() {
			return nil
		}
	}
}

// watch goes on with one credential. With always that is one that reads the
// token file for each exchange; WorkloadIdentityCredential keeps it for ten minutes.
func watch(every string, always bool) error {
	pause, err := time.ParseDuration(every + "s")
	if err != nil {
		return err
	}
	var credential azcore.TokenCredential
	if always {
		credential, err = azidentity.NewClientAssertionCredential(os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID"), func(context.Context) (string, error) {
			token, err := os.ReadFile(os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
			return string(token), err
		}, nil)
	} else {
		credential, err = azidentity.NewWorkloadIdentityCredential(nil)
	}
	if err != nil {
		return err
	}
	lines := json.NewEncoder(os.Stdout)
	for ; ; time.Sleep(pause) {
		line := map[string]any{"ok": true}
		if line["secret"], err = read(context.Background(), credential); err != nil {
			line = map[string]any{"ok": false, "error": err.Error()}
		}
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
}

// read gets a token for Graph, and with another one the secret.
func read(ctx context.Context, credential azcore.TokenCredential) (string, error) {
	if _, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}}); err != nil {
		return "", err
	}
	client, err := azsecrets.NewClient("https://mykeyvault.vault.azure.net", credential, nil)
	if err != nil {
		return "", err
	}
	secret, err := client.GetSecret(ctx, "mysecret", "", nil)
	if err != nil {
		return "", err
	}
	return *secret.Value, nil
}
