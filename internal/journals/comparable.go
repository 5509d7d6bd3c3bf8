package journals

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// WriteComparable writes events so that two equal runs give the same text: one JSON object
// a line, without machine times, ports and processes. The random ids of keys, tokens and requests are
// replaced by names in the order in which they appear, such as kid-1 and jti-3; so are the
// texts of aside, which belong to one run only, such as its directory.
//
// If programs were on the lab clock, lab times and durations are left out, too, and events
// are ordered by kind, workload and component: SDKs wait with jitter, and have other timers
// than the kubelet.
func WriteComparable(w io.Writer, events []journal.Event, aside ...string) error {
	shared := slices.ContainsFunc(events, func(e journal.Event) bool { return e.Shared })
	if shared {
		events = slices.Clone(events)
		slices.SortStableFunc(events, func(a, b journal.Event) int { return strings.Compare(lane(a), lane(b)) })
	}
	n := namer{given: map[string]bool{}, count: map[string]int{}}
	for _, text := range aside {
		n.name("run", text)
	}
	for _, e := range events {
		n.event(e)
	}
	replacer := strings.NewReplacer(n.pairs...)
	for _, e := range events {
		if shared {
			e.ID = ""
		}
		e.Wall, e.Shared, e.Program = time.Time{}, false, nil
		if host, _, err := net.SplitHostPort(e.Host); err == nil {
			e.Host = host // a metadata service on this machine takes whatever port is free
		}
		var line bytes.Buffer
		encoder := json.NewEncoder(&line)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(e); err != nil {
			return fmt.Errorf("journal: event %s: %w", e.ID, err)
		}
		text := line.String()
		if shared {
			text = withoutTimes(text)
		}
		if _, err := replacer.WriteString(w, text); err != nil {
			return fmt.Errorf("journal: write: %w", err)
		}
	}
	return nil
}

// lane groups events that come in the same order in every run.
func lane(e journal.Event) string {
	return strings.Join([]string{string(e.Kind), e.Workload, e.Component, e.ClientID}, " ")
}

// times are times in RFC 3339 and as in AADSTS texts, and Go durations.
var times = lazyregexp.New(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|\d+/\d+/\d{4} \d+:\d\d:\d\d [AP]M|\b(\d+h)?(\d+m)?\d+(\.\d+)?(ms|µs|s)\b`)

// withoutTimes is a line of JSON with TIME for each time. The expression is slow, and asked about those
// of its texts alone that may have a time.
func withoutTimes(line string) string {
	var without strings.Builder
	for text := range strings.SplitAfterSeq(line, `"`) {
		if mayHaveTime(text) {
			text = times().ReplaceAllString(text, "TIME")
		}
		without.WriteString(text)
	}
	return without.String()
}

// mayHaveTime reports whether a digit comes before what comes in each time: a colon or a unit.
func mayHaveTime(text string) bool {
	for i := 1; i < len(text); i++ {
		if c := text[i-1]; c >= '0' && c <= '9' && strings.IndexByte(":msµ", text[i]) >= 0 {
			return true
		}
	}
	return false
}

// A namer names ids in the order in which they appear.
type namer struct {
	given map[string]bool
	count map[string]int
	pairs []string // an id as JSON writes it, then its name, and so on
}

// shortestID is that of an access token, of which 22 characters are its uti. What
// clients send instead of an id may be an everyday word.
const shortestID = 16

func (n *namer) name(kind, id string) {
	if len(id) < shortestID || n.given[id] {
		return
	}
	n.given[id] = true
	n.count[kind]++
	quoted, err := json.Marshal(id)
	if err != nil {
		return // text is never refused
	}
	n.pairs = append(n.pairs, string(quoted[1:len(quoted)-1]), fmt.Sprintf("%s-%d", kind, n.count[kind]))
}

var keyChecks = []string{"key named", "signing key", "signing key published"}

func (n *namer) event(e journal.Event) {
	n.name("kid", e.Kid)
	for _, detail := range []string{"kids", "previous", "next"} {
		for kid := range strings.FieldsSeq(e.Detail[detail]) {
			n.name("kid", kid)
		}
	}
	for _, c := range e.Checks {
		if slices.Contains(keyChecks, c.Name) && !strings.Contains(c.Presented, " ") {
			n.name("kid", c.Presented)
		}
	}
	n.name("jti", e.JTI)
	n.name("uti", e.UTI)
	n.name("trace", e.TraceID)
	n.name("correlation", e.CorrelationID)
}
