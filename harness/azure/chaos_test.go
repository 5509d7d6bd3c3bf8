package azure_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/internal/faults"
)

// A client that does what it should, azidentity with its default retries, lives
// through a day of chaos, whatever the seed, and the same seed does the same.
func TestAzureSDKsSurviveChaos(t *testing.T) {
	met := map[string]int{}
	for seed := uint64(1); seed <= 6; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			hits := chaoticDay(t, seed)
			for _, h := range hits {
				met[h]++
			}
			if seed == 3 {
				if again := chaoticDay(t, seed); !slices.Equal(hits, again) {
					t.Errorf("the same seed did\n%v\nand then\n%v", hits, again)
				}
			}
		})
	}
	for _, f := range faults.Chaos(1, []string{"keyvault"}) {
		if met[f.Name] == 0 {
			t.Errorf("no day met %s", f.Name)
		}
	}
	t.Logf("met %v", met)
}

// chaoticDay reads a secret every 20 minutes for a day, with one credential, and
// returns the faults that it met.
func chaoticDay(t *testing.T, seed uint64) (hits []string) {
	t.Helper()
	const clientID = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	synctest.Test(t, func(t *testing.T) {
		lab := harness.New(t, harness.WithConfig(config.Config{
			Chaos: seed,
			Applications: []config.Application{{Principal: config.Principal{Name: "web", ClientID: clientID, FederatedCredentials: &[]config.FederatedCredential{{
				Name: "web", Subject: "system:serviceaccount:shop:web-sa",
			}}}}},
		}))
		read := reader(t, lab, lab.Workload("shop/web-sa", harness.As(clientID)))
		for n := range 3 * 24 {
			if err := read(); err != nil {
				t.Fatalf("read %d: %v", n, err)
			}
			time.Sleep(20 * time.Minute)
		}
		for _, e := range lab.Journal().All(journal.Event{}) {
			switch {
			case e.Kind == journal.Fault && e.Detail["action"] == "hit":
				hits = append(hits, e.Detail["name"])
			case e.Kind == journal.KeyRotation && e.Outcome == journal.Failed:
				t.Errorf("event %s: %s", e.ID, e.Summary)
			case e.Outcome == journal.Denied && e.Detail["fault"] == "" && e.Detail["challenge"] == "":
				t.Errorf("event %s is refused by no fault: %s", e.ID, e.Summary)
			}
		}
	})
	return hits
}
