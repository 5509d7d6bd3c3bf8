package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"
)

// WriteComparable writes events so that two runs of the same thing give the same
// text: one JSON object a line, without machine times and ports, and with names such as
// kid-1 and jti-3, in the order in which they appear, instead of the ids of keys,
// tokens and requests, which every run makes up anew. Aside are other texts that
// are of one run only, such as its directory.
//
// Where programs lived on lab time, lab times and durations are left out, too, and
// the order is that of each kind of event of each workload and part by itself: SDKs
// wait with jitter, and have other timers than the kubelet.
func WriteComparable(w io.Writer, events []Event, aside ...string) error {
	shared := slices.ContainsFunc(events, func(e Event) bool { return e.Shared })
	if shared {
		events = slices.Clone(events)
		slices.SortStableFunc(events, func(a, b Event) int { return strings.Compare(a.lane(), b.lane()) })
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
		e.Wall, e.Shared = time.Time{}, false
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
			text = times.ReplaceAllString(text, "TIME")
		}
		if _, err := replacer.WriteString(w, text); err != nil {
			return fmt.Errorf("journal: write: %w", err)
		}
	}
	return nil
}

// lane is within which events have an order that does not depend on chance.
func (e Event) lane() string {
	return strings.Join([]string{string(e.Kind), e.Workload, e.Part, e.ClientID}, " ")
}

// times are moments as RFC 3339 and as AADSTS texts have them, and durations as Go
// has them.
var times = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|\d+/\d+/\d{4} \d+:\d\d:\d\d [AP]M|\b(\d+h)?(\d+m)?\d+(\.\d+)?(ms|µs|s)\b`)

// A namer gives names to ids by the order in which they appear.
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

// keyChecks are the checks that look at a key id.
var keyChecks = []string{"key named", "signing key", "signing key published"}

func (n *namer) event(e Event) {
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
