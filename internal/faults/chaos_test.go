package faults_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

func TestChaosFollowsFromItsSeed(t *testing.T) {
	if faults.Chaos(0, []string{"keyvault"}) != nil {
		t.Error("seed 0 is no chaos")
	}
	if diff := cmp.Diff(faults.Chaos(7, []string{"keyvault"}), faults.Chaos(7, []string{"keyvault"})); diff != "" {
		t.Errorf("the same seed gives another chaos:\n%s", diff)
	}
	if cmp.Equal(faults.Chaos(7, []string{"keyvault"}), faults.Chaos(8, []string{"keyvault"})) {
		t.Error("another seed gives the same chaos")
	}
}

// Whatever the seed, of four calls in a row to one service at least one is
// neither refused nor lost: that is how often azcore tries by default.
func TestChaosLetsOneOfFourCallsThrough(t *testing.T) {
	for seed := uint64(1); seed <= 200; seed++ {
		for _, part := range []string{"entra", "keyvault", "graph"} {
			s, _, _ := newSet(t, faults.Chaos(seed, []string{"keyvault"})...)
			inARow, hits := 0, 0
			for range 200 {
				if _, hit := s.Hit(faultkind.AtRequest, faults.Subject{Component: part}); !hit {
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
