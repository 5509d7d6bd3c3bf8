package control_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/keyring"
)

// open is a door to a lab with a clock, a journal and rings that nobody turns or
// asks for.
func open(t *testing.T) (*control.Client, *journal.Journal) {
	t.Helper()
	return openTo(t, map[string]*keyring.Ring{"entra": nil, "local": nil})
}

func openTo(t *testing.T, rings map[string]*keyring.Ring) (*control.Client, *journal.Journal) {
	t.Helper()
	clk := clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))
	j, err := journal.New(clk, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	door := httptest.NewServer(control.NewServer(control.Lab{Time: control.NewTimekeeper(clk, j, []string{"entra", "resources", "local"}), Journal: j, Rings: rings}, "secret"))
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

func TestEveryChangeOfTheClockIsAnsweredAndJournaled(t *testing.T) {
	c, j := openTo(t, nil)
	for _, step := range []struct {
		ask            func() (control.Status, error)
		speed          float64
		entra, journal string
	}{
		{func() (control.Status, error) { return c.Advance(t.Context(), "1h") }, 0, "", "lab time advanced by 1h0m0s, from 2026-01-15T08:00:00Z"},
		{func() (control.Status, error) { return c.Set(t.Context(), "2026-01-15T12:00:00+01:00") }, 0, "", "lab time set to 2026-01-15T11:00:00Z, from 2026-01-15T09:00:00Z"},
		{func() (control.Status, error) { return c.Skew(t.Context(), "entra", "-5m") }, 0, "-5m0s", "the clock of entra is 5m0s behind lab time"},
		{func() (control.Status, error) { return c.SetSpeed(t.Context(), 600) }, 600, "-5m0s", "lab time runs 600 times as fast as the machine's clock"},
		{func() (control.Status, error) { return c.Freeze(t.Context()) }, 0, "-5m0s", "lab time stands still"},
		{func() (control.Status, error) { return c.Skew(t.Context(), "entra", "0s") }, 0, "", "the clock of entra is right"},
	} {
		status, err := step.ask()
		if err != nil || status.Speed != step.speed || status.Runs != (step.speed != 0) || status.Skews["entra"] != step.entra {
			t.Errorf("%s: %v, %+v", step.journal, err, status)
		}
		events := j.Events()
		if last := events[len(events)-1]; last.Kind != journal.Clock || last.Summary != step.journal {
			t.Errorf("the journal says %q, want %q", last.Summary, step.journal)
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

// The token counts as a bearer token alone.
func TestOnlyABearerTokenSteers(t *testing.T) {
	c, _ := openTo(t, nil)
	for _, test := range []struct {
		authorization string
		status        int
	}{
		{"Bearer secret", 200},
		{"bearer secret", 200},
		{"", 401},
		{"secret", 401},
		{" secret", 401},
		{"Basic secret", 401},
		{"Bearersecret", 401},
		{"Bearer  secret", 401},
		{"Bearer secret2", 401},
		{"Bearer", 401},
		{"Bearer Bearer secret", 401},
	} {
		r, err := http.NewRequest(http.MethodGet, c.URL+"/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Authorization"] = []string{test.authorization}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != test.status {
			t.Errorf("Authorization %q: %d, want %d", test.authorization, resp.StatusCode, test.status)
		}
	}
}
