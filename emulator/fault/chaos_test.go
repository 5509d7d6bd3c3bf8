package fault_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/emulator/fault"
)

func TestChaosFollowsFromItsSeed(t *testing.T) {
	if fault.Chaos(0) != nil {
		t.Error("seed 0 is no chaos")
	}
	if diff := cmp.Diff(fault.Chaos(7), fault.Chaos(7)); diff != "" {
		t.Errorf("the same seed gives another chaos:\n%s", diff)
	}
	if cmp.Equal(fault.Chaos(7), fault.Chaos(8)) {
		t.Error("another seed gives the same chaos")
	}
}

// Whatever the seed, of four calls in a row to one service at least one is
// neither refused nor lost: that is how often azcore tries by default.
func TestChaosLetsOneOfFourCallsThrough(t *testing.T) {
	for seed := uint64(1); seed <= 200; seed++ {
		for _, part := range []string{"entra", "keyvault", "graph"} {
			s, _, _ := newSet(t, fault.Chaos(seed)...)
			inARow, hits := 0, 0
			for range 200 {
				if _, hit := s.Hit(fault.AtRequest, fault.Subject{Part: part}); !hit {
					inARow = 0
					continue
				}
				if hits++; part == "graph" {
					t.Fatalf("seed %d: a fault for everybody", seed)
				}
				if inARow++; inARow == 4 {
					t.Fatalf("seed %d: four calls in a row to %s go wrong", seed, part)
				}
			}
			if part != "graph" && hits < 20 {
				t.Errorf("seed %d: only %d of 200 calls to %s go wrong", seed, hits, part)
			}
		}
	}
}
