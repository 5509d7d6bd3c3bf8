// Package draft makes a first version of a scenario out of a recorded session. It
// knows what a session and a scenario are, and runs neither.
//
// A session has the requests of programs, a scenario the programs. So each token
// request becomes a run of wiemu-workload that asks for the same thing as the same
// workload, with the token that was presented then: the one in its file, or a copy
// of an older one. What was answered becomes expectations. What moved the clock,
// keys, faults and workloads becomes steps. What no step expresses is said in a
// comment where it happened. Somebody who knows what the session was about then
// puts the real program in the place of wiemu-workload.
package draft

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/recording"
	"github.com/wiemu/wiemu/scenarios"
)

// From drafts a scenario with that name. What it returns is a file that loads.
func From(r *recording.Recording, name string) ([]byte, error) {
	d := &drafter{recorded: r, tokens: map[string]recording.Token{}, names: map[string]string{}, faults: map[string]string{}, again: map[string]*reuse{}}
	for _, t := range r.Tokens {
		d.tokens[t.ID] = t
	}
	if err := d.people(); err != nil {
		return nil, err
	}
	d.happenings()
	text, err := d.write(name)
	if err != nil {
		return nil, err
	}
	if _, err := scenarios.Parse(name+".yaml", text); err != nil {
		return nil, fmt.Errorf("draft a scenario: what came of it does not load, which is a defect of wiemu: %w", err)
	}
	return text, nil
}

// drafter is a scenario in the making.
type drafter struct {
	recorded *recording.Recording
	tokens   map[string]recording.Token
	config   config.Config
	actors   []config.Workload
	names    map[string]string // of workloads: by namespace/service account and client id
	wrong    []fault.Fault     // from the start
	faults   map[string]string // names of steps, by the id that the fault had
	again    map[string]*reuse // by the header with the access token
	steps    []step
	runs     int
}

// step is a step with the lab time at which it happens.
type step struct {
	at    recording.Since
	lines []string
	reuse *reuse // instead of lines
}

// isRemark reports whether nothing happens.
func (s step) isRemark() bool {
	return s.reuse != nil || strings.HasPrefix(s.lines[0], "#")
}

func (d *drafter) add(at recording.Since, format string, args ...any) {
	d.steps = append(d.steps, step{at: at, lines: strings.Split(fmt.Sprintf(format, args...), "\n")})
}

func (d *drafter) remark(at recording.Since, in recording.Input, why string) {
	d.add(at, "# not drafted: input %d, %s %s: %s", in.ID, in.Method, firstLine(in.Host+in.Path), firstLine(why))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	line, _, _ = strings.Cut(line, "?")
	return strings.TrimSpace(line)
}

// people are the workloads: declared ones, which their identities trust, and those
// that ran without being declared, which an identity that has owners does not.
func (d *drafter) people() error {
	d.config = d.recorded.State.Config
	d.config.Faults, d.config.Chaos = nil, 0
	for _, f := range slices.Concat(d.recorded.State.Config.Faults, d.recorded.State.Faults) {
		d.wrong = append(d.wrong, d.seeded(f))
	}
	d.config.APIVersion, d.config.Kind = "", ""
	declared := slices.Clone(d.recorded.State.Declared)
	var strangers []harness.Declared
	for _, in := range d.recorded.Inputs {
		if in.Door != emulator.ControlDoor || in.Path != "/v1/workloads" || in.Outcome.Status >= 400 {
			continue
		}
		var asked struct {
			harness.Declared
			Beside []harness.Declared `json:"beside"`
		}
		if err := json.Unmarshal([]byte(in.Body), &asked); err != nil {
			return fmt.Errorf("input %d: expected a workload in JSON: %w", in.ID, err)
		}
		declared = append(declared, asked.Beside...)
		if !slices.ContainsFunc(declared, func(k harness.Declared) bool { return same(k, asked.Declared) }) {
			strangers = append(strangers, asked.Declared)
			continue
		}
		for i := range declared { // it ran as its file says, and as it was told
			if same(declared[i], asked.Declared) {
				declared[i].Identity = declared[i].Identity.With(asked.Identity)
			}
		}
	}
	d.config.Workloads = nil // they are among the declared ones
	for _, w := range declared {
		d.actor(w)
	}
	for _, w := range strangers {
		if d.owned(w.Workload.ClientID, declared) {
			d.closed(w.Workload.ClientID, declared, slices.ContainsFunc(slices.Concat(declared, strangers), func(k harness.Declared) bool {
				return strings.EqualFold(k.Workload.ClientID, w.Workload.ClientID) && config.OfApplication(k.Identity.Credential)
			}))
		}
		d.actor(w)
	}
	return nil
}

func same(a, b harness.Declared) bool {
	return a.Workload.Namespace == b.Workload.Namespace && a.Workload.ServiceAccount == b.Workload.ServiceAccount && a.Workload.ClientID == b.Workload.ClientID &&
		a.Identity.Tenant == b.Identity.Tenant && a.Identity.Issuer == b.Identity.Issuer
}

// owned reports whether an identity was there before a workload came with its
// client id.
func (d *drafter) owned(clientID string, declared []harness.Declared) bool {
	return slices.ContainsFunc(declared, func(k harness.Declared) bool { return strings.EqualFold(k.Workload.ClientID, clientID) }) ||
		slices.ContainsFunc(d.config.Applications, func(a config.Application) bool { return strings.EqualFold(a.ClientID, clientID) }) ||
		slices.ContainsFunc(d.config.Identities, func(i config.Identity) bool { return strings.EqualFold(i.ClientID, clientID) })
}

// closed lists what an identity trusts: the declared workloads and nobody else.
// One that the session made is an application if it had a secret or certificate.
func (d *drafter) closed(clientID string, declared []harness.Declared, application bool) {
	trusted := []config.FederatedCredential{}
	name, tenant := "", ""
	for _, k := range declared {
		if !strings.EqualFold(k.Workload.ClientID, clientID) {
			continue
		}
		name, tenant = cmp.Or(name, k.Workload.Application, k.Workload.ServiceAccount), cmp.Or(tenant, k.Identity.Tenant)
		credential := config.FederatedCredential{Name: k.Workload.CredentialName(), Issuer: k.Identity.Issuer, Subject: k.Workload.Subject(), Audience: k.Identity.Audience}
		if !slices.ContainsFunc(trusted, func(f config.FederatedCredential) bool {
			return f.Subject == credential.Subject && f.Issuer == credential.Issuer
		}) {
			trusted = append(trusted, credential)
		}
	}
	list := func(p *config.Principal) {
		if p.FederatedCredentials == nil {
			p.FederatedCredentials = &trusted
		}
	}
	d.config.Applications, d.config.Identities = slices.Clone(d.config.Applications), slices.Clone(d.config.Identities)
	for i := range d.config.Applications {
		if strings.EqualFold(d.config.Applications[i].ClientID, clientID) {
			list(&d.config.Applications[i].Principal)
			return
		}
	}
	for i := range d.config.Identities {
		if strings.EqualFold(d.config.Identities[i].ClientID, clientID) {
			list(&d.config.Identities[i].Principal)
			return
		}
	}
	made := config.Principal{Name: cmp.Or(name, "identity"), ClientID: clientID, Tenant: tenant, FederatedCredentials: &trusted}
	if application {
		d.config.Applications = append(d.config.Applications, config.Application{Principal: made})
		return
	}
	d.config.Identities = append(d.config.Identities, config.Identity{Principal: made})
}

var notInNames = regexp.MustCompile(`[^a-z0-9-]+`)

// actor lists a workload under a name of its own.
func (d *drafter) actor(w harness.Declared) {
	if w.Workload.ClientID == "" {
		return // nobody can use it
	}
	key := actorKey(w.Workload.Namespace+"/"+w.Workload.ServiceAccount, w.Workload.ClientID)
	if d.names[key] != "" {
		return
	}
	base := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(cmp.Or(w.Workload.Component, w.Workload.ServiceAccount)), "-"), "-")
	if w.Workload.Environment != "" {
		base += "-" + w.Workload.Environment
	}
	name := base
	for n := 2; slices.ContainsFunc(d.actors, func(a config.Workload) bool { return a.Name == name }); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	d.names[key] = name
	d.actors = append(d.actors, config.Workload{
		Name: name, Namespace: w.Workload.Namespace, ServiceAccount: w.Workload.ServiceAccount, ClientID: w.Workload.ClientID,
		Tenant: w.Identity.Tenant, Issuer: w.Identity.Issuer, Audience: w.Identity.Audience, TokenLifetime: w.Identity.TokenLifetime,
		Credential: w.Identity.Credential, ManagedIdentity: w.Identity.ManagedIdentity, IdentityBinding: w.Identity.IdentityBinding,
	})
}

func actorKey(account, clientID string) string { return account + " " + strings.ToLower(clientID) }

// write puts the file together.
func (d *drafter) write(name string) ([]byte, error) {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	line("# yaml-language-server: $schema=https://wiemu.dev/schema/scenario.schema.json")
	line("# A draft, made from a recorded session by wiemu scenario from. Each run stands for a")
	line("# token request of that session: put the program that made it in the place of")
	line("# wiemu-workload, and say what the session shows.")
	line("apiVersion: %s\nkind: %s\nmetadata:\n  name: %s", scenarios.APIVersion, scenarios.Kind, name)
	line("description: What was recorded on %s.", d.recorded.Start.Format(time.DateOnly))
	line("clock: {start: %s}", d.recorded.Start.UTC().Truncate(time.Second).Format(time.RFC3339))
	for _, part := range []struct {
		field string
		value any
		empty bool
	}{
		{"config", d.config, isEmpty(d.config)},
		{"workloads", d.actors, len(d.actors) == 0},
		{"faults", d.wrong, len(d.wrong) == 0},
	} {
		if part.empty {
			continue
		}
		var text strings.Builder
		encoder := yaml.NewEncoder(&text)
		encoder.SetIndent(2)
		if err := encoder.Encode(map[string]any{part.field: part.value}); err != nil {
			return nil, fmt.Errorf("draft a scenario: %w", err)
		}
		line("\n%s", strings.TrimRight(text.String(), "\n"))
	}
	line("\nsteps:")
	now := time.Duration(0)
	slices.SortStableFunc(d.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	for _, s := range d.steps {
		if s.reuse != nil {
			s.lines = []string{s.reuse.text()}
		}
		if gap := (time.Duration(s.at) - now).Truncate(time.Second); gap >= noticeable && !s.isRemark() {
			line("  - advance: %s", short(gap))
			now += gap
		}
		for _, text := range s.lines {
			line("  %s", text)
		}
	}
	if len(d.steps) == 0 || d.runs == 0 {
		line("  # The session has no token request that a workload could make again.")
		line("  - expect: ['clock.elapsed >= duration(\"0s\")']")
	}
	return []byte(out.String()), nil
}

// short is a duration without the units that are zero.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// noticeable is the least time between two steps that a draft lets pass: programs
// take a moment, and nothing is due because of it.
const noticeable = 5 * time.Second

func isEmpty(c config.Config) bool {
	text, err := yaml.Marshal(c)
	return err == nil && strings.TrimSpace(string(text)) == "{}"
}

// quoted is a text as a flow scalar.
func quoted(text string) string {
	if plain.MatchString(text) {
		return text
	}
	quoted, _ := json.Marshal(text) // a string always marshals, and JSON strings are YAML
	return string(quoted)
}

var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./:-]*[A-Za-z0-9_./-]$`)

// list is a flow list of texts.
func list(texts []string) string {
	all := make([]string, len(texts))
	for i, t := range texts {
		all[i] = quoted(t)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// parameters are those of a token request.
func parameters(in recording.Input) url.Values {
	values, err := url.ParseQuery(in.Body)
	if err != nil {
		return url.Values{}
	}
	return values
}
