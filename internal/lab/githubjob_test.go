package lab_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/lab"
)

// What an issuer publishes is GitHub's if it signs for jobs alone, and a cluster's for the pods that it
// signs for, too.
func TestWhatTheIssuerOfAJobPublishes(t *testing.T) {
	const client = "6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11"
	job := func(issuer string) config.Workload {
		return config.Workload{Name: "deploy", ClientID: client, Issuer: issuer, GitHubJob: config.GitHubJob{Repository: "contoso/shop"}}
	}
	pod := config.Workload{Name: "web", ClientID: client, Namespace: "shop", ServiceAccount: "web-sa", Issuer: "ghes"}
	ghes := config.Issuer{Name: "ghes", URL: "https://ghes.example.com/_services/token"}
	for what, row := range map[string]struct {
		config config.Config
		issuer string
		keys   string
	}{
		"jobs alone":                {config.Config{Issuers: []config.Issuer{ghes}, Workloads: []config.Workload{job("ghes")}}, "ghes", "/.well-known/jwks"},
		"a job and a pod":           {config.Config{Issuers: []config.Issuer{ghes}, Workloads: []config.Workload{job("ghes"), pod}}, "ghes", "/openid/v1/jwks"},
		"a job of wiemu's cluster":  {config.Config{Issuers: []config.Issuer{{Name: "local"}}, Workloads: []config.Workload{job("local")}}, "local", "/openid/v1/jwks"},
		"github.com's, by default":  {config.Config{Workloads: []config.Workload{job("")}}, "github", "/.well-known/jwks"},
		"the cluster's beside that": {config.Config{Workloads: []config.Workload{job("")}}, "local", "/openid/v1/jwks"},
	} {
		l, err := lab.New(t.Context(), row.config, lab.Options{})
		if err != nil {
			t.Fatal(what, err)
		}
		t.Cleanup(func() { _ = l.Close() })
		from, err := l.Issuer(row.issuer)
		if err != nil {
			t.Fatal(what, err)
		}
		at := strings.TrimRight(from.URL(), "/")
		var said struct {
			Keys string `json:"jwks_uri"`
		}
		for _, path := range []string{at + "/.well-known/openid-configuration", at + row.keys} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := l.Transport().RoundTrip(r)
			if err != nil {
				t.Fatal(what, err)
			}
			if said.Keys == "" {
				err = json.NewDecoder(answer.Body).Decode(&said)
			}
			if _ = answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
				t.Errorf("%s: %s: %s, %v", what, path, answer.Status, err)
			}
		}
		if said.Keys != at+row.keys {
			t.Errorf("%s: jwks_uri is %s; want %s", what, said.Keys, at+row.keys)
		}
	}
}
