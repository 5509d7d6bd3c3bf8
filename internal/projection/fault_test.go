package projection_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/projection"
)

const workload = "app-dev/web-sa"

// A faulty volume has tokens of an hour and faults of its own.
type faulty struct {
	*projection.Volume
	t       *testing.T
	clock   *clock.Lab
	journal *journals.Journal
	faults  *faults.Set
	ids     []string
}

func newFaulty(t *testing.T, opts projection.Options, from ...fault.Fault) *faulty {
	t.Helper()
	lab := clock.Stopped(begin)
	j, err := journals.New(lab, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &faulty{t: t, clock: lab, journal: j, faults: faults.New(lab, j, 1)}
	for _, one := range from {
		f.inject(one)
	}
	opts.Journal, opts.Faults, opts.Workload = j, f.faults, workload
	opts.OnError = func(err error) { t.Error(err) }
	f.Volume = start(t, &mint{clock: lab, lifetime: time.Hour}, opts)
	return f
}

func (f *faulty) inject(one fault.Fault) {
	f.t.Helper()
	id, err := f.faults.Inject(one)
	if err != nil {
		f.t.Fatal(err)
	}
	f.ids = append(f.ids, id)
}

func (f *faulty) pass(d time.Duration) {
	f.t.Helper()
	if err := f.clock.Advance(f.t.Context(), d); err != nil {
		f.t.Fatal(err)
	}
}

// reads is what a program sees that opens the file.
func (f *faulty) reads() string {
	data, err := os.ReadFile(f.Path())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "no such file"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case err != nil && strings.Contains(err.Error(), "is a directory"):
		return "a directory"
	case err != nil:
		return err.Error()
	}
	return string(data)
}

func TestTokenFilesThatGoWrong(t *testing.T) {
	one := func(name string, parameters ...string) fault.Fault {
		f := fault.Fault{Name: name, For: fault.Selector{Workload: workload}, Parameters: map[string]string{}}
		for i := 0; i < len(parameters); i += 2 {
			f.Parameters[parameters[i]] = parameters[i+1]
		}
		return f
	}
	limited := func(name string, when fault.Limits) fault.Fault {
		f := one(name)
		f.When = when
		return f
	}
	ofAnother := one(faultkind.TokenFileMissing)
	ofAnother.For.Workload = "app-dev/api-sa"
	minutes := func(n int) fault.Duration { return fault.Duration(time.Duration(n) * time.Minute) }

	type step struct {
		do    string // inject NAME, clear, a duration, refresh
		reads string
	}
	for _, row := range []struct {
		name  string
		from  []fault.Fault // there before the volume
		later fault.Fault   // what "inject" injects
		steps []step
	}{
		{"missing", nil, one(faultkind.TokenFileMissing), []step{{"", "token-1"}, {"inject", "no such file"}, {"50m", "no such file"}, {"clear", "token-2"}, {"50m", "token-3"}}},
		{"missing from the start", []fault.Fault{one(faultkind.TokenFileMissing)}, fault.Fault{}, []step{{"", "no such file"}, {"clear", "token-1"}}},
		{"missing for another workload", nil, ofAnother, []step{{"inject", "token-1"}}},
		{"missing once", nil, limited(faultkind.TokenFileMissing, fault.Limits{Count: 1}), []step{{"inject", "no such file"}, {"50m", "token-2"}}},
		{"missing at the second renewal", nil, limited(faultkind.TokenFileMissing, fault.Limits{Nth: 3, Count: 1}), []step{{"inject", "token-1"}, {"50m", "token-2"}, {"50m", "no such file"}, {"50m", "token-4"}}},
		{"missing between ten and twenty minutes", nil, limited(faultkind.TokenFileMissing, fault.Limits{After: minutes(10), Until: minutes(20)}), []step{{"inject", "token-1"}, {"9m", "token-1"}, {"1m", "no such file"}, {"9m", "no such file"}, {"1m", "token-1"}}},
		{"empty", nil, one(faultkind.TokenFileEmpty), []step{{"inject", ""}, {"50m", ""}, {"clear", "token-2"}}},
		{"truncated", nil, one(faultkind.TokenFileTruncated, "bytes", "3"), []step{{"inject", "tok"}, {"50m", "tok"}, {"clear", "token-2"}}},
		{"truncated to more than there is", nil, one(faultkind.TokenFileTruncated), []step{{"inject", "token-1"}}},
		{"unreadable, as a directory", nil, one(faultkind.TokenFileUnreadable, "how", "directory"), []step{{"inject", "a directory"}, {"50m", "a directory"}, {"clear", "token-2"}}},
		{"mounted by subPath", nil, one(faultkind.SubPathMount), []step{{"inject", "token-1"}, {"50m", "token-1"}, {"24h", "token-1"}, {"clear", "token-31"}, {"50m", "token-32"}}},
		{"mounted by subPath from the start", []fault.Fault{one(faultkind.SubPathMount)}, fault.Fault{}, []step{{"", "token-1"}, {"50m", "token-1"}, {"clear", "token-2"}}},
		{"mounted by subPath, then missing, then mounted again", nil, one(faultkind.SubPathMount), []step{{"inject", "token-1"}, {"50m", "token-1"}, {"clear", "token-2"}, {"inject", "token-2"}, {"50m", "token-2"}}},
		{"not rotated", nil, one(faultkind.TokenNotRotated), []step{{"inject", "token-1"}, {"50m", "token-1"}, {"24h", "token-1"}, {"clear", "token-1"}, {"90s", "token-2"}, {"50m", "token-3"}}},
		{"not rotated once", nil, limited(faultkind.TokenNotRotated, fault.Limits{Count: 1}), []step{{"inject", "token-1"}, {"50m", "token-1"}, {"40m", "token-1"}, {"10m", "token-2"}, {"50m", "token-3"}}},
		{"not rotated, but asked for", nil, one(faultkind.TokenNotRotated), []step{{"inject", "token-1"}, {"refresh", "token-2"}, {"50m", "token-2"}}},
		{"gone while it is replaced", nil, one(faultkind.TokenFileDeletedDuringSwap, "window", "1m"), []step{{"inject", "token-1"}, {"refresh", "no such file"}, {"59s", "no such file"}, {"1s", "token-2"}, {"50m", "token-3"}}},
		{"gone, until the fault is", nil, one(faultkind.TokenFileDeletedDuringSwap, "window", "30m"), []step{{"inject", "token-1"}, {"refresh", "no such file"}, {"clear", "token-2"}, {"50m", "token-3"}}},
	} {
		for _, file := range []string{"", "token/azure-identity-token"} {
			t.Run(row.name+" "+file, func(t *testing.T) {
				f := newFaulty(t, projection.Options{File: file}, row.from...)
				for i, s := range row.steps {
					switch d, err := time.ParseDuration(s.do); {
					case s.do == "":
					case s.do == "inject":
						f.inject(row.later)
					case s.do == "clear":
						if err := f.faults.Clear(f.ids[len(f.ids)-1]); err != nil {
							t.Fatal(err)
						}
					case s.do == "refresh":
						if err := f.Refresh(t.Context()); err != nil {
							t.Fatal(err)
						}
					case err != nil:
						t.Fatal(err)
					default:
						f.pass(d)
					}
					if got := f.reads(); got != s.reads {
						t.Errorf("after step %d (%s) a program reads %q, want %q", i, s.do, got, s.reads)
					}
				}
			})
		}
	}
}

// Whatever stands in the file's place, the volume goes on behind it, and Close
// leaves nothing.
func TestAFaultLeavesTheVolumeAsItIs(t *testing.T) {
	for _, name := range []string{faultkind.TokenFileMissing, faultkind.SubPathMount, faultkind.TokenFileUnreadable} {
		f := newFaulty(t, projection.Options{})
		f.inject(fault.Fault{Name: name})
		f.pass(50 * time.Minute)
		held := filepath.Join(filepath.Dir(f.Path()), "..data", filepath.Base(f.Path()))
		if data, err := os.ReadFile(held); name != faultkind.TokenFileUnreadable && (err != nil || string(data) != "token-2") {
			t.Errorf("%s: the volume holds %q, %v", name, data, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(filepath.Dir(f.Path())); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: left behind: %v", name, err)
		}
		f.faults.ClearAll() // after Close nothing comes back
		if _, err := os.Lstat(filepath.Dir(f.Path())); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: came back: %v", name, err)
		}
	}
}

func TestAnUnreadableFileHasModeZero(t *testing.T) {
	f := newFaulty(t, projection.Options{})
	f.inject(fault.Fault{Name: faultkind.TokenFileUnreadable, Parameters: map[string]string{"how": "mode"}})
	for _, want := range []fs.FileMode{0, 0o644} {
		info, err := os.Stat(f.Path())
		if err != nil || info.Mode() != want {
			t.Errorf("mode %v, %v, want %v", info.Mode(), err, want)
		}
		f.faults.ClearAll()
	}
}

// The journal says what readers found and why, so that explain can.
func TestAFaultOfTheFileIsExplained(t *testing.T) {
	f := newFaulty(t, projection.Options{})
	f.inject(fault.Fault{Name: faultkind.SubPathMount})
	f.pass(50 * time.Minute)
	f.faults.ClearAll()
	var said []string
	for _, e := range f.journal.Events() {
		if e.Kind == journal.Projection {
			said = append(said, fmt.Sprintf("%s %s %s %s: %s", e.Time.Format("15:04"), e.Outcome, e.JTI, e.Detail[journal.DetailFault], e.Summary))
		}
	}
	want := []string{
		"10:04 ok jti-1 : token file of app-dev/web-sa written: first token",
		"10:04 failed jti-1 f1: token file of app-dev/web-sa is as it was when it was mounted (fault f1: subpath-mount)",
		"10:52 failed jti-2 f1: token file of app-dev/web-sa is as it was when it was mounted, with a token that ends at 2026-11-23T11:04:05Z (fault f1: subpath-mount)",
		"10:54 ok jti-2 : token file of app-dev/web-sa written: a fault came or went",
	}
	if !slices.Equal(said, want) {
		t.Errorf("the journal says\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
	var page strings.Builder
	last, _ := explain.Last(f.journal.Events())
	if err := explain.Write(&page, last, f.journal.Events()); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"A subPath mount is of one file and does not follow the volume", "Mount the volume as a directory, without subPath."} {
		if !strings.Contains(page.String(), part) {
			t.Errorf("explain says nothing of %q:\n%s", part, &page)
		}
	}
}

func TestATokenIsRenewedEarlierThanItHasToBe(t *testing.T) {
	f := newFaulty(t, projection.Options{}, fault.Fault{Name: faultkind.TokenRenewedEarly, Parameters: map[string]string{"after": "5m"}, When: fault.Limits{Count: 1}})
	first := f.reads()
	f.pass(4 * time.Minute)
	if f.reads() != first {
		t.Error("the token is renewed before the fault says so")
	}
	f.pass(3 * time.Minute)
	second := f.reads()
	if second == first {
		t.Error("the token is not renewed when it is five minutes old")
	}
	if e := f.journal.Events()[len(f.journal.Events())-1]; e.Kind != journal.Projection || !strings.Contains(e.Summary, "earlier than it has to be, by fault f1") {
		t.Errorf("the journal says %s", e.Summary)
	}
	f.pass(40 * time.Minute)
	if f.reads() != second {
		t.Error("the next token is renewed early, too")
	}
	f.pass(10 * time.Minute)
	if f.reads() == second {
		t.Error("the next token is not renewed when it is due")
	}
}
