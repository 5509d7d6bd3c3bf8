package run_test

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/run"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/userstate"
	"github.com/wiemu/wiemu/internal/workload"
)

// What wiemu run does is done without its command, in a lab of its own and in another's.
func TestAProgramRunsAsAWorkload(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the programs of this test are shell scripts")
	}
	state, err := userstate.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Config{}.Complete("")
	if err != nil {
		t.Fatal(err)
	}
	s, err := run.OpenSession(t.Context(), run.SessionOptions{State: state, Files: session.Files{Config: c}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	web := workload.Spec{Workload: workload.Workload{Namespace: "shop", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"}}
	task := run.Task{Command: []string{"sh", "-c", "test -s $AZURE_FEDERATED_TOKEN_FILE && exit 3"}, Workload: web}
	attached := run.Attachment{Server: &control.Client{URL: s.Emulator().ControlURL(), Token: s.Emulator().Token()}}
	for name, do := range map[string]func() (run.Result, error){
		"own":      func() (run.Result, error) { return s.Run(t.Context(), task) },
		"attached": func() (run.Result, error) { return attached.Run(t.Context(), task) },
	} {
		result, err := do()
		if err != nil || result.ExitCode != 3 || !result.Silent() || len(result.Findings()) != 0 {
			t.Errorf("%s: %+v, %v; expected exit code 3, and no request", name, result, err)
		}
		if !slices.ContainsFunc(result.Events, func(e journal.Event) bool { return e.Summary == "started sh" && e.Workload == "shop/web-sa" }) {
			t.Errorf("%s: the journal does not have the program's start: %v", name, result.Events)
		}
	}

	refused := errors.New("not now")
	task.Admitted = func() error { return refused }
	task.Command = []string{"sh", "-c", "exit 4"}
	if result, err := s.Run(t.Context(), task); !errors.Is(err, refused) || result.ExitCode != 0 {
		t.Errorf("a task that is not to start: %+v, %v", result, err)
	}
}

func TestAResultTellsRefusalsThatAreAlikeOnce(t *testing.T) {
	refusal := journal.Event{Kind: journal.Exchange, Outcome: journal.Denied, Code: 700213, ClientID: "c"}
	missing := journal.Event{Kind: journal.Access, Outcome: journal.Denied, Status: http.StatusNotFound, Host: "v.vault.azure.net"}
	throttled := journal.Event{Kind: journal.Access, Outcome: journal.Denied, Status: http.StatusTooManyRequests}
	escape := journal.Event{Kind: journal.Escape, Host: "example.com"}
	r := run.Result{Events: []journal.Event{refusal, escape, throttled, missing, refusal, escape}}
	for i := range r.Events {
		r.Events[i].ID = string(rune('a' + i))
	}
	var told []string
	for _, f := range r.Findings() {
		told = append(told, f.ID)
		if expected := map[string]int{"b": 2, "d": 1, "e": 2}[f.ID]; f.Times != expected {
			t.Errorf("%s: found %d times, expected %d", f.ID, f.Times, expected)
		}
	}
	if !slices.Equal(told, []string{"b", "d", "e"}) || r.Escapes() != 2 || r.Silent() || r.Unseen() {
		t.Errorf("findings %v, escapes %d, silent %v, unseen %v", told, r.Escapes(), r.Silent(), r.Unseen())
	}
	// What each operation needs is told for each; a malformed request and a challenge that
	// nobody answers are told, too.
	read := journal.Event{ID: "read", Kind: journal.Access, Outcome: journal.Denied, Status: http.StatusForbidden, Detail: map[string]string{"operation": "Get Blob"}, Remedy: "r"}
	write, bad, challenge := read, read, read
	write.ID, write.Detail = "write", map[string]string{"operation": "Put Blob"}
	bad.ID, bad.Status = "bad", http.StatusBadRequest
	challenge.ID, challenge.Status, challenge.Host, challenge.Detail = "challenge", http.StatusUnauthorized, "h", map[string]string{"challenge": "true"}
	other := read
	other.ID, other.Remedy = "other", "another role"
	for _, row := range []struct {
		name   string
		events []journal.Event
		told   string
	}{
		{"operations", []journal.Event{read, write, read, other}, "write 1, read 2, other 1"},
		{"malformed", []journal.Event{bad}, "bad 1"},
		{"a challenge, and that was all", []journal.Event{challenge, challenge}, "challenge 2"},
		{"a challenge, and a token was refused", []journal.Event{challenge, refusal}, "e 1"},
		{"a challenge, and then a token", []journal.Event{challenge, {Kind: journal.Access, Host: "h"}}, ""},
		{"a challenge, and a token elsewhere", []journal.Event{challenge, {Kind: journal.Access, Host: "i"}}, "challenge 1"},
	} {
		var told []string
		for _, f := range (run.Result{Events: row.events}).Findings() {
			told = append(told, fmt.Sprint(cmp.Or(f.ID, "e"), " ", f.Times))
		}
		if found := strings.Join(told, ", "); found != row.told {
			t.Errorf("%s: expected %q, found %q", row.name, row.told, found)
		}
	}
	if r := (run.Result{}); !r.Silent() || !r.Unseen() {
		t.Error("nothing has happened, and the result is not silent and unseen")
	}
	if r := (run.Result{Traffic: control.Traffic{Connections: 1}}); !r.Silent() || r.Unseen() {
		t.Error("a connection without a request is silent, and seen")
	}
}
