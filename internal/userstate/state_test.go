package userstate_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/userstate"
)

func open(t *testing.T) *userstate.Dir {
	t.Helper()
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	dir, err := userstate.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// past leaves the journal of a run with one refused exchange.
func past(t *testing.T, dir *userstate.Dir, trace string) {
	t.Helper()
	run, err := dir.NewRun()
	if err != nil {
		t.Fatal(err)
	}
	j, err := journals.New(clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)), journals.Options{File: run.Journal})
	if err != nil {
		t.Fatal(err)
	}
	j.Record(journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, TraceID: trace})
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := run.Close(true); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(run.Dir); !os.IsNotExist(err) {
		t.Errorf("the run's directory is left: %v", err)
	}
}

func TestEventsOfPastRunsAreFound(t *testing.T) {
	dir := open(t)
	if _, _, err := dir.Find(""); err == nil || !strings.Contains(err.Error(), "start one with wiemu run") {
		t.Errorf("without any run: %v", err)
	}
	past(t, dir, "first")
	past(t, dir, "second")
	for id, want := range map[string]string{"": "second", "first": "first", "1": "second"} {
		if e, all, err := dir.Find(id); err != nil || e.TraceID != want || len(all) != 1 {
			t.Errorf("find %q: %+v %v, want the run of %s", id, e, err, want)
		}
	}
	if _, _, err := dir.Find("third"); !unknown(err) || !strings.Contains(err.Error(), "third") {
		t.Errorf("an unknown id: %v", err)
	}
	run, err := dir.NewRun()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(run.Journal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run.Close(true); err != nil {
		t.Fatal(err)
	}
	if e, _, err := dir.Find(""); err == nil || !strings.Contains(err.Error(), run.ID) || !strings.Contains(err.Error(), explain.NoRequest) {
		t.Errorf("a newest run without a request: %+v %v, want no older run's event", e, err)
	}
	if e, _, err := dir.Find("first"); err != nil || e.TraceID != "first" {
		t.Errorf("an id of an earlier run: %+v %v", e, err)
	}
}

func TestOpenSweepsWhatKilledRunsLeftAndOldJournals(t *testing.T) {
	dir := open(t)
	for range 60 {
		past(t, dir, "x")
	}
	run, err := dir.NewRun()
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close(false)
	if err := os.WriteFile(run.Journal, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 60 {
		past(t, dir, "y")
	}
	killed := filepath.Join(filepath.Dir(run.Dir), fmt.Sprintf("wiemu-run-20260101T000000.000000000-%d", 1<<22+1)) // no such process: above the kernel's limit
	if err := os.Mkdir(killed, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := userstate.Open(dir.Path()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(killed); !os.IsNotExist(err) {
		t.Errorf("a killed run's directory is left: %v", err)
	}
	if _, err := os.Stat(run.Dir); err != nil {
		t.Errorf("the directory of a run that goes on was removed: %v", err)
	}
	if journals, _ := filepath.Glob(filepath.Join(dir.Path(), "runs", "*.jsonl")); len(journals) != 51 {
		t.Errorf("%d journals are kept, want 50 and that of the run that goes on", len(journals))
	}
	if _, err := os.Stat(run.Journal); err != nil {
		t.Errorf("the journal of a run that goes on was removed: %v", err)
	}
}

func TestLargeJournalsOfPastRunsGoEarlier(t *testing.T) {
	dir := open(t)
	var runs []string
	for range 5 {
		run, err := dir.NewRun()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{run.Journal, journals.OlderFile(run.Journal)} {
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(name, 50<<20); err != nil { // sparse: it takes no space
				t.Fatal(err)
			}
		}
		if err := run.Close(true); err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run.Journal)
	}
	if _, err := userstate.Open(dir.Path()); err != nil {
		t.Fatal(err)
	}
	for i, name := range runs {
		for _, half := range []string{name, journals.OlderFile(name)} {
			if _, err := os.Stat(half); (err == nil) != (i >= 3) { // 256 MB, of 100 each
				t.Errorf("run %d: %v", i, err)
			}
		}
	}
}

func TestOneServerAtATime(t *testing.T) {
	dir := open(t)
	if _, running, err := dir.Server(); running || err != nil {
		t.Errorf("a server runs: %v %v", running, err)
	}
	withdraw, err := dir.Announce(userstate.Server{URL: "http://127.0.0.1:1", Token: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if s, running, err := dir.Server(); !running || err != nil || s.Token != "t" {
		t.Errorf("the announced server is %+v %v %v", s, running, err)
	}
	if info, err := os.Stat(filepath.Join(dir.Path(), "server.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its token is in a file of mode %v %v, want 0600", info.Mode(), err)
	}
	if _, err := dir.Announce(userstate.Server{}); err == nil || !strings.Contains(err.Error(), "a server runs already") {
		t.Errorf("a second server: %v", err)
	}
	if err := withdraw(); err != nil {
		t.Error(err)
	}
	// What a killed server leaves is not taken for a server, whoever has its process id now.
	if err := os.WriteFile(filepath.Join(dir.Path(), "server.json"), []byte(`{"pid":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, running, err := dir.Server(); running || err != nil {
		t.Errorf("a killed server runs: %v %v", running, err)
	}
	if err := os.WriteFile(filepath.Join(dir.Path(), "server.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := dir.Server(); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("a damaged file: %v", err)
	}
}

func TestOfServersThatStartTogetherOneRuns(t *testing.T) {
	dir := open(t)
	if err := os.WriteFile(filepath.Join(dir.Path(), "server.json"), fmt.Appendf(nil, `{"pid":%d}`, os.Getpid()), 0o600); err != nil { // a killed one's
		t.Fatal(err)
	}
	type outcome struct {
		withdraw func() error
		err      error
	}
	outcomes := make(chan outcome)
	for range 3 {
		go func() {
			withdraw, err := dir.Announce(userstate.Server{})
			outcomes <- outcome{withdraw, err}
		}()
	}
	var running []func() error
	for range 3 {
		switch o := <-outcomes; {
		case o.err == nil:
			running = append(running, o.withdraw)
		case !strings.Contains(o.err.Error(), fmt.Sprintf("a server runs already (process %d)", os.Getpid())):
			t.Error(o.err)
		}
	}
	if len(running) != 1 {
		t.Fatalf("%d servers run, want one", len(running))
	}
	if err := running[0](); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir.Path(), "server.json*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestARunThatSaysNothingLeavesNothing(t *testing.T) {
	dir := open(t)
	for _, recorded := range []bool{true, false} { // false: the lab did not open
		run, err := dir.NewRun()
		if err != nil {
			t.Fatal(err)
		}
		if recorded {
			if err := os.WriteFile(run.Journal, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := run.Close(false); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(run.Journal); !os.IsNotExist(err) {
			t.Errorf("its journal is left: %v", err)
		}
	}
}

func TestTemporaryDirectoriesAreThisProcesss(t *testing.T) {
	dir := open(t)
	temporary, err := userstate.MakeTemp()
	if err != nil {
		t.Fatal(err)
	}
	killed := strings.TrimSuffix(temporary, fmt.Sprint(os.Getpid())) + fmt.Sprint(1<<22+1)
	if err := os.Mkdir(killed, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := userstate.Open(dir.Path()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(temporary); err != nil {
		t.Errorf("a directory in use was removed: %v", err)
	}
	if _, err := os.Stat(killed); !os.IsNotExist(err) {
		t.Errorf("a killed process's directory is left: %v", err)
	}
}

func TestOpenNamesTheDirectoryItCannotMake(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := userstate.Open(filepath.Join(file, "state")); !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), "--state-dir") {
		t.Errorf("%v, want what to do", err)
	}
}

// unknown reports whether an id named no run or event, or several.
func unknown(err error) bool {
	var e *userstate.UnknownError
	return errors.As(err, &e)
}

func TestRunsAreReadByName(t *testing.T) {
	dir := open(t)
	if _, _, err := dir.ReadRun(""); err == nil || !strings.Contains(err.Error(), "start one with wiemu run") {
		t.Errorf("without any run: %v", err)
	}
	past(t, dir, "first")
	past(t, dir, "second")
	newest, events, err := dir.ReadRun("")
	if err != nil || len(events) != 1 || events[0].TraceID != "second" {
		t.Fatalf("the newest: %q %+v %v", newest, events, err)
	}
	for _, id := range []string{newest, newest[:len(newest)-1], filepath.Join(dir.Path(), "runs", newest+".jsonl")} {
		if name, events, err := dir.ReadRun(id); name != newest || err != nil || len(events) != 1 || events[0].TraceID != "second" {
			t.Errorf("%s: %q %+v %v", id, name, events, err)
		}
	}
	if _, _, err := dir.ReadRun(newest[:4]); !unknown(err) || !strings.Contains(err.Error(), newest) {
		t.Errorf("a beginning that two have: %v", err)
	}
	if _, _, err := dir.ReadRun("third"); !unknown(err) || !strings.Contains(err.Error(), "third") {
		t.Errorf("an unknown run: %v", err)
	}
}
