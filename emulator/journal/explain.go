package journal

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// Explain writes why the event ended as it did: its checks in order with what
// was expected and presented, for a refusal the nearest federated credential,
// what differs and what to change; then the events that led to it and followed
// from it. All is the run that the event belongs to.
func Explain(w io.Writer, e Event, all []Event) error {
	p := &page{w: w}
	p.line("%s %s %s: %s", mark(e.Outcome), e.Kind, e.Outcome, e.Summary)
	if e.ID != "" { // one that was only examined is in no journal
		p.line("  event %s at %s (lab time)", e.ID, e.Time.Format(time.RFC3339))
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
	if remark := e.Detail["remark"]; remark != "" {
		p.line("\nOn purpose: %s", remark)
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
	w   io.Writer
	err error
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

// checks prints one line for a check that passed and the whole of one that failed.
func (p *page) checks(checks []Check) {
	if len(checks) == 0 {
		return
	}
	p.line("\nChecks, in the order they were made:")
	var skipped []string
	for _, c := range checks {
		switch {
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
	for _, c := range chain {
		here := " "
		if c.ID == e.ID {
			here = "▸"
		}
		p.line(" %s%5s  %s  %s %s", here, c.ID, c.Time.Format(time.DateTime), mark(c.Outcome), c.Summary)
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
