package recording

import (
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

const (
	// maxSignature is longer than any signature, in characters.
	maxSignature = 1 << 16
	// maxUnrecorded is how many rotations of keys, or tokens that were minted, a replay
	// makes that the recording does not tell of.
	maxUnrecorded = 100
)

// checkNumbers looks for numbers, times and lengths that no session has: a replay
// would fail because of them, or never end.
func (r *Recording) checkNumbers(top *yaml.Node) yamlfile.Problems {
	var problems yamlfile.Problems
	add := func(field, expected string, found any) {
		problems = append(problems, yamlfile.Problem{File: r.file, Line: yamlfile.Line(top, field), Field: field, Expected: expected, Found: fmt.Sprint(found)})
	}
	between := func(field string, value, least, most int) {
		if value < least || value > most {
			add(field, fmt.Sprintf("a number from %d to %d", least, most), value)
		}
	}
	status := func(field string, value int) {
		if value != 0 {
			between(field, value, 100, 599)
		}
	}
	within := func(field string, at Since) {
		if at > r.Length {
			add(field, fmt.Sprintf("at most %v, the length of the session", r.Length), at)
		}
	}
	if y := r.Start.Year(); !r.Start.IsZero() && (y < 1970 || y > 9000) {
		add("start", "a year from 1970 to 9000", y)
	}
	for i, t := range r.Tokens {
		between(fmt.Sprintf("tokens[%d].signature", i), t.Signature, 0, maxSignature)
	}
	for i, in := range r.Inputs {
		field := fmt.Sprintf("inputs[%d].", i)
		within(field+"took", in.Took)
		status(field+"outcome.status", in.Outcome.Status)
		between(field+"outcome.code", in.Outcome.Code, 0, 1<<31-1)
		for n, t := range in.Outcome.Tokens {
			between(fmt.Sprintf("%soutcome.tokens[%d].signature", field, n), t.Signature, 0, maxSignature)
		}
	}
	for i, f := range r.Outside {
		field := fmt.Sprintf("outside[%d].", i)
		within(field+"at", f.At)
		status(field+"status", f.Status)
	}
	recorded := map[string]int{} // changes of keys, by ring
	for i, e := range r.Events {
		within(fmt.Sprintf("events[%d].at", i), e.At)
		if e.Kind == string(journal.KeyRotation) {
			recorded[e.Part]++
		}
	}
	for i, issuer := range r.State.Config.Issuers {
		every := issuer.RotateKeysEvery
		if every <= 0 {
			continue
		}
		// Each rotation is an event at least.
		if n := int64(time.Duration(r.Length) / every); n > int64(recorded[issuer.Name]+maxUnrecorded) {
			add(fmt.Sprintf("state.config.issuers[%d].rotateKeysEvery", i), fmt.Sprintf("that keys rotate as often as events tell, %d times at most in %v", recorded[issuer.Name], r.Length), fmt.Sprintf("%v, which is %d times", every, n))
		}
	}
	return problems
}
