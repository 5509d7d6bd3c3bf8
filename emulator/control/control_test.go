package control_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/keyring"
)

// open is a door to a lab with a clock, a journal and rings that nobody turns.
func open(t *testing.T) (*control.Client, *journal.Journal) {
	t.Helper()
	clk := clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))
	j, err := journal.New(clk, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	door := httptest.NewServer(control.NewServer(control.Lab{Time: control.NewTimekeeper(clk, j, []string{"entra", "resources", "local"}), Journal: j, Rings: map[string]*keyring.Ring{"entra": nil, "local": nil}}, "secret"))
	t.Cleanup(door.Close)
	return &control.Client{URL: door.URL, Token: "secret"}, j
}

func TestEventsAfterAnEvent(t *testing.T) {
	c, j := open(t)
	for _, summary := range []string{"a", "b", "c"} {
		j.Record(journal.Event{Kind: journal.Directory, Summary: summary})
	}
	for _, test := range []struct{ name, after, want string }{
		{"all of them", "", "abc"},
		{"those after the first", "1", "bc"},
		{"none after the last", "3", ""},
		{"all that are kept, after one that is not", "0", "abc"},
	} {
		events, err := c.Events(t.Context(), test.after)
		got := ""
		for _, e := range events {
			got += e.Summary
		}
		if err != nil || got != test.want {
			t.Errorf("%s: %q %v, want %q", test.name, got, err, test.want)
		}
	}
}

func TestRefusalsSayWhatWasExpected(t *testing.T) {
	c, _ := open(t)
	for by, want := range map[string]string{
		"a while":  `expected a duration such as 25h or 90s, at most 292 years, found "a while"`,
		"3000000h": "at most 292 years",
		"-1h":      "lab time never goes backwards",
	} {
		if _, err := c.Advance(t.Context(), by); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("advance by %s: %v, want %q", by, err, want)
		}
	}
	for _, ring := range []string{"nobody", "a/b", "a b?c", ".."} {
		if _, err := c.Rotate(t.Context(), ring); err == nil || !strings.Contains(err.Error(), `"`+ring+`": expected one of entra, local`) {
			t.Errorf("rotate %s: %v", ring, err)
		}
	}
}
