// Package draft turns a recorded session into a first version of a scenario. It runs neither.
//
// A session has the requests of programs, a scenario the programs. So each token request becomes a
// run of wiemu-workload that asks for the same thing as the same workload, with the token that was
// presented then: the one in its file, or a copy of an older one. What was answered becomes
// expectations. What moved the clock, keys, faults and workloads becomes steps. What no step
// expresses is said in a comment where it happened. The real program is then put in the place of
// wiemu-workload by hand.
package draft

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/workload"
)

// From drafts a scenario with that name. What it returns is a file that loads.
func From(r *recording.Recording, name string) ([]byte, error) {
	d := &drafter{recorded: r, tokens: map[string]recording.Token{}, names: map[string]string{}, faults: map[string]string{}, again: map[string]*reuse{}}
	for _, t := range r.Tokens {
		d.tokens[t.ID] = t
	}
	if err := d.findWorkloads(); err != nil {
		return nil, err
	}
	d.convert()
	text, err := d.write(name)
	if err != nil {
		return nil, err
	}
	if _, err := scenario.Parse(name+".yaml", text); err != nil {
		return nil, fmt.Errorf("draft a scenario: what came of it does not load, which is a defect of wiemu: %w", err)
	}
	return text, nil
}

type drafter struct {
	recorded  *recording.Recording
	tokens    map[string]recording.Token
	config    config.Config
	workloads []config.Workload
	names     map[string]string // of workloads: by namespace/service account and client id
	initial   []fault.Fault     // faults from the start
	faults    map[string]string // names of steps, by the id that the fault had
	again     map[string]*reuse // by the header with the access token
	steps     []step
	runs      int
}

// step is a step with the lab time at which it happens.
type step struct {
	at    recording.Since
	lines []string
	reuse *reuse // instead of lines
}

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

// findWorkloads adds the workloads of the session: the declared ones, which their
// identities trust, and those that ran without being declared, which an identity that
// other workloads declared does not trust.
func (d *drafter) findWorkloads() error {
	d.config = d.recorded.State.Config
	d.config.Faults, d.config.Chaos = nil, 0
	for _, f := range slices.Concat(d.recorded.State.Config.Faults, d.recorded.State.Faults) {
		d.initial = append(d.initial, d.seeded(f))
	}
	d.config.APIVersion, d.config.Kind = "", ""
	declared := slices.Clone(d.recorded.State.Declared)
	var strangers []workload.Spec
	for _, in := range d.recorded.Inputs {
		if in.Endpoint != server.ControlEndpoint || in.Path != "/v1/workloads" || in.Outcome.Status >= 400 {
			continue
		}
		var asked struct {
			workload.Spec
			Beside []workload.Spec `json:"beside"`
		}
		if err := json.Unmarshal([]byte(in.Body), &asked); err != nil {
			return fmt.Errorf("input %d: expected a workload in JSON: %w", in.ID, err)
		}
		declared = append(declared, asked.Beside...)
		if !slices.ContainsFunc(declared, func(k workload.Spec) bool { return same(k, asked.Spec) }) {
			strangers = append(strangers, asked.Spec)
			continue
		}
		for i := range declared { // it ran with its file's options and those of the request
			if same(declared[i], asked.Spec) {
				declared[i].TokenOptions = declared[i].With(asked.TokenOptions)
			}
		}
	}
	d.config.Workloads = nil // they are among the declared ones
	for _, w := range declared {
		d.actor(w)
	}
	for _, w := range strangers {
		if d.owned(w.ClientID, declared) {
			d.closed(w.ClientID, declared, slices.ContainsFunc(slices.Concat(declared, strangers), func(k workload.Spec) bool {
				return strings.EqualFold(k.ClientID, w.ClientID) && config.OfApplication(k.Credential)
			}))
		}
		d.actor(w)
	}
	return nil
}

func same(a, b workload.Spec) bool {
	return a.Namespace == b.Namespace && a.ServiceAccount == b.ServiceAccount && a.ClientID == b.ClientID &&
		a.GitHubJob == b.GitHubJob && a.ServiceConnection == b.ServiceConnection && a.Tenant == b.Tenant && a.Issuer == b.Issuer
}

// owned reports whether an identity was there before a workload came with its client id.
func (d *drafter) owned(clientID string, declared []workload.Spec) bool {
	return slices.ContainsFunc(declared, func(k workload.Spec) bool { return strings.EqualFold(k.ClientID, clientID) }) ||
		slices.ContainsFunc(d.config.Applications, func(a config.Application) bool { return strings.EqualFold(a.ClientID, clientID) }) ||
		slices.ContainsFunc(d.config.Identities, func(i config.Identity) bool { return strings.EqualFold(i.ClientID, clientID) })
}

// closed lists what an identity trusts: the declared workloads alone.
// One that the session made is an application if it had a secret or certificate.
func (d *drafter) closed(clientID string, declared []workload.Spec, application bool) {
	trusted := []config.FederatedCredential{}
	name, tenant := "", ""
	for _, k := range declared {
		if !strings.EqualFold(k.ClientID, clientID) {
			continue
		}
		name, tenant = cmp.Or(name, k.Application, k.ServiceAccount), cmp.Or(tenant, k.Tenant)
		credential := config.FederatedCredential{Name: k.CredentialName(), Issuer: k.Issuer, Subject: k.Subject(), Audience: k.Audience}
		if !slices.ContainsFunc(trusted, func(f config.FederatedCredential) bool {
			return f.Subject == credential.Subject && f.Issuer == credential.Issuer
		}) {
			trusted = append(trusted, credential)
		}
	}
	list := func(p *config.Principal) {
		p.FederatedCredentials = cmp.Or(p.FederatedCredentials, &trusted)
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

var notInNames = lazyregexp.New(`[^a-z0-9-]+`)

// actor lists a workload under a name of its own.
func (d *drafter) actor(w workload.Spec) {
	if w.ClientID == "" {
		return // without a client id it cannot be used
	}
	key := actorKey(w.Namespace+"/"+w.ServiceAccount, w.ClientID)
	if d.names[key] != "" {
		return
	}
	base := strings.Trim(notInNames().ReplaceAllString(strings.ToLower(cmp.Or(w.Component, w.ServiceAccount)), "-"), "-")
	if w.Environment != "" {
		base += "-" + w.Environment
	}
	name := base
	for n := 2; slices.ContainsFunc(d.workloads, func(a config.Workload) bool { return a.Name == name }); n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	d.names[key] = name
	entry := w.Entry()
	entry.Name = name
	if w.Issuer == "github" && !slices.ContainsFunc(d.config.Issuers, func(i config.Issuer) bool { return i.Name == w.Issuer }) {
		entry.Issuer = "" // not listed: it is there because of the job
	}
	d.workloads = append(d.workloads, entry)
}

func actorKey(account, clientID string) string { return account + " " + strings.ToLower(clientID) }

func (d *drafter) write(name string) ([]byte, error) {
	var out strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&out, format+"\n", args...) }
	line("# yaml-language-server: $schema=https://wiemu.dev/schema/scenario.schema.json")
	line("# A draft, made from a recorded session by wiemu scenario from. Each run stands for a")
	line("# token request of that session: put the program that made it in the place of")
	line("# wiemu-workload, and say what the session shows.")
	line("apiVersion: %s\nkind: %s\nmetadata:\n  name: %s", scenario.APIVersion, scenario.Kind, name)
	line("description: What was recorded on %s.", d.recorded.Start.Format(time.DateOnly))
	line("clock: {start: %s}", d.recorded.Start.UTC().Truncate(time.Second).Format(time.RFC3339))
	for _, part := range []struct {
		field string
		value any
		empty bool
	}{
		{"config", d.config, isEmpty(d.config)},
		{"workloads", d.workloads, len(d.workloads) == 0},
		{"faults", d.initial, len(d.initial) == 0},
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

// noticeable is the least time between two steps that becomes an advance step.
const noticeable = 5 * time.Second

func isEmpty(c config.Config) bool {
	text, err := yaml.Marshal(c)
	return err == nil && strings.TrimSpace(string(text)) == "{}"
}

func quoted(text string) string {
	if plain().MatchString(text) {
		return text
	}
	quoted, _ := json.Marshal(text) // a string always marshals, and JSON strings are YAML
	return string(quoted)
}

var plain = lazyregexp.New(`^[A-Za-z][A-Za-z0-9_./:-]*[A-Za-z0-9_./-]$`)

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
