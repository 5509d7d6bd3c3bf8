package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/timeline"
	"github.com/wiemu/wiemu/internal/truncate"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// The header of a report in JSON.
const (
	APIVersion = "wiemu.dev/v1"
	ReportKind = "ScenarioReport"
)

// reportFile is the JSON report. Within an [APIVersion] fields are only added.
type reportFile struct {
	APIVersion string  `json:"apiVersion"`
	Kind       string  `json:"kind"`
	Flaky      []Flaky `json:"flaky,omitempty"`
	Report
}

// WriteJSON writes the report as one indented JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(reportFile{APIVersion, ReportKind, r.Flaky(), r})
}

// The JUnit XML that CI servers read.
// Source: https://github.com/testmoapp/junitxml, which describes what they agree on.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		junitCounts
		Suites []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		junitCounts
		Cases []junitCase `xml:"testcase"`
	}
	junitCounts struct {
		Name       string `xml:"name,attr"`
		Tests      int    `xml:"tests,attr"`
		Failures   int    `xml:"failures,attr"`
		Errors     int    `xml:"errors,attr"` // always 0: readers want it
		Skipped    int    `xml:"skipped,attr"`
		Assertions int    `xml:"assertions,attr"`
		Time       string `xml:"time,attr"`
		Timestamp  string `xml:"timestamp,attr,omitempty"` // local time or UTC, without a zone
	}
	junitCase struct {
		Name       string          `xml:"name,attr"`
		ClassName  string          `xml:"classname,attr"`
		File       string          `xml:"file,attr"`
		Assertions int             `xml:"assertions,attr"`
		Time       string          `xml:"time,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Skipped    *junitSkipped   `xml:"skipped"`
		Failure    *junitFailure   `xml:"failure"`
		SystemOut  *junitText      `xml:"system-out"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitSkipped struct {
		Message string `xml:"message,attr"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",cdata"`
	}
	junitText struct {
		Text string `xml:",cdata"`
	}
)

// WriteJUnit writes the report as JUnit XML, one test case a scenario.
func (r Report) WriteJUnit(w io.Writer) error {
	counts := junitCounts{Name: "wiemu scenarios", Tests: len(r.Scenarios), Failures: r.Failed + r.Interrupted, Skipped: r.Skipped + r.Unsupported, Time: junitSeconds(r.Wall)}
	if !r.Started.IsZero() {
		counts.Timestamp = r.Started.UTC().Format("2006-01-02T15:04:05")
	}
	var cases []junitCase
	for _, o := range r.Scenarios {
		counts.Assertions += o.Expectations
		cases = append(cases, o.junit())
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{junitCounts: counts, Suites: []junitSuite{{counts, cases}}}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func junitSeconds(s Seconds) string { return fmt.Sprintf("%.3f", time.Duration(s).Seconds()) }

func (o Outcome) junit() junitCase {
	c := junitCase{Name: o.Title(), ClassName: "scenarios", Properties: []junitProperty{{"place", o.Backend}}, File: o.File, Assertions: o.Expectations, Time: junitSeconds(o.Wall)}
	switch o.Outcome {
	case Skipped:
		c.Skipped = &junitSkipped{Message: "another scenario failed before"}
		return c
	case Unsupported: // the format has no other word for what is not run on purpose
		c.Skipped = &junitSkipped{Message: "not here: " + printable(o.Reason)}
		return c
	}
	c.Properties = append(c.Properties, junitProperty{"simulatedSeconds", junitSeconds(o.Simulated)})
	if o.JournalHash != "" {
		c.Properties = append(c.Properties, junitProperty{"journalHash", o.JournalHash})
	}
	c.Failure, c.SystemOut = o.junitFailure()
	return c
}

// junitFailure makes one failure of all: many readers of the format take one, and
// show its text. What programs printed and the journal recorded is beside it.
func (o Outcome) junitFailure() (*junitFailure, *junitText) {
	if len(o.Failures) == 0 {
		return nil, nil
	}
	first := o.Failures[0]
	message, _, _ := strings.Cut(strings.TrimSuffix(first.Message+": "+first.Expression, ": "), "\n")
	all, out := junitFailure{Message: message, Type: "step", Text: "\n"}, junitText{Text: "\n"}
	if first.Expression != "" {
		all.Type = "expectation"
	}
	for _, f := range o.unrepeated() {
		all.Text += f.place() + printable(f.reason()+section("explanation", f.Explanation))
		out.Text += printable(f.evidence())
	}
	if out.Text == "\n" {
		return &all, nil
	}
	return &all, &out
}

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
			text := truncate.Bytes(printable(f.reason()+section("explanation", f.Explanation)), maxAnnotation)
			a.write(&p, yamlfile.Problem{File: f.File, Line: f.Line}, "scenario "+o.Title()+" failed", text)
		}
	}
	return p.err
}

// Problems writes an annotation for each thing that is wrong in a file, if err is of that kind.
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
		p.printf("\n⚠️ `%s` is flaky: %s.\n", f.Title(), f)
	}
	for _, o := range r.Scenarios {
		if o.Outcome != Failed {
			continue
		}
		text := strings.Join(o.Texts(), "\n")
		p.printf("\n<details><summary>❌ <code>%s</code></summary>\n\n%s\n</details>\n", o.Title(), fenced(text))
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

// WriteTimelines draws each scenario that was run into a directory, as NAME.html
// with an index.html, or as NAME.svg, and notes in its outcome where it is.
func (r *Report) WriteTimelines(dir string, format timeline.Format) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("draw the scenarios: %w", err)
	}
	var drawn []timeline.Entry
	names := map[string]int{}
	for i := range r.Scenarios {
		o := &r.Scenarios[i]
		if !o.ran() {
			continue
		}
		name := strings.ReplaceAll(o.Title(), "#", "-") // which means something in links
		if names[name]++; names[name] > 1 {             // of another file
			name = fmt.Sprintf("%s-%d", name, names[name])
		}
		file := name + "." + string(format)
		about := o.about()
		err := writeFile(filepath.Join(dir, file), func(w *bytes.Buffer) error { return timeline.Write(w, format, about, o.Journal) })
		if err != nil {
			return fmt.Errorf("draw %s: %w", o.Title(), err)
		}
		o.Picture = filepath.Join(dir, file)
		drawn = append(drawn, timeline.Entry{File: file, About: about})
	}
	if format != timeline.HTML {
		return nil
	}
	return writeFile(filepath.Join(dir, "index.html"), func(w *bytes.Buffer) error { return timeline.WriteIndex(w, drawn) })
}

// about is what the picture says about the scenario as a whole.
func (o Outcome) about() timeline.About {
	a := timeline.About{Title: o.Title(), Description: o.Description, Verdict: o.Outcome}
	for _, f := range o.Failures {
		a.Failures = append(a.Failures, printable(f.reason()))
	}
	return a
}

func writeFile(name string, write func(*bytes.Buffer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}
