// Package githubjob is what GitHub Actions gives a job that may have OpenID Connect tokens:
// the endpoint that it asks for one, and the claims of the token. Who signs the token is up to
// package issuer, and who trusts it to the directory.
package githubjob

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/config"
)

// Issuer is iss of the tokens on github.com. Source: see Subject.
const Issuer = "https://token.actions.githubusercontent.com"

// Is reports whether a workload is a job.
func Is(job config.GitHubJob) bool { return job != config.GitHubJob{} }

// Subject returns sub of a job's tokens.
// Source: docs.github.com, actions/reference/security/oidc, "Example subject claims".
func Subject(job config.GitHubJob) string {
	repository := "repo:" + job.Repository
	switch {
	case job.Subject != "":
		return job.Subject
	case job.Environment != "": // a colon in a value is written as %3A
		return repository + ":environment:" + strings.ReplaceAll(job.Environment, ":", "%3A")
	case job.Event == "pull_request":
		return repository + ":pull_request"
	}
	return repository + ":ref:" + job.Ref
}

// How long before its time of issue a token is valid, and how long after it.
// Source: the example of docs.github.com, where nbf, iat and exp are 1632492967, 1632493567
// and 1632493867.
const (
	validBefore = 10 * time.Minute
	lifetime    = 5 * time.Minute
)

// claims are those of a token, in the order of the example in docs.github.com (see Subject),
// which also has the forms of the values: numbers are text. What says which run it is, is
// derived from the job, so that two runs have the same token but for times and jti.
type claims struct {
	ID                string `json:"jti"`
	Subject           string `json:"sub"`
	Environment       string `json:"environment,omitempty"`
	Audience          string `json:"aud"`
	Ref               string `json:"ref"`
	SHA               string `json:"sha"`
	Repository        string `json:"repository"`
	Owner             string `json:"repository_owner"`
	OwnerID           string `json:"repository_owner_id"`
	RunID             string `json:"run_id"`
	RunNumber         string `json:"run_number"`
	RunAttempt        string `json:"run_attempt"`
	Visibility        string `json:"repository_visibility"`
	RepositoryID      string `json:"repository_id"`
	ActorID           string `json:"actor_id"`
	Actor             string `json:"actor"`
	Workflow          string `json:"workflow"`
	HeadRef           string `json:"head_ref"`
	BaseRef           string `json:"base_ref"`
	EventName         string `json:"event_name"`
	RefProtected      string `json:"ref_protected"`
	RefType           string `json:"ref_type"`
	WorkflowRef       string `json:"workflow_ref"`
	WorkflowSHA       string `json:"workflow_sha"`
	JobWorkflowRef    string `json:"job_workflow_ref"`
	JobWorkflowSHA    string `json:"job_workflow_sha"`
	RunnerEnvironment string `json:"runner_environment"`
	Issuer            string `json:"iss"`
	NotBefore         int64  `json:"nbf"`
	Expiry            int64  `json:"exp"`
	IssuedAt          int64  `json:"iat"`
}

// claimsOf returns the claims of a job's token but for its id, audience, issuer and times.
func claimsOf(job config.GitHubJob) claims {
	owner, _, _ := strings.Cut(job.Repository, "/")
	c := claims{
		Subject: Subject(job), Environment: job.Environment, Ref: job.Ref, SHA: hash(job.Repository, job.Ref),
		Repository: job.Repository, Owner: owner, OwnerID: number(owner), RepositoryID: number(job.Repository),
		RunID: number(job.Repository, job.Ref, job.Environment), RunNumber: "1", RunAttempt: "1", Visibility: "private",
		Actor: "octocat", ActorID: number("octocat"), Workflow: job.Workflow, EventName: job.Event, RefProtected: "false", RefType: "branch",
		WorkflowRef: job.Repository + "/" + job.Workflow + "@" + job.Ref, WorkflowSHA: hash(job.Repository, job.Ref),
		JobWorkflowRef: job.JobWorkflow, RunnerEnvironment: "github-hosted",
	}
	if strings.HasPrefix(job.Ref, "refs/tags/") {
		c.RefType = "tag"
	}
	if job.Event == "pull_request" {
		c.HeadRef, c.BaseRef = "change", "main"
	}
	repository, ref, _ := strings.Cut(job.JobWorkflow, "@")
	if parts := strings.SplitN(repository, "/", 3); len(parts) == 3 {
		c.JobWorkflowSHA = hash(parts[0]+"/"+parts[1], ref)
	}
	return c
}

// hash returns what looks like the SHA-1 of a commit.
func hash(of ...string) string {
	a := uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.Join(of, " ")))
	b := uuid.NewSHA1(a, []byte(strings.Join(of, " ")))
	return strings.ReplaceAll(a.String()+b.String(), "-", "")[:40]
}

// number returns what looks like an id of GitHub's.
func number(of ...string) string {
	id := uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.Join(of, " ")))
	digits := make([]byte, 9)
	for i := range digits {
		digits[i] = '0' + id[i]%10
	}
	if digits[0] == '0' {
		digits[0] = '7'
	}
	return string(digits)
}
