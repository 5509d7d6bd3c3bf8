package controlapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
)

// newLab returns a lab on a clock that stands still.
func newLab(t *testing.T, c config.Config) *lab.Lab {
	t.Helper()
	l, err := lab.New(t.Context(), c, lab.Options{Keys: keyringtest.Keys(t), Clock: clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// open returns a client of the control API of a lab with an issuer called local.
func open(t *testing.T) (*control.Client, *journals.Journal) {
	t.Helper()
	l := newLab(t, config.Config{Issuers: []config.Issuer{{Name: "local"}}})
	server := httptest.NewServer(controlapi.New(l, controlapi.Endpoints{}, "secret"))
	t.Cleanup(server.Close)
	return &control.Client{URL: server.URL, Token: "secret"}, l.Journal()
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
	c, j := open(t)
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

// The owner of a storage account puts and reads blobs; what cannot be is said.
func TestBlobsOfTheOwner(t *testing.T) {
	l := newLab(t, config.Config{Resources: map[string]any{"storageAccounts": []any{map[string]any{"name": "orders"}}}})
	server := httptest.NewServer(controlapi.New(l, controlapi.Endpoints{}, "secret"))
	t.Cleanup(server.Close)
	c := &control.Client{URL: server.URL, Token: "secret"}
	text := "two apples"
	for _, row := range []struct {
		request controlapi.BlobRequest
		text    string
		want    string // in the error
	}{
		{controlapi.BlobRequest{Account: "orders", Container: "inbox", Name: "dir/a b", Put: &text}, text, ""},
		{controlapi.BlobRequest{Account: "orders", Container: "inbox", Name: "dir/a b"}, text, ""},
		{controlapi.BlobRequest{Account: "orders", Container: "inbox", Name: "none"}, "", "blob inbox/none: expected one that is there, found 404 BlobNotFound"},
		{controlapi.BlobRequest{Account: "order", Container: "inbox", Name: "a"}, "", `storage account "order": expected one of ["orders"]`},
		{controlapi.BlobRequest{Account: "order", Container: "inbox", Name: "a", Put: &text}, "", `storage account "order": expected one of ["orders"]`},
		{controlapi.BlobRequest{Account: "orders", Container: "In", Name: "a", Put: &text}, "", `container "In": expected 3 to 63 lower-case letters`},
		{controlapi.BlobRequest{Account: "orders", Container: "inbox", Put: &text}, "", "expected a name of 1 to 1024 bytes, found one of 0"},
	} {
		var got controlapi.Blob
		err := c.Do(t.Context(), http.MethodPost, controlapi.BlobPath, row.request, &got)
		if row.want == "" && (err != nil || got.Text != row.text) || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%+v: %q, %v; want %q %s", row.request, got.Text, err, row.text, row.want)
		}
	}
}

// The token counts as a bearer token alone.
func TestOnlyABearerTokenIsTaken(t *testing.T) {
	c, _ := open(t)
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
