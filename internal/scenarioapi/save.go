package scenarioapi

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/draft"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/recording"
)

// SavePath is where a server tells what happened in its session until now. ?as= is scenario, which
// is the default, or recording; ?name= becomes that of the scenario and of the file.
const SavePath = "/v1/session"

// Saved is a file that was not written yet.
type Saved struct {
	File string `json:"file"` // a name for it
	Text string `json:"text"` // YAML of a scenario, JSON of a recording
}

// Recorded is a session that is recorded; *recording.Recorder is one.
type Recorded interface {
	Recording(context.Context) (*recording.Recording, error)
}

// Record has the session of a recorder be saved when it is asked for.
func (l *Library) Record(r Recorded) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recorded = r
}

// fileName is that of a file in any directory, and of a scenario.
var fileName = lazyregexp.New(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (l *Library) save(r *http.Request) (any, error) {
	name, as := cmp.Or(r.URL.Query().Get("name"), "session"), cmp.Or(r.URL.Query().Get("as"), "scenario")
	switch {
	case as != "scenario" && as != "recording":
		return nil, &control.StatusError{Status: http.StatusBadRequest, Field: "as", Err: fmt.Errorf("as: expected scenario or recording, found %q", as)}
	case len(name) > 100 || !fileName().MatchString(name):
		return nil, &control.StatusError{Status: http.StatusBadRequest, Field: "name", Err: fmt.Errorf("name: expected lower-case letters, digits and hyphens, such as wrong-subject, 100 at most; found %q", name)}
	}
	l.mu.Lock()
	recorded := l.recorded
	l.mu.Unlock()
	if recorded == nil {
		return nil, &control.StatusError{Status: http.StatusNotFound, Err: errors.New("this session is not recorded; start the server with wiemu serve --console, or --record FILE")}
	}
	session, err := recorded.Recording(r.Context())
	switch {
	case err != nil:
		return nil, &control.StatusError{Status: http.StatusConflict, Err: err}
	case session.State.Keys != nil:
		return nil, &control.StatusError{Status: http.StatusConflict, Err: errors.New("this session is recorded with its private keys and secrets, by wiemu serve --keys: its file is written when the server ends, and is not shown before")}
	case as == "scenario":
		text, err := draft.From(session, name)
		return Saved{File: name + ".yaml", Text: string(text)}, err
	}
	var text bytes.Buffer
	err = session.Write(&text)
	return Saved{File: name + ".wiemu.json", Text: text.String()}, err
}
