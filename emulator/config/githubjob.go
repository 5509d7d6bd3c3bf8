package config

import (
	"cmp"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// githubIssuer is iss of the tokens of GitHub Actions on github.com.
// Source: docs.github.com, actions/reference/security/oidc.
const githubIssuer = "https://token.actions.githubusercontent.com"

// GitHubJob is a job of GitHub Actions with the permission id-token: write.
type GitHubJob struct {
	// Repository is OWNER/NAME, in the case that GitHub shows, which counts in the subject.
	Repository string `yaml:"repository,omitempty" json:"repository,omitempty" jsonschema:"example=contoso/shop"`
	// Ref is what the workflow runs on, such as refs/heads/main, refs/tags/v1 or refs/pull/7/merge. Default: refs/heads/main.
	Ref string `yaml:"ref,omitempty" json:"ref,omitempty" jsonschema:"example=refs/heads/main"`
	// Environment is the deployment environment that the job names, which then is in the subject instead of the ref. Default: none.
	Environment string `yaml:"environment,omitempty" json:"environment,omitempty"`
	// Event is what has started the workflow, such as push or pull_request. Default: pull_request if ref is that of a pull request, else push.
	Event string `yaml:"event,omitempty" json:"event,omitempty" jsonschema:"example=workflow_dispatch"`
	// Workflow is the workflow's file in the repository. Default: .github/workflows/deploy.yml.
	Workflow string `yaml:"workflow,omitempty" json:"workflow,omitempty"`
	// JobWorkflow is the reusable workflow that has the job, as job_workflow_ref says it: OWNER/NAME/PATH@REF. Default: the workflow itself.
	JobWorkflow string `yaml:"jobWorkflow,omitempty" json:"jobWorkflow,omitempty" jsonschema:"example=contoso/pipelines/.github/workflows/deploy.yml@refs/heads/main"`
	// Subject is the subject, to the letter, for a repository whose subject claims are customized. Default: repo:OWNER/NAME and environment:NAME, pull_request or ref:REF.
	Subject string `yaml:"subject,omitempty" json:"subject,omitempty"`
}

// hostGitHub adds GitHub's issuer if a job needs it and no issuer is at its URL.
func (c *Config) hostGitHub() {
	needs := func(w Workload) bool { return w.GitHubJob != (GitHubJob{}) && w.Issuer == "" }
	if slices.ContainsFunc(c.Workloads, needs) && !slices.ContainsFunc(c.Issuers, isGitHub) {
		c.Issuers = append(c.Issuers, Issuer{Name: "github", URL: githubIssuer})
	}
}

func isGitHub(i Issuer) bool { return strings.TrimRight(i.URL, "/") == githubIssuer }

// completeGitHubJob fills in what GitHub would: it is called for workloads that are a job.
func (c *Config) completeGitHubJob(p *problems, at string, w *Workload) {
	j := &w.GitHubJob
	j.Ref = cmp.Or(j.Ref, "refs/heads/main")
	if j.Event == "" {
		j.Event = "push"
		if strings.HasPrefix(j.Ref, "refs/pull/") {
			j.Event = pullRequest
		}
	}
	j.Workflow = cmp.Or(j.Workflow, ".github/workflows/deploy.yml")
	j.JobWorkflow = cmp.Or(j.JobWorkflow, j.Repository+"/"+j.Workflow+"@"+j.Ref)
	if w.Issuer == "" {
		for _, i := range c.Issuers {
			switch {
			case !isGitHub(i):
			case i.External:
				p.add(at+".githubJob", "an issuer at "+githubIssuer+" that wiemu hosts, to make the job's tokens", i.Name+", which is external", "remove external: true from it, or the job")
			default:
				w.Issuer = i.Name
			}
		}
	}
	j.check(p, at+".githubJob")
	owner, name, _ := strings.Cut(j.Repository, "/")
	w.checkAlone(p, at, "githubJob", "a job of GitHub Actions", owner, name)
	w.Namespace, w.ServiceAccount = owner, name // by which the journal and faults name it
}

const pullRequest = "pull_request"

// Source for the names of owners and repositories: GitHub's own form, which refuses others;
// of refs: git-check-ref-format(1).
var (
	repositoryForm  = lazyregexp.New(`^[A-Za-z0-9](-?[A-Za-z0-9])*/[A-Za-z0-9._-]{1,100}$`)
	refForm         = lazyregexp.New(`^refs/(heads|tags)/[^\s~^:?*\[\\]+$|^refs/pull/[0-9]+/merge$`)
	eventForm       = lazyregexp.New(`^[a-z_]+$`)
	workflowForm    = lazyregexp.New(`^\.github/workflows/[^/\s@]+\.ya?ml$`)
	jobWorkflowForm = lazyregexp.New(`^[^/\s@]+/[^/\s@]+/\.github/workflows/[^/\s@]+\.ya?ml@\S+$`)
)

func (j GitHubJob) check(p *problems, at string) {
	for _, f := range []struct {
		name, value, expected, fix string
		form                       lazyregexp.Regexp
	}{
		{"repository", j.Repository, "OWNER/NAME, such as contoso/shop", "", repositoryForm},
		{"ref", j.Ref, "refs/heads/BRANCH, refs/tags/TAG or refs/pull/NUMBER/merge", "write the whole ref, as in the subject", refForm},
		{"event", j.Event, "the name of an event, such as push", "", eventForm},
		{"workflow", j.Workflow, "a file of .github/workflows, such as .github/workflows/deploy.yml", "", workflowForm},
		{"jobWorkflow", j.JobWorkflow, "OWNER/NAME/.github/workflows/FILE@REF", "", jobWorkflowForm},
	} {
		if f.name == "jobWorkflow" && !repositoryForm().MatchString(j.Repository) {
			continue // it is made of that
		}
		if !f.form().MatchString(f.value) {
			p.add(at+"."+f.name, f.expected, f.value, f.fix)
		}
	}
}

// checkAlone refuses what only pods have, beside a field that says that the workload is something
// else; namespace and service account are its own names.
func (w Workload) checkAlone(p *problems, at, beside, what, namespace, account string) {
	for _, f := range []struct{ name, value, own string }{
		{"namespace", w.Namespace, namespace}, {"serviceAccount", w.ServiceAccount, account},
		{"managedIdentity", w.ManagedIdentity, ""}, {"identityBinding", w.IdentityBinding, ""},
	} {
		if f.value != "" && f.value != f.own {
			p.add(at+"."+f.name, "nothing beside "+beside, f.value, what+" runs in no cluster, and on no machine of Azure")
		}
	}
	if w.Credential != "" && w.Credential != Federated {
		p.add(at+".credential", Federated+", or nothing, beside "+beside, w.Credential, yamlfile.DidYouMean(w.Credential, CredentialKinds()))
	}
	if w.TokenLifetime != 0 {
		p.add(at+".tokenLifetime", "nothing beside "+beside, w.TokenLifetime.String(), "the lifetime of its tokens is not the pipeline's to say")
	}
}
