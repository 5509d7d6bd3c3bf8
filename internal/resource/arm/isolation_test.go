package arm_test

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/lab"
)

// azurerm writes the isolation scope of an identity and reads it again, in versions of the API that
// have it; an older version neither shows nor changes it.
func TestIsolationScope(t *testing.T) {
	state := t.TempDir()
	w := newWorld(t, lab.Options{Keep: true, StateDir: state})
	w.group()
	const at = identities + "/isolated"
	for _, row := range []struct{ request, body, want string }{
		{"PUT " + at + v2024, `{"location": "westeurope", "properties": {"isolationScope": "None"}}`, `"isolationScope":"None"`},
		{"PATCH " + at + v2024, `{"properties": {"isolationScope": "regional"}}`, `"isolationScope":"Regional"`},
		{"PATCH " + at + v2024, `{"tags": {"team": "blue"}, "properties": {}}`, `"isolationScope":"Regional"`},
		{"PUT " + at + "?api-version=2023-01-31", `{"location": "westeurope", "tags": {"team": "red"}}`, `"team":"red"`},
		{"GET " + at + v2024, "", `"isolationScope":"Regional"`},
		{"GET " + strings.TrimSuffix(at, "/isolated") + v2024, "", `"isolationScope":"Regional"`},
	} {
		if got := w.ask(w.terraform(), row.request, row.body); got.status >= 400 || !strings.Contains(got.body, row.want) {
			t.Errorf("%s: %d %s, want %s", row.request, got.status, got.body, row.want)
		}
	}
	if got := w.do("GET "+at+"?api-version=2023-01-31", ""); strings.Contains(got.body, "isolationScope") {
		t.Errorf("in an older version: %s", got.body)
	}
	w.Close()
	w = newWorld(t, lab.Options{Keep: true, StateDir: state})
	if got := w.do("GET "+at+v2024, ""); !strings.Contains(got.body, `"isolationScope":"Regional"`) {
		t.Errorf("after a restart: %s", got.body)
	}
	if got := w.do("PUT "+at+v2024, `{"location": "westeurope"}`); !strings.Contains(got.body, `"isolationScope":"None"`) {
		t.Errorf("a PUT without it: %s", got.body)
	}
}
