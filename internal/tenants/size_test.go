package tenants_test

import (
	"fmt"
	"testing"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/tenants"
)

// Everybody is found in a directory of a hundred thousand.
func TestHundredThousand(t *testing.T) {
	d, err := tenants.New(crowd(100_000))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 50_000, 99_999} {
		p, ok := d.Principal(tenantID, crowdID(i))
		if !ok || p.ClientID != crowdID(i) {
			t.Errorf("expected %s, found %v", crowdID(i), p)
			continue
		}
		if byObject, ok := d.PrincipalByObjectID(tenantID, p.ObjectID); !ok || byObject.ClientID != p.ClientID {
			t.Errorf("object id %s: expected %s, found %v", p.ObjectID, p.ClientID, byObject)
		}
	}
	if p, ok := d.Principal(tenantID, crowdID(100_000)); ok {
		t.Errorf("found %v, which is not there", p)
	}
	if found := len(d.Principals(tenantID)); found != 100_000 {
		t.Errorf("expected 100000 principals, found %d", found)
	}
}

func BenchmarkPrincipal(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d, err := tenants.New(crowd(n))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			id := crowdID(n - 1)
			for b.Loop() {
				if _, ok := d.Principal(tenantID, id); !ok {
					b.Fatal("not found")
				}
			}
		})
	}
}

func BenchmarkNew100k(b *testing.B) {
	tenant := crowd(100_000)
	for b.Loop() {
		if _, err := tenants.New(tenant); err != nil {
			b.Fatal(err)
		}
	}
}

func crowd(n int) directory.Tenant {
	all := directory.Tenant{ID: tenantID, Principals: make([]directory.Principal, n)}
	for i := range all.Principals {
		all.Principals[i] = directory.Principal{Kind: directory.Application, ClientID: crowdID(i), FederatedCredentials: trusts(1)}
	}
	return all
}

func crowdID(i int) string { return fmt.Sprintf("dddddddd-0000-4000-8000-%012d", i) }
