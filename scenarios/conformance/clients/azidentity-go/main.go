// Command azidentity-go is a client of the conformance table: azidentity's
// credentials, and azsecrets, with no option set.
package main

import (
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
	switch {
	case len(os.Args) == 1:
		rounds("federated")
	case os.Args[1] == "watch":
		watch(os.Args[2], len(os.Args) > 3 && os.Args[3] == "always")
	default:
		rounds(os.Args[1])
	}
}

// newCredential makes one of the library's credentials.
func newCredential(kind string) azcore.TokenCredential {
	tenant, client := os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID")
	switch kind {
	case "secret":
		return round.Must(azidentity.NewClientSecretCredential(tenant, client, os.Getenv("AZURE_CLIENT_SECRET"), nil))
	case "certificate", "certificate-pfx", "certificate-chain":
		data := round.Must(os.ReadFile(os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH")))
		certificates, key, err := azidentity.ParseCertificates(data, []byte(os.Getenv("AZURE_CLIENT_CERTIFICATE_PASSWORD")))
		round.Check(err)
		return round.Must(azidentity.NewClientCertificateCredential(tenant, client, certificates, key, &azidentity.ClientCertificateCredentialOptions{
			SendCertificateChain: kind == "certificate-chain",
		}))
	case "assertion":
		return round.Must(azidentity.NewClientAssertionCredential(tenant, client, readTokenFile, nil))
	default:
		return round.Must(azidentity.NewWorkloadIdentityCredential(nil))
	}
}

func readTokenFile(context.Context) (string, error) {
	token, err := os.ReadFile(os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
	return string(token), err
}

func rounds(kind string) {
	round.Again(func(ctx context.Context) {
		secret := read(ctx, newCredential(kind))
		fmt.Println("graph ok")
		fmt.Println("secret", secret)
	})
}

// watch goes on with one credential. With always that is one that reads the
// token file for each exchange; WorkloadIdentityCredential keeps it for ten minutes.
func watch(seconds string, always bool) {
	kind := "federated"
	if always {
		kind = "assertion"
	}
	credential := newCredential(kind)
	round.Watch(seconds, func(ctx context.Context, line map[string]any) { line["secret"] = read(ctx, credential) })
}

// read gets a token for Graph, and with another one the secret.
func read(ctx context.Context, credential azcore.TokenCredential) string {
	round.Must(credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://graph.microsoft.com/.default"}}))
	client := round.Must(azsecrets.NewClient("https://mykeyvault.vault.azure.net", credential, nil))
	return *round.Must(client.GetSecret(ctx, "mysecret", "", nil)).Value
}
