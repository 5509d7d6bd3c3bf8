package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/emulator/config"
)

const jobClientID = "b96d264b-7053-4465-a4a7-32be5b0fec49"

func TestJobsOfGitHubActionsAreCompleted(t *testing.T) {
	for name, row := range map[string]struct {
		issuers []config.Issuer
		job     config.GitHubJob
		issuer  string // in the file
		want    config.Workload
	}{
		"a branch, and GitHub's issuer is added": {
			job: config.GitHubJob{Repository: "contoso/shop"},
			want: config.Workload{Issuer: "github", GitHubJob: config.GitHubJob{
				Repository: "contoso/shop", Ref: "refs/heads/main", Event: "push", Workflow: ".github/workflows/deploy.yml",
				JobWorkflow: "contoso/shop/.github/workflows/deploy.yml@refs/heads/main",
			}},
		},
		"a pull request, with the issuer of the file": {
			issuers: []config.Issuer{{Name: "local"}, {Name: "actions", URL: "https://token.actions.githubusercontent.com"}},
			job:     config.GitHubJob{Repository: "contoso/shop", Ref: "refs/pull/7/merge", Workflow: ".github/workflows/ci.yaml"},
			want: config.Workload{Issuer: "actions", GitHubJob: config.GitHubJob{
				Repository: "contoso/shop", Ref: "refs/pull/7/merge", Event: "pull_request", Workflow: ".github/workflows/ci.yaml",
				JobWorkflow: "contoso/shop/.github/workflows/ci.yaml@refs/pull/7/merge",
			}},
		},
		"GitHub Enterprise Server": {
			issuers: []config.Issuer{{Name: "local"}, {Name: "ghes", URL: "https://github.contoso.com/_services/token"}},
			job:     config.GitHubJob{Repository: "contoso/shop", Event: "schedule"}, issuer: "ghes",
			want: config.Workload{Issuer: "ghes", GitHubJob: config.GitHubJob{
				Repository: "contoso/shop", Ref: "refs/heads/main", Event: "schedule", Workflow: ".github/workflows/deploy.yml",
				JobWorkflow: "contoso/shop/.github/workflows/deploy.yml@refs/heads/main",
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			once, err := config.Config{Issuers: row.issuers, Workloads: []config.Workload{{ClientID: jobClientID, Issuer: row.issuer, GitHubJob: row.job}}}.Complete("")
			if err != nil {
				t.Fatal(err)
			}
			twice, err := once.Complete("")
			if err != nil {
				t.Fatal(err)
			}
			row.want.Name, row.want.Namespace, row.want.ServiceAccount = "shop", "contoso", "shop"
			row.want.ClientID, row.want.Tenant, row.want.Audience = jobClientID, config.DefaultTenant, "api://AzureADTokenExchange"
			for _, c := range []config.Config{once, twice} {
				if diff := cmp.Diff(row.want, c.Workloads[0]); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
				if n := strings.Count(strings.Join(names(c.Issuers), " "), row.want.Issuer); n != 1 {
					t.Errorf("issuers %v; want one %s", names(c.Issuers), row.want.Issuer)
				}
				if c.Issuers[0].Name != "local" {
					t.Errorf("the first issuer, the default of pods, is %s", c.Issuers[0].Name)
				}
			}
		})
	}
}

func names(issuers []config.Issuer) (all []string) {
	for _, i := range issuers {
		all = append(all, i.Name)
	}
	return all
}

func TestMistakesOfJobsOfGitHubActions(t *testing.T) {
	const workload = "workloads: [{clientId: " + jobClientID + ", "
	for _, row := range []struct{ file, want string }{
		{workload + "githubJob: {repository: shop}}]\n", "workloads[0].githubJob.repository: expected OWNER/NAME, such as contoso/shop, found shop"},
		{workload + "githubJob: {ref: refs/heads/main}}]\n", "workloads[0].githubJob.repository: expected OWNER/NAME, such as contoso/shop, found nothing"},
		{workload + "githubJob: {repository: contoso/shop, ref: main}}]\n", "workloads[0].githubJob.ref: expected refs/heads/BRANCH, refs/tags/TAG or refs/pull/NUMBER/merge, found main; write the whole ref"},
		{workload + "githubJob: {repository: contoso/shop, event: Push}}]\n", "workloads[0].githubJob.event: expected the name of an event"},
		{workload + "githubJob: {repository: contoso/shop, workflow: deploy.yml}}]\n", "workloads[0].githubJob.workflow: expected a file of .github/workflows"},
		{workload + "githubJob: {repository: contoso/shop, jobWorkflow: deploy.yml}}]\n", "workloads[0].githubJob.jobWorkflow: expected OWNER/NAME/.github/workflows/FILE@REF"},
		{workload + "githubJob: {repository: contoso/shop}, namespace: dev}]\n", "workloads[0].namespace: expected nothing beside githubJob, found dev"},
		{workload + "githubJob: {repository: contoso/shop}, managedIdentity: imds}]\n", "workloads[0].managedIdentity: expected nothing beside githubJob, found imds"},
		{workload + "githubJob: {repository: contoso/shop}, credential: secret}]\n", "workloads[0].credential: expected federated, or nothing, beside githubJob, found secret"},
		{workload + "githubJob: {repository: contoso/shop}, tokenLifetime: 1h}]\n", "workloads[0].tokenLifetime: expected nothing beside githubJob, found 1h0m0s"},
		{"issuers: [{name: github, url: \"https://token.actions.githubusercontent.com\", external: true}]\n" + workload + "githubJob: {repository: contoso/shop}}]\n", "workloads[0].githubJob: expected an issuer at https://token.actions.githubusercontent.com that wiemu hosts, to make the job's tokens, found github, which is external; remove external: true"},
		{"issuers: [{name: github, url: \"https://github.contoso.com/_services/token\"}]\n" + workload + "githubJob: {repository: contoso/shop}}]\n", "its own name and url, found name github"},
		{workload + "serviceAccount: a}]\n", "workloads[0].namespace: expected a lowercase RFC 1123 label"},
	} {
		if _, err := config.Parse("wiemu.yaml", []byte(row.file)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want %s", row.file, err, row.want)
		}
	}
}
