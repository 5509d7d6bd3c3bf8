package directory_test

import (
	"fmt"
	"testing"

	"github.com/wiemu/wiemu/emulator/directory"
)

func TestHundredThousand(t *testing.T) {
	d, err := directory.New(crowd(100_000))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Principal(tenantID, crowdID(99_999)); !ok {
		t.Error("the last one is not found")
	}
}

func BenchmarkPrincipal(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d, err := directory.New(crowd(n))
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
		if _, err := directory.New(tenant); err != nil {
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
