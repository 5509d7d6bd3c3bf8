package lab

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/githubjob"
)

// hasJobs reports whether the configuration has jobs of GitHub Actions with tokens of an issuer;
// "" is any.
func (l *Lab) hasJobs(issuer string) bool {
	return slices.ContainsFunc(l.config.Workloads, func(w config.Workload) bool {
		return githubjob.Is(w.GitHubJob) && (issuer == "" || w.Issuer == issuer)
	})
}

// onlyJobs reports whether an issuer makes tokens of jobs alone. What it publishes is then GitHub's;
// that of a cluster which signs for a job, too, stays as it is for its pods.
func (l *Lab) onlyJobs(of config.Issuer) bool {
	pod := func(w config.Workload) bool { return !githubjob.Is(w.GitHubJob) && w.Issuer == of.Name }
	ofCluster := strings.Contains(of.URL, "."+config.IssuerDomain+"/") // also for pods that the configuration does not list
	return l.hasJobs(of.Name) && !ofCluster && !slices.ContainsFunc(l.config.Workloads, pod)
}

// subjectOf is the subject of a workload that is in no cluster; else "".
func subjectOf(w config.Workload) string {
	if githubjob.Is(w.GitHubJob) {
		return githubjob.Subject(w.GitHubJob)
	}
	return w.ServiceConnection.Subject
}

// NewJob admits a job of GitHub Actions, whose tokens a hosted issuer signs. It returns what the
// job asks with.
func (l *Lab) NewJob(job config.GitHubJob, issuerName string) (githubjob.Access, error) {
	from, err := l.Issuer(issuerName)
	if err != nil {
		return githubjob.Access{}, err
	}
	if l.jobs == nil || !l.hasJobs(from.Name()) {
		return githubjob.Access{}, &control.StatusError{Status: http.StatusBadRequest, Field: "githubJob", Err: fmt.Errorf("job of %s: expected a lab whose wiemu.yaml has a workload with githubJob and issuer %s; start it with the file that declares this job", job.Repository, from.Name())}
	}
	l.faults.NameSubject(githubjob.Subject(job), job.Repository)
	return l.jobs.Add(job, from), nil
}
