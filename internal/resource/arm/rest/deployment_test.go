package rest

import (
	"encoding/json"
	"testing"

	"github.com/wiemu/wiemu/internal/resource"
)

const shop = "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/shop"

// While another deployment is under way, the end of one cuts nothing that may have come of that one.
func TestWhatIsCutWhileOthersAreUnderWay(t *testing.T) {
	m := NewManager(resource.Kit{}, nil)
	begin := func(status string) *Deployment {
		d := &Deployment{ID: shop + "/providers/Microsoft.Resources/deployments/d" + status, Scope: shop, Status: status, Template: make(json.RawMessage, maxHistory/2)}
		if active, err := m.BeginDeployment(d); active != nil || err != nil {
			t.Fatal(active, err)
		}
		return d
	}
	end := func(d *Deployment, ofAnother bool) {
		if err := m.EndDeployment(d, ofAnother); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(want string) {
		t.Helper()
		ended, got := m.state.Deployments, ""
		for _, d := range ended {
			got += d.Status
		}
		if got != want {
			t.Errorf("there are %s, not %s", got, want)
		}
	}
	end(begin("1"), false)
	outer := begin("2")
	for _, status := range []string{"3", "4", "5"} {
		end(begin(status), true)
	}
	expect("1345")
	end(begin("6"), false)
	expect("3456")
	end(outer, false)
	expect("62")
}
