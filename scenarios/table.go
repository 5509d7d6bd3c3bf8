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
			p.printf("\n%s: %s", o.Name, text)
		}
	}
	p.printf("\n%d passed, %d failed in %s\n", r.Passed, r.Failed, r.Wall)
}

// writeRow writes the scenario's line.
func (o Outcome) writeRow(w io.Writer) {
	mark := "✓"
	if o.Outcome != Passed {
		mark = "✗"
	}
	fmt.Fprintf(w, "%s %-40s %3d expectations  %10s of lab time  %7s\n", mark, o.Name, o.Expectations, time.Duration(o.Simulated), o.Wall)
}

// String rounds to milliseconds.
func (s Seconds) String() string { return fmt.Sprintf("%.3fs", time.Duration(s).Seconds()) }

// texts are the scenario's failures as people read them. What an earlier one
// shows already, a later one does not repeat.
func (o Outcome) texts() []string {
	var texts []string
	ran, recorded := map[string]bool{}, map[string]bool{}
	for _, f := range o.Failures {
		f.Runs = slices.DeleteFunc(slices.Clone(f.Runs), func(r RunOutput) bool { return ran[r.Step] })
		f.Events = slices.DeleteFunc(slices.Clone(f.Events), func(e journal.Event) bool { return recorded[e.ID] })
		texts = append(texts, f.text())
		for _, r := range f.Runs {
			ran[r.Step] = true
		}
		for _, e := range f.Events {
			recorded[e.ID] = true
		}
	}
	return texts
}

// text is a failure as people read it; it ends in a newline.
func (f Failure) text() string {
	var b strings.Builder
	if f.File != "" {
		b.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&b, ":%d", f.Line)
		}
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%s\n", f.Message)
	section := func(title, text string) {
		if text = strings.TrimRight(text, "\n"); text == "" {
			return
		}
		if title != "" {
			fmt.Fprintf(&b, "  %s\n", title)
		}
		for line := range strings.SplitSeq(text, "\n") {
			if line != "" {
				line = "    " + line
			}
			b.WriteString(line + "\n")
		}
	}
	section("", f.Expression)
	var values strings.Builder
	for _, v := range f.Values {
		fmt.Fprintf(&values, "%s = %s\n", v.Expression, v.Value)
	}
	section("where", values.String())
	for _, r := range f.Runs {
		fmt.Fprintf(&b, "  step %s ended with exit code %d\n", r.Step, r.ExitCode)
		section("its output", r.Stdout)
		section("its error output", r.Stderr)
	}
	var events strings.Builder
	for _, e := range f.Events {
		fmt.Fprintf(&events, "%5s  %s  %-12s %-8s %s\n", e.ID, e.Time.Format(time.DateTime), e.Kind, e.Outcome, e.Summary)
	}
	section("the journal's last events", events.String())
	section("explanation", f.Explanation)
	return printable(b.String())
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
