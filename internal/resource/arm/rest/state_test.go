package rest

import (
	"encoding/json"
	"testing"

	"github.com/wiemu/wiemu/internal/resource"
)

// What an older version stored twice is there once, as it was last, and gone when it is deleted.
func TestWhatWasStoredTwice(t *testing.T) {
	m := NewManager(resource.Kit{}, nil)
	twice := []byte(`{"groups": [{"id": "` + shop + `", "name": "shop", "location": "westeurope"}, {"id": "` + shop + `", "name": "shop", "location": "westeurope", "tags": {"a": "b"}}],
		"resources": [{"id": "` + shop + `/providers/A.B/c/d", "name": "d", "tenant": "11111111-1111-4111-8111-111111111111"}, {"id": "` + shop + `/providers/A.B/c/d", "name": "d", "tenant": "11111111-1111-4111-8111-111111111111", "location": "westus"}]}`)
	if err := json.Unmarshal(twice, m.State()); err != nil {
		t.Fatal(err)
	}
	if err := m.Restore(nil); err != nil {
		t.Fatal(err)
	}
	if s := m.state; len(s.Groups) != 1 || s.Groups[0].Tags["a"] != "b" || len(s.Resources) != 1 || s.Resources[0].Location != "westus" {
		t.Errorf("%v %v", s.Groups, s.Resources)
	}
	if err := m.change(change{GroupRemoved: "/subscriptions/11111111-1111-4111-8111-111111111111/resourcegroups/shop"}); err != nil || len(m.state.Groups) != 0 {
		t.Errorf("%v %v", err, m.state.Groups)
	}
}
