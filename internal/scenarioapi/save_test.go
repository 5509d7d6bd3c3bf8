package scenarioapi_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/scenarioapi"
)

// recorded is a session that is recorded, with what its recorder says.
type recorded struct {
	session recording.Recording
	err     error
}

func (r recorded) Recording(context.Context) (*recording.Recording, error) {
	return &r.session, r.err
}

func TestASessionIsSaved(t *testing.T) {
	s, library := newLab(t, nil)
	defer func() {
		if err := library.Close(); err != nil {
			t.Error(err)
		}
	}()
	ask := func(query string) (scenarioapi.Saved, error) {
		var saved scenarioapi.Saved
		err := s.Emulator().ControlClient().Do(t.Context(), http.MethodGet, scenarioapi.SavePath+query, nil, &saved)
		return saved, err
	}
	refused := func(query, want string) {
		t.Helper()
		if saved, err := ask(query); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v, want %s", query, saved, err, want)
		}
	}
	refused("", "wiemu serve --console")
	session := recording.Recording{APIVersion: recording.APIVersion, Kind: recording.Kind, Start: time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC), Inputs: []recording.Input{}}
	library.Record(recorded{session: session})
	refused("?as=picture", "expected scenario or recording")
	refused("?name=../../etc/passwd", "lower-case letters")
	refused("?name="+strings.Repeat("a", 101), "100 at most")

	saved, err := ask("?name=wrong-subject")
	if err != nil || saved.File != "wrong-subject.yaml" {
		t.Fatal(saved, err)
	}
	if drafted, err := scenario.Parse(saved.File, []byte(saved.Text)); err != nil || drafted.Metadata.Name != "wrong-subject" {
		t.Errorf("%v: %s", err, saved.Text)
	}
	if saved, err = ask("?as=recording"); err != nil || saved.File != "session.wiemu.json" {
		t.Fatal(saved, err)
	}
	if again, err := recording.Parse(saved.File, []byte(saved.Text)); err != nil || !again.Start.Equal(session.Start) {
		t.Errorf("%v: %s", err, saved.Text)
	}

	library.Record(recorded{err: errors.New("the session has 3 requests too many")})
	refused("", "3 requests too many")
	session.State.Keys = []string{"-----BEGIN PRIVATE KEY-----"}
	library.Record(recorded{session: session})
	refused("", "is not shown")
	refused("?as=recording", "is not shown")
}
