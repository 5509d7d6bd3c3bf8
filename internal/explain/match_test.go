package explain_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/explain"
)

// refusal is an event with something in every field.
func refusal() journal.Event {
	at := time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)
	return journal.Event{
		ID: "7", Time: at, Wall: at, Shared: true, Kind: journal.Exchange, Outcome: journal.Denied, Summary: "AADSTS700213: no matching federated identity", Component: "entra",
		Workload: "shop/web-sa", Issuer: "https://a.example/", Subject: "system:serviceaccount:shop:web-sa", Audience: []string{"api://AzureADTokenExchange"},
		Kid: "k", JTI: "j", IssuedAt: &at, ExpiresAt: &at, Tenant: "t", ClientID: "c", ObjectID: "o", Identity: "shop",
		TraceID: "trace", CorrelationID: "correlation", UTI: "u", Resource: "r", Host: "h", Method: "POST", Path: "/p", Status: 401,
		Code: 700213, Error: "invalid_client", Message: "the message", Meaning: "the meaning", Remedy: "the remedy",
		Checks:  []journal.Check{{Name: "issuer", Outcome: journal.Passed}, {Name: "subject", Expected: "a", Presented: "b", Outcome: journal.Failed, Note: "a note"}},
		Nearest: &journal.Nearest{Credential: "web", Differences: []journal.Difference{{Field: "subject", Expected: "a", Presented: "b", Kind: "namespace", Fix: "do this"}}},
		Program: &journal.Program{PID: 7, Executable: "/usr/bin/app", Name: "app"}, Detail: map[string]string{"fault": "f1"},
	}
}

func TestEveryFieldOfAnEventIsCompared(t *testing.T) {
	whole := refusal()
	if m := explain.Mismatches(whole, whole); len(m) > 0 {
		t.Errorf("an event is not like itself: %v", m)
	}
	if m := explain.Mismatches(whole, journal.Event{}); len(m) > 0 {
		t.Errorf("an event with nothing set expects %v", m)
	}
	fields := reflect.TypeFor[journal.Event]()
	for i := range fields.NumField() {
		without := refusal()
		reflect.ValueOf(&without).Elem().Field(i).SetZero()
		name, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ",")
		found := explain.Mismatches(without, whole)
		if len(found) == 0 {
			t.Errorf("nobody misses %s", name)
		}
		for _, m := range found {
			if !strings.HasPrefix(m.Field, name) {
				t.Errorf("without %s: %+v", name, m)
			}
		}
		if extra := explain.Mismatches(whole, without); len(extra) > 0 {
			t.Errorf("%s, which is not expected, counts: %v", name, extra)
		}
	}
}

func TestWhatAnEventIsComparedBy(t *testing.T) {
	for name, c := range map[string]struct {
		expected journal.Event
		want     []explain.Mismatch
	}{
		"a part of a sentence":        {journal.Event{Summary: "no matching", Message: "message", Remedy: "rem", Checks: []journal.Check{{Name: "subject", Note: "note"}}}, nil},
		"one of several checks":       {journal.Event{Checks: []journal.Check{{Name: "subject", Outcome: journal.Failed}}}, nil},
		"a part of an id":             {journal.Event{Issuer: "https://a"}, []explain.Mismatch{{"issuer", "https://a", "https://a.example/"}}},
		"a number":                    {journal.Event{Code: 700211}, []explain.Mismatch{{"code", "700211", "700213"}}},
		"another outcome of a check":  {journal.Event{Checks: []journal.Check{{Name: "subject", Outcome: journal.Passed}}}, []explain.Mismatch{{"checks[subject].outcome", "passed", "failed"}}},
		"a check that was not made":   {journal.Event{Checks: []journal.Check{{Name: "audience"}}}, []explain.Mismatch{{"checks[audience].name", "audience", ""}}},
		"another nearest":             {journal.Event{Nearest: &journal.Nearest{Differences: []journal.Difference{{Field: "subject", Kind: "case"}}}}, []explain.Mismatch{{"nearest.differences[subject].kind", "case", "namespace"}}},
		"a detail that is not there":  {journal.Event{Detail: map[string]string{"jwks": "x"}}, []explain.Mismatch{{"detail.jwks", "x", ""}}},
		"an audience that is not":     {journal.Event{Audience: []string{"api://other"}}, []explain.Mismatch{{"audience", "api://other", "api://AzureADTokenExchange"}}},
		"the same time in other zone": {journal.Event{Time: refusal().Time.In(time.FixedZone("x", 3600))}, nil},
		"another time":                {journal.Event{Time: refusal().Time.Add(time.Second)}, []explain.Mismatch{{"time", "2026-01-15T08:00:01Z", "2026-01-15T08:00:00Z"}}},
	} {
		got := explain.Mismatches(refusal(), c.expected)
		if len(got) != len(c.want) || len(got) > 0 && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestAnEventThatIsMissingIsExplained(t *testing.T) {
	at := time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)
	all := []journal.Event{
		{ID: "1", Time: at, Kind: journal.Mint, Outcome: journal.OK, Summary: "a token"},
		{ID: "2", Time: at, Kind: journal.Exchange, Outcome: journal.Denied, Summary: "older", Code: 700211},
		{ID: "3", Time: at, Kind: journal.Projection, Outcome: journal.OK, Summary: "a file"},
		{ID: "4", Time: at, Kind: journal.Exchange, Outcome: journal.Denied, Summary: "newer\x1b[2J", Code: 700211},
		{ID: "5", Time: at, Kind: journal.Exchange, Outcome: journal.Granted, Summary: "granted"},
	}
	for name, c := range map[string]struct {
		all  []journal.Event
		want string
	}{
		"nothing": {nil, `expected an event with
      kind     exchange
      outcome  denied
      code     700213
found none at all: nothing has happened in the lab
`},
		"others": {all, `expected an event with
      kind     exchange
      outcome  denied
      code     700213
found 5 others; the nearest are
  event 4 at 2026-01-15 08:00:00: ✗ exchange denied: newer�[2J
      code  expected 700213, found 700211
  event 2 at 2026-01-15 08:00:00: ✗ exchange denied: older
      code  expected 700213, found 700211
  event 5 at 2026-01-15 08:00:00: ✓ exchange granted: granted
      outcome  expected denied, found granted
      code     expected 700213, found nothing
`},
	} {
		var b strings.Builder
		expected := journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, Code: 700213}
		if err := explain.WriteMissing(&b, expected, c.all); err != nil || b.String() != c.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, b.String(), c.want)
		}
	}
	if found := explain.Match(all, journal.Event{Kind: journal.Exchange, Code: 700211}); len(found) != 2 || found[0].ID != "2" {
		t.Errorf("%v", found)
	}
}
