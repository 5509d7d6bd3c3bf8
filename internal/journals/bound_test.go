package journals_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/journals"
)

const (
	signature = "c2lnbmF0dXJlLXNpZ25hdHVyZS1zaWduYXR1cmU"
	token     = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ." + signature
	secret    = "Hunter2~Hunter2"
)

// filled sets every text in a value, and has lists and maps of one element.
func filled(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			filled(v.Field(i), text)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		filled(v.Index(0), text)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{text: text}))
	}
}

func newJournal(t *testing.T, opts journals.Options) *journals.Journal {
	t.Helper()
	j, err := journals.New(clock.Stopped(start), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func TestNoFieldOfAnEventHoldsATokenOrASecret(t *testing.T) {
	j := newJournal(t, journals.Options{})
	j.Secrets().Add("client secret of app", secret)
	var e journal.Event
	filled(reflect.ValueOf(&e).Elem(), "x "+token+" "+secret)
	given, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	j.Record(e)
	text, err := json.Marshal(j.Events())
	if err != nil {
		t.Fatal(err)
	}
	for _, never := range []string{signature, secret} {
		if strings.Contains(string(text), never) {
			t.Errorf("%s is in %s", never, text)
		}
	}
	if want := strings.Count(string(given), signature) - 1; strings.Count(string(text), "[redacted: client secret of app]") != want { // its id is the journal's
		t.Errorf("%d hints, want %d: %s", strings.Count(string(text), "[redacted: client secret of app]"), want, text)
	}
}

// An event's size does not depend on what a client sent.
func TestEventsAreSmall(t *testing.T) {
	j := newJournal(t, journals.Options{})
	var e journal.Event
	filled(reflect.ValueOf(&e).Elem(), strings.Repeat("€", 100_000))
	for range 200 {
		e.Audience, e.Checks, e.Nearest.Differences = append(e.Audience, "a"), append(e.Checks, journal.Check{Name: "n"}), append(e.Nearest.Differences, journal.Difference{})
	}
	j.Record(e)
	text, err := json.Marshal(j.Events())
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 40_000 {
		t.Errorf("an event of %d bytes", len(text))
	}
}

func inUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// 2,000 events are some 20 MB, whatever they are about: neither long texts nor the
// requests that short ones were taken from stay in memory.
func TestMemoryIsBounded(t *testing.T) {
	for name, event := range map[string]func() journal.Event{
		"short texts out of large requests": func() journal.Event {
			body := strings.Repeat("x", 128<<10)
			return journal.Event{Kind: journal.Exchange, ClientID: body[:36], Path: body[40:80], Detail: map[string]string{"client": body[90:100]}, Checks: []journal.Check{{Presented: body[:20]}}}
		},
		"long texts everywhere": func() journal.Event {
			var e journal.Event
			filled(reflect.ValueOf(&e).Elem(), strings.Repeat("x", 3_000))
			for range 10 {
				e.Checks = append(e.Checks, e.Checks[0])
			}
			return e
		},
	} {
		before := inUse()
		j := newJournal(t, journals.Options{})
		for range 2_500 {
			j.Record(event())
		}
		kept := len(j.Events())
		if used := int64(inUse()) - int64(before); used > 30<<20 {
			t.Errorf("%s: %d events take %d MB", name, kept, used>>20)
		}
		if newest := j.Events()[kept-1].ID; newest != "2500" {
			t.Errorf("%s: the newest of %d is %s", name, kept, newest)
		}
	}
}

func TestFileIsBounded(t *testing.T) {
	const most, events = 100_000, 5_000
	file := filepath.Join(t.TempDir(), "run.jsonl")
	j := newJournal(t, journals.Options{File: file, FileBytes: most})
	for n := range events {
		j.Record(journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, Summary: fmt.Sprint("refusal ", n+1)})
		if n%500 == 0 { // a reader at any time finds the newest ones, without a gap
			read, err := journals.ReadFile(os.Open, file)
			if err != nil {
				t.Fatal(err)
			}
			checkOrder(t, read, n+1)
		}
	}
	size := int64(0)
	for _, name := range []string{file, journals.OlderFile(file)} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		size += info.Size()
	}
	if size > most {
		t.Errorf("%d bytes, want %d at most", size, most)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	read, err := journals.ReadFile(os.Open, file)
	if err != nil {
		t.Fatal(err)
	}
	checkOrder(t, read, events)
	if len(read) < 200 {
		t.Errorf("%d events are left", len(read))
	}
	if e, found := explain.Find(read, ""); !found || e.Summary != fmt.Sprint("refusal ", events) {
		t.Errorf("the last is %+v", e)
	}
	// What becomes the older half between two reads is not read twice.
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(journals.OlderFile(file), data, 0o600); err != nil {
		t.Fatal(err)
	}
	if read, err = journals.ReadFile(os.Open, file); err != nil {
		t.Fatal(err)
	}
	checkOrder(t, read, events)
}

func checkOrder(t *testing.T, read []journal.Event, last int) {
	t.Helper()
	for i, e := range read {
		if want := fmt.Sprint(last - len(read) + 1 + i); e.ID != want {
			t.Fatalf("event %d of %d has id %s, want %s", i, len(read), e.ID, want)
		}
	}
}

// A usual exchange costs some 5 KB in the file; checks that passed say once what was
// expected and presented.
func TestPassedChecksSayThingsOnce(t *testing.T) {
	j := newJournal(t, journals.Options{})
	e := j.Record(journal.Event{Checks: []journal.Check{
		{Name: "issuer", Expected: "https://a.example", Presented: "https://a.example", Outcome: journal.Passed},
		{Name: "subject", Expected: "a", Presented: "a", Outcome: journal.Failed},
	}})
	var line bytes.Buffer
	if err := json.NewEncoder(&line).Encode(e.Checks); err != nil {
		t.Fatal(err)
	}
	if want := `[{"name":"issuer","presented":"https://a.example","outcome":"passed"},{"name":"subject","expected":"a","presented":"a","outcome":"failed"}]`; strings.TrimSpace(line.String()) != want {
		t.Errorf("%s", line.String())
	}
}
