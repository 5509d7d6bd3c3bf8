package scenarios

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteJSON writes the report as one indented JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// The JUnit XML that CI servers read.
// Source: https://github.com/testmoapp/junitxml, which describes what they agree on.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name       string        `xml:"name,attr"`
		ClassName  string        `xml:"classname,attr"`
		File       string        `xml:"file,attr"`
		Assertions int           `xml:"assertions,attr"`
		Time       string        `xml:"time,attr"`
		Failure    *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",cdata"`
	}
)

// WriteJUnit writes the report as JUnit XML, one test case a scenario.
func (r Report) WriteJUnit(w io.Writer) error {
	seconds := func(s Seconds) string { return fmt.Sprintf("%.3f", time.Duration(s).Seconds()) }
	suite := junitSuite{Name: "wiemu scenarios", Tests: len(r.Scenarios), Failures: r.Failed, Time: seconds(r.Wall)}
	for _, o := range r.Scenarios {
		c := junitCase{Name: o.Name, ClassName: "scenarios", File: o.File, Assertions: o.Expectations, Time: seconds(o.Wall)}
		c.Failure = o.junitFailure()
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{
		Name: suite.Name, Tests: suite.Tests, Failures: suite.Failures, Time: suite.Time, Suites: []junitSuite{suite},
	}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// junitFailure makes one failure of all: many readers of the format take one.
func (o Outcome) junitFailure() *junitFailure {
	if len(o.Failures) == 0 {
		return nil
	}
	first := o.Failures[0]
	message, _, _ := strings.Cut(strings.TrimSuffix(first.Message+": "+first.Expression, ": "), "\n")
	all := junitFailure{Message: message, Type: "step", Text: "\n"}
	if first.Expression != "" {
		all.Type = "expectation"
	}
	all.Text += strings.Join(o.texts(), "")
	return &all
}
