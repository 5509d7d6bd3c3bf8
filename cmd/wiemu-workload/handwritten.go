package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
)

// What applications write themselves that do without azidentity: with MSAL, or
// with nothing but HTTP.

// tenantURL is the tenant's part of the authority host, without a slash at its end.
func tenantURL() string {
	return strings.TrimSuffix(os.Getenv("AZURE_AUTHORITY_HOST"), "/") + "/" + os.Getenv("AZURE_TENANT_ID")
}

// msal gets tokens through MSAL, which caches them and asks for an assertion when it needs one.
type msal struct{ client confidential.Client }

// newMSAL hands MSAL the authority as it is given.
func newMSAL(o options) (azcore.TokenCredential, error) {
	assertion, err := assertions[o.assertion]()
	if err != nil {
		return nil, err
	}
	credential := confidential.NewCredFromAssertionCallback(func(ctx context.Context, _ confidential.AssertionRequestOptions) (string, error) {
		return assertion(ctx)
	})
	client, err := confidential.New(cmp.Or(o.authority, tenantURL()), os.Getenv("AZURE_CLIENT_ID"), credential)
	return &msal{client}, err
}

// GetToken takes a token from MSAL's cache, or has MSAL get one.
func (m *msal) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	got, err := m.client.AcquireTokenByCredential(ctx, o.Scopes)
	return azcore.AccessToken{Token: got.AccessToken, ExpiresOn: got.ExpiresOn, RefreshOn: got.Metadata.RefreshOn}, err
}

// handWritten posts the client-credentials form, as documentation does with curl; without a cache.
type handWritten struct {
	endpoint  string
	assertion assertion
}

func newHandWritten(o options) (azcore.TokenCredential, error) {
	assertion, err := assertions[o.assertion]()
	return &handWritten{cmp.Or(o.authority, tenantURL()) + "/oauth2/v2.0/token", assertion}, err
}

// GetToken asks for a new token, whatever came before.
func (h *handWritten) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	assertion, err := h.assertion(ctx)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	form := url.Values{
		"grant_type": {"client_credentials"}, "client_id": {os.Getenv("AZURE_CLIENT_ID")}, "scope": {strings.Join(o.Scopes, " ")},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return azcore.AccessToken{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var granted struct {
		Token     string `json:"access_token"`
		ExpiresIn int    `json:"expires_in"`
	}
	err = call(request, &granted)
	return expiring(granted.Token, granted.ExpiresIn), err
}

// expiring is a token that expires in so many seconds on the application's clock, which
// is what a client reckons with: the answer has no time of the server's.
func expiring(token string, seconds int) azcore.AccessToken {
	return azcore.AccessToken{Token: token, ExpiresOn: time.Now().Add(time.Duration(seconds) * time.Second)}
}

// machine asks the machine's metadata service once, as documentation does with curl.
type machine struct{ endpoint string }

func newMachine(options) (azcore.TokenCredential, error) {
	host := cmp.Or(os.Getenv("AZURE_POD_IDENTITY_AUTHORITY_HOST"), "http://169.254.169.254") // the SDKs' name for another place
	return &machine{strings.TrimSuffix(host, "/") + "/metadata/identity/oauth2/token"}, nil
}

// GetToken asks for a token, which the service caches.
func (m *machine) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	query := url.Values{"api-version": {"2018-02-01"}, "resource": {strings.TrimSuffix(o.Scopes[0], "/.default")}}
	if id := os.Getenv("AZURE_CLIENT_ID"); id != "" {
		query.Set("client_id", id)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.endpoint+"?"+query.Encode(), nil)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	request.Header.Set("Metadata", "true")
	var granted struct {
		Token     string `json:"access_token"`
		ExpiresIn int    `json:"expires_in,string"`
	}
	err = call(request, &granted)
	return expiring(granted.Token, granted.ExpiresIn), err
}

// secretWith reads a secret without the SDK, with a token for a scope that the
// application chose; the SDK goes by the vault's challenge.
func secretWith(scope, vault, name string) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
		if err != nil {
			return Answer{}, err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, vaultURL(vault)+"/secrets/"+name+"?api-version=7.4", nil)
		if err != nil {
			return Answer{}, err
		}
		request.Header.Set("Authorization", "Bearer "+token.Token)
		var found struct {
			Value string `json:"value"`
			ID    string `json:"id"`
		}
		err = call(request, &found)
		return Answer{Value: found.Value, Version: found.ID[strings.LastIndex(found.ID, "/")+1:]}, err
	}
}

// call sends a request and decodes what is answered; anything but success is a *[httpError].
func call(request *http.Request, answer any) error {
	_, body, err := send(request)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("read the answer of %s: %w", request.URL.Host, err)
	}
	return nil
}

// maxAnswer is the longest answer that is read, in bytes.
const maxAnswer = 1 << 20

// send sends a request and returns the status and the body of a success; anything else is a *[httpError].
func send(request *http.Request) (status int, body []byte, err error) {
	client := http.Client{Timeout: 30 * time.Second} // a server that does not answer
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, fmt.Errorf("read the answer of %s: %w", request.URL.Host, err)
	}
	if response.StatusCode >= 300 {
		response.Body = io.NopCloser(bytes.NewReader(body))
		return 0, nil, &httpError{response}
	}
	if len(body) > maxAnswer {
		return 0, nil, fmt.Errorf("read the answer of %s: expected at most 1 MiB, found more; ask for less of it, such as with $top", request.URL.Host)
	}
	return response.StatusCode, body, nil
}

type httpError struct{ response *http.Response }

// Error gives the status; [refusal] reads the rest.
func (e *httpError) Error() string {
	return fmt.Sprintf("%s answered %d %s", e.response.Request.URL.Host, e.response.StatusCode, http.StatusText(e.response.StatusCode))
}
