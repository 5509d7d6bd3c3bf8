package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// Result is how a replay compares with what was recorded.
type Result struct {
	File     string         `json:"file,omitempty"`
	Start    time.Time      `json:"start"`  // lab time
	Length   Since          `json:"length"` // of lab time
	Same     bool           `json:"same"`   // everything
	Requests int            `json:"requests"`
	Inputs   []Compared     `json:"inputs"`
	Events   []Difference   `json:"events,omitempty"`   // of what happened by itself
	Refusals map[string]int `json:"refusals,omitempty"` // of the replay, by code
}

// Compared is an input with what came of it, then and now.
type Compared struct {
	ID          int          `json:"id"`
	At          Since        `json:"at"`
	Workload    string       `json:"workload,omitempty"`
	Request     string       `json:"request"`
	Recorded    string       `json:"recorded"` // in a few words
	Now         string       `json:"now"`
	Refused     bool         `json:"refused"` // now
	Same        bool         `json:"same"`
	Differences []Difference `json:"differences,omitempty"`
	Explanation string       `json:"explanation,omitempty"` // why it ended as it did now, if that is different
}

// Difference is a field that is not as it was recorded.
type Difference struct {
	Field    string `json:"field"`
	Recorded string `json:"recorded"`
	Now      string `json:"now"`
}

// compare goes through two recordings side by side. why explains an input of the second.
func compare(recorded, again *Recording, why func(int) (journal.Event, []journal.Event, bool)) *Result {
	result := &Result{File: recorded.file, Start: recorded.Start, Length: recorded.Length, Same: true, Refusals: map[string]int{}, Inputs: []Compared{}}
	now, explained := map[int]Input{}, 0
	for _, in := range again.Inputs {
		now[in.ID] = in
	}
	for _, in := range recorded.Inputs {
		delete(in.Outcome.Event, "shared") // older recordings of lockstep have it; a replay runs no program
		own := now[in.ID]
		c := Compared{
			ID: in.ID, At: in.At, Workload: in.Workload, Request: in.title(), Recorded: in.Outcome.title(), Now: own.Outcome.title(), Refused: own.Outcome.Refused(),
			Differences: comparison{tolerance + time.Duration(in.Took), recorded.State.Names == ""}.differences("", tree(in.Outcome), tree(own.Outcome)),
		}
		c.Same = len(c.Differences) == 0
		result.Same = result.Same && c.Same
		if own.Outcome.Refused() {
			result.Refusals[own.Outcome.Short()]++
		}
		if !c.Same && explained < maxExplained {
			explained++
			c.Explanation = explanation(why(in.ID))
		}
		result.Inputs = append(result.Inputs, c)
	}
	result.Requests = len(result.Inputs)
	result.Events = eventDifferences(recorded.Events, again.Events)
	result.Same = result.Same && len(result.Events) == 0
	return result
}

// maxExplained is how many differences are explained: whoever has more of them has
// seen enough, and each costs a look through the journal.
const maxExplained = 20

func explanation(e journal.Event, all []journal.Event, known bool) string {
	var text bytes.Buffer
	if !known || explain.Write(&text, e, all) != nil {
		return ""
	}
	return text.String()
}

func (in Input) title() string {
	path, _, _ := strings.Cut(in.Path, "?")
	if in.Host == "" {
		return strings.TrimSpace(in.Method + " " + strings.TrimSpace(in.Endpoint) + " " + path)
	}
	return in.Method + " https://" + in.Host + path
}

func (o Outcome) title() string {
	if o.Status == 0 {
		return strings.TrimSpace("connection cut " + o.Error)
	}
	text := fmt.Sprint(o.Status)
	if o.Code != 0 {
		text += fmt.Sprintf(" AADSTS%d", o.Code)
	}
	return strings.TrimSpace(text + " " + o.Error)
}

// Short is how refusals are counted: by their code.
func (o Outcome) Short() string {
	if o.Code != 0 {
		return fmt.Sprintf("AADSTS%d", o.Code)
	}
	return o.title()
}

func tree(value any) any {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	var v any
	if err := decode(text, &v); err != nil {
		return err.Error()
	}
	return v
}

// decode reads JSON; numbers stay as they are written.
func decode(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err := decoder.Decode(into)
	if err == nil && decoder.More() {
		err = errors.New("expected one value, found more behind it")
	}
	return err
}

// comparison compares outcomes; their times may differ.
type comparison struct {
	apart    time.Duration
	wordless bool // events are not compared by their words
}

// namesOfWorkloads is State.Names of what is recorded now.
const namesOfWorkloads = "workload"

// words are what an event tells in words, names included.
var words = []string{"event.summary", "event.identity", "event.detail.note"}

// differences lists the fields in which two values differ.
func (c comparison) differences(field string, recorded, now any) []Difference {
	switch r := recorded.(type) {
	case map[string]any:
		n, ok := now.(map[string]any)
		if !ok {
			break
		}
		names := maps.Clone(r)
		maps.Copy(names, n)
		var all []Difference
		for _, name := range slices.Sorted(maps.Keys(names)) {
			all = append(all, c.differences(strings.TrimPrefix(field+"."+name, "."), r[name], n[name])...)
		}
		return all
	case []any:
		n, ok := now.([]any)
		if !ok || len(n) != len(r) {
			break
		}
		var all []Difference
		for i := range r {
			all = append(all, c.differences(fmt.Sprintf("%s[%d]", field, i), r[i], n[i])...)
		}
		return all
	}
	if c.same(field, recorded, now) {
		return nil
	}
	return []Difference{{field, show(recorded), show(now)}}
}

// tolerance is how much times may differ, beside what an answer took: a running
// clock goes on while a request is answered, and tokens have whole seconds.
const tolerance = 2 * time.Second

// same compares two values that have no fields.
func (c comparison) same(field string, recorded, now any) bool {
	if field == "bodySum" { // a replay has other content of the same length
		return true
	}
	if c.wordless && slices.Contains(words, field) {
		return true
	}
	if a, ok := recorded.(json.Number); ok {
		b, ok := now.(json.Number)
		return ok && c.sameNumber(field, a.String(), b.String())
	}
	r, rIsText := recorded.(string)
	n, nIsText := now.(string)
	if !rIsText || !nIsText {
		return reflect.DeepEqual(recorded, now)
	}
	if c.sameNumber(field, r, n) {
		return true
	}
	r, n = thumbprint().ReplaceAllString(r, "{{certificate $1 $2}}"), thumbprint().ReplaceAllString(n, "{{certificate $1 $2}}")
	if r == n {
		return true
	}
	return stamp().ReplaceAllString(r, "") == stamp().ReplaceAllString(n, "") && slices.EqualFunc(stamp().FindAllString(r, -1), stamp().FindAllString(n, -1), c.sameTime)
}

// sameNumber compares numbers; fields that tell a time, or how much of a lifetime
// is left, within the tolerance. v1 endpoints write them as text.
func (c comparison) sameNumber(field, a, b string) bool {
	x, err := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	if err != nil || err2 != nil {
		return false
	}
	_, name, _ := cutLast("."+field, ".")
	return x == y || countedInSeconds[name] && math.Abs(x-y) <= c.apart.Seconds()
}

// thumbprint is a certificate's, in forms that are the same for some certificates.
var thumbprint = lazyregexp.New(`\{\{certificate (sha\d+) (?:padded|in base64) (\d+)\}\}`)

// countedInSeconds are the fields of tokens, of their replies and of Key Vault's
// that hold seconds since 1970 or lifetimes.
var countedInSeconds = map[string]bool{
	"exp": true, "iat": true, "nbf": true, "expires_in": true, "ext_expires_in": true, "expires_on": true, "not_before": true,
	"created": true, "updated": true, "deletedDate": true, "scheduledPurgeDate": true,
}

// stamp is a time in the middle of a text: RFC 3339, as Entra ID writes it, as
// HTTP does, or a duration that is counted down.
var stamp = lazyregexp.New(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT|\b(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?s\b`)

var forms = []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "Mon, 02 Jan 2006 15:04:05 GMT"}

func (c comparison) sameTime(a, b string) bool {
	if a == b {
		return true
	}
	if x, err := time.ParseDuration(a); err == nil {
		y, err := time.ParseDuration(b)
		return err == nil && (x-y).Abs() <= c.apart
	}
	for _, form := range forms {
		x, err := time.Parse(form, a)
		if err != nil {
			continue
		}
		y, err := time.Parse(form, b)
		return err == nil && x.Sub(y).Abs() <= c.apart
	}
	return false
}

func show(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case string:
		return v
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// eventDifferences compares what happened by itself: for each ring, issuer and
// workload in its order. When is not compared to the second, because timers of a
// running clock are a little late, and the later ones count from there.
func eventDifferences(recorded, now []Event) []Difference {
	type lane struct{ kind, part, workload string }
	lanes := func(events []Event) (map[lane][]Event, []lane) {
		all, order := map[lane][]Event{}, []lane(nil)
		for _, e := range events {
			l := lane{e.Kind, e.Part, e.Workload}
			if all[l] == nil {
				order = append(order, l)
			}
			all[l] = append(all[l], e)
		}
		return all, order
	}
	then, order := lanes(recorded)
	again, more := lanes(now)
	for _, l := range more {
		if then[l] == nil {
			order = append(order, l)
		}
	}
	var found []Difference
	for _, l := range order {
		name := strings.Join(strings.Fields(l.kind+" "+l.part+" "+l.workload), " ")
		for i := range max(len(then[l]), len(again[l])) {
			a, b := nothing, nothing
			var at, then2 Since
			if i < len(then[l]) {
				a, at = then[l][i].line(), then[l][i].At
			}
			if i < len(again[l]) {
				b, then2 = again[l][i].line(), again[l][i].At
			}
			if a != b {
				found = append(found, Difference{fmt.Sprintf("%s %d", name, i+1), a, b})
				break // what follows counts from there
			}
			if late := time.Duration(at - then2).Abs(); late > lateness {
				found = append(found, Difference{fmt.Sprintf("%s %d, at", name, i+1), at.String(), then2.String()})
				break
			}
		}
	}
	return found
}

const (
	nothing  = "nothing"
	lateness = time.Minute
)

func (e Event) line() string {
	text := strings.Join(strings.Fields(e.Outcome+": "+e.Summary), " ")
	if e.Kid != "" {
		text += " (key " + e.Kid + ")"
	}
	return text
}
