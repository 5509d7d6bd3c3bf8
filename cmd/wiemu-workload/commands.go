package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

// secret reads the newest version of a secret. A vault is a name, or a URL for
// one that is not in the public cloud.
func secret(vault, name string) func(context.Context, azcore.TokenCredential) (Answer, error) {
	if !strings.Contains(vault, "://") {
		vault = "https://" + vault + ".vault.azure.net"
	}
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		client, err := azsecrets.NewClient(vault, credential, nil)
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
func token(scope string, whole bool) func(context.Context, azcore.TokenCredential) (Answer, error) {
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
func graph(path string) func(context.Context, azcore.TokenCredential) (Answer, error) {
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
		client := http.Client{Timeout: 30 * time.Second} // wall time: a server that does not answer
		response, err := client.Do(request)
		if err != nil {
			return Answer{}, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		if err != nil {
			return Answer{}, fmt.Errorf("read the answer of Microsoft Graph: %w", err)
		}
		if response.StatusCode >= 300 {
			return Answer{}, &graphError{status: response.StatusCode, body: body}
		}
		return Answer{Value: json.RawMessage(body), Status: response.StatusCode}, nil
	}
}
