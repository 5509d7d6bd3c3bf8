package scenario

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/scenario/report"
	"github.com/wiemu/wiemu/internal/timeline"
)

// What a program does that a start step began comes after that step: a failure is
// about what it met last, not about what others met, and says that it still runs.
func TestAFailureOfAProgramThatStillRuns(t *testing.T) {
	program := client(t) // built outside of what is checked for leftovers
	temporary(t)
	o := play(t, t.Context(), `  - {name: api, namespace: shop, serviceAccount: api-sa, clientId: 5a0ae41b-2ab4-4a0c-9d3e-0f8d8f7b3a11}
`, `
  - set: {identity: web, disabled: true}
  - {name: early, run: {workload: web, timeout: 5m, command: [wiemu-workload, token, --scope, https://vault.azure.net/.default]}}
  - set: {identity: web, disabled: false}
  - set: {identity: web, federatedCredential: {subject: "system:serviceaccount:shop:Web-sa"}}
  - set: {identity: api, disabled: true}
  - name: app
    start:
      workload: web
      shell: |
        until test -e go; do sleep 0.01; done
        wiemu-workload token --scope https://vault.azure.net/.default
        touch asked
        exec sleep 600
  - {name: pause, run: {workload: web, timeout: 5m, shell: "touch go; until test -e asked; do sleep 0.01; done"}}
  - {name: other, run: {workload: api, timeout: 5m, command: [wiemu-workload, token, --scope, https://vault.azure.net/.default]}}
  - expect: [results.app.json.ok]
`, Options{Program: program})
	if len(o.Failures) != 1 {
		t.Fatalf("expected one failure, got %+v", o)
	}
	text := o.Failures[0].Text()
	for _, want := range []string{"step app is still running", "Nearest federated credential", "system:serviceaccount:shop:Web-sa"} {
		if !strings.Contains(text, want) {
			t.Errorf("expected %q in:\n%s", want, text)
		}
	}
	for _, never := range []string{"exit code -1", "exchange denied: api-sa"} {
		if strings.Contains(text, never) {
			t.Errorf("did not expect %q in:\n%s", never, text)
		}
	}
	// The tail of the journal goes on to the end.
	events := o.Failures[0].Events
	if last := events[len(events)-1]; last.Kind != journal.Run || !strings.HasPrefix(last.Summary, "wiemu-workload ended") {
		t.Errorf("the last event shown is %+v", last)
	}
	var xml bytes.Buffer
	if err := (report.Report{Scenarios: []report.Outcome{o}}).WriteJUnit(&xml); err != nil {
		t.Fatal(err)
	}
	if got := xml.String(); !strings.Contains(got, "step app is still running") || strings.Contains(got, "code -1") {
		t.Errorf("JUnit says\n%s", got)
	}
	var picture bytes.Buffer
	if err := timeline.Write(&picture, timeline.SVG, timeline.About{}, o.Journal); err != nil {
		t.Fatal(err)
	}
	if got := picture.String(); !strings.Contains(got, "program runs: 2026-01-05 08:00:00 sh was started") || strings.Contains(got, "<title>2026-01-05 08:00:00 sh was started") {
		t.Errorf("the picture does not have it as running:\n%s", got)
	}
}

// What a start step's events are: since it, until its program ended.
func TestEventsOfAStart(t *testing.T) {
	temporary(t)
	o := play(t, t.Context(), "", `
  - {name: app, start: {workload: web, shell: exec sleep 600}}
  - {name: during, publish: {}}
  - expect:
      - results.app.events.exists(e, e.kid == results.during.kid)
  - {name: ended, stop: {program: app}}
  - {name: later, publish: {}}
  - expect:
      - results.app.events.exists(e, e.kind == 'run' && 'exitCode' in e.detail)
      - "!results.app.events.exists(e, e.kid == results.later.kid)"
`, Options{})
	if o.Outcome != report.Passed {
		t.Error(o.Failures[0].Text())
	}
	for _, e := range o.Journal {
		if e.Kind == journal.Run && e.Detail[journal.DetailProgram] != "app" {
			t.Errorf("an event of the program does not say which: %+v", e)
		}
	}
}

// over is a program that has ended.
type over struct{ code int }

func (o over) Done() <-chan struct{}             { ended := make(chan struct{}); close(ended); return ended }
func (o over) Stop()                             {}
func (o over) Wait(context.Context) (int, error) { return o.code, nil }

// A program that ends by itself is seen to have ended, in the picture alone: the
// journals of two runs stay the same.
func TestAnEndThatNobodyWaitedForIsNoticed(t *testing.T) {
	r := run{now: defaultStart.Add(time.Hour), started: map[string]*child{"app": {step: "app", name: "/bin/sh", process: over{3}}}}
	r.events = []journal.Event{{ID: "1", Time: defaultStart}, {ID: "2", Time: r.now}}
	r.notice()
	r.now, r.events = r.now.Add(time.Hour), append(r.events, journal.Event{ID: "3", Time: r.now.Add(time.Hour)})
	r.notice()
	o := report.Outcome{Journal: r.withEnds()}
	var ids []string
	for _, e := range o.Journal {
		ids = append(ids, e.ID)
	}
	if end := o.Journal[2]; !slices.Equal(ids, []string{"1", "2", "", "3"}) || end.Summary != "sh ended with exit code 3" || !end.Time.Equal(defaultStart.Add(time.Hour)) {
		t.Errorf("%q %+v", ids, o.Journal)
	}
	var text bytes.Buffer
	if err := o.WriteJournal(&text); err != nil || strings.Contains(text.String(), "ended with") {
		t.Errorf("%v\n%s", err, &text)
	}
}
