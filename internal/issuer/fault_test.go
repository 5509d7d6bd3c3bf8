package issuer

import (
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

func TestTokensOutOfTime(t *testing.T) {
	for _, row := range []struct {
		name   string
		fault  fault.Fault
		issued time.Duration // after now
		hit    bool
	}{
		{"a good one", fault.Fault{}, 0, false},
		{"one that has expired", fault.Fault{Name: faultkind.ExpiredServiceAccountToken}, -2 * time.Hour, true},
		{"one that expired ten minutes ago", fault.Fault{Name: faultkind.ExpiredServiceAccountToken, Parameters: map[string]string{"ago": "10m"}}, -70 * time.Minute, true},
		{"one that is not valid yet", fault.Fault{Name: faultkind.EarlyServiceAccountToken}, 15 * time.Minute, true},
		{"of this workload", fault.Fault{Name: faultkind.EarlyServiceAccountToken, For: fault.Selector{Workload: namespace + "/" + account}}, 15 * time.Minute, true},
		{"of this issuer", fault.Fault{Name: faultkind.EarlyServiceAccountToken, For: fault.Selector{Issuer: testURL}}, 15 * time.Minute, true},
		{"of another workload", fault.Fault{Name: faultkind.EarlyServiceAccountToken, For: fault.Selector{Workload: namespace + "/other"}}, 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := newCluster(t, testURL, Options{})
			c.opts.Faults = faults.New(c.clock, c.journal, 1)
			if row.fault.Name != "" {
				if _, err := c.opts.Faults.Inject(row.fault); err != nil {
					t.Fatal(err)
				}
			}
			token := c.mint(t, TokenRequest{})
			if got := token.IssuedAt.Sub(c.clock.Now()); got != row.issued || token.ExpiresAt.Sub(token.IssuedAt) != time.Hour {
				t.Errorf("issued at now%+v and good for %v, want now%+v and an hour", got, token.ExpiresAt.Sub(token.IssuedAt), row.issued)
			}
			if token.Claims.IssuedAt != token.IssuedAt.Unix() || token.Claims.NotBefore != token.IssuedAt.Unix() || token.Claims.Expiry != token.ExpiresAt.Unix() {
				t.Errorf("the claims say %d, %d, %d", token.Claims.IssuedAt, token.Claims.NotBefore, token.Claims.Expiry)
			}
			if e := c.last(t); e.Kind != journal.Mint || (e.Detail[journal.DetailFault] == "f1") != row.hit {
				t.Errorf("the journal says %s %v", e.Summary, e.Detail)
			}
		})
	}
}

// The token is signed by the key before; the ones after that by the next one.
func TestTheKeyChangesWhenATokenHasBeenMinted(t *testing.T) {
	c := newCluster(t, testURL, Options{})
	c.opts.Faults = faults.New(c.clock, c.journal, 1)
	if _, err := c.opts.Faults.Inject(fault.Fault{Name: faultkind.IssuerKeyRotated, For: fault.Selector{Issuer: testURL}, Parameters: fault.Settings{"ahead": "0s"}, When: fault.Limits{Nth: 2, Count: 1}}); err != nil {
		t.Fatal(err)
	}
	first, second, third := c.mint(t, TokenRequest{}), c.mint(t, TokenRequest{}), c.mint(t, TokenRequest{})
	if first.KeyID != second.KeyID || second.KeyID == third.KeyID {
		t.Errorf("signed by %s, %s and %s", first.KeyID, second.KeyID, third.KeyID)
	}
}
