package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Outcome is how a client did in a mode.
type Outcome string

// The outcomes. LeftOut is for a mode that this machine lacks something for,
// NotMeant for one that the client does not run in.
const (
	Passed   Outcome = "passed"
	Failed   Outcome = "failed"
	LeftOut  Outcome = "left-out"
	NotMeant Outcome = "not-meant"
)

// ModeResult is what came of a client in a mode.
type ModeResult struct {
	Outcome Outcome `json:"outcome"`
	Why     string  `json:"why,omitempty"` // it failed or was left out
	Checked
	Seconds float64 `json:"seconds"` // wall time
}

// Result is what came of a client: a row of the table.
type Result struct {
	Client         string              `json:"client"`
	Credential     string              `json:"credential"`
	Package        string              `json:"package"`
	Version        string              `json:"version,omitempty"`
	Runtime        string              `json:"runtime,omitempty"`
	Modes          map[Mode]ModeResult `json:"modes"`
	Refusal        string              `json:"refusal"` // what its output contains when its subject is refused
	Note           string              `json:"note,omitempty"`
	InstallSeconds float64             `json:"installSeconds"` // wall time; next to nothing when it was installed before
}

func count(results []Result) (of map[Outcome]int) {
	of = map[Outcome]int{}
	for _, r := range results {
		for _, m := range r.Modes {
			of[m.Outcome]++
		}
	}
	return of
}

// sign stands for an outcome in the table.
var sign = map[Outcome]string{Passed: "✓", Failed: "✗", LeftOut: "left out", NotMeant: "–"}

// writeTable writes the results in Markdown, with the notes below.
func writeTable(w io.Writer, results []Result) error {
	var b strings.Builder
	b.WriteString("| client | credential | version | runtime | transparent | proxy | `--isolate` | lockstep | rotated | error reported | note |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	var notes []string
	for _, r := range results {
		note := ""
		if r.Note != "" {
			text := strings.Join(strings.Fields(r.Note), " ")
			if !slices.Contains(notes, text) {
				notes = append(notes, text)
			}
			note = fmt.Sprintf("[%d]", slices.Index(notes, text)+1)
		}
		row := []string{r.Client, r.Credential, cmp.Or(r.Version, "–"), cmp.Or(r.Runtime, "–"), cmp.Or(sign[r.Modes[Transparent].Outcome], "–"), sign[r.Modes[Proxy].Outcome], sign[r.Modes[Isolate].Outcome], sign[r.Modes[Lockstep].Outcome], r.rotated(), r.refused(), note}
		for i, cell := range row {
			row[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.TrimRight(strings.Join(row, " | "), " "))
	}
	for i, note := range notes {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%d. %s\n", i+1, note)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// rotated tells of the modes that the client ran in whether it used the new token file.
func (r Result) rotated() string {
	ran := sign[NotMeant]
	for _, m := range modes {
		switch result := r.Modes[m]; {
		case result.Outcome == Failed && !result.Rotated:
			return sign[Failed]
		case result.Rotated:
			ran = sign[Passed]
		}
	}
	return ran
}

// refused is what the client said when it was refused, if it was.
func (r Result) refused() string {
	for m, result := range r.Modes {
		if m != Lockstep && result.Outcome == Passed {
			return "`" + r.Refusal + "`"
		}
	}
	return sign[NotMeant]
}

func writeJSON(w io.Writer, results []Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(results)
}

const (
	tableBegin = "<!-- make conformance-table writes this table -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// updateTable puts the table between the markers of a file.
func updateTable(file string, table []byte) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := bytes.Cut(data, []byte(tableBegin))
	_, after, ends := bytes.Cut(rest, []byte(tableEnd))
	if !begins || !ends {
		return fmt.Errorf("%s: expected the lines %q and %q, between which the table goes", file, strings.TrimSpace(tableBegin), strings.TrimSpace(tableEnd))
	}
	return os.WriteFile(file, fmt.Appendf(nil, "%s%s\n%s\n%s%s", before, tableBegin, table, tableEnd, after), 0o644)
}
