package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// An action is what the program does with a credential.
type action func(context.Context, azcore.TokenCredential) (Answer, error)

// vaultURL is where a vault is: a name stands for one in the public cloud, a URL
// for itself.
func vaultURL(vault string) string {
	if strings.Contains(vault, "://") {
		return vault
	}
	return "https://" + vault + ".vault.azure.net"
}

// secret reads the newest version of a secret.
func secret(vault, name string) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		client, err := azsecrets.NewClient(vaultURL(vault), credential, nil)
		if err != nil {
			return Answer{}, err
		}
		found, err := client.GetSecret(ctx, name, "", nil)
		if err != nil {
			return Answer{}, err
		}
		answer := Answer{}
		if found.Value != nil {
			answer.Value = *found.Value
		}
		if found.ID != nil {
			answer.Version = found.ID.Version()
		}
		return answer, nil
	}
}

// token gets an access token and shows what is in it.
func token(scope string, whole bool) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		got, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			return Answer{}, err
		}
		answer := Answer{ExpiresOn: got.ExpiresOn.Unix()}
		if whole {
			answer.Token = got.Token
		}
		answer.Claims, err = claims(got.Token)
		return answer, err
	}
}

// claims reads the claims of a token for showing them; nothing is verified, as
// an application has no business with the inside of its access tokens.
func claims(token string) (json.RawMessage, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("read the access token: expected a JWT of three parts, found %d", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, fmt.Errorf("read the claims of the access token: %w", err)
	}
	if !json.Valid(payload) {
		return nil, fmt.Errorf("read the claims of the access token: expected JSON")
	}
	return payload, nil
}

// The host of Microsoft Graph, and the scope that stands for all that a caller
// was granted there.
const (
	graphHost  = "https://graph.microsoft.com"
	graphScope = graphHost + "/.default"
)

// graph asks Microsoft Graph without its SDK, which would be larger than all of
// this program.
func graph(path string) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		got, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{graphScope}})
		if err != nil {
			return Answer{}, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, graphHost+"/"+strings.TrimPrefix(path, "/"), nil)
		if err != nil {
			return Answer{}, err
		}
		request.Header.Set("Authorization", "Bearer "+got.Token)
		answer := Answer{Status: http.StatusOK}
		var said json.RawMessage
		err = call(request, &said)
		answer.Value = said
		return answer, err
	}
}
