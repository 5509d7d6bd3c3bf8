// Command msal-go is a client of the conformance table: a confidential client of MSAL for Go that
// reads its assertion from the token file, or has a secret or certificate, and a plain GET.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

func main() {
	kind := "federated"
	if len(os.Args) > 1 {
		kind = os.Args[1]
	}
	again := bufio.NewScanner(os.Stdin)
	for {
		if err := round(context.Background(), kind); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("round done")
		if !again.Scan() {
			return
		}
	}
}

func newCredential(kind string) (confidential.Credential, error) {
	switch kind {
	case "secret":
		return confidential.NewCredFromSecret(os.Getenv("AZURE_CLIENT_SECRET"))
	case "certificate":
		pem, err := os.ReadFile(os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH"))
		if err != nil {
			return confidential.Credential{}, err
		}
		certificates, key, err := confidential.CertFromPEM(pem, "")
		if err != nil {
			return confidential.Credential{}, err
		}
		return confidential.NewCredFromCert(certificates, key)
	}
	return confidential.NewCredFromAssertionCallback(func(context.Context, confidential.AssertionRequestOptions) (string, error) {
		assertion, err := os.ReadFile(os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
		return string(assertion), err
	}), nil
}

func round(ctx context.Context, kind string) error {
	credential, err := newCredential(kind)
	if err != nil {
		return err
	}
	client, err := confidential.New(os.Getenv("AZURE_AUTHORITY_HOST")+os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID"), credential)
	if err != nil {
		return err
	}
	if _, err := client.AcquireTokenByCredential(ctx, []string{"https://graph.microsoft.com/.default"}); err != nil {
		return err
	}
	fmt.Println("graph ok")
	token, err := client.AcquireTokenByCredential(ctx, []string{"https://vault.azure.net/.default"})
	if err != nil {
		return err
	}
	value, err := secret(ctx, token.AccessToken)
	if err != nil {
		return err
	}
	fmt.Println("secret", value)
	return nil
}

func secret(ctx context.Context, token string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var answer struct{ Value string }
	if err := json.Unmarshal(body, &answer); err != nil || answer.Value == "" {
		return "", fmt.Errorf("%s: %s", resp.Status, body)
	}
	return answer.Value, nil
}
