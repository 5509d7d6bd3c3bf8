// Command azidentity-go is a client of the conformance table: azidentity's
// credentials, and azsecrets, with no option set.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 1:
		err = rounds("federated")
	case os.Args[1] == "watch":
		watch(os.Args[2], len(os.Args) > 3 && os.Args[3] == "always")
	default:
		err = rounds(os.Args[1])
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// newCredential makes one of the library's credentials.
func newCredential(kind string) (azcore.TokenCredential, error) {
	tenant, client := os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID")
	switch kind {
	case "secret":
		return azidentity.NewClientSecretCredential(tenant, client, os.Getenv("AZURE_CLIENT_SECRET"), nil)
	case "certificate", "certificate-pfx", "certificate-chain":
		data, err := os.ReadFile(os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH"))
		if err != nil {
			return nil, err
		}
		certificates, key, err := azidentity.ParseCertificates(data, []byte(os.Getenv("AZURE_CLIENT_CERTIFICATE_PASSWORD")))
		if err != nil {
			return nil, err
		}
		return azidentity.NewClientCertificateCredential(tenant, client, certificates, key, &azidentity.ClientCertificateCredentialOptions{
			SendCertificateChain: kind == "certificate-chain",
		})
	case "assertion":
		return azidentity.NewClientAssertionCredential(tenant, client, readTokenFile, nil)
	default:
		return azidentity.NewWorkloadIdentityCredential(nil)
	}
}

func readTokenFile(context.Context) (string, error) {
	token, err := os.ReadFile(os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
	return string(token), err
}

func rounds(kind string) error {
	again := bufio.NewScanner(os.Stdin)
	for {
		credential, err := newCredential(kind)
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
func watch(seconds string, always bool) {
	kind := "federated"
	if always {
		kind = "assertion"
	}
	credential := round.Must(newCredential(kind))
	round.Watch(seconds, func(ctx context.Context, line map[string]any) {
		line["secret"] = round.Must(read(ctx, credential))
	})
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
