package journals_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/journals"
)

// run is what a run records whose ids and directory end in suffix.
func run(suffix string, at time.Time) []journal.Event {
	kid, jti, uti := "iCO89t40FeG2qhnID-"+suffix, "31be4a6f-9723-4e70-aad9-"+suffix, "Z_Jz407sr0m4eAjAUA-"+suffix
	lab := time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC)
	return []journal.Event{
		{ID: "1", Time: lab, Wall: at, Kind: journal.Mint, Kid: kid, JTI: jti, Summary: "signed with " + kid},
		{ID: "2", Time: lab, Wall: at, Kind: journal.Projection, JTI: jti, Detail: map[string]string{"file": "/tmp/wiemu-run-" + suffix + "/token"}},
		{ID: "3", Time: lab, Wall: at, Kind: journal.Discovery, Detail: map[string]string{"kids": "another-key-of-" + suffix + " " + kid}},
		{ID: "4", Time: lab, Wall: at, Kind: journal.Exchange, Kid: kid, JTI: jti, UTI: uti, TraceID: "0a90fd1f-7b6e-44a5-" + suffix, CorrelationID: `"quoted" once for ` + suffix,
			ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49",
			Checks:   []journal.Check{{Name: "signing key", Presented: "keys-of-entra-" + suffix}, {Name: "signing key", Presented: "none"}, {Name: "tenant", Expected: "none"}}},
		{ID: "5", Time: lab, Wall: at, Kind: journal.Access, UTI: uti, Host: "127.0.0.1:" + map[string]string{"one": "33765", "two": "46345"}[suffix], Message: "refused " + uti + " as <none>"},
	}
}

func TestTwoRunsCompare(t *testing.T) {
	var texts []string
	for _, suffix := range []string{"one", "two"} {
		var b strings.Builder
		if err := journals.WriteComparable(&b, run(suffix, time.Now()), "/tmp/wiemu-run-"+suffix); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, b.String())
	}
	if texts[0] != texts[1] {
		t.Errorf("first:\n%s\nthen:\n%s", texts[0], texts[1])
	}
	for _, want := range []string{
		`"summary":"signed with kid-1"`, `"file":"run-1/token"`, `"kids":"kid-2 kid-1"`, `"jti":"jti-1"`, `"traceId":"trace-1"`, `"correlationId":"correlation-1"`,
		`"clientId":"b96d264b-7053-4465-a4a7-32be5b0fec49"`, `{"name":"tenant","expected":"none"`, `"message":"refused uti-1 as <none>"`, `"presented":"kid-3"`,
		`"time":"2026-01-05T08:00:00Z"`, `"host":"127.0.0.1"`,
	} {
		if !strings.Contains(texts[0], want) {
			t.Errorf("expected %s in\n%s", want, texts[0])
		}
	}
	if strings.Contains(texts[0], "wall") {
		t.Errorf("machine times are there:\n%s", texts[0])
	}
}

// What differs is seen: another token in a place, another order, another time.
func TestWhatDiffersIsSeen(t *testing.T) {
	for name, change := range map[string]func([]journal.Event){
		"an event's outcome":   func(e []journal.Event) { e[3].Outcome = journal.Denied },
		"lab time":             func(e []journal.Event) { e[3].Time = e[3].Time.Add(time.Second) },
		"another token's id":   func(e []journal.Event) { e[3].JTI = "ffffffff-9723-4e70-aad9-one" },
		"the order of the ids": func(e []journal.Event) { e[2].Detail["kids"] = e[0].Kid + " another-key-of-one" },
	} {
		var before, after strings.Builder
		events := run("one", time.Now())
		err := journals.WriteComparable(&before, events, "/tmp/wiemu-run-one")
		change(events)
		if err := errors.Join(err, journals.WriteComparable(&after, events, "/tmp/wiemu-run-one")); err != nil {
			t.Fatal(err)
		}
		if before.String() == after.String() {
			t.Errorf("%s: it was not seen", name)
		}
	}
}
