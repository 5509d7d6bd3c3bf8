package githubjob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/httpjson"
	"github.com/wiemu/wiemu/internal/httppath"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/journals"
)

// Host is where jobs ask for their tokens. Source: ACTIONS_ID_TOKEN_REQUEST_URL in the printed
// environments of jobs, as is the form of the path. Newer runners are sent to other hosts below
// actions.githubusercontent.com; the URL means nothing to a job.
const Host = "pipelines.actions.githubusercontent.com"

// Endpoint answers the jobs that were added to it. Its zero value is not usable; see New.
type Endpoint struct {
	journal *journals.Journal

	mu   sync.Mutex
	jobs map[string]admitted // by path
}

type admitted struct {
	job    config.GitHubJob
	issuer *issuer.Issuer
	secret [sha256.Size]byte // of the request token
}

// Access is what a job needs to ask for a token.
type Access struct {
	URL   string `json:"url"`   // ACTIONS_ID_TOKEN_REQUEST_URL; an audience is appended as &audience=
	Token string `json:"token"` // ACTIONS_ID_TOKEN_REQUEST_TOKEN
}

// New returns an endpoint without jobs. Requests that it refuses are journaled; tokens that it
// hands out are journaled by the issuer.
func New(j *journals.Journal) *Endpoint {
	return &Endpoint{journal: j, jobs: map[string]admitted{}}
}

// Add admits a job, whose tokens the issuer signs, and returns the URL and the request token of this
// job alone.
func (e *Endpoint) Add(job config.GitHubJob, from *issuer.Issuer) Access {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := func(kind string) string {
		return uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "%s %s %d", kind, Subject(job), len(e.jobs))).String()
	}
	path := "/" + strings.ToUpper(strings.ReplaceAll(id("service"), "-", "")) + "/00000000-0000-0000-0000-000000000000/_apis/distributedtask/hubs/Actions/plans/" + id("plan") + "/jobs/" + id("job") + "/idtoken"
	token := rand.Text() + rand.Text()
	e.jobs[path] = admitted{job, from, sha256.Sum256([]byte(token))}
	e.journal.Secrets().Add("request token of the job of "+job.Repository, token)
	return Access{URL: "https://" + Host + path + "?api-version=2.0", Token: token}
}

// granted is the answer to a job. Source: actions/toolkit, packages/core/src/oidc-utils.ts, and
// hashicorp/go-azure-sdk, sdk/auth/github_oidc_authorizer.go, read value alone; count, which is the
// length of value, is remembered from printed answers.
type granted struct {
	Count int    `json:"count"`
	Value string `json:"value"`
}

// ServeHTTP answers GET and POST of a job's URL with its bearer token. The statuses and the texts
// of refusals are inferred: clients show the status alone.
func (e *Endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := httppath.Original(r)
	e.mu.Lock()
	one, known := e.jobs[path]
	e.mu.Unlock()
	switch {
	case !known:
		e.refuse(w, r, "", http.StatusNotFound, "there is no such job", "Use ACTIONS_ID_TOKEN_REQUEST_URL of the job as it is, and append &audience= to it.")
		return
	case r.Method != http.MethodGet && r.Method != http.MethodPost:
		w.Header().Set("Allow", "GET, POST")
		e.refuse(w, r, one.job.Repository, http.StatusMethodNotAllowed, "the method is "+r.Method, "Use GET.")
		return
	case !one.bears(r):
		e.refuse(w, r, one.job.Repository, http.StatusUnauthorized, "the request does not bear the job's token", "Send Authorization: Bearer with ACTIONS_ID_TOKEN_REQUEST_TOKEN of this job.")
		return
	}
	token, err := one.mint(r.Context(), r.URL.Query().Get("audience"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	httpjson.Write(w, http.StatusOK, granted{len(token), token})
}

func (a admitted) bears(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && sha256.Sum256([]byte(strings.TrimSpace(token))) == a.secret
}

// mint signs a token of the job. Without an audience it is for the owner of the repository.
// Source: docs.github.com (see Subject), "aud".
func (a admitted) mint(ctx context.Context, audience string) (string, error) {
	c := claimsOf(a.job)
	if c.Audience = audience; audience == "" {
		c.Audience = "https://github.com/" + c.Owner
	}
	return a.issuer.SignJob(ctx, issuer.JobToken{
		Workload: a.job.Repository, Subject: c.Subject, Audience: c.Audience, Lifetime: lifetime,
		Claims: func(url, id string, issued time.Time) any {
			c.Issuer, c.ID = url, id
			c.NotBefore, c.IssuedAt, c.Expiry = issued.Add(-validBefore).Unix(), issued.Unix(), issued.Add(lifetime).Unix()
			return c
		},
	})
}

func (e *Endpoint) refuse(w http.ResponseWriter, r *http.Request, workload string, status int, why, remedy string) {
	e.journal.Record(journal.Event{
		Kind: journal.Access, Outcome: journal.Denied, Component: "GitHub Actions", Workload: workload, Status: status,
		Host: Host, Method: r.Method, Path: r.URL.Path, Summary: "no token for a job of GitHub Actions: " + why, Remedy: remedy,
	})
	httpjson.Write(w, status, map[string]string{"message": why})
}
