package harness

import (
	"context"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/harness/workload"
)

// Admit makes the trust in a workload whose pods run in a cluster, where the
// kubelet lays out the token file: the rule is that of Workload. It reports
// whether the trust was made; where it was not, the identity is there and its
// owners decided whom it trusts, or they removed it, or the workload has no client id. The issuer may
// be an external one, which is the cluster's own.
func (l *Lab) Admit(_ context.Context, w workload.Workload, id Identity) (made bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := config.CheckNames(w.Namespace, w.ServiceAccount); err != nil {
		return false, err
	}
	tenant, err := l.emulator.Tenant(id.Tenant)
	if err != nil {
		return false, err
	}
	d := Declared{Workload: w, Identity: id}
	l.introduce(d)
	if w.ClientID != "" && l.owned(d, tenant) {
		return false, nil
	}
	return w.ClientID != "", l.emulator.Trust(d.trusted())
}
