package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// An apiRequest goes to Microsoft Graph or Azure Resource Manager, as it is written: without their
// SDKs, which would be larger than all of this program, and without their retries.
type apiRequest struct {
	host   string
	method string
	path   string
	body   string // JSON; "": none
}

// apiHosts are the hosts by the command that asks them.
var apiHosts = map[string]string{"graph": "https://graph.microsoft.com", "arm": "https://management.azure.com"}

// apiMethods says of each method that may be asked with whether it takes a body.
var apiMethods = map[string]bool{
	http.MethodGet: false, http.MethodDelete: false, http.MethodPut: true, http.MethodPost: true, http.MethodPatch: true,
}

// chooseAPI reads the words of graph and arm.
func chooseAPI(words []string, o doing) (action, error) {
	if len(words) != 3 {
		return nil, fmt.Errorf("%s: expected METHOD PATH", words[0])
	}
	r := apiRequest{host: apiHosts[words[0]], method: words[1], path: words[2], body: o.body}
	takesBody, ok := apiMethods[r.method]
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: expected GET, PUT, POST, PATCH or DELETE, found %q", words[0], r.method)
	case r.body != "" && !takesBody:
		return nil, fmt.Errorf("--body: expected PUT, POST or PATCH, found %s", r.method)
	case r.body != "" && !json.Valid([]byte(r.body)):
		return nil, fmt.Errorf("--body: expected JSON, found %q", r.body)
	case !slices.Contains([]challenge{"", ignoresChallenge, answersChallenge}, o.cae):
		return nil, fmt.Errorf("--cae: expected answer or ignore, found %q", o.cae)
	}
	return r.action(o.cae), nil
}

func (r apiRequest) action(cae challenge) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		o := policy.TokenRequestOptions{Scopes: []string{r.host + "/.default"}, EnableCAE: cae != ""}
		answer, err := r.ask(ctx, credential, o)
		if claims := challenged(err); claims != "" && cae == answersChallenge {
			o.Claims = claims // with which the credential asks for a new token, and keeps that
			return r.ask(ctx, credential, o)
		}
		return answer, err
	}
}

func (r apiRequest) ask(ctx context.Context, credential azcore.TokenCredential, o policy.TokenRequestOptions) (Answer, error) {
	got, err := credential.GetToken(ctx, o)
	if err != nil {
		return Answer{}, err
	}
	request, err := http.NewRequestWithContext(ctx, r.method, r.host+"/"+strings.TrimPrefix(r.path, "/"), strings.NewReader(r.body))
	if err != nil {
		return Answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+got.Token)
	if r.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	status, body, err := send(request)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Status: status}
	if len(body) == 0 { // of 202 and 204
		return answer, nil
	}
	if !json.Valid(body) {
		return Answer{}, fmt.Errorf("read the answer of %s: expected JSON, found %q", request.URL.Host, body[:min(len(body), 200)])
	}
	answer.Value = json.RawMessage(body)
	return answer, nil
}

// A challenge is what a program does about the claims with which Graph refuses a token that was
// revoked. It is "" if the program does not say that it understands them, and gets tokens that
// are good until they expire.
type challenge string

const (
	ignoresChallenge challenge = "ignore"
	answersChallenge challenge = "answer"
)

// challenged returns the claims that a refusal asks for, "" if it asks for none.
func challenged(err error) string {
	var refused *httpError
	if !errors.As(err, &refused) {
		return ""
	}
	_, after, _ := strings.Cut(refused.response.Header.Get("WWW-Authenticate"), `claims="`)
	encoded, _, _ := strings.Cut(after, `"`)
	claims, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	return string(claims)
}
