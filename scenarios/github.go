package scenarios

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// Annotations writes workflow commands, which GitHub Actions shows at the lines of
// the files that they are about: https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
type Annotations struct {
	W    io.Writer
	Path func(file string) string // of a file in the repository, "" for one that is not in it
}

// maxAnnotation is how much of a failure an annotation shows, in bytes.
const maxAnnotation = 4000

// Report writes an annotation for each failure.
func (a Annotations) Report(r Report) error {
	p := printer{w: a.W}
	for _, o := range r.Scenarios {
		for _, f := range o.unrepeated() {
			text := shortenTo(maxAnnotation, printable(f.reason()+section("explanation", f.Explanation)))
			a.write(&p, yamlfile.Problem{File: f.File, Line: f.Line}, "scenario "+o.title()+" failed", text)
		}
	}
	return p.err
}

// Problems writes an annotation for each thing that is wrong in a file, if err is
// of that kind.
func (a Annotations) Problems(err error) error {
	var problems yamlfile.Problems
	if !errors.As(err, &problems) {
		return nil
	}
	p := printer{w: a.W}
	for _, problem := range problems {
		at := problem
		problem.File, problem.Line, problem.Column = "", 0, 0 // the annotation has them
		a.write(&p, at, "not a scenario that can be run", problem.Error())
	}
	return p.err
}

func (a Annotations) write(p *printer, at yamlfile.Problem, title, message string) {
	var properties []string
	if path := a.Path(at.File); path != "" {
		properties = append(properties, "file="+githubProperty(path))
		if at.Line > 0 {
			properties = append(properties, fmt.Sprintf("line=%d", at.Line))
		}
		if at.Column > 0 {
			properties = append(properties, fmt.Sprintf("col=%d", at.Column))
		}
	}
	properties = append(properties, "title="+githubProperty(title))
	p.printf("::error %s::%s\n", strings.Join(properties, ","), githubData(strings.TrimRight(message, "\n")))
}

// Source: actions/toolkit, packages/core/src/command.ts, escapeData and escapeProperty.
func githubData(text string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(text)
}

func githubProperty(text string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(githubData(text))
}

// WriteSummary writes the report in Markdown, for the summary of a job.
func (r Report) WriteSummary(w io.Writer) error {
	p := printer{w: w}
	mark := "✅"
	if r.ExitCode() != 0 {
		mark = "❌"
	}
	p.printf("### %s wiemu: %s in %s\n", mark, r.Counts(), r.Wall)
	for _, f := range r.Flaky() {
		p.printf("\n⚠️ `%s` is flaky: %s.\n", f.title(), f)
	}
	for _, o := range r.Scenarios {
		if o.Outcome != Failed {
			continue
		}
		text := strings.Join(o.texts(), "\n")
		p.printf("\n<details><summary>❌ <code>%s</code></summary>\n\n%s\n</details>\n", o.title(), fenced(text))
	}
	return p.err
}

// fenced is a block of Markdown in which nothing has a meaning.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "text\n" + text + fence + "\n"
}
