package faults_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/journals"
)

var start = time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)

func newSet(t *testing.T, injected ...fault.Fault) (*faults.Set, *clock.Lab, *journals.Journal) {
	t.Helper()
	clk := clock.Stopped(start)
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := faults.New(clk, j, 7)
	for _, f := range injected {
		if _, err := s.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
	return s, clk, j
}

// calls asks n times and tells a hit by its id and the rest by a dot.
func calls(s *faults.Set, n int, about faults.Subject) string {
	var b strings.Builder
	for range n {
		if h, ok := s.Hit(faultkind.AtRequest, about); ok {
			b.WriteString(h.ID)
		} else {
			b.WriteString(".")
		}
	}
	return b.String()
}

func TestLimits(t *testing.T) {
	for _, test := range []struct {
		name string
		when fault.Limits
		want string
	}{
		{"none: every call", fault.Limits{}, "f1f1f1f1f1f1"},
		{"from the third on", fault.Limits{Nth: 3}, "..f1f1f1f1"},
		{"the third alone", fault.Limits{Nth: 3, Count: 1}, "..f1..."},
		{"two of them", fault.Limits{Count: 2}, "f1f1...."},
		{"every second", fault.Limits{Every: 2}, "f1.f1.f1."},
		{"every second from the second on, twice", fault.Limits{Nth: 2, Every: 2, Count: 2}, ".f1.f1.."},
		{"later", fault.Limits{After: fault.Duration(time.Minute)}, "......"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, _, _ := newSet(t, fault.Fault{Name: faultkind.Throttled, When: test.when})
			if got := calls(s, 6, faults.Subject{}); got != test.want {
				t.Errorf("calls went %s, want %s", got, test.want)
			}
		})
	}
}

func TestAWindowOfLabTime(t *testing.T) {
	s, clk, _ := newSet(t, fault.Fault{Name: faultkind.Throttled, When: fault.Limits{After: fault.Duration(10 * time.Minute), Until: fault.Duration(20 * time.Minute)}})
	got := ""
	for range 5 {
		got += calls(s, 1, faults.Subject{})
		if err := clk.Advance(t.Context(), 5*time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if got != "..f1f1." {
		t.Errorf("at 0, 5, 10, 15 and 20 minutes: %s", got)
	}
}

func TestASelectorChooses(t *testing.T) {
	about := faults.Subject{
		Client: "B96D264B-7053-4465-a4a7-32be5b0fec49", Issuer: "https://a.example/", Kid: "k1",
		Component: "keyvault", Host: "mykeyvault.vault.azure.net", Resource: "https://vault.azure.net", Workload: "ns/sa",
	}
	for _, hit := range []fault.Selector{
		{}, {Client: "b96d264b-7053-4465-a4a7-32be5b0fec49"}, {Issuer: "https://a.example"}, {Issuer: "local"}, {Kid: "k1"},
		{Resource: "keyvault"}, {Resource: "MyKeyVault.vault.azure.net"}, {Resource: "https://vault.azure.net/"},
		{Workload: "ns/sa"}, {Workload: "ns/sa", Kid: "k1"},
	} {
		s, _, _ := newSet(t)
		s.SetIssuers(map[string]string{"local": "https://a.example/"})
		if _, err := s.Inject(fault.Fault{Name: faultkind.Throttled, For: hit}); err != nil {
			t.Fatal(err)
		}
		if got := calls(s, 1, about); got != "f1" {
			t.Errorf("%+v does not hit", hit)
		}
	}
	for _, missed := range []fault.Selector{
		{Client: "x"}, {Issuer: "https://b.example/"}, {Kid: "k"}, {Resource: "entra"}, {Workload: "ns/other"}, {Workload: "ns/sa", Kid: "k2"},
	} {
		s, _, _ := newSet(t, fault.Fault{Name: faultkind.Throttled, For: missed})
		if got := calls(s, 1, about); got != "." {
			t.Errorf("%+v hits", missed)
		}
	}
}

func TestTheSameSeedHitsTheSameCalls(t *testing.T) {
	one := func(seed uint64) string {
		s, _, _ := newSet(t, fault.Fault{Name: faultkind.Throttled, When: fault.Limits{Probability: 0.3, Seed: seed}})
		return calls(s, 200, faults.Subject{})
	}
	first := one(11)
	if first != one(11) {
		t.Error("the same seed hits other calls")
	}
	if first == one(12) {
		t.Error("another seed hits the same calls")
	}
	if hits := strings.Count(first, "f1"); hits < 40 || hits > 80 {
		t.Errorf("%d of 200 calls were hit, expected about 60", hits)
	}
	if calls(func() *faults.Set {
		s, _, _ := newSet(t, fault.Fault{Name: faultkind.Throttled, When: fault.Limits{Probability: 1}})
		return s
	}(), 5, faults.Subject{}) != "f1f1f1f1f1" {
		t.Error("a probability of 1 does not hit every call")
	}
}

// The first fault that hits takes the call; those behind it keep their count.
func TestOneCallIsHitOnce(t *testing.T) {
	s, _, _ := newSet(t,
		fault.Fault{Name: faultkind.Throttled, When: fault.Limits{Count: 2}},
		fault.Fault{Name: faultkind.ServerError, When: fault.Limits{Count: 1}},
	)
	if got := calls(s, 4, faults.Subject{}); got != "f1f1f2." {
		t.Errorf("calls went %s", got)
	}
}

func TestStateIsAValue(t *testing.T) {
	given := []fault.Fault{
		{Name: faultkind.Throttled, Parameters: map[string]string{"retry-after": "3s"}, When: fault.Limits{Nth: 2, Count: 3}},
		{Name: faultkind.ServerError, When: fault.Limits{Probability: 0.4, Until: fault.Duration(time.Hour)}},
	}
	s, _, _ := newSet(t, given...)
	calls(s, 3, faults.Subject{})
	data, err := json.Marshal(s.Active())
	if err != nil {
		t.Fatal(err)
	}
	var kept []fault.Active
	if err := json.Unmarshal(data, &kept); err != nil {
		t.Fatal(err)
	}
	again := faults.New(clock.Stopped(start), nil, 99)
	if err := again.Restore(kept); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.Active(), again.Active()); diff != "" {
		t.Errorf("restored (-want +got):\n%s", diff)
	}
	if want, got := calls(s, 100, faults.Subject{}), calls(again, 100, faults.Subject{}); want != got {
		t.Errorf("goes on with\n%s, want\n%s", got, want)
	}
	if err := again.Restore(kept); err == nil || !strings.Contains(err.Error(), "f1 is there already") {
		t.Errorf("restored twice: %v", err)
	}
	if id, err := again.Inject(given[0]); err != nil || id != "f3" {
		t.Errorf("the next fault is %s %v, want f3", id, err)
	}
}

func TestInjectHitAndClearAreWrittenDown(t *testing.T) {
	s, _, j := newSet(t, fault.Fault{Name: faultkind.Throttled, For: fault.Selector{Resource: "entra"}, When: fault.Limits{Count: 1}})
	h, ok := s.Hit(faultkind.AtRequest, faults.Subject{Component: "entra", Host: "login.microsoftonline.com", Workload: "ns/sa"})
	if !ok {
		t.Fatal("not hit")
	}
	if err := s.Clear("f1"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range j.Events() {
		if e.Kind != journal.Fault || e.Detail["fault"] != "f1" {
			t.Errorf("an event that is of no fault: %+v", e)
		}
		got = append(got, e.Summary)
	}
	want := []string{
		"fault f1 injected: throttled --for resource=entra --count 1",
		"fault f1 hit a call of ns/sa to login.microsoftonline.com: requests are answered with 429 and Retry-After",
		"fault f1 cleared: throttled --for resource=entra --count 1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("journal (-want +got):\n%s", diff)
	}
	shared := map[string]string{"client": "x"}
	e := journal.Event{Detail: shared}
	h.Note(&e)
	if e.Detail["fault"] != "f1" || !strings.Contains(e.Detail["remark"], "throttled retry-after=1s") || len(shared) != 1 {
		t.Errorf("noted %v", e.Detail)
	}
}

func TestMistakesSayWhatWasExpected(t *testing.T) {
	for _, test := range []struct {
		fault fault.Fault
		want  string
	}{
		{fault.Fault{Name: "throtled"}, "found throtled; did you mean throttled?"},
		{fault.Fault{}, "name: expected the name of a fault"},
		{fault.Fault{Name: faultkind.Throttled, Parameters: map[string]string{"retryafter": "1s"}}, "parameters.retryafter: expected a parameter of throttled: retry-after, found retryafter; did you mean retry-after?"},
		{fault.Fault{Name: faultkind.Throttled, Parameters: map[string]string{"retry-after": "soon"}}, `parameters.retry-after: expected a duration such as 90s, 10m or 25h, found "soon"`},
		{fault.Fault{Name: faultkind.ServerError, Parameters: map[string]string{"status": "505"}}, "expected one of 500, 502, 503, 504, found 505"},
		{fault.Fault{Name: faultkind.JWKSShuffled, Parameters: map[string]string{"x": "y"}}, "expected no parameter"},
		{fault.Fault{Name: faultkind.JWKSShuffled, For: fault.Selector{Client: "c"}}, "for.client: expected one of issuer, found client"},
		{fault.Fault{Name: faultkind.JWKSShuffled, For: fault.Selector{Issuer: "lcal"}}, "for.issuer: expected an https URL or the name of an issuer: local, found lcal; did you mean local?"},
		{fault.Fault{Name: faultkind.Slow, Parameters: map[string]string{"latency": "2m"}}, "parameters.latency: expected at most 1m30s, found 2m"},
		{fault.Fault{Name: faultkind.Throttled, When: fault.Limits{Nth: -1}}, "when.nth: expected a number of at least 1, found -1"},
		{fault.Fault{Name: faultkind.Throttled, When: fault.Limits{Probability: 2.2}}, "when.probability: expected a share above 0 up to 1"},
		{fault.Fault{Name: faultkind.Throttled, When: fault.Limits{After: fault.Duration(time.Hour), Until: fault.Duration(time.Minute)}}, "when.until: expected a duration longer than after, 1h0m0s, found 1m0s"},
	} {
		s, _, j := newSet(t)
		s.SetIssuers(map[string]string{"local": "https://a.example/"})
		_, err := s.Inject(test.fault)
		var m *fault.Mistake
		if err == nil || !errors.As(err, &m) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %q", test.fault, err, test.want)
		}
		if len(s.Active()) > 0 || len(j.Events()) > 0 {
			t.Errorf("%v was injected", test.fault)
		}
	}
	s, _, _ := newSet(t)
	if err := s.Clear("f9"); err == nil || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("cleared what is not there: %v", err)
	}
}

func TestNobodyIsHitByNothing(t *testing.T) {
	var s *faults.Set
	if _, hit := s.Hit(faultkind.AtRequest, faults.Subject{}); hit || s.Active() != nil {
		t.Error("a nil set hits")
	}
	if n := testing.AllocsPerRun(100, func() { s.Hit(faultkind.AtRequest, faults.Subject{}) }); n > 0 {
		t.Errorf("asking a nil set allocates %v times", n)
	}
}

func TestTheCatalogueIsComplete(t *testing.T) {
	var names []string
	for _, k := range fault.Kinds() {
		if slices.Contains(names, k.Name) {
			t.Errorf("%s is there twice", k.Name)
		}
		names = append(names, k.Name)
		if k.Summary == "" || k.Description == "" || k.Point == "" || len(k.Selects) == 0 || !strings.HasPrefix(k.Example, k.Name) {
			t.Errorf("%s is not documented: %+v", k.Name, k)
		}
		defaults := map[string]string{}
		for _, p := range k.Parameters {
			if p.Description == "" {
				t.Errorf("%s: parameter %s is not documented", k.Name, p.Name)
			}
			defaults[p.Name] = p.Default
		}
		if found := (fault.Fault{Name: k.Name, Parameters: defaults}).Check(nil); len(found) > 0 {
			t.Errorf("%s: its own defaults are refused: %v", k.Name, found)
		}
	}
}
