package scenarios

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
)

// WriteTable writes the report for a person: a line for each scenario, then why
// those failed that did. See also [Options.Out], which writes the lines while the
// scenarios run.
func (r Report) WriteTable(w io.Writer) error {
	p := printer{w: w}
	for _, o := range r.Scenarios {
		o.writeRow(&p)
	}
	r.writeEnd(&p)
	return p.err
}

// WriteEnd writes what [Options.Out] could not know yet: why scenarios failed,
// and how many.
func (r Report) WriteEnd(w io.Writer) error {
	p := printer{w: w}
	r.writeEnd(&p)
	return p.err
}

func (r Report) writeEnd(p *printer) {
	for _, o := range r.Scenarios {
		for _, text := range o.texts() {
			p.printf("\n%s: %s", o.title(), text)
		}
		if o.Outcome == Failed && o.Picture != "" {
			p.printf("  the picture of it: %s\n", o.Picture)
		}
	}
	p.printf("\n%s in %s\n", r.Counts(), r.Wall)
	for _, f := range r.Flaky() {
		p.printf("flaky: %s: %s\n", f.title(), f)
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
	if r.NotHere > 0 {
		counts += fmt.Sprintf(", %d not here", r.NotHere)
	}
	return counts
}

// writeRow writes the scenario's line.
func (o Outcome) writeRow(w io.Writer) {
	switch o.Outcome {
	case Skipped:
		fmt.Fprintf(w, "- %-40s skipped\n", o.title())
		return
	case NotHere:
		fmt.Fprintf(w, "· %-40s not here: %s\n", o.title(), o.Reason)
		return
	}
	mark := "✓"
	if o.Outcome != Passed {
		mark = "✗"
	}
	fmt.Fprintf(w, "%s %-40s %3d expectations  %10s of lab time  %7s\n", mark, o.title(), o.Expectations, time.Duration(o.Simulated), o.Wall)
	for _, note := range o.Notes {
		fmt.Fprintf(w, "  note: %s\n", printable(note))
	}
}

// String rounds to milliseconds.
func (s Seconds) String() string { return fmt.Sprintf("%.3fs", time.Duration(s).Seconds()) }

// texts are the scenario's failures as people read them.
func (o Outcome) texts() []string {
	var texts []string
	for _, f := range o.unrepeated() {
		texts = append(texts, f.text())
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

// text is a failure as people read it; it ends in a newline.
func (f Failure) text() string {
	return f.place() + printable(f.reason()+f.evidence()+section("explanation", f.Explanation))
}

// place is the file and line, as a prefix.
func (f Failure) place() string {
	switch {
	case f.File == "":
		return ""
	case f.Line == 0:
		return f.File + ": "
	}
	return fmt.Sprintf("%s:%d: ", f.File, f.Line)
}

// reason is what was expected, and what was found.
func (f Failure) reason() string {
	var values strings.Builder
	for _, v := range f.Values {
		fmt.Fprintf(&values, "%s = %s\n", v.Expression, v.Value)
	}
	return f.Message + "\n" + section("", f.Expression) + section("where", values.String())
}

// evidence is what programs printed and the journal recorded.
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

// section is a text below its title, indented; nothing, if it is empty.
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

// printable shows control characters, which programs print and terminals and XML
// readers trip over, as Go writes them.
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

// printer writes until something fails.
type printer struct {
	w   io.Writer
	err error
}

// Write lets a printer be written to; it never reports the error, see err.
func (p *printer) Write(b []byte) (int, error) {
	if p.err == nil {
		_, p.err = p.w.Write(b)
	}
	return len(b), nil
}

func (p *printer) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }
