package draft_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/draft"
	"github.com/wiemu/wiemu/internal/recording"
)

var update = flag.Bool("update", false, "write the golden files")

// read is the day of package recording: a rotation, an old assertion, an old
// access token.
func read(t *testing.T) *recording.Recording {
	t.Helper()
	file := filepath.Join("..", "..", "internal", "recording", "testdata", "day.wiemu.json")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := recording.Parse(file, data)
	if err != nil {
		t.Fatal(err)
	}
	return recorded
}

func TestADay(t *testing.T) {
	got, err := draft.From(read(t), "day")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/day.yaml"
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("not as in %s (go test ./internal/draft -update):\n%s", golden, got)
	}
}

// What was done to a lab becomes steps, and what no step says a comment.
func TestSteps(t *testing.T) {
	for name, test := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"a rotation":                {"POST", "/v1/keys/entra/rotate", "", 200, "- rotate: {issuer: entra}"},
		"a key that does not sign":  {"POST", "/v1/keys/local/publish", "", 200, "- publish: {issuer: local}"},
		"a key that goes":           {"POST", "/v1/keys/local/remove", `{"key":"retired"}`, 200, "- removeKey: {issuer: local, key: retired}"},
		"a key by its id":           {"POST", "/v1/keys/local/remove", `{"key":"{{key local 1}}"}`, 200, "# not drafted: input 2, POST /v1/keys/local/remove: a step names a key by its stage"},
		"a wrong clock":             {"POST", "/v1/clock/skew", `{"part":"entra","by":"-10m"}`, 200, `- skew: {part: entra, by: "-10m"}`},
		"a move":                    {"POST", "/v1/workloads/move", `{"namespace":"shop","serviceAccount":"web-sa","issuer":"local","atNextRefresh":true}`, 200, "- moveWorkload: {workload: web, issuer: local, atNextRefresh: true}"},
		"a fault":                   {"POST", "/v1/faults", `{"name":"throttled","when":{"count":2}}`, 200, `- name: fault_f1` + "\n" + `    fault: {"name":"throttled","when":{"count":2}}`},
		"a fault now and then":      {"POST", "/v1/faults", `{"name":"throttled","when":{"probability":0.5}}`, 200, `"when":{"probability":0.5,"seed":`},
		"no faults any more":        {"DELETE", "/v1/faults", "", 200, "- clearFault: all"},
		"a fault that nobody knows": {"DELETE", "/v1/faults/f9", "", 200, "# not drafted: input 2, DELETE /v1/faults/f9: the fault was there from the start"},
		"a token by command":        {"POST", "/v1/tokens", "{}", 200, "# not drafted: input 2, POST /v1/tokens: there is no step for it"},
		"what was refused":          {"POST", "/v1/keys/nobody/rotate", "", 404, "# not drafted: input 2, POST /v1/keys/nobody/rotate: it was refused"},
		"lines in what was sent":    {"POST", "/v1/x\n- expect: []", "", 200, "# not drafted: input 2, POST /v1/x: there is no step for it"},
	} {
		t.Run(name, func(t *testing.T) {
			recorded := read(t)
			recorded.Inputs = append(recorded.Inputs[:1:1], recording.Input{
				ID: 2, At: recording.Since(time.Minute), Endpoint: "control", Method: test.method, Path: test.path, Body: test.body, Outcome: recording.Outcome{Status: test.status},
			})
			got, err := draft.From(recorded, "steps")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(got), test.want) {
				t.Errorf("expected %s in\n%s", test.want, got)
			}
		})
	}
}

// A fault that a step began is ended by the step's name.
func TestFaultsEnd(t *testing.T) {
	recorded := read(t)
	control := func(id int, method, path, body string) recording.Input {
		return recording.Input{ID: id, Endpoint: "control", Method: method, Path: path, Body: body, Outcome: recording.Outcome{Status: 200}}
	}
	recorded.Inputs = []recording.Input{recorded.Inputs[0], control(2, "POST", "/v1/faults", `{"name":"throttled"}`), control(3, "DELETE", "/v1/faults/f1", "")}
	got, err := draft.From(recorded, "faults")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got), "- clearFault: fault_f1") {
		t.Errorf("%s", got)
	}
}

// What went wrong from the start does so in the scenario.
func TestFaultsFromTheStart(t *testing.T) {
	recorded := read(t)
	recorded.State.Faults = []fault.Fault{{Name: "throttled", When: fault.Limits{Probability: 0.1, Seed: 5}}}
	got, err := draft.From(recorded, "faults")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(got), "\nfaults:\n  - name: throttled\n") {
		t.Errorf("%s", got)
	}
}
