// Command msal-go is a client of the conformance table: a confidential client of MSAL for Go that
// reads its assertion from the token file, or has a secret or certificate, and a plain GET.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

func main() {
	kind := "federated"
	if len(os.Args) > 1 {
		kind = os.Args[1]
	}
	round.Again(func(ctx context.Context) {
		client := round.Must(confidential.New(os.Getenv("AZURE_AUTHORITY_HOST")+os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID"), newCredential(kind)))
		round.Must(client.AcquireTokenByCredential(ctx, []string{"https://graph.microsoft.com/.default"}))
		fmt.Println("graph ok")
		token := round.Must(client.AcquireTokenByCredential(ctx, []string{"https://vault.azure.net/.default"}))
		fmt.Println("secret", secret(ctx, token.AccessToken))
	})
}

func newCredential(kind string) confidential.Credential {
	switch kind {
	case "secret":
		return round.Must(confidential.NewCredFromSecret(os.Getenv("AZURE_CLIENT_SECRET")))
	case "certificate":
		pem := round.Must(os.ReadFile(os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH")))
		certificates, key, err := confidential.CertFromPEM(pem, "")
		round.Check(err)
		return round.Must(confidential.NewCredFromCert(certificates, key))
	}
	return confidential.NewCredFromAssertionCallback(func(context.Context, confidential.AssertionRequestOptions) (string, error) {
		assertion, err := os.ReadFile(os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
		return string(assertion), err
	})
}

func secret(ctx context.Context, token string) string {
	req := round.Must(http.NewRequestWithContext(ctx, http.MethodGet, "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4", nil))
	req.Header.Set("Authorization", "Bearer "+token)
	resp := round.Must(http.DefaultClient.Do(req)) //nolint:bodyclose // it is closed below
	defer resp.Body.Close()
	body := round.Must(io.ReadAll(resp.Body))
	var answer struct{ Value string }
	if err := json.Unmarshal(body, &answer); err != nil || answer.Value == "" {
		panic(fmt.Sprintf("%s: %s", resp.Status, body))
	}
	return answer.Value
}
