package journal

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// Explain writes why the event ended as it did: for a refusal first what is wrong,
// in a sentence; the checks that failed with what was expected and presented, the
// nearest federated credential, what differs and what to change; then the events
// that led to it and followed from it. What went well is summed up. All is the run
// that the event belongs to.
func Explain(w io.Writer, e Event, all []Event) error { return explain(&page{w: w}, e, all) }

// ExplainAll is Explain with every check and every event, whether it went well or not.
func ExplainAll(w io.Writer, e Event, all []Event) error {
	return explain(&page{w: w, whole: true}, e, all)
}

func explain(p *page, e Event, all []Event) error {
	diagnosis := Diagnosis(e, all)
	if diagnosis != "" {
		p.line("%s.\n", strings.TrimSuffix(diagnosis, "."))
	}
	like := repeats(e, all)
	times := ""
	if len(like) > 1 {
		times = fmt.Sprintf(" (× %d)", len(like))
	}
	p.line("%s %s %s: %s%s", mark(e.Outcome), e.Kind, e.Outcome, e.Summary, times)
	if e.ID != "" { // one that was only examined is in no journal
		p.line("  event %s at %s (lab time)", e.ID, e.Time.Format(time.RFC3339))
		if len(like) > 1 {
			p.line("  %-15s event %s at %s", "first like it", like[0].ID, like[0].Time.Format(time.RFC3339))
		}
	}
	for _, f := range []struct{ name, value string }{
		{"workload", e.Workload},
		{"identity", strings.TrimSpace(e.Identity + " " + e.ClientID)},
		{"resource", e.Resource},
		{"trace id", e.TraceID},
		{"correlation id", e.CorrelationID},
		{"answer", answer(e)},
	} {
		if f.value != "" {
			p.line("  %-15s %s", f.name, f.value)
		}
	}
	if ahead := e.Time.Sub(e.Wall).Round(time.Minute); !e.Wall.IsZero() && !e.Shared && ahead.Abs() > time.Minute && e.Kind == Access {
		p.line("  %-15s %s the machine's: the client's clock did not move, so it may still send a token that has expired here", "lab time is", aheadOf(ahead))
	}
	if remark := e.Detail["remark"]; remark != "" && diagnosis == "" {
		p.line("\nOn purpose: %s", remark)
	}
	if note := e.Detail[DetailNote]; note != "" {
		p.line("\nNote: %s.", note)
	}
	p.checks(e.Checks)
	p.nearest(e.Nearest)
	if e.Message != "" && e.Kind != Exchange { // what Entra ID said is the summary already
		p.line("\n%s", e.Message)
	}
	if e.Meaning != "" {
		p.line("\nWhat it means: %s", e.Meaning)
	}
	if e.Remedy != "" {
		p.line("\nWhat to change: %s", e.Remedy)
	}
	p.chain(e, all)
	return p.err
}

// page writes lines until one fails.
type page struct {
	w     io.Writer
	whole bool // nothing is summed up
	err   error
}

// line writes a line. What clients sent is in it, so nothing may steer a terminal.
func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, Printable(fmt.Sprintf(format, args...))+"\n")
	}
}

// Printable is a text without what would steer a terminal.
func Printable(text string) string { return strings.Map(printable, text) }

func printable(r rune) rune {
	switch {
	case r == '\n' || r == '\t':
		return r
	case r == '\r':
		return -1
	case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
		return unicode.ReplacementChar
	}
	return r
}

// checks prints one line for the checks that passed, or for each of them, and the
// whole of one that failed.
func (p *page) checks(checks []Check) {
	if len(checks) == 0 {
		return
	}
	p.line("\nChecks, in the order they were made:")
	var passed, skipped []string
	for _, c := range checks {
		if c.Outcome == Passed {
			passed = append(passed, c.Name)
		}
	}
	if len(passed) > 1 && !p.whole {
		p.line("  ✓ %d passed: %s", len(passed), summary(passed))
	}
	for _, c := range checks {
		switch {
		case c.Outcome == Passed && len(passed) > 1 && !p.whole:
		case c.Outcome == Skipped && c.Note == "":
			skipped = append(skipped, c.Name)
		case c.Outcome == Failed:
			p.line("  ✗ %s", c.Name)
			p.line("      expected  %s", c.Expected)
			p.line("      presented %s", c.Presented)
			if c.Note != "" {
				p.line("      %s", c.Note)
			}
		default:
			p.line("  %s %s", mark(c.Outcome), strings.TrimRight(fmt.Sprintf("%-28s %s", c.Name, strings.Trim(c.Presented+"; "+c.Note, "; ")), " "))
		}
	}
	if len(skipped) > 0 {
		p.line("  – not made: %s", strings.Join(skipped, ", "))
	}
}

// summary is the first and the last of many names.
func summary(names []string) string {
	if len(names) <= 6 {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:2], ", ") + ", …, " + strings.Join(names[len(names)-3:], ", ")
}

func (p *page) nearest(n *Nearest) {
	if n == nil {
		return
	}
	p.line("\nNearest federated credential: %s", n.Credential)
	for _, d := range n.Differences {
		p.line("  %s differs (%s)", d.Field, d.Kind)
		p.line("      expected  %s", d.Expected)
		p.line("      presented %s", d.Presented)
		if d.Fix != "" {
			p.line("      fix       %s", d.Fix)
		}
	}
}

func (p *page) chain(e Event, all []Event) {
	chain := Chain(e, all)
	if len(chain) < 2 {
		return
	}
	p.line("\nThe token's way (kid → jti → uti → resource):")
	for i := 0; i < len(chain); {
		c, here, times := chain[i], " ", 1
		if c.ID == e.ID {
			here = "▸"
		}
		for i++; i < len(chain) && !p.whole && chain[i].Summary == c.Summary && chain[i].Outcome == c.Outcome; i++ {
			if times++; chain[i].ID == e.ID {
				here, c = "▸", chain[i]
			}
		}
		again := ""
		if times > 1 {
			again = fmt.Sprintf(" (× %d)", times)
		}
		p.line(" %s%5s  %s  %s %s%s", here, c.ID, c.Time.Format(time.DateTime), mark(c.Outcome), c.Summary, again)
	}
}

// Chain returns the events that belong to the same token's way as e, oldest
// first: what rotated in its key, minted and projected its assertion, exchanged
// it and used the access token.
func Chain(e Event, all []Event) []Event {
	jti, uti, kid := e.JTI, e.UTI, e.Kid
	if jti == "" && uti != "" { // an access knows its exchange only by uti
		for _, o := range all {
			if o.Kind == Exchange && o.UTI == uti {
				jti, kid = o.JTI, o.Kid
			}
		}
	}
	var chain []Event
	for _, o := range all {
		switch {
		case o.ID == e.ID,
			jti != "" && o.JTI == jti,
			uti != "" && o.UTI == uti,
			kid != "" && o.Kind == KeyRotation && o.Kid == kid:
			chain = append(chain, o)
		}
	}
	return chain
}

func aheadOf(d time.Duration) string {
	if d < 0 {
		return (-d).String() + " behind"
	}
	return d.String() + " ahead of"
}

func mark(o Outcome) string {
	switch o {
	case OK, Granted, Passed:
		return "✓"
	case Denied, Failed:
		return "✗"
	default:
		return "–"
	}
}

func answer(e Event) string {
	switch {
	case e.Status == 0:
		return ""
	case e.Error == "":
		return fmt.Sprintf("HTTP %d", e.Status)
	default:
		return fmt.Sprintf("HTTP %d %s", e.Status, e.Error)
	}
}
