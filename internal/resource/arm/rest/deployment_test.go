package rest

import (
	"encoding/json"
	"errors"
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

// A deployment that succeeds after one of its name whose end could not be kept has succeeded after a
// restart, too.
func TestADeploymentAfterOneThatCouldNotBeKept(t *testing.T) {
	m := NewManager(resource.Kit{}, nil)
	var again State // what a restart reads
	full := errors.New("no space left on device")
	var failing error
	if err := m.Restore(func(c any) error {
		if failing != nil {
			return failing
		}
		line, err := json.Marshal(c)
		if err != nil {
			return err
		}
		return again.Apply(line)
	}); err != nil {
		t.Fatal(err)
	}
	for _, status := range []string{"01", "02"} {
		d := &Deployment{ID: shop + "/providers/Microsoft.Resources/deployments/main", Scope: shop, Status: status, Shown: json.RawMessage(`{}`)}
		if active, err := m.BeginDeployment(d); active != nil || err != nil {
			t.Fatal(active, err)
		}
		if failing = full; status == "02" {
			failing = nil
		}
		if err := m.EndDeployment(d, false); !errors.Is(err, failing) {
			t.Fatal(err)
		}
		m.AbandonDeployment(d)
		failing = nil
	}
	if len(again.Begun) != 0 || len(again.Deployments) != 1 || again.Deployments[0].Status != "02" {
		t.Errorf("begun %v, ended %v", again.Begun, again.Deployments)
	}
}
