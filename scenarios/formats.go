package scenarios

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// ReportKind is what a report in JSON says it is, beside [APIVersion].
const ReportKind = "ScenarioReport"

// reportFile is a report as programs read it. Within an [APIVersion] fields are
// added, but none changes its meaning or goes away.
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
		Name       string           `xml:"name,attr"`
		ClassName  string           `xml:"classname,attr"`
		File       string           `xml:"file,attr"`
		Assertions int              `xml:"assertions,attr"`
		Time       string           `xml:"time,attr"`
		Properties *junitProperties `xml:"properties"`
		Skipped    *junitSkipped    `xml:"skipped"`
		Failure    *junitFailure    `xml:"failure"`
		SystemOut  *junitText       `xml:"system-out"`
	}
	junitProperties struct {
		Properties []junitProperty `xml:"property"`
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
	counts := junitCounts{Name: "wiemu scenarios", Tests: len(r.Scenarios), Failures: r.Failed + r.Interrupted, Skipped: r.Skipped + r.NotHere, Time: junitSeconds(r.Wall)}
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
	c := junitCase{Name: o.title(), ClassName: "scenarios", Properties: &junitProperties{[]junitProperty{{"place", o.Place}}}, File: o.File, Assertions: o.Expectations, Time: junitSeconds(o.Wall)}
	switch o.Outcome {
	case Skipped:
		c.Skipped = &junitSkipped{Message: "another scenario failed before"}
		return c
	case NotHere: // the format has no other word for what is not run on purpose
		c.Skipped = &junitSkipped{Message: "not here: " + printable(o.Reason)}
		return c
	}
	c.Properties.Properties = append(c.Properties.Properties, junitProperty{"simulatedSeconds", junitSeconds(o.Simulated)})
	if o.JournalHash != "" {
		c.Properties.Properties = append(c.Properties.Properties, junitProperty{"journalHash", o.JournalHash})
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
