package main

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/journal"
)

// What a program has to have done in the lab: no way out, and no token that it is refused but
// those that it expects.
func TestWhatAProgramDidInTheLab(t *testing.T) {
	refused := journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, Summary: "AADSTS700213"}
	for name, row := range map[string]struct {
		refused int
		events  []journal.Event
		want    string
	}{
		"nothing":                {0, nil, ""},
		"granted":                {0, []journal.Event{{Kind: journal.Exchange, Outcome: journal.Granted}}, ""},
		"refused":                {0, []journal.Event{refused}, "expected 0 token requests that are refused, found 1: AADSTS700213"},
		"refused as expected":    {1, []journal.Event{refused}, ""},
		"granted and not so":     {1, []journal.Event{{Kind: journal.Exchange, Outcome: journal.Granted}}, "expected 1 token requests that are refused, found 0"},
		"an escape":              {0, []journal.Event{{Kind: journal.Escape, Host: "example.com", Summary: "no way"}}, "tried to reach example.com: no way"},
		"an escape that it does": {0, []journal.Event{{Kind: journal.Escape, Host: "aka.ms:443"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := Program{Refused: row.refused}.behaved(row.events, []string{"aka.ms:443"})
			if got := errorText(err); row.want == "" && err != nil || !strings.Contains(got, row.want) {
				t.Errorf("found %q, want %q", got, row.want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
