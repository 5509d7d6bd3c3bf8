package journals_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/journals"
)

var start = time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)

func open(t *testing.T, opts journals.Options) *journals.Journal {
	t.Helper()
	j, err := journals.New(clock.Stopped(start), opts)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestEventsAreNumberedAndTheNewestAreKept(t *testing.T) {
	j := open(t, journals.Options{Keep: 3})
	for n := range 20 {
		e := j.Record(journal.Event{Kind: journal.Mint, Summary: fmt.Sprint(n)})
		if e.ID != fmt.Sprint(n+1) || !e.Time.Equal(start) {
			t.Fatalf("event %d has id %s at %s", n, e.ID, e.Time)
		}
	}
	var kept []string
	for _, e := range j.Events() {
		kept = append(kept, e.Summary)
	}
	if diff := cmp.Diff([]string{"17", "18", "19"}, kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

func TestWhatClientsSendIsBoundedAndSteersNoTerminal(t *testing.T) {
	j := open(t, journals.Options{})
	e := j.Record(journal.Event{
		Path: strings.Repeat("x", 100_000), Message: strings.Repeat("ä", 100_000), Subject: "\x1b[2J\x1b]0;pwned\a\u202e",
		Checks:  []journal.Check{{Name: "subject", Presented: "\x1b[31m" + strings.Repeat("y", 100_000), Outcome: journal.Failed}},
		Detail:  map[string]string{"agent": strings.Repeat("z", 100_000)},
		Summary: "\x1b[31mred\r\nline",
	})
	if data, err := json.Marshal(e); err != nil || len(data) > 16_000 {
		t.Errorf("an event of %d bytes %v", len(data), err)
	}
	var page bytes.Buffer
	if err := explain.Write(&page, e, j.Events()); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(page.String(), "\x1b\a\r\u202e") {
		t.Errorf("control characters in %q", page.String())
	}
}

func TestNilJournalTakesEverything(t *testing.T) {
	var j *journals.Journal
	j.Record(journal.Event{})
	if j.Events() != nil || j.Close() != nil {
		t.Error("a nil journal keeps nothing and closes")
	}
}

func TestAwaitSeesWhatWasAndWhatComes(t *testing.T) {
	j := open(t, journals.Options{})
	is := func(summary string) func(journal.Event) bool {
		return func(e journal.Event) bool { return e.Summary == summary }
	}
	j.Record(journal.Event{Summary: "was"})
	if _, err := j.Await(t.Context(), is("was")); err != nil {
		t.Error(err)
	}
	found := make(chan error, 1)
	go func() {
		_, err := j.Await(t.Context(), is("comes"))
		found <- err
	}()
	j.Record(journal.Event{Summary: "another"})
	j.Record(journal.Event{Summary: "comes"})
	if err := <-found; err != nil {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Await(ended, is("never")); err == nil || !strings.Contains(err.Error(), "none of 3 events") {
		t.Errorf("awaiting in vain: %v", err)
	}
}

func TestFileOutlivesTheRunAndACutLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "runs", "1.jsonl")
	j := open(t, journals.Options{File: file})
	expires := start.Add(time.Hour)
	want := j.Record(journal.Event{
		Kind: journal.Exchange, Outcome: journal.Denied, Code: 700213, ExpiresAt: &expires,
		Checks: []journal.Check{{Name: "subject", Expected: "a", Presented: "b", Outcome: journal.Failed}},
	})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat(file)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, want 0600", info.Mode())
	}
	events, err := journals.Read(strings.NewReader(string(data) + `{"id":"2","kind":"exch`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]journal.Event{want}, events); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	if _, err := journals.Read(strings.NewReader("no json\n")); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a line that is no event: %v", err)
	}
}

func TestEventsAfterAnOrdinal(t *testing.T) {
	j, err := journals.New(clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)), journals.Options{Keep: 3})
	if err != nil {
		t.Fatal(err)
	}
	_, _, first := j.After(0)
	for _, summary := range []string{"a", "b", "c", "d", "e"} {
		j.Record(journal.Event{Kind: journal.Directory, Summary: summary})
	}
	select {
	case <-first:
	default:
		t.Error("whoever waits for the first event was not told of it")
	}
	for _, test := range []struct {
		name   string
		last   uint64
		want   string
		missed uint64
	}{
		{"all that are kept, with how many are not", 0, "cde", 2},
		{"one that is not kept is missed", 1, "cde", 1},
		{"those after the newest that is not kept", 2, "cde", 0},
		{"those after one that is kept", 3, "de", 0},
		{"none after the last", 5, "", 0},
		{"none after one that was never recorded", 9, "", 0},
	} {
		events, missed, more := j.After(test.last)
		got := ""
		for _, e := range events {
			got += e.Summary
		}
		if got != test.want || missed != test.missed {
			t.Errorf("%s: %q, %d missed, want %q and %d", test.name, got, missed, test.want, test.missed)
		}
		select {
		case <-more:
			t.Errorf("%s: another event is announced, and there is none", test.name)
		default:
		}
	}
}
