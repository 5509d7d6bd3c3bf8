package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// wiemu answers everything in the table as Entra ID does.
func TestAccuracy(t *testing.T) {
	table, err := readTable("accuracy.yaml", builtIn, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Cases) < 150 {
		t.Errorf("expected at least 150 cases, found %d", len(table.Cases))
	}
	asked, keys, err := open(t.Context(), table, "", "", false)
	if err != nil {
		t.Fatal(err)
	}
	defer asked.close()
	results, err := table.ask(t.Context(), asked, keys, regexp.MustCompile(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if !r.Same {
			t.Errorf("%s (%s):\n\t%s", r.Name, r.Source, strings.Join(r.Differences, "\n\t"))
		}
	}
}

// The page counts as the table does.
func TestThePageCounts(t *testing.T) {
	table, err := readTable("accuracy.yaml", builtIn, nil)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/accuracy.md")
	if err != nil {
		t.Fatal(err)
	}
	var counts strings.Builder
	if err := printCounts(&counts, table.count()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), counts.String()) {
		t.Errorf("docs/accuracy.md: expected the table that go run ./scenarios/accuracy -count prints:\n%s", counts.String())
	}
}

// A table that expects something else fails.
func TestDifferencesAreFound(t *testing.T) {
	table := Table{Variables: map[string]string{"tenant": "t-1"}}
	got := answer{status: 401, raw: []byte(`{"error":"invalid_client","error_codes":[1]}`), body: map[string]any{"error": "invalid_client", "error_codes": []any{1.0}}}
	yes := true
	for _, want := range []Reply{
		{Status: 400}, {Status: 401, Error: "invalid_request"}, {Status: 401, Code: 2}, {Status: 401, Text: "x"}, {Status: 401, URI: &yes},
		{Status: 401, Members: []string{"error_codes", "error"}}, {Status: 401, Body: map[string]any{"error": "{tenant}"}}, {Status: 401, Headers: map[string]string{"A": "b"}},
		{Status: 401, Claims: map[string]any{"a": "b"}}, {Status: 401, UTI: true}, {Status: 401, Key: []string{"kty"}}, {Status: 401, Matches: map[string]string{"error": "^x"}},
	} {
		if len(table.differences(want, got)) == 0 {
			t.Errorf("%+v: no difference was found", want)
		}
	}
	if found := table.differences(Reply{Status: 401, Error: "invalid_client", Members: []string{"error", "error_codes"}}, got); len(found) > 0 {
		t.Error(found)
	}
}

func TestReadTable(t *testing.T) {
	for given, want := range map[string]string{
		"cases: [{nam: x}]": "nam",
		"cases: [{name: x, base: foo, source: s, confidence: inferred, reply: {status: 200}}]": "base",
		"cases: [{name: x, source: s, confidence: guessed, reply: {status: 200}}]":             "confidence",
		"cases: [{name: x, confidence: inferred, reply: {status: 200}}]":                       "source",
		"cases: [{name: x, source: s, confidence: inferred}]":                                  "status",
	} {
		if _, err := readTable("t.yaml", []byte(given), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: expected an error about %s, found %v", given, want, err)
		}
	}
	if _, err := readTable("accuracy.yaml", builtIn, map[string]string{"no-such": "x"}); err == nil || !strings.Contains(err.Error(), "no-such") {
		t.Error(err)
	}
}
