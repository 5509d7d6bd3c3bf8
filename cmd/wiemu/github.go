package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/wiemu/wiemu/scenarios"
)

// github is what GitHub Actions shows of a run besides its log.
type github struct {
	annotations scenarios.Annotations
	summary     string // a file to append to; "": none
}

// newGitHub returns nil elsewhere than in GitHub Actions. Workflow commands are
// read from both outputs of a step; standard output may be a report.
func newGitHub(stderr io.Writer) *github {
	if os.Getenv("GITHUB_ACTIONS") != "true" {
		return nil
	}
	return &github{scenarios.Annotations{W: stderr, Path: repositoryPath}, os.Getenv("GITHUB_STEP_SUMMARY")}
}

// problems shows what is wrong in files, and passes the error on.
func (g *github) problems(err error) error {
	if g == nil || err == nil {
		return err
	}
	return errors.Join(err, g.annotations.Problems(err))
}

// report shows what failed.
func (g *github) report(r scenarios.Report) (err error) {
	if g == nil {
		return nil
	}
	if err := g.annotations.Report(r); err != nil || g.summary == "" {
		return err
	}
	file, err := os.OpenFile(g.summary, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the job's summary ($GITHUB_STEP_SUMMARY): %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return r.WriteSummary(file)
}

// repositoryPath is a file's path in the repository that is checked out, "" for
// one elsewhere, such as those that are built in.
func repositoryPath(file string) string {
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	top := os.Getenv("GITHUB_WORKSPACE")
	if top == "" {
		top = "."
	}
	top, err := filepath.Abs(top)
	if err != nil {
		return ""
	}
	absolute, err := filepath.Abs(file)
	if err != nil {
		return ""
	}
	path, err := filepath.Rel(top, absolute)
	if err != nil || !filepath.IsLocal(path) {
		return ""
	}
	return filepath.ToSlash(path)
}
