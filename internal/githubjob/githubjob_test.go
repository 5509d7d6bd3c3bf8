package githubjob_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/githubjob"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
)

func TestSubject(t *testing.T) {
	for _, row := range []struct {
		job  config.GitHubJob
		want string
	}{
		{config.GitHubJob{Ref: "refs/heads/main", Event: "push"}, "repo:contoso/shop:ref:refs/heads/main"},
		{config.GitHubJob{Ref: "refs/tags/v1", Event: "release"}, "repo:contoso/shop:ref:refs/tags/v1"},
		{config.GitHubJob{Ref: "refs/pull/7/merge", Event: "pull_request"}, "repo:contoso/shop:pull_request"},
		{config.GitHubJob{Ref: "refs/pull/7/merge", Event: "pull_request", Environment: "staging"}, "repo:contoso/shop:environment:staging"},
		{config.GitHubJob{Ref: "refs/heads/main", Environment: "eu:production"}, "repo:contoso/shop:environment:eu%3Aproduction"},
		{config.GitHubJob{Ref: "refs/heads/main", Subject: "repository_id:74"}, "repository_id:74"},
	} {
		row.job.Repository = "contoso/shop"
		if got := githubjob.Subject(row.job); got != row.want {
			t.Errorf("sub of %+v is %s; want %s", row.job, got, row.want)
		}
	}
}

// lab is an endpoint with the issuer of its jobs, at a fixed time.
type lab struct {
	*githubjob.Endpoint
	issuer  *issuer.Issuer
	journal *journals.Journal
	now     time.Time
}

func newLab(t *testing.T) lab {
	t.Helper()
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	stopped := clock.Stopped(now)
	j, err := journals.New(stopped, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keyring.New(context.Background(), stopped, keyringtest.Keys(t), keyring.Options{Name: "github", Identify: issuer.KeyID})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		keys.Close()
		_ = j.Close()
	})
	from, err := issuer.New(githubjob.Issuer, keys, stopped, issuer.Options{Name: "github", GitHub: true, Journal: j})
	if err != nil {
		t.Fatal(err)
	}
	return lab{githubjob.New(j), from, j, now}
}

// ask sends a request of a job to the endpoint.
func (l lab) ask(t *testing.T, method, url, bearer string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, url, nil)
	if bearer != "" {
		r.Header.Set("Authorization", bearer)
	}
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w
}

func TestAJobGetsItsToken(t *testing.T) {
	l := newLab(t)
	job := config.GitHubJob{
		Repository: "contoso/shop", Ref: "refs/heads/main", Environment: "production", Event: "push", Workflow: ".github/workflows/deploy.yml",
		JobWorkflow: "contoso/pipelines/.github/workflows/deploy.yml@refs/tags/v1",
	}
	access := l.Add(job, l.issuer)
	if !strings.HasPrefix(access.URL, "https://pipelines.actions.githubusercontent.com/") || !strings.HasSuffix(access.URL, "/idtoken?api-version=2.0") {
		t.Errorf("the job asks at %s", access.URL)
	}
	for query, audience := range map[string]string{"&audience=api://AzureADTokenExchange": "api://AzureADTokenExchange", "": "https://github.com/contoso"} {
		answer := l.ask(t, http.MethodGet, access.URL+query, "bearer "+access.Token)
		var got struct {
			Count int
			Value string
		}
		if err := json.Unmarshal(answer.Body.Bytes(), &got); err != nil || answer.Code != http.StatusOK || got.Count != len(got.Value) {
			t.Fatalf("with %q: %d %s", query, answer.Code, answer.Body)
		}
		payload, err := base64.RawURLEncoding.DecodeString(strings.Split(got.Value, ".")[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]any{
			"iss": "https://token.actions.githubusercontent.com", "aud": audience, "sub": "repo:contoso/shop:environment:production", "environment": "production",
			"repository": "contoso/shop", "repository_owner": "contoso", "ref": "refs/heads/main", "ref_type": "branch", "event_name": "push",
			"workflow_ref":     "contoso/shop/.github/workflows/deploy.yml@refs/heads/main",
			"job_workflow_ref": "contoso/pipelines/.github/workflows/deploy.yml@refs/tags/v1", "runner_environment": "github-hosted",
			"nbf": float64(l.now.Add(-10 * time.Minute).Unix()), "iat": float64(l.now.Unix()), "exp": float64(l.now.Add(5 * time.Minute).Unix()),
		} {
			if claims[name] != want {
				t.Errorf("with %q: %s is %v; want %v", query, name, claims[name], want)
			}
		}
		if digits, _ := claims["run_id"].(string); strings.Trim(digits, "0123456789") != "" || digits == "" {
			t.Errorf("run_id is %v; want digits", claims["run_id"])
		}
		if sha, _ := claims["job_workflow_sha"].(string); len(sha) != 40 || sha == claims["sha"] {
			t.Errorf("job_workflow_sha is %v, sha %v; want two hashes", claims["job_workflow_sha"], claims["sha"])
		}
	}
}

func TestAJobIsRefused(t *testing.T) {
	l := newLab(t)
	job := config.GitHubJob{Repository: "contoso/shop", Ref: "refs/heads/main", Event: "push"}
	access, other := l.Add(job, l.issuer), l.Add(job, l.issuer)
	for _, row := range []struct {
		name, method, url, bearer string
		want                      int
	}{
		{"without a token", http.MethodGet, access.URL, "", http.StatusUnauthorized},
		{"with the token of another job", http.MethodGet, access.URL, "Bearer " + other.Token, http.StatusUnauthorized},
		{"with another scheme", http.MethodGet, access.URL, "Basic " + access.Token, http.StatusUnauthorized},
		{"at another path", http.MethodGet, "https://" + githubjob.Host + "/idtoken", "Bearer " + access.Token, http.StatusNotFound},
		{"with another method", http.MethodDelete, access.URL, "Bearer " + access.Token, http.StatusMethodNotAllowed},
	} {
		before := len(l.journal.Events())
		if got := l.ask(t, row.method, row.url, row.bearer); got.Code != row.want || strings.Contains(got.Body.String(), access.Token) {
			t.Errorf("%s: %d %s; want %d", row.name, got.Code, got.Body, row.want)
		}
		events := l.journal.Events()[before:]
		if len(events) != 1 || events[0].Outcome != journal.Denied || events[0].Status != row.want || events[0].Remedy == "" {
			t.Errorf("%s: the journal has %+v; want one refusal with a remedy", row.name, events)
		}
	}
	if got := l.ask(t, http.MethodGet, other.URL, "Bearer "+other.Token); got.Code != http.StatusOK {
		t.Errorf("the other job: %d %s", got.Code, got.Body)
	}
}
