package scenarios

import (
	"context"
	"errors"
	"fmt"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/harness"
)

// ring is the name of the key ring that a step is about.
func (st *stage) ring(k *KeyStep) string {
	for _, i := range st.scenario.world.Issuers {
		if k.Issuer == "" && !i.External {
			return i.Name
		}
	}
	return k.Issuer
}

// onKey takes what a change of a key ring answers.
func (st *stage) onKey(result *Result) func(control.KeyStatus, error) error {
	return func(key control.KeyStatus, err error) error {
		result.Kid = key.ID
		return err
	}
}

// copyToken keeps the token file of a workload as it is now.
func (st *stage) copyToken(ctx context.Context, name string, c *CopyTokenStep, result *Result) error {
	content, err := st.workloads[c.Workload].Token(ctx)
	if err == nil && content == nil {
		err = errors.New("it has no token file")
	}
	if err != nil {
		return fmt.Errorf("copy the token of %s: %w", c.Workload, err)
	}
	st.copies[name] = content
	result.Token, err = parseToken(content)
	return err
}

// moveWorkload lets another issuer mint the tokens of a workload.
func (st *stage) moveWorkload(ctx context.Context, m *MoveWorkloadStep) error {
	a := st.actor(m.Workload)
	_, err := harness.MoveAttached(ctx, st.control, harness.Moving{
		Namespace: a.Workload.Namespace, ServiceAccount: a.Workload.ServiceAccount, Issuer: m.Issuer, AtNextRefresh: m.AtNextRefresh, Only: &a.Declared,
	})
	return err
}

// actor is the workload with a name.
func (st *stage) actor(name string) actor {
	for _, a := range st.scenario.actors {
		if a.name == name {
			return a
		}
	}
	return actor{}
}

// set changes the directory as an administrator would.
func (st *stage) set(ctx context.Context, s *SetStep) error {
	change := control.DirectoryChange{
		Identity: s.Identity, RemoveFederatedCredential: s.RemoveFederatedCredential, Disabled: s.Disabled, Deleted: s.Deleted,
	}
	if a := st.actor(s.Identity); a.name != "" {
		change.Tenant, change.Identity = a.Identity.Tenant, a.Workload.ClientID
		if change.Tenant == "" {
			change.Tenant = st.scenario.world.Tenants[0].ID
		}
	}
	if f := s.FederatedCredential; f != nil {
		change.FederatedCredential = &directory.FederatedCredential{Name: f.Name, Subject: f.Subject, Audience: f.Audience}
		if f.Issuer != "" {
			change.FederatedCredential.Issuer = st.issuerURL(f.Issuer)
		}
	}
	if f := s.AddFederatedCredential; f != nil {
		change.AddFederatedCredential = &directory.FederatedCredential{Name: f.Name, Issuer: st.issuerURL(f.Issuer), Subject: f.Subject, Audience: f.Audience}
	}
	_, err := st.control.ChangeDirectory(ctx, change)
	return err
}

// issuerURL resolves the name of an issuer; a URL stands for itself.
func (st *stage) issuerURL(name string) string {
	for _, i := range st.scenario.world.Issuers {
		if i.Name == name || name == "" {
			return i.URL
		}
	}
	return name
}

// faultSeed decides about faults with a probability that name no seed. It is
// fixed, so that two runs are the same.
const faultSeed = 1

// inject lets something go wrong.
func (st *stage) inject(ctx context.Context, s *Step, result *Result) error {
	injected, err := st.control.Inject(ctx, *s.Fault)
	if result.Fault = injected.ID; err == nil && s.Name != "" {
		st.faults[s.Name] = injected.ID
	}
	return err
}

// missed notes the faults that have hit nothing.
func (st *stage) missed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*closing)
	defer cancel()
	faults, err := st.control.Faults(ctx)
	if err != nil {
		return err
	}
	st.note(faults.Active)
	return nil
}

// note notes those of some faults that have hit nothing.
func (st *stage) note(faults []fault.Active) {
	for _, a := range fault.Missed(faults) {
		st.outcome.Notes = append(st.outcome.Notes, a.Miss())
	}
}

// clearFault ends the fault of a step, those of a kind, or all.
func (st *stage) clearFault(ctx context.Context, which string) error {
	faults, err := st.control.Faults(ctx)
	if err != nil {
		return err
	}
	id, named := st.faults[which]
	for _, a := range faults.Active {
		if which == all || named && a.ID == id || !named && a.Name == which {
			st.note([]fault.Active{a})
			if err := st.control.Clear(ctx, a.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
