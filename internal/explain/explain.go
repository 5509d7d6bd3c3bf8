// Package explain tells people what a run's events mean: why one ended as it did, which one
// they mean by the last, and which one comes nearest to what was expected.
package explain

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/wiemu/wiemu/emulator/journal"
)

// Write writes why an event ended as it did: for a refusal first what is wrong, in one
// sentence; the failed checks with what was expected and presented, the nearest federated
// credential, what differs and what to change; then the events that led to it and followed
// from it. What succeeded is summed up. All are the events of its run.
func Write(w io.Writer, e journal.Event, all []journal.Event) error {
	return explain(&page{w: w}, e, all)
}

// WriteAll is [Write] with every check and every event, whether it succeeded or not.
func WriteAll(w io.Writer, e journal.Event, all []journal.Event) error {
	return explain(&page{w: w, whole: true}, e, all)
}

func explain(p *page, e journal.Event, all []journal.Event) error {
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
		{"program", programOf(e)},
		{"resource", e.Resource},
		{"trace id", e.TraceID},
		{"correlation id", e.CorrelationID},
		{"answer", answer(e)},
	} {
		if f.value != "" {
			p.line("  %-15s %s", f.name, f.value)
		}
	}
	if ahead := e.Time.Sub(e.Wall).Round(time.Minute); !e.Wall.IsZero() && !e.Shared && ahead.Abs() > time.Minute && e.Kind == journal.Access {
		p.line("  %-15s %s the machine's: the client's clock did not move, so it may still send a token that has expired here", "lab time is", aheadOf(ahead))
	}
	if remark := e.Detail[journal.DetailRemark]; remark != "" && diagnosis == "" {
		p.line("\nOn purpose: %s", remark)
	}
	if note := e.Detail[journal.DetailNote]; note != "" {
		p.line("\nNote: %s.", note)
	}
	p.checks(e.Checks)
	p.nearest(e.Nearest)
	if e.Message != "" && e.Kind != journal.Exchange { // what Entra ID said is the summary already
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

// line writes a line, which may hold what clients sent.
func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, Printable(fmt.Sprintf(format, args...))+"\n")
	}
}

// Printable returns a text without the characters that control a terminal.
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

// checks prints failed checks in full and one line for all that passed, or one for each.
func (p *page) checks(checks []journal.Check) {
	if len(checks) == 0 {
		return
	}
	p.line("\nChecks, in the order they were made:")
	var passed, skipped []string
	for _, c := range checks {
		if c.Outcome == journal.Passed {
			passed = append(passed, c.Name)
		}
	}
	if len(passed) > 1 && !p.whole {
		p.line("  ✓ %d passed: %s", len(passed), summary(passed))
	}
	for _, c := range checks {
		switch {
		case c.Outcome == journal.Passed && len(passed) > 1 && !p.whole:
		case c.Outcome == journal.Skipped && c.Note == "":
			skipped = append(skipped, c.Name)
		case c.Outcome == journal.Failed:
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

func (p *page) nearest(n *journal.Nearest) {
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

func (p *page) chain(e journal.Event, all []journal.Event) {
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

// Chain returns the events that are about the same token as e, oldest first: its key's
// rotation, its minting and projection, the exchange and the use of the access token.
func Chain(e journal.Event, all []journal.Event) []journal.Event {
	jti, uti, kid := e.JTI, e.UTI, e.Kid
	if jti == "" && uti != "" { // an access knows its exchange only by uti
		for _, o := range all {
			if o.Kind == journal.Exchange && o.UTI == uti {
				jti, kid = o.JTI, o.Kid
			}
		}
	}
	var chain []journal.Event
	for _, o := range all {
		switch {
		case o.ID == e.ID,
			jti != "" && o.JTI == jti,
			uti != "" && o.UTI == uti,
			kid != "" && o.Kind == journal.KeyRotation && o.Kid == kid:
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

func mark(o journal.Outcome) string {
	switch o {
	case journal.OK, journal.Granted, journal.Passed:
		return "✓"
	case journal.Denied, journal.Failed:
		return "✗"
	default:
		return "–"
	}
}

func programOf(e journal.Event) string {
	if e.Program == nil {
		return ""
	}
	return e.Program.String()
}

func answer(e journal.Event) string {
	switch {
	case e.Kind == journal.Escape && e.Status == 0: // a connection that was led to the lab
		return e.Error
	case e.Status == 0:
		return ""
	case e.Error == "":
		return fmt.Sprintf("HTTP %d", e.Status)
	default:
		return fmt.Sprintf("HTTP %d %s", e.Status, e.Error)
	}
}

// Last returns the event that people mean by the last one: the newest refusal or failure
// of any kind, or else the newest exchange or access.
func Last(all []journal.Event) (journal.Event, bool) {
	for _, e := range slices.Backward(all) {
		challenge := e.Detail["challenge"] != "" // what every Key Vault client asks for first
		if (e.Outcome == journal.Denied || e.Outcome == journal.Failed) && !challenge {
			return e, true
		}
	}
	for _, e := range slices.Backward(all) {
		if e.Kind == journal.Exchange || e.Kind == journal.Access {
			return e, true
		}
	}
	return journal.Event{}, false
}

// Find returns the newest event with an id; see [journal.Event.Matches]. If id is empty, it
// returns the [Last] event since the newest program was started; if the program has made no
// request, that is its start, with Meaning and Remedy set.
func Find(all []journal.Event, id string) (journal.Event, bool) {
	if id == "" {
		return lastOfNewestProgram(all)
	}
	for _, e := range slices.Backward(all) {
		if e.Matches(id) {
			return e, true
		}
	}
	return journal.Event{}, false
}

func lastOfNewestProgram(all []journal.Event) (journal.Event, bool) {
	for i := len(all) - 1; i >= 0; i-- {
		if !startsProgram(all[i]) {
			continue
		}
		from := i // a failure to prepare the program counts, too
		for from > 0 && all[from-1].Workload == all[i].Workload && slices.Contains(preparations, all[from-1].Kind) && all[from-1].Detail[journal.DetailExitCode] == "" && !startsProgram(all[from-1]) {
			from--
		}
		if e, found := Last(all[from:]); found {
			return e, true
		}
		e := all[i]
		e.Meaning, e.Remedy = NoRequest, NoRequestRemedy
		if e.Detail[DetailNetwork] == Led {
			e.Remedy = noRequestLed
		}
		return e, true
	}
	return Last(all)
}

// preparations are the kinds of event that come before a program's start.
var preparations = []journal.Kind{journal.Admission, journal.Run, journal.Mint, journal.Projection}

// The Meaning and Remedy of the start of a program that has made no request.
const (
	NoRequest       = "this run made no request to the lab"
	NoRequestRemedy = "if a request was expected: does the program honour HTTPS_PROXY? Try wiemu run --network transparent or --isolate"
	noRequestLed    = "if a request was expected: the program did not come to it, or leaves it to a process that it did not start, such as a daemon"
)

// DetailNetwork is the member of the Detail of a program's start that says how it reaches the
// lab: Led, if its connections are led there or cannot leave, so that they are seen.
const (
	DetailNetwork = "network"
	Led           = "led"
)

func startsProgram(e journal.Event) bool {
	return e.Kind == journal.Run && e.Outcome == journal.OK && e.Detail[journal.DetailExitCode] == ""
}
