package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// options say how the program gets access tokens; the zero value is what is recommended.
type options struct {
	credential string // a name of credentials
	assertion  string // a name of assertions
	authority  string // of --credential msal and post; "": composed from the environment
	keepToken  bool
	retry      int
}

// credentials are the ways in which applications come to a credential.
var credentials = map[string]func(options) (azcore.TokenCredential, error){
	// Reads everything from the environment, as an application in a pod does.
	"workload": func(options) (azcore.TokenCredential, error) {
		return azidentity.NewWorkloadIdentityCredential(nil)
	},
	// Tries every credential the SDK knows, in its order.
	"default": func(options) (azcore.TokenCredential, error) {
		return azidentity.NewDefaultAzureCredential(nil)
	},
	// Reads the secret or certificate of an application from the environment.
	"environment": func(options) (azcore.TokenCredential, error) { return azidentity.NewEnvironmentCredential(nil) },
	"managed":     func(options) (azcore.TokenCredential, error) { return managedCredential(os.Getenv("AZURE_CLIENT_ID")) },
	// Opts in to AKS's identity bindings.
	"binding": func(options) (azcore.TokenCredential, error) {
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{EnableAzureProxy: true})
	},
	// Brings its assertion itself.
	"assertion": func(o options) (azcore.TokenCredential, error) {
		assertion, err := assertions[o.assertion]()
		if err != nil {
			return nil, err
		}
		return azidentity.NewClientAssertionCredential(os.Getenv("AZURE_TENANT_ID"), os.Getenv("AZURE_CLIENT_ID"), assertion, nil)
	},
	// Is in a task of Azure Pipelines with a service connection.
	"pipelines": func(options) (azcore.TokenCredential, error) {
		return azidentity.NewAzurePipelinesCredential(os.Getenv("AZURESUBSCRIPTION_TENANT_ID"), os.Getenv("AZURESUBSCRIPTION_CLIENT_ID"), os.Getenv("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"), os.Getenv("SYSTEM_ACCESSTOKEN"), nil)
	},
	"msal": newMSAL,
	"post": newHandWritten,
	"imds": newMachine,
}

// credential is the one that the options name, with the habits that they name.
func (o options) newCredential() (azcore.TokenCredential, error) {
	credential, err := credentials[o.credential](o)
	if err != nil {
		return nil, err
	}
	if o.retry > 0 {
		credential = &retrying{of: credential, times: o.retry}
	}
	if o.keepToken {
		credential = &keeping{of: credential}
	}
	return credential, nil
}

// managedCredential asks the machine for a user-assigned identity, or without a client id for any.
func managedCredential(clientID string) (azcore.TokenCredential, error) {
	var options azidentity.ManagedIdentityCredentialOptions
	if clientID != "" {
		options.ID = azidentity.ClientID(clientID)
	}
	return azidentity.NewManagedIdentityCredential(&options)
}

// An assertion is a JWT that an application presents as its credential.
type assertion = func(context.Context) (string, error)

// assertions are the ways in which applications come to their assertion.
var assertions = map[string]func() (assertion, error){
	// Reads the token file each time an assertion is needed, as it must be.
	"file": func() (assertion, error) { return readTokenFile, nil },
	// Reads it at the start and keeps what was in it.
	"once": func() (assertion, error) {
		token, err := readTokenFile(context.Background())
		return func(context.Context) (string, error) { return token, nil }, err
	},
	// Reads it at the start, and again when that was an hour ago.
	"hourly": func() (assertion, error) {
		var kept string
		var read time.Time
		return func(ctx context.Context) (_ string, err error) {
			if time.Since(read) >= time.Hour {
				read = time.Now() // the application's clock: see the command's comment
				kept, err = readTokenFile(ctx)
			}
			return kept, err
		}, nil
	},
	// Gets a token of the machine's managed identity for the token exchange.
	"managed": func() (assertion, error) {
		machine, err := managedCredential("")
		return func(ctx context.Context) (string, error) {
			token, err := machine.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"api://AzureADTokenExchange/.default"}})
			return token.Token, err
		}, err
	},
	// Asks for a token of the job of GitHub Actions that the program is in.
	"github": func() (assertion, error) { return askForJobToken, nil },
}

// askForJobToken asks as GitHub's toolkit and Terraform's azurerm do.
// Source: actions/toolkit, packages/core/src/oidc-utils.ts.
func askForJobToken(ctx context.Context) (string, error) {
	at := os.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL") + "&audience=" + url.QueryEscape("api://AzureADTokenExchange")
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+os.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
	client := http.Client{Timeout: 30 * time.Second} // a server that does not answer
	response, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }() // it has been read
	var answer struct {
		Value   string `json:"value"`
		Message string `json:"message"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return "", fmt.Errorf("the job's token: %s: expected JSON: %w", response.Status, err)
	}
	if answer.Value == "" {
		return "", fmt.Errorf("the job's token: %s: expected a value, found %q", response.Status, answer.Message)
	}
	return answer.Value, nil
}

func readTokenFile(context.Context) (string, error) {
	token, err := os.ReadFile(os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))
	return strings.TrimSpace(string(token)), err
}

// retrying tries again when there is no token. The SDK does so by itself only when
// the token service has trouble (429, 5xx), not when it refuses. Between two
// attempts it waits, each time twice as long.
type retrying struct {
	of    azcore.TokenCredential
	times int
}

// firstWait is how long it waits before the second attempt, on the application's clock.
const firstWait = 100 * time.Millisecond

// GetToken tries until it has a token, or has tried often enough.
func (r *retrying) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := r.of.GetToken(ctx, o)
	for n := 0; n < r.times && err != nil && ctx.Err() == nil; n++ {
		select {
		case <-time.After(firstWait << min(n, 8)): // the application's clock
		case <-ctx.Done():
		}
		token, err = r.of.GetToken(ctx, o)
	}
	return token, err
}

// keeping gets one access token and uses it for good, as a program that logs in at its start.
type keeping struct {
	of   azcore.TokenCredential
	mu   sync.Mutex
	kept azcore.AccessToken
}

// GetToken returns the first token that there was.
func (k *keeping) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.kept.Token != "" {
		return k.kept, nil
	}
	token, err := k.of.GetToken(ctx, o)
	k.kept = token
	return token, err
}
