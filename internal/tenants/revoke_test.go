package tenants_test

import (
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/tenants"
)

func TestWhichTokensARevocationIsAbout(t *testing.T) {
	const tenant, client = "11111111-1111-4111-8111-111111111111", "aaaaaaaa-0000-4000-8000-000000000001"
	d, err := tenants.New(directory.Tenant{ID: tenant, Principals: []directory.Principal{{Kind: directory.Application, ClientID: client}}})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2031, 3, 4, 5, 6, 7, 300, time.UTC)
	issue := func(uti string, at time.Time) (issuedAt time.Time) {
		p, _ := d.Principal(tenant, client)
		d.Issued(tenant, p, uti, at)
		return at.Add(-tenants.BackDated).Truncate(time.Second)
	}
	revoked := func(uti string, issuedAt time.Time) bool {
		p, _ := d.Revocation(tenant, client, uti, issuedAt)
		return p != nil
	}

	before := issue("before", now)
	if revoked("before", before) {
		t.Error("a token is revoked without a revocation")
	}
	for round, everywhere := range []bool{false, true} {
		if err := d.Revoke(tenant, client, now, everywhere); err != nil {
			t.Fatal(err)
		}
		after, later := issue("after", now), issue("later", now.Add(time.Minute))
		if !revoked("before", before) || revoked("after", after) || revoked("later", later) {
			t.Errorf("round %d: before %v, in the same second %v, later %v", round, revoked("before", before), revoked("after", after), revoked("later", later))
		}
		if p, all := d.Revocation(tenant, client, "before", before); all != everywhere || !p.TokensValidFrom.Equal(now) {
			t.Errorf("%v, %+v", all, p)
		}
		now = now.Add(time.Hour)
		if err := d.Revoke(tenant, client, now, everywhere); err != nil {
			t.Fatal(err)
		}
		if !revoked("after", after) || !revoked("later", later) {
			t.Error("the next revocation is not about them")
		}
		now = now.Add(time.Hour)
	}
	for _, who := range [][2]string{{tenant, "aaaaaaaa-0000-4000-8000-000000000002"}, {"nowhere", client}} {
		if p, _ := d.Revocation(who[0], who[1], "x", before); p != nil {
			t.Error("somebody else's tokens are revoked")
		}
	}

	// A weaker revocation takes none back that was for all resources, and is for no more
	// tokens than before everywhere.
	everywhere := func(uti string, issuedAt time.Time) bool {
		_, all := d.Revocation(tenant, client, uti, issuedAt)
		return all
	}
	old := issue("old", now.Add(-time.Hour))
	if err := d.Revoke(tenant, client, now, true); err != nil {
		t.Fatal(err)
	}
	between := issue("between", now)
	now = now.Add(time.Hour)
	if err := d.Revoke(tenant, client, now, false); err != nil {
		t.Fatal(err)
	}
	last := issue("last", now)
	if !everywhere("old", old) || !revoked("between", between) || everywhere("between", between) || revoked("last", last) {
		t.Errorf("old everywhere %v; between %v, everywhere %v; last %v", everywhere("old", old), revoked("between", between), everywhere("between", between), revoked("last", last))
	}
}
