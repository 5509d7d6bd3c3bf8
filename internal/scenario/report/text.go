package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// WriteTable writes the report for a person: a line for each scenario, then why those failed that
// did. See also scenario.Options.Out, which writes the lines while the scenarios run.
func (r Report) WriteTable(w io.Writer) error {
	p := printer{w: w}
	for _, o := range r.Scenarios {
		if err := o.WriteRow(w); err != nil {
			return err
		}
	}
	r.writeEnd(&p)
	return p.err
}

// WriteEnd writes what scenario.Options.Out could not know yet: why scenarios failed, and how many.
func (r Report) WriteEnd(w io.Writer) error {
	p := printer{w: w}
	r.writeEnd(&p)
	return p.err
}

func (r Report) writeEnd(p *printer) {
	for _, o := range r.Scenarios {
		for _, text := range o.Texts() {
			p.printf("\n%s: %s", o.Title(), text)
		}
		if o.Outcome == Failed && o.Picture != "" {
			p.printf("  the picture of it: %s\n", o.Picture)
		}
	}
	p.printf("\n%s in %s\n", r.Counts(), r.Wall)
	for _, f := range r.Flaky() {
		p.printf("flaky: %s: %s\n", f.Title(), f)
	}
}

// Counts says how many passed and failed, and how many were not run and why.
func (r Report) Counts() string {
	counts := fmt.Sprintf("%d passed, %d failed", r.Passed, r.Failed)
	if r.Skipped > 0 {
		counts += fmt.Sprintf(", %d skipped", r.Skipped)
	}
	if r.Interrupted > 0 {
		counts += fmt.Sprintf(", %d not run", r.Interrupted)
	}
	if r.Unsupported > 0 {
		counts += fmt.Sprintf(", %d not here", r.Unsupported)
	}
	return counts
}

// WriteRow writes the scenario's line and its notes.
func (o Outcome) WriteRow(w io.Writer) error {
	p := printer{w: w}
	switch o.Outcome {
	case Skipped:
		p.printf("- %-40s skipped\n", o.Title())
		return p.err
	case Unsupported:
		p.printf("· %-40s not here: %s\n", o.Title(), o.Reason)
		return p.err
	}
	mark := "✓"
	if o.Outcome != Passed {
		mark = "✗"
	}
	p.printf("%s %-40s %3d expectations  %10s of lab time  %7s\n", mark, o.Title(), o.Expectations, time.Duration(o.Simulated), o.Wall)
	for _, note := range o.Notes {
		p.printf("  note: %s\n", printable(note))
	}
	return p.err
}

// String rounds to milliseconds.
func (s Seconds) String() string { return fmt.Sprintf("%.3fs", time.Duration(s).Seconds()) }

// Texts are the failures as people read them.
func (o Outcome) Texts() []string {
	var texts []string
	for _, f := range o.unrepeated() {
		texts = append(texts, f.Text())
	}
	return texts
}

// unrepeated are the failures without what an earlier one shows already.
func (o Outcome) unrepeated() []Failure {
	failures := slices.Clone(o.Failures)
	ran, recorded := map[string]bool{}, map[string]bool{}
	for i := range failures {
		f := &failures[i]
		f.Runs = slices.DeleteFunc(slices.Clone(f.Runs), func(r RunOutput) bool { return ran[r.Step] })
		f.Events = slices.DeleteFunc(slices.Clone(f.Events), func(e journal.Event) bool { return recorded[e.ID] })
		for _, r := range f.Runs {
			ran[r.Step] = true
		}
		for _, e := range f.Events {
			recorded[e.ID] = true
		}
	}
	return failures
}

// Text is the failure as people read it; it ends in a newline.
func (f Failure) Text() string {
	return f.place() + printable(f.reason()+f.evidence()+section("explanation", f.Explanation))
}

func (f Failure) place() string {
	switch {
	case f.File == "":
		return ""
	case f.Line == 0:
		return f.File + ": "
	}
	return fmt.Sprintf("%s:%d: ", f.File, f.Line)
}

func (f Failure) reason() string {
	var values strings.Builder
	for _, v := range f.Values {
		fmt.Fprintf(&values, "%s = %s\n", v.Expression, v.Value)
	}
	return f.Message + "\n" + section("", f.Expression) + section("where", values.String())
}

func (f Failure) evidence() string {
	var b strings.Builder
	for _, r := range f.Runs {
		how := fmt.Sprintf("ended with exit code %d", r.ExitCode)
		if r.Running {
			how = "is still running"
		}
		fmt.Fprintf(&b, "  step %s %s\n", r.Step, how)
		b.WriteString(section("its output", r.Stdout) + section("its error output", r.Stderr))
	}
	var events strings.Builder
	for _, e := range f.Events {
		fmt.Fprintf(&events, "%5s  %s  %-12s %-8s %s\n", e.ID, e.Time.Format(time.DateTime), e.Kind, e.Outcome, e.Summary)
	}
	return b.String() + section("the journal's last events", events.String())
}

func section(title, text string) string {
	if text = strings.TrimRight(text, "\n"); text == "" {
		return ""
	}
	var b strings.Builder
	if title != "" {
		fmt.Fprintf(&b, "  %s\n", title)
	}
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			line = "    " + line
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// printable escapes control characters as Go does, for terminals and XML readers.
func printable(text string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(text, "\uFFFD") {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == 0xfffe || r == 0xffff {
			fmt.Fprintf(&b, "\\x%02x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
