package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

type anyToken struct{}

func (anyToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "t"}, nil
}

// A job that gets no token says what it was answered.
func TestAJobWithoutAToken(t *testing.T) {
	for want, body := range map[string]string{
		`401 Unauthorized: expected a value, found "the request does not bear the job's token"`: `{"message": "the request does not bear the job's token"}`,
		`401 Unauthorized: expected JSON: invalid character '<'`:                                `<html>`,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, body)
		}))
		t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", server.URL+"/?api-version=2.0")
		_, err := askForJobToken(t.Context())
		server.Close()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: %v; want %s", body, err, want)
		}
	}
}

func TestLongAnswers(t *testing.T) {
	const most = 1 << 20
	for name, row := range map[string]struct {
		body string
		want string // part of the error; "" for none
		most int    // bytes of the error
	}{
		"as long as may be": {`"` + strings.Repeat("a", most-2) + `"`, "", 0},
		"longer":            {`"` + strings.Repeat("a", most-1) + `"`, "expected at most 1 MiB, found more", 200},
		"of a page":         {strings.Repeat("<html>", 1000), `expected JSON, found "<html><html>`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, row.body) }))
			defer server.Close()
			_, err := apiRequest{host: server.URL, method: http.MethodGet, path: "/v1.0/users"}.ask(t.Context(), anyToken{}, policy.TokenRequestOptions{})
			switch {
			case row.want == "" && err != nil:
				t.Error(err)
			case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
				t.Errorf("got %.300v, expected %s", err, row.want)
			case row.want != "" && len(err.Error()) > row.most:
				t.Errorf("the error has %d bytes, expected at most %d", len(err.Error()), row.most)
			}
		})
	}
}
