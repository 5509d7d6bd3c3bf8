package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var results = []Result{
	{Client: "curl", Credential: "federated", Version: "8.1.2", Runtime: "bash 5.2", Refusal: "AADSTS700213", Note: "The lines of\nthe documentation.", Modes: map[Mode]ModeResult{
		Transparent: {Outcome: Passed, Checked: Checked{Rotated: true}}, Proxy: {Outcome: Passed, Checked: Checked{Rotated: true}}, Isolate: {Outcome: LeftOut, Why: "no isolation here"}, Lockstep: {Outcome: Passed, Checked: Checked{Rotated: true}},
	}},
	{Client: "msal|node", Credential: "client secret", Version: "7.2.3", Runtime: "Node 20", Refusal: "AADSTS700213", Note: "Node 20.", Modes: map[Mode]ModeResult{
		Proxy: {Outcome: NotMeant}, Isolate: {Outcome: Failed, Why: "it ended"}, Lockstep: {Outcome: NotMeant},
	}},
	{Client: "wget", Credential: "federated", Refusal: "AADSTS700213", Note: "The lines of the documentation.", Modes: map[Mode]ModeResult{
		Proxy: {Outcome: LeftOut}, Isolate: {Outcome: NotMeant}, Lockstep: {Outcome: NotMeant},
	}},
}

const table = "| client | credential | version | runtime | transparent | proxy | `--isolate` | lockstep | rotated | error reported | note |\n|---|---|---|---|---|---|---|---|---|---|---|\n" +
	"| curl | federated | 8.1.2 | bash 5.2 | ✓ | ✓ | left out | ✓ | ✓ | `AADSTS700213` | [1] |\n" +
	"| msal\\|node | client secret | 7.2.3 | Node 20 | – | – | ✗ | – | ✗ | – | [2] |\n" +
	"| wget | federated | – | – | – | left out | – | – | – | – | [1] |\n" +
	"\n1. The lines of the documentation.\n2. Node 20.\n"

func TestTable(t *testing.T) {
	var out bytes.Buffer
	if err := writeTable(&out, results); err != nil {
		t.Fatal(err)
	}
	if out.String() != table {
		t.Errorf("got\n%s\nwant\n%s", out.String(), table)
	}
}

func TestTableGoesBetweenItsMarkers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "README.md")
	for range 2 { // the second time it replaces itself
		before, err := os.ReadFile(file)
		if err != nil {
			before = []byte("# wiemu\n" + tableBegin + tableEnd + "end\n")
		}
		if err := os.WriteFile(file, before, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := updateTable(file, []byte(table)); err != nil {
			t.Fatal(err)
		}
		after, _ := os.ReadFile(file)
		if want := "# wiemu\n" + tableBegin + "\n" + table + "\n" + tableEnd + "end\n"; string(after) != want {
			t.Fatalf("got\n%s\nwant\n%s", after, want)
		}
	}
	if err := os.WriteFile(file, []byte("# wiemu\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := updateTable(file, nil); err == nil || !strings.Contains(err.Error(), "between which the table goes") {
		t.Errorf("no markers: %v", err)
	}
}

func TestVerdict(t *testing.T) {
	left := map[Mode]ModeResult{Proxy: {Outcome: Passed}, Isolate: {Outcome: LeftOut, Why: "no isolation here"}}
	for name, row := range map[string]struct {
		modes   map[Mode]ModeResult
		require bool
		want    string
	}{
		"passed":            {map[Mode]ModeResult{Proxy: {Outcome: Passed}}, true, ""},
		"failed":            {map[Mode]ModeResult{Proxy: {Outcome: Failed}, Isolate: {Outcome: Passed}}, false, "1 of 2 runs failed"},
		"left out":          {left, false, ""},
		"left out in CI":    {left, true, "1 runs were left out"},
		"nothing to be run": {map[Mode]ModeResult{Proxy: {Outcome: LeftOut}}, false, "nothing was run"},
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			d := &driver{options: options{require: row.require}, progress: &said}
			err := d.verdict([]Result{{Client: "curl", Modes: row.modes}}, nil)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("got %v, want %q", err, row.want)
			}
			if row.modes[Isolate].Outcome == LeftOut && !strings.Contains(said.String(), "left out: curl, isolate: no isolation here\n") {
				t.Errorf("said %q", said.String())
			}
		})
	}
}

func TestFlags(t *testing.T) {
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"curl"}, "-run curl chooses clients"},
		{[]string{"--mode", "sandbox"}, `-mode: expected transparent, proxy, isolate or lockstep, found "sandbox"`},
		{[]string{"-o", "yaml"}, "-o: expected table or json"},
		{[]string{"--jobs", "0"}, "-jobs: expected at least 1"},
		{[]string{"--run", "("}, "missing closing )"},
		{[]string{"--update-table", "--mode", "proxy"}, "the table has every client in every mode"},
	} {
		if _, err := parse(row.args, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%v: %v, want %q", row.args, err, row.want)
		}
	}
}
