package session_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

const deployer = "6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11"

// startJobs starts a lab with an application that trusts the main branch alone, and jobs of
// that branch and of a pull request.
func startJobs(t *testing.T) (*session.Session, map[string]workload.Spec) {
	t.Helper()
	c, err := config.Config{
		Subscriptions: []config.Subscription{{ID: "0a1b2c3d-0000-4000-8000-000000000001"}},
		Applications: []config.Application{{Principal: config.Principal{
			Name: "deployer", ClientID: deployer,
			FederatedCredentials: &[]config.FederatedCredential{{Name: "main", Issuer: "https://token.actions.githubusercontent.com", Subject: "repo:contoso/shop:ref:refs/heads/main"}},
		}}},
		Workloads: []config.Workload{
			{Name: "main", ClientID: deployer, GitHubJob: config.GitHubJob{Repository: "contoso/shop"}},
			{Name: "change", ClientID: deployer, GitHubJob: config.GitHubJob{Repository: "contoso/shop", Ref: "refs/pull/7/merge"}},
			{Name: "new", ClientID: "0b1d1e9c-6f0a-4c44-9b12-6f2f3b1d9a01", GitHubJob: config.GitHubJob{Repository: "contoso/Tools", Environment: "staging"}},
		},
	}.Complete("")
	if err != nil {
		t.Fatal(err)
	}
	jobs := map[string]workload.Spec{}
	var all []workload.Spec
	for _, w := range c.Workloads {
		jobs[w.Name] = workload.Declared(w)
		all = append(all, jobs[w.Name])
	}
	s, err := session.Start(t.Context(), session.Options{
		Emulator:  server.Options{InMemory: true, Config: c, Options: lab.Options{Keys: keyringtest.Keys(t), Clock: clock.Stopped(time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC))}},
		Workloads: all, Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s, jobs
}

// variable is the value of a variable in an environment.
func variable(env []string, name string) string {
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

// exchange asks for a job's token as the job does, and exchanges it. It returns the code of the
// token service's refusal, "" if there is none.
func exchange(t *testing.T, s *session.Session, env []string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, variable(env, "ARM_OIDC_REQUEST_URL")+"&audience=api%3A%2F%2FAzureADTokenExchange", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+variable(env, "ARM_OIDC_REQUEST_TOKEN"))
	var job struct{ Value string }
	answer, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	err = json.NewDecoder(answer.Body).Decode(&job)
	if _ = answer.Body.Close(); err != nil || job.Value == "" {
		t.Fatalf("the job's token: %s, %v", answer.Status, err)
	}
	var got struct {
		Token       string `json:"access_token"`
		Description string `json:"error_description"`
	}
	answer, err = s.Client().PostForm("https://login.microsoftonline.com/"+variable(env, "AZURE_TENANT_ID")+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {variable(env, "AZURE_CLIENT_ID")}, "scope": {"https://vault.azure.net/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {job.Value},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = json.NewDecoder(answer.Body).Decode(&got)
	if _ = answer.Body.Close(); err != nil || got.Token == "" && got.Description == "" {
		t.Fatalf("the exchange: %s, %v", answer.Status, err)
	}
	code, _, _ := strings.Cut(got.Description, ":")
	return code
}

func TestJobsOfGitHubActions(t *testing.T) {
	s, jobs := startJobs(t)
	for name, refusal := range map[string]string{"main": "", "change": "AADSTS700213", "new": ""} {
		w, err := s.Workload(t.Context(), jobs[name])
		if err != nil {
			t.Fatal(err)
		}
		env := w.Environ([]string{"ACTIONS_ID_TOKEN_REQUEST_URL=https://real.example/", "ARM_CLIENT_SECRET=real", "ARM_OIDC_TOKEN=real"})
		if got := exchange(t, s, env); got != refusal {
			t.Errorf("job %s: %q; want %q", name, got, refusal)
		}
		for v, want := range map[string]string{
			"ARM_USE_OIDC": "true", "ARM_CLIENT_ID": w.ClientID, "ARM_TENANT_ID": config.DefaultTenant, "ARM_SUBSCRIPTION_ID": "0a1b2c3d-0000-4000-8000-000000000001",
			"ACTIONS_ID_TOKEN_REQUEST_URL": variable(env, "ARM_OIDC_REQUEST_URL"), "AZURE_FEDERATED_TOKEN_FILE": "", "ARM_CLIENT_SECRET": "", "ARM_OIDC_TOKEN": "",
		} {
			if got := variable(env, v); got != want {
				t.Errorf("job %s: %s is %q; want %q", name, v, got, want)
			}
		}
		if again, err := s.Workload(t.Context(), jobs[name]); err != nil || again != w {
			t.Errorf("job %s asked for again: %p, %v; want the same, %p", name, again, err, w)
		}
		if err := w.Refresh(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Move(w, "local"); err == nil || !strings.Contains(err.Error(), "in no cluster") {
			t.Errorf("a job is moved to another cluster: %v", err)
		}
	}
	events := s.Journal().Events()
	main, err := s.Workload(t.Context(), jobs["main"])
	if err != nil {
		t.Fatal(err)
	}
	secret := variable(main.Environ(nil), "ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	for _, e := range events {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), secret) {
			t.Errorf("the journal has the request token: %s", text)
		}
	}
	if !slices.ContainsFunc(events, func(e journal.Event) bool {
		return e.Kind == journal.Exchange && e.Workload == "contoso/Tools" && e.Subject == "repo:contoso/Tools:environment:staging"
	}) {
		t.Error("no exchange is of the job of contoso/Tools")
	}
}

func TestOfAJobNothingElseIsAsked(t *testing.T) {
	s, jobs := startJobs(t)
	for want, change := range map[string]func(*workload.Spec){
		"managed-identity imds":   func(d *workload.Spec) { d.ManagedIdentity = "imds" },
		"identity-binding ca":     func(d *workload.Spec) { d.IdentityBinding = "ca-file" },
		"credential secret":       func(d *workload.Spec) { d.Credential = config.ClientSecret },
		"token lifetime 10m0s":    func(d *workload.Spec) { d.TokenLifetime = 10 * time.Minute },
		"issuer local; start it":  func(d *workload.Spec) { d.Issuer = "local" },
		"expected one that wiemu": func(d *workload.Spec) { d.Issuer = "gitlab" },
	} {
		d := jobs["main"]
		change(&d)
		if _, err := s.Workload(t.Context(), d); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}
