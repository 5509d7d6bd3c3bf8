package recording

import (
	"testing"
	"time"
)

func TestWhatIsTheSame(t *testing.T) {
	for _, test := range []struct {
		field         string
		recorded, now any
		apart         time.Duration
		same          bool
	}{
		{"status", 200, 200, 0, true},
		{"status", 401, 400, tolerance, false},
		{"code", nil, 700213, tolerance, false},
		{"tokens[0].claims.exp", 1767603600, 1767603602, tolerance, true},
		{"tokens[0].claims.exp", 1767603600, 1767603603, tolerance, false},
		{"body.expires_on", "1767603600", "1767603601", tolerance, true},
		{"body.expires_in", 3599, 3598, tolerance, true},
		{"body.expires_in", 3599, "3599", tolerance, false},
		{"body.count", 3599, 3598, tolerance, false},
		{"body.error_description", "Timestamp: 2026-01-05 08:00:00Z", "Timestamp: 2026-01-05 08:00:01Z", tolerance, true},
		{"body.error_description", "Timestamp: 2026-01-05 08:00:00Z", "Timestamp: 2026-01-05 08:00:05Z", tolerance, false},
		{"body.error_description", "Timestamp: 2026-01-05 08:00:00Z", "Timestamp: 2026-01-05 08:00:05Z", tolerance + 4*time.Second, true},
		{"body.error_description", "AADSTS700024 at 2026-01-05 08:00:00Z", "AADSTS700213 at 2026-01-05 08:00:00Z", tolerance, false},
		{"header.Date", "Mon, 05 Jan 2026 08:00:00 GMT", "Mon, 05 Jan 2026 08:00:02 GMT", tolerance, true},
		{"event.checks[0].presented", "1h0m0s", "59m59s", tolerance, true},
		{"event.checks[0].presented", "1h0m0s", "10m0s", tolerance, false},
		{"event.checks[0].presented", "until 2026-01-05T09:00:00Z", "until", tolerance, false},
		{"body.value", "a", "A", tolerance, false},
		{"body.enabled", true, "true", tolerance, false},
	} {
		if got := (comparison{apart: test.apart}).differences(test.field, tree(test.recorded), tree(test.now)); (len(got) == 0) != test.same {
			t.Errorf("%s: %v and %v: %v", test.field, test.recorded, test.now, got)
		}
	}
}

// What happened by itself is compared for each ring, issuer and workload, by order.
func TestEventsAreComparedInTheirLanes(t *testing.T) {
	mint := func(at time.Duration, workload, summary string) Event {
		return Event{At: Since(at), Kind: "mint", Outcome: "ok", Part: "local", Workload: workload, Summary: summary}
	}
	recorded := []Event{mint(0, "a", "first"), mint(0, "b", "first"), mint(time.Hour, "a", "second")}
	for name, test := range map[string]struct {
		now  []Event
		want []Difference
	}{
		"another order of two workloads": {now: []Event{mint(0, "b", "first"), mint(0, "a", "first"), mint(time.Hour+30*time.Second, "a", "second")}},
		"one that did not happen":        {now: recorded[:2], want: []Difference{{"mint local a 2", "ok: second", "nothing"}}},
		"one more":                       {now: append(recorded[:3:3], mint(0, "c", "first")), want: []Difference{{"mint local c 1", "nothing", "ok: first"}}},
		"much later":                     {now: []Event{recorded[0], recorded[1], mint(2*time.Hour, "a", "second")}, want: []Difference{{"mint local a 2, at", "1h0m0s", "2h0m0s"}}},
	} {
		got := eventDifferences(recorded, test.now)
		if len(got) != len(test.want) || len(got) > 0 && got[0] != test.want[0] {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
