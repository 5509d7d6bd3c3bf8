package condition

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/emulator/journal"
)

// start is when the lab clock starts.
var start = time.Date(2026, time.January, 5, 8, 0, 0, 0, time.UTC)

// A condition that does not hold is explained by the values of what it names.
func TestWhatAConditionNamesIsShown(t *testing.T) {
	refused := journal.Event{ID: "8", Kind: journal.Exchange, Outcome: journal.Denied, Code: 700211, Summary: "web was refused",
		Nearest: &journal.Nearest{Differences: []journal.Difference{{Field: "issuer", Kind: "trailing slash"}}}}
	now := View{
		Results: map[string]Result{"read": {ExitCode: 1, Stdout: "out\n", Events: []journal.Event{refused}, JSON: map[string]any{
			"code": int64(700211), "ok": false, "claims": map[string]any{"aud": []any{"a", "b"}},
		}}},
		Journal: []journal.Event{{ID: "7", Kind: journal.Mint, Outcome: journal.OK, Summary: "a token"}, refused},
		Workloads: map[string]Workload{"web-dev": {Namespace: "shop", Token: Token{
			Audience: []string{"api://x"}, ExpiresAt: start.Add(time.Hour), Claims: map[string]any{"exp": int64(1767603600)},
		}}},
		Clock: Clock{Now: start.Add(2 * time.Hour), Start: start, Elapsed: 2 * time.Hour},
	}
	language, err := NewLanguage()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		source string
		holds  bool
		values string // NAME = VALUE lines
		fails  string // why it cannot be evaluated
	}{
		{source: "results.read.exitCode == 1", holds: true},
		{source: "results.read.json.code in [700211, 700213]", holds: true},
		{source: "results.read.json.ok == false && results.read.json.code > 7", holds: true},
		{source: "results.read.events.exists(e, e.nearest.differences.exists(d, d.kind == 'trailing slash'))", holds: true},
		{source: "workloads['web-dev'].token.expiresAt < clock.now && clock.elapsed == duration('2h')", holds: true},
		{source: "workloads['web-dev'].token.claims.exp < int(clock.now)", holds: true},
		{source: "workloads['web-dev'].token.audience == ['api://x']", holds: true},
		{source: "!has(results.read.json.value)", holds: true},
		{source: "journal[0].nearest.differences == [] && !has(journal[0].nearest)", holds: true},
		{source: "results.read.stdout.trim() == 'out'", holds: true},
		{
			source: "results.read.exitCode == 0",
			values: "results.read.exitCode = 1",
		},
		{
			source: "results.read.exitCode == 1 && results.read.json.code == 700213",
			values: "results.read.exitCode = 1\nresults.read.json.code = 700211",
		},
		{
			source: "journal.exists(e, e.kind == 'exchange' && e.outcome == 'granted')",
			values: `journal.exists(e, e.kind == "exchange" && e.outcome == "granted") = false`,
		},
		{
			source: "journal.filter(e, e.code != 0) == []",
			values: "journal.filter(e, e.code != 0) = [event 8 (exchange denied: web was refused)]",
		},
		{
			source: "journal.filter(e, e.kind == 'mint').size() == 2",
			values: `journal.filter(e, e.kind == "mint").size() = 1`,
		},
		{
			source: "workloads['web-dev'].token.expiresAt - clock.now > duration('0s')",
			values: "workloads[\"web-dev\"].token.expiresAt - clock.now = -1h0m0s\nworkloads[\"web-dev\"].token.expiresAt = 2026-01-05T09:00:00Z\nclock.now = 2026-01-05T10:00:00Z",
		},
		{
			source: "results.read.stdout.contains('x')",
			values: "results.read.stdout.contains(\"x\") = false\nresults.read.stdout = \"out\\n\"",
		},
		{
			source: "results.read.json == {}",
			values: `results.read.json = {"claims": {"aud": ["a", "b"]}, "code": 700211, "ok": false}`,
		},
		{
			source: "results.read.json.value == 'x'",
			values: "results.read.json.value = error: no such key: value",
			fails:  "no such key: value",
		},
		{
			source: "results.read.events[3].code == 0",
			values: "results.read.events[3].code = error: index out of bounds: 3",
			fails:  "index out of bounds",
		},
		{
			source: "results.read.json.code",
			values: "results.read.json.code = 700211",
			fails:  "expected true or false, got 700211",
		},
	} {
		p, errs := language.Compile(test.source, []string{"read"}, []string{"web-dev"})
		if len(errs) > 0 {
			t.Errorf("%s: %+v", test.source, errs)
			continue
		}
		holds, values, err := p.Holds(context.Background(), now)
		var lines []string
		for _, v := range values {
			lines = append(lines, v.Expression+" = "+v.Value)
		}
		if holds != test.holds || (err != nil) != (test.fails != "") || err != nil && !strings.Contains(err.Error(), test.fails) {
			t.Errorf("%s: holds %v, error %v", test.source, holds, err)
		}
		if diff := cmp.Diff(test.values, strings.Join(lines, "\n")); diff != "" {
			t.Errorf("%s:\n%s", test.source, diff)
		}
	}
}

// An expression of a hostile file ends.
func TestExpressionsAreBounded(t *testing.T) {
	language, err := NewLanguage()
	if err != nil {
		t.Fatal(err)
	}
	list := "[" + strings.Repeat("1,", 99) + "1]"
	p, errs := language.Compile(list+".all(a, "+list+".all(b, "+list+".all(c, "+list+".all(d, a + b + c + d > 0))))", nil, nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if _, _, err := p.Holds(context.Background(), View{}); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Errorf("a hundred million additions: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := p.Holds(ctx, View{}); err == nil {
		t.Error("a canceled evaluation went on")
	}
	if _, errs := language.Compile(strings.Repeat("(", 500)+"true"+strings.Repeat(")", 500), nil, nil); len(errs) == 0 {
		t.Error("500 levels of parentheses were taken")
	}
	if _, errs := language.Compile(strings.Repeat("!", 20_000)+"true", nil, nil); len(errs) == 0 {
		t.Error("20,000 bytes were taken")
	}
}

func TestLongValuesAreShortened(t *testing.T) {
	language, err := NewLanguage()
	if err != nil {
		t.Fatal(err)
	}
	p, errs := language.Compile("results.read.stdout == '' && journal == []", []string{"read"}, nil)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	_, values, _ := p.Holds(context.Background(), View{Results: map[string]Result{"read": {Stdout: strings.Repeat("é", 1<<20)}}})
	if len(values) != 1 || len(values[0].Value) > maxShownText+20 {
		t.Errorf("expected one short value, got %d", len(values))
	}
	_, values, _ = p.Holds(context.Background(), View{Results: map[string]Result{"read": {}}, Journal: make([]journal.Event, 5000)})
	if len(values) != 2 || !strings.HasSuffix(values[1].Value, ", … 5000 in all]") {
		t.Errorf("expected a list cut short, got %v", values)
	}
}
