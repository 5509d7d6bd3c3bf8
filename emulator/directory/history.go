package directory

import (
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

// change is the federated credentials of a principal from a time on.
type change struct {
	at          time.Time // zero: always
	credentials []FederatedCredential
}

// maxChanges is how many changes of one principal are remembered.
const maxChanges = 32

// Date lets the directory remember from now on when federated credentials
// change. What it holds already counts as old.
func (d *Directory) Date(clk clock.Clock) {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.clock = clk
}

// date remembers the credentials as they are now, if they changed. Those of a
// directory without a clock are from always.
func (e *entry) date(clk clock.Clock) {
	now := e.principal.FederatedCredentials
	if clk == nil {
		e.changes = []change{{credentials: now}}
		return
	}
	if n := len(e.changes); n > 0 && slices.Equal(e.changes[n-1].credentials, now) {
		return
	}
	if len(e.changes) >= maxChanges {
		e.changes = slices.Delete(e.changes, 0, 1)
	}
	e.changes = append(e.changes, change{clk.Now(), now})
}

// FederatedCredentialsAsOf returns the federated credentials that a principal had
// at a time: what a server knows of to which later changes have not come yet. Do
// not change what it returns.
func (d *Directory) FederatedCredentialsAsOf(tenantID, clientID string, at time.Time) []FederatedCredential {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.byName[canonical(tenantID)]
	if !ok {
		return nil
	}
	e := t.byClient[canonical(clientID)]
	if e == nil {
		return nil
	}
	for _, c := range slices.Backward(e.changes) {
		if !c.at.After(at) {
			return c.credentials
		}
	}
	return nil
}
