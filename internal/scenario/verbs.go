package scenario

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/scenario/condition"
	"github.com/wiemu/wiemu/internal/session"
)

// A verb is one kind of step, with everything about it besides its field of [Step].
type verb struct {
	name        string
	given       func(*Step) bool
	check       func(c *checker, field string, s *Step) // if nil, there is nothing to check
	do          func(r *run, ctx context.Context, s *Step, result *condition.Result) error
	results     []string // which fields of its result it sets, besides those that every step does
	anyResult   bool     // it may set any field, so that conditions are not checked for them
	limitations []limitation
}

// A limitation is what a backend cannot do for a step.
type limitation struct {
	backend string
	applies func(*Step) bool // if nil, it always applies
	reason  string           // % stands for the step
}

// verbs is the table of what steps can be, in the order in which messages list it.
func verbs() []verb {
	output := []string{"exitCode", "stdout", "stderr", "json", "lines"}
	movesTime := []limitation{{OnKind, nil, "time in a cluster is real, and this scenario moves it (%)"}}
	return []verb{
		{
			name:  "run",
			given: func(s *Step) bool { return s.Run != nil }, check: (*checker).run, do: (*run).runProgram, results: output,
		},
		{
			name:  "start",
			given: func(s *Step) bool { return s.Start != nil }, check: (*checker).start, do: (*run).start,
			results: []string{"exitCode", "running", "stdout", "stderr", "json", "lines"},
		},
		{
			name:  "stop",
			given: func(s *Step) bool { return s.Stop != nil }, check: (*checker).stop, do: (*run).stop, results: output,
		},
		{
			name:  "advance",
			given: func(s *Step) bool { return s.Advance != nil }, check: (*checker).advance,
			do: func(r *run, ctx context.Context, s *Step, _ *condition.Result) error {
				return second(r.control.Advance(ctx, s.Advance.String()))
			},
			limitations: movesTime,
		},
		{
			name:  "setClock",
			given: func(s *Step) bool { return s.SetClock != nil }, check: (*checker).setClock,
			do: func(r *run, ctx context.Context, s *Step, _ *condition.Result) error {
				return second(r.control.Set(ctx, s.SetClock.Format(time.RFC3339Nano)))
			},
			limitations: movesTime,
		},
		{
			name:  "speed",
			given: func(s *Step) bool { return s.Speed != nil }, check: (*checker).speed,
			do: func(r *run, ctx context.Context, s *Step, _ *condition.Result) error {
				return second(r.control.SetSpeed(ctx, *s.Speed))
			},
			limitations: movesTime,
		},
		{
			name:  "freeze",
			given: func(s *Step) bool { return s.Freeze },
			do: func(r *run, ctx context.Context, _ *Step, _ *condition.Result) error {
				return second(r.control.Freeze(ctx))
			},
			limitations: movesTime,
		},
		{
			name:  "skew",
			given: func(s *Step) bool { return s.Skew != nil }, check: (*checker).skew,
			do: func(r *run, ctx context.Context, s *Step, _ *condition.Result) error {
				return second(r.control.Skew(ctx, s.Skew.Part, s.Skew.By.String()))
			},
			limitations: []limitation{{OnKind, skewsCluster, "the clock of a cluster is its node's, and this scenario lets it go wrong (%)"}},
		},
		{
			name:  "rotate",
			given: func(s *Step) bool { return s.Rotate != nil },
			check: func(c *checker, field string, s *Step) { c.keyRing(field, s.Rotate.Issuer) },
			do: func(r *run, ctx context.Context, s *Step, result *condition.Result) error {
				return keyOf(result)(r.control.Rotate(ctx, r.keyRing(s.Rotate)))
			},
			results: []string{"kid"},
		},
		{
			name:  "publish",
			given: func(s *Step) bool { return s.Publish != nil },
			check: func(c *checker, field string, s *Step) { c.keyRing(field, s.Publish.Issuer) },
			do: func(r *run, ctx context.Context, s *Step, result *condition.Result) error {
				return keyOf(result)(r.control.Publish(ctx, r.keyRing(s.Publish)))
			},
			results: []string{"kid"},
		},
		{
			name:  "removeKey",
			given: func(s *Step) bool { return s.RemoveKey != nil }, check: (*checker).removeKey,
			do: func(r *run, ctx context.Context, s *Step, result *condition.Result) error {
				return keyOf(result)(r.control.RemoveKey(ctx, r.keyRing(&s.RemoveKey.KeyStep), s.RemoveKey.Key))
			},
			results: []string{"kid"},
		},
		{
			name:  "set",
			given: func(s *Step) bool { return s.Set != nil }, check: (*checker).set, do: (*run).changeDirectory,
		},
		{
			name:  "revoke",
			given: func(s *Step) bool { return s.Revoke != nil },
			check: func(c *checker, field string, s *Step) { c.identity(field+".identity", s.Revoke.Identity) }, do: (*run).revoke,
		},
		{
			name:  "assignRole",
			given: func(s *Step) bool { return s.AssignRole != nil },
			check: func(c *checker, field string, s *Step) { c.role(field, s.AssignRole) },
			do: func(r *run, ctx context.Context, s *Step, _ *condition.Result) error {
				return second(r.control.AssignRole(ctx, r.roleChange(s.AssignRole)))
			},
		},
		{
			name:  "removeRole",
			given: func(s *Step) bool { return s.RemoveRole != nil },
			check: func(c *checker, field string, s *Step) { c.role(field, s.RemoveRole) },
			do: func(r *run, ctx context.Context, s *Step, _ *condition.Result) error {
				return second(r.control.RemoveRole(ctx, r.roleChange(s.RemoveRole)))
			},
		},
		{
			name:  "copyToken",
			given: func(s *Step) bool { return s.CopyToken != nil }, check: (*checker).copyToken, do: (*run).copyToken,
			results: []string{"token"},
		},
		{
			name:  "moveWorkload",
			given: func(s *Step) bool { return s.MoveWorkload != nil }, check: (*checker).moveWorkload, do: (*run).moveWorkload,
			limitations: []limitation{{OnKind, nil, "a cluster has one issuer, and this scenario moves a workload to another (%)"}},
		},
		{
			name:  "blob",
			given: func(s *Step) bool { return s.Blob != nil }, check: (*checker).blob, do: (*run).blob,
			results: []string{"stdout"},
		},
		{
			name:  "fault",
			given: func(s *Step) bool { return s.Fault != nil },
			check: func(c *checker, field string, s *Step) { c.fault(field, s.Fault) }, do: (*run).inject,
			results: []string{"fault"},
			limitations: []limitation{
				{OnKind, func(s *Step) bool { return hitsAt(s.Fault, faultkind.AtMint) }, breaksClaims},
				{OnKind, func(s *Step) bool { return hitsAt(s.Fault, tokenFilePoints...) }, breaksTokenFiles},
			},
		},
		{
			name:  "clearFault",
			given: func(s *Step) bool { return s.ClearFault != "" }, check: (*checker).clearFault, do: (*run).clearFault,
			anyResult: true,
		},
		{
			name:  "expect",
			given: func(s *Step) bool { return s.Expect != nil }, check: (*checker).expect, do: (*run).expect,
		},
	}
}

// second is for calls whose first result nothing needs.
func second[T any](_ T, err error) error { return err }

// skewsCluster reports whether a clock is skewed that is the cluster's own on kind.
func skewsCluster(s *Step) bool {
	return s.Skew.Part != clock.Entra && s.Skew.Part != clock.Resources
}

// verbOf returns what a step is; ok is false if it is nothing, or several things at once.
func verbOf(s *Step) (v verb, ok bool) {
	given := slices.DeleteFunc(verbs(), func(v verb) bool { return !v.given(s) })
	if len(given) != 1 {
		return verb{}, false
	}
	return given[0], true
}

func verbNamed(name string) (verb, bool) {
	all := verbs()
	i := slices.IndexFunc(all, func(v verb) bool { return v.name == name })
	if i < 0 {
		return verb{}, false
	}
	return all[i], true
}

func (r *run) keyRing(k *KeyStep) string {
	for _, i := range r.scenario.lab.Issuers {
		if k.Issuer == "" && !i.External {
			return i.Name
		}
	}
	return k.Issuer
}

// keyOf puts the key that a change of a key ring returns into the step's result.
func keyOf(result *condition.Result) func(control.KeyStatus, error) error {
	return func(key control.KeyStatus, err error) error {
		result.Kid = key.ID
		return err
	}
}

// copyToken keeps the token file of a workload as it is now.
func (r *run) copyToken(ctx context.Context, s *Step, result *condition.Result) error {
	c := s.CopyToken
	content, err := r.workloads[c.Workload].Token(ctx)
	if err == nil && content == nil {
		err = errors.New("it has no token file")
	}
	if err != nil {
		return fmt.Errorf("copy the token of %s: %w", c.Workload, err)
	}
	r.copies[s.Name] = content
	result.Token, err = condition.ParseToken(content)
	return err
}

// moveWorkload lets another issuer mint the tokens of a workload.
func (r *run) moveWorkload(ctx context.Context, s *Step, _ *condition.Result) error {
	m := s.MoveWorkload
	a := r.scenario.workload(m.Workload)
	_, err := session.Move(ctx, r.control, session.Moving{
		Namespace: a.Namespace, ServiceAccount: a.ServiceAccount, Issuer: m.Issuer, AtNextRefresh: m.AtNextRefresh, Only: &a.Spec,
	})
	return err
}

// workload returns the workload of a name, one without a name if there is none.
func (s *Scenario) workload(name string) namedSpec {
	for _, a := range s.specs {
		if a.name == name {
			return a
		}
	}
	return namedSpec{}
}

func (r *run) revoke(ctx context.Context, step *Step, _ *condition.Result) error {
	change := control.DirectoryChange{Identity: step.Revoke.Identity, Revoked: true, Everywhere: step.Revoke.Everywhere}
	r.resolve(&change)
	_, err := r.control.ChangeDirectory(ctx, change)
	return err
}

// roleChange is what a step about roles asks for.
func (r *run) roleChange(s *RoleStep) control.RoleChange {
	identity := control.DirectoryChange{Identity: s.Identity}
	r.resolve(&identity)
	return control.RoleChange{Tenant: identity.Tenant, Identity: identity.Identity, Role: s.Role, Scope: s.Scope}
}

// blob does a blob step; what it reads is the result's standard output.
func (r *run) blob(ctx context.Context, step *Step, result *condition.Result) error {
	b := step.Blob
	var found controlapi.Blob
	err := r.control.Do(ctx, http.MethodPost, controlapi.BlobPath, controlapi.BlobRequest{Account: b.Account, Container: b.Container, Name: b.Name, Put: b.Put}, &found)
	if err != nil {
		return err
	}
	if b.Expect != nil && *b.Expect != found.Text {
		return fmt.Errorf("blob %s/%s of storage account %s: expected the text %q, found %q", b.Container, b.Name, b.Account, *b.Expect, found.Text)
	}
	if b.Put == nil {
		result.Stdout = found.Text
	}
	return nil
}

// resolve replaces the name of a workload by its identity.
func (r *run) resolve(change *control.DirectoryChange) {
	if a := r.scenario.workload(change.Identity); a.name != "" {
		change.Tenant, change.Identity = cmp.Or(a.Tenant, r.scenario.lab.Tenants[0].ID), a.ClientID
	}
}

// changeDirectory does a set step, as an administrator would.
func (r *run) changeDirectory(ctx context.Context, step *Step, _ *condition.Result) error {
	s := step.Set
	change := control.DirectoryChange{
		Identity: s.Identity, RemoveFederatedCredential: s.RemoveFederatedCredential, Disabled: s.Disabled, Deleted: s.Deleted,
	}
	r.resolve(&change)
	if f := s.FederatedCredential; f != nil {
		change.FederatedCredential = &directory.FederatedCredential{Name: f.Name, Subject: f.Subject, Audience: f.Audience}
		if f.Issuer != "" {
			change.FederatedCredential.Issuer = r.issuerURL(f.Issuer)
		}
	}
	if f := s.AddFederatedCredential; f != nil {
		change.AddFederatedCredential = &directory.FederatedCredential{Name: f.Name, Issuer: r.issuerURL(f.Issuer), Subject: f.Subject, Audience: f.Audience}
	}
	_, err := r.control.ChangeDirectory(ctx, change)
	return err
}

// issuerURL resolves the name of an issuer; a URL stands for itself.
func (r *run) issuerURL(name string) string {
	for _, i := range r.scenario.lab.Issuers {
		if i.Name == name || name == "" {
			return i.URL
		}
	}
	return name
}

// faultSeed is the default seed of faults, fixed so that runs are the same.
const faultSeed = 1

func (r *run) inject(ctx context.Context, s *Step, result *condition.Result) error {
	injected, err := r.control.Inject(ctx, *s.Fault)
	if result.Fault = injected.ID; err == nil && s.Name != "" {
		r.faults[s.Name] = injected.ID
	}
	return err
}

func (r *run) missed(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*closing)
	defer cancel()
	faults, err := r.control.Faults(ctx)
	if err != nil {
		return err
	}
	r.note(faults.Active)
	return nil
}

// note notes those of some faults that have hit nothing.
func (r *run) note(active []fault.Active) {
	for _, a := range faults.Missed(active) {
		r.outcome.Notes = append(r.outcome.Notes, a.MissReason())
	}
}

// clearFault ends the fault of a step, those of a kind, or all.
func (r *run) clearFault(ctx context.Context, s *Step, _ *condition.Result) error {
	which := s.ClearFault
	faults, err := r.control.Faults(ctx)
	if err != nil {
		return err
	}
	id, named := r.faults[which]
	for _, a := range faults.Active {
		if which == all || named && a.ID == id || !named && a.Name == which {
			r.note([]fault.Active{a})
			if err := r.control.Clear(ctx, a.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
