//go:build !race

package tenants_test

import (
	"testing"

	"github.com/wiemu/wiemu/internal/tenants"
)

// A look-up among a hundred thousand principals allocates no more than one with a single
// principal. The race detector allocates, too, at random: it is left out here.
func TestLookupDoesNotGrow(t *testing.T) {
	one, err := tenants.New(crowd(1))
	if err != nil {
		t.Fatal(err)
	}
	d, err := tenants.New(crowd(100_000))
	if err != nil {
		t.Fatal(err)
	}
	few := testing.AllocsPerRun(100, func() { one.Principal(tenantID, crowdID(0)) })
	many := testing.AllocsPerRun(100, func() { d.Principal(tenantID, crowdID(99_999)) })
	if few != many {
		t.Errorf("a look-up makes %v allocations among 100,000 principals and %v with one", many, few)
	}
}
