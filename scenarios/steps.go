package scenarios

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/harness/process"
)

// What a program may use.
const (
	defaultTimeout = 30 * time.Second // wall time
	maxOutput      = 1 << 20          // bytes of each stream
)

// run starts a program and waits for its end and for the emulator's.
func (st *stage) run(ctx context.Context, r *RunStep, result *Result) error {
	timeout := cmp.Or(r.Timeout, defaultTimeout)
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	args := r.Command
	if r.Shell != "" {
		args = []string{"sh", "-c", r.Shell}
	}
	if args[0] == Program {
		if st.runner.opts.Program == "" {
			return errNoProgram
		}
		args = append([]string{st.runner.opts.Program}, args[1:]...)
	}
	stdout, stderr := &output{}, &output{}
	code, err := process.Run(limited, process.Command{
		Args: args, Dir: st.dir, Env: st.environ(r), Stdout: stdout, Stderr: stderr,
	})
	*result = Result{Started: result.Started, ExitCode: code, Stdout: stdout.String(), Stderr: stderr.String()}
	result.JSON = decodeJSON(stdout.Bytes())
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return fmt.Errorf("%s took longer than %v; stdout %q, stderr %q", args[0], timeout, shorten(result.Stdout), shorten(result.Stderr))
	case err != nil:
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	// What the emulator was still writing down when the program got its answer.
	return st.lab.Clock().Advance(ctx, 0)
}

// environ is what a program is told: what the workload tells it, and the step.
func (st *stage) environ(r *RunStep) []string {
	env := st.workloads[r.Workload].Environ(st.runner.environ)
	set := func(name, value string) {
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
		env = append(env, name+"="+value)
	}
	if st.runner.opts.Program != "" {
		path := filepath.Dir(st.runner.opts.Program)
		for _, v := range env {
			if rest, ok := strings.CutPrefix(v, "PATH="); ok && rest != "" {
				path += string(os.PathListSeparator) + rest
			}
		}
		set("PATH", path)
	}
	if r.Token != "" {
		file, copied := st.copies[r.Token]
		if !copied {
			file = st.workloads[r.Token].Environment.TokenFile
		}
		set("AZURE_FEDERATED_TOKEN_FILE", file)
	}
	for name, value := range r.Env {
		set(name, value)
	}
	return env
}

// output keeps the beginning of what a program writes.
type output struct{ bytes.Buffer }

// Write takes everything and keeps what fits.
func (o *output) Write(p []byte) (int, error) {
	if room := maxOutput - o.Len(); room > 0 {
		_, _ = o.Buffer.Write(p[:min(room, len(p))]) // a bytes.Buffer does not fail
	}
	return len(p), nil
}

// decodeJSON reads an object or a list, with whole numbers as such; nil for
// anything else.
func decodeJSON(text []byte) any {
	if text = bytes.TrimSpace(text); len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil || decoder.More() {
		return nil
	}
	return wholeNumbers(v)
}

func wholeNumbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, element := range v {
			v[key] = wholeNumbers(element)
		}
	case []any:
		for i, element := range v {
			v[i] = wholeNumbers(element)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return math.Inf(1)
	}
	return v
}

// advance moves lab time, through every timer that is due on the way.
func (st *stage) advance(ctx context.Context, by time.Duration) error {
	from := st.lab.Clock().Now()
	if err := st.lab.Clock().Advance(ctx, by); err != nil {
		return err
	}
	st.lab.Journal().Record(journal.Event{
		Kind: journal.Clock, Outcome: journal.OK,
		Summary: fmt.Sprintf("lab time advanced by %v, from %s", by, from.Format(time.RFC3339)),
	})
	return nil
}

func (st *stage) rotate(ctx context.Context, k *KeyStep, result *Result) error {
	return st.onKey(k, result, func(ring *keyring.Ring) (keyring.Key, error) { return ring.Rotate(ctx) })
}

func (st *stage) publish(ctx context.Context, k *KeyStep, result *Result) error {
	return st.onKey(k, result, func(ring *keyring.Ring) (keyring.Key, error) { return ring.Publish(ctx) })
}

func (st *stage) removeKey(k *RemoveKeyStep, result *Result) error {
	return st.onKey(&k.KeyStep, result, func(ring *keyring.Ring) (keyring.Key, error) {
		key, err := choose(ring.Published(), k.Key)
		if err != nil {
			return key, err
		}
		return key, ring.Remove(key.ID)
	})
}

func (st *stage) onKey(k *KeyStep, result *Result, do func(*keyring.Ring) (keyring.Key, error)) error {
	ring, err := st.lab.Emulator().KeyRing(k.Issuer)
	if err != nil {
		return err
	}
	key, err := do(ring)
	result.Kid = key.ID
	return err
}

// choose finds the oldest key of a stage, or the one with an id.
func choose(keys []keyring.Key, which string) (keyring.Key, error) {
	stage := keyring.Stage(cmp.Or(which, string(keyring.Retired)))
	var chosen *keyring.Key
	var known []string
	for i, k := range keys {
		if (k.Stage == stage || k.ID == which) && (chosen == nil || k.PublishedAt.Before(chosen.PublishedAt)) {
			chosen = &keys[i]
		}
		known = append(known, fmt.Sprintf("%s (%s)", k.ID, k.Stage))
	}
	if chosen == nil {
		return keyring.Key{}, fmt.Errorf("expected a key that is %s, found %s", stage, strings.Join(known, ", "))
	}
	return *chosen, nil
}

// set changes the directory as an administrator would.
func (st *stage) set(s *SetStep) error {
	tenant, clientID, err := st.identity(s.Identity)
	if err != nil {
		return err
	}
	d := st.lab.Emulator().Directory()
	summary := ""
	change := func(does string, f func(*directory.Principal) error) error {
		summary = does
		return d.Update(tenant, clientID, f)
	}
	switch {
	case s.Deleted:
		summary, err = "is deleted", d.Remove(tenant, clientID)
	case s.Disabled != nil:
		err = change(fmt.Sprintf("has disabled set to %v", *s.Disabled), func(p *directory.Principal) error {
			p.Disabled = *s.Disabled
			return nil
		})
	case s.FederatedCredential != nil:
		err = change("has a federated credential changed", func(p *directory.Principal) error {
			return st.changeCredential(p, s.FederatedCredential)
		})
	case s.AddFederatedCredential != nil:
		f := *s.AddFederatedCredential
		err = change("has federated credential "+f.Name+" added", func(p *directory.Principal) error {
			p.FederatedCredentials = append(p.FederatedCredentials, directory.FederatedCredential{
				Name: f.Name, Issuer: st.issuerURL(f.Issuer), Subject: f.Subject, Audience: cmp.Or(f.Audience, directory.DefaultAudience),
			})
			return nil
		})
	case s.RemoveFederatedCredential != "":
		err = change("has federated credential "+s.RemoveFederatedCredential+" removed", func(p *directory.Principal) error {
			i, err := credential(p, s.RemoveFederatedCredential)
			if err == nil {
				p.FederatedCredentials = slices.Delete(p.FederatedCredentials, i, i+1)
			}
			return err
		})
	}
	if err != nil {
		return err
	}
	st.lab.Journal().Record(journal.Event{
		Kind: journal.Directory, Outcome: journal.OK, Tenant: tenant, ClientID: clientID, Summary: s.Identity + " " + summary,
	})
	return nil
}

func (st *stage) changeCredential(p *directory.Principal, change *CredentialChange) error {
	i, err := credential(p, change.Name)
	if err != nil {
		return err
	}
	f := &p.FederatedCredentials[i]
	if change.Issuer != "" {
		f.Issuer = st.issuerURL(change.Issuer)
	}
	f.Subject, f.Audience = cmp.Or(change.Subject, f.Subject), cmp.Or(change.Audience, f.Audience)
	return nil
}

// credential finds a federated credential by name, or the only one.
func credential(p *directory.Principal, name string) (int, error) {
	var names []string
	for i, f := range p.FederatedCredentials {
		if f.Name == name {
			return i, nil
		}
		names = append(names, f.Name)
	}
	if name == "" && len(names) == 1 {
		return 0, nil
	}
	if name == "" {
		return 0, fmt.Errorf("expected one federated credential, found %d (%s); say which by its name", len(names), strings.Join(names, ", "))
	}
	return 0, fmt.Errorf("federated credential: expected one of %s, found %q", strings.Join(names, ", "), name)
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

// identity finds who is called by the name of a workload, the name of an
// application or managed identity, or a client id.
func (st *stage) identity(name string) (tenant, clientID string, err error) {
	if w, ok := st.workloads[name]; ok {
		return w.Environment.TenantID, w.ClientID, nil
	}
	for _, t := range st.scenario.world.Tenants {
		for _, p := range st.lab.Emulator().Directory().Principals(t.ID) {
			if p.DisplayName == name || strings.EqualFold(p.ClientID, name) {
				return t.ID, p.ClientID, nil
			}
		}
	}
	return "", "", fmt.Errorf("no tenant has an identity %q any more", name)
}

// copyToken keeps the token file of a workload as it is now.
func (st *stage) copyToken(name string, c *CopyTokenStep, result *Result) error {
	file := st.workloads[c.Workload].Environment.TokenFile
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("copy the token of %s: %w", c.Workload, err)
	}
	target := filepath.Join(st.dir, "copies", name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(target), 0o700), os.WriteFile(target, content, 0o600)); err != nil {
		return fmt.Errorf("copy the token of %s: %w", c.Workload, err)
	}
	st.copies[name] = target
	result.Token, err = readToken(target)
	return err
}
