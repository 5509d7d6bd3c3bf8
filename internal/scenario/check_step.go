package scenario

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/scenario/condition"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

var stepName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (c *checker) step(i int, s *Step) {
	field := fmt.Sprintf("steps[%d]", i)
	s.line = yamlfile.Line(c.top, field)
	var names, given []string
	for _, v := range verbs() {
		names = append(names, v.name)
		if v.given(s) {
			given = append(given, v.name)
		}
	}
	v, ok := verbOf(s)
	if !ok {
		c.name(field, "", s)
		c.add(field, "exactly one of "+strings.Join(names, ", "), strings.Join(given, " and "), "make a step of each")
		return
	}
	if v.check != nil {
		v.check(c, yamlfile.Join(field, v.name), s)
	}
	c.name(field, v.name, s)
}

func (c *checker) name(field, verb string, s *Step) {
	if s.Name == "" {
		return
	}
	switch {
	case !stepName().MatchString(s.Name):
		c.add(field+".name", "letters, digits and underscores", s.Name, "expectations call the result results.NAME")
	case slices.Contains(c.steps, s.Name):
		c.add(field+".name", "a name that no other step has", s.Name, "rename one of them")
		return
	}
	c.steps = append(c.steps, s.Name)
	c.verbs[s.Name] = verb
	if s.CopyToken != nil {
		c.copies = append(c.copies, s.Name)
	}
}

// one checks a reference to something that is known by name.
func (c *checker) one(field, of, name string, known []string) {
	if slices.Contains(known, name) || !c.labIsKnown() {
		return
	}
	expected := fmt.Sprintf("%s: %s", of, strings.Join(known, ", "))
	if len(known) == 0 {
		expected = of + ", of which there are none"
	}
	c.add(field, expected, name, yamlfile.DidYouMean(name, known))
}

func (c *checker) run(field string, s *Step) {
	c.program(field, &s.Run.ProgramStep)
	if t := s.Run.Timeout; t < 0 {
		c.add(field+".timeout", "a duration above zero", t.String(), "")
	}
}

func (c *checker) start(field string, s *Step) {
	c.program(field, s.Start)
	if s.Name == "" {
		c.add(strings.TrimSuffix(field, ".start")+".name", "a name for the program", "", "stop steps and expectations call it by that")
	}
}

func (c *checker) stop(field string, s *Step) {
	started := slices.DeleteFunc(slices.Clone(c.steps), func(name string) bool { return c.verbs[name] != "start" })
	c.one(field+".program", "the name of a start step before this one", s.Stop.Program, started)
}

func (c *checker) program(field string, r *ProgramStep) {
	c.one(field+".workload", "a workload of this scenario", r.Workload, c.workloads())
	switch {
	case len(r.Command) == 0 && r.Shell == "":
		c.add(field, "a command or a shell text", "", "")
	case len(r.Command) > 0 && r.Shell != "":
		c.add(field+".shell", "a command or a shell text", "both", "remove one")
	case len(r.Command) > 0 && r.Command[0] == "":
		c.add(field+".command[0]", "the name of a program", "", "")
	}
	if r.Token != "" {
		c.one(field+".token", "a workload, or a copyToken step before this one", r.Token, slices.Concat(c.workloads(), c.copies))
	}
	for name := range r.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			c.add(yamlfile.Join(field+".env", name), "the name of an environment variable", fmt.Sprintf("%q", name), "")
		}
	}
}

func (c *checker) advance(field string, s *Step) {
	if *s.Advance <= 0 {
		c.add(field, "a duration above zero, such as 55m", s.Advance.String(), "lab time never goes backwards")
	}
}

func (c *checker) setClock(field string, s *Step) {
	if start := c.scenario.Clock.Start; s.SetClock.Before(start) {
		c.add(field, "a time after "+start.UTC().Format(time.RFC3339), s.SetClock.Format(time.RFC3339), "lab time never goes backwards; clock.start says when the scenario starts")
	}
}

func (c *checker) speed(field string, s *Step) {
	if err := clock.CheckSpeed(*s.Speed); err != nil {
		c.add(field, "a number greater than 0 and at most 100000, such as 600", fmt.Sprint(*s.Speed), "freeze: true lets the clock stand still")
	}
}

func (c *checker) skew(field string, s *Step) {
	c.one(field+".part", "a part of the lab that has a clock", s.Skew.Part, append(clock.Reserved(), c.hosted()...))
}

func (c *checker) blob(field string, s *Step) {
	b := s.Blob
	for _, f := range [][2]string{{"account", b.Account}, {"container", b.Container}, {"name", b.Name}} {
		if f[1] == "" {
			c.add(field+"."+f[0], "a name", "nothing", "account, container and name say which blob is meant")
		}
	}
	if b.Put != nil && b.Expect != nil {
		c.add(field, "put or expect", "both", "write a step for each")
	}
}

func (c *checker) keyRing(field, name string) {
	if name != "" {
		c.one(field+".issuer", "an issuer that wiemu hosts", name, append([]string{clock.Entra}, c.hosted()...))
	}
}

// hosted are the names of the issuers that wiemu hosts.
func (c *checker) hosted() []string {
	var names []string
	for _, i := range c.scenario.lab.Issuers {
		if !i.External {
			names = append(names, i.Name)
		}
	}
	return names
}

func (c *checker) moveWorkload(field string, s *Step) {
	c.one(field+".workload", "a workload of this scenario", s.MoveWorkload.Workload, c.workloads())
	c.one(field+".issuer", "an issuer that wiemu hosts", s.MoveWorkload.Issuer, c.hosted())
}

// stages are the words for a key to remove; anything else is a key id.
var stages = []string{string(keyring.Retired), string(keyring.Published), string(keyring.Signing)}

func (c *checker) removeKey(field string, s *Step) {
	c.keyRing(field, s.RemoveKey.Issuer)
	// Key ids are 27 characters (Entra ID) or 43 (Kubernetes).
	if key := s.RemoveKey.Key; key != "" && len(key) < 27 {
		c.one(field+".key", "a key id or one of", key, stages)
	}
}

func (c *checker) copyToken(field string, s *Step) {
	c.one(field+".workload", "a workload of this scenario", s.CopyToken.Workload, c.workloads())
	if s.Name == "" {
		c.add(strings.TrimSuffix(field, ".copyToken")+".name", "a name for the copy", "", "run steps take the copy with token: NAME")
	}
}

func (c *checker) identity(field, name string) {
	if _, err := uuid.Parse(name); err != nil {
		c.one(field, "a workload, an application, a managed identity or a client id", name, c.identities())
	}
}

func (c *checker) role(field string, s *RoleStep) {
	if s.Identity != roles.Everyone {
		c.identity(field+".identity", s.Identity)
	}
	var custom []roles.Definition
	for _, d := range c.scenario.lab.Roles.Definitions {
		custom = append(custom, roles.Custom(d).Definition())
	}
	if expected, fix := roles.CheckName(s.Role, custom...); expected != "" {
		c.add(field+".role", expected, s.Role, fix)
	}
	if s.Scope == "" {
		c.add(field+".scope", "the name of a key vault or storage account, or a resource id", "", "")
	}
}

func (c *checker) set(field string, s *Step) {
	t := s.Set
	c.identity(field+".identity", t.Identity)
	var given []string
	for name, is := range map[string]bool{
		"federatedCredential": t.FederatedCredential != nil, "addFederatedCredential": t.AddFederatedCredential != nil,
		"removeFederatedCredential": t.RemoveFederatedCredential != "", "disabled": t.Disabled != nil, "deleted": t.Deleted,
	} {
		if is {
			given = append(given, name)
		}
	}
	slices.Sort(given)
	if len(given) != 1 {
		c.add(field, "exactly one of federatedCredential, addFederatedCredential, removeFederatedCredential, disabled, deleted", strings.Join(given, " and "), "make a set step of each")
		return
	}
	if f := t.FederatedCredential; f != nil {
		if f.Issuer == "" && f.Subject == "" && f.Audience == "" {
			c.add(field+".federatedCredential", "an issuer, a subject or an audience", "", "")
		}
		c.issuer(field+".federatedCredential.issuer", f.Issuer)
	}
	if f := t.AddFederatedCredential; f != nil {
		if f.Name == "" || f.Subject == "" {
			c.add(field+".addFederatedCredential", "a name and a subject", "", "")
		}
		c.issuer(field+".addFederatedCredential.issuer", f.Issuer)
	}
}

// issuer checks the name of an issuer; a URL stands for itself.
func (c *checker) issuer(field, name string) {
	if name == "" || strings.Contains(name, "://") {
		return
	}
	c.one(field, "an https URL or the name of an issuer", name, c.issuers())
}

func (c *checker) issuers() []string {
	return namesOf(c.scenario.lab.Issuers, func(i config.Issuer) string { return i.Name })
}

func (c *checker) applications() []string {
	return namesOf(c.scenario.lab.Applications, func(a config.Application) string { return a.Name })
}

// identities are the names by which a set step can call an identity.
func (c *checker) identities() []string {
	managed := namesOf(c.scenario.lab.Identities, func(i config.Identity) string { return i.Name })
	return slices.Concat(c.workloads(), c.applications(), managed)
}

func (c *checker) expect(field string, s *Step) {
	if len(s.Expect) == 0 {
		c.add(field, "at least one condition", "none", "")
	}
	for i := range s.Expect {
		e := &s.Expect[i]
		if e.node == nil {
			c.add(fmt.Sprintf("%s[%d]", field, i), "a condition in CEL", "", "")
			continue
		}
		p, errs := c.language.Compile(e.Source, c.steps, c.workloads())
		if e.program = p; p != nil {
			errs = p.CheckFields(c.fieldsOf)
		}
		for _, x := range errs {
			if x.Variable == "workloads" && !c.labIsKnown() || x.Variable == "results" && !c.namesAreKnown() {
				continue
			}
			line, column := c.place(e, x)
			c.report(yamlfile.Problem{
				File: c.scenario.file, Line: line, Column: column, Field: fmt.Sprintf("%s[%d]", field, i),
				Expected: x.Expected, Found: x.Found, Fix: x.Fix,
			})
		}
	}
}

// place is where in the file a place in an expression is; column 0 when the
// YAML style makes that uncertain.
func (c *checker) place(e *Expression, x condition.Problem) (line, column int) {
	switch e.node.Style {
	case yaml.LiteralStyle:
		// The text begins below the |, each line indented as much as the first.
		if line = e.line + x.Line; line <= len(c.text) {
			first := c.text[e.line]
			return line, len(first) - len(strings.TrimLeft(first, " ")) + x.Column
		}
		return e.line, 0
	case yaml.FoldedStyle:
		return e.line + 1, 0
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		x.Column++
	}
	if e.line > len(c.text) || strings.Contains(e.Source, "\n") || !strings.Contains(c.text[e.line-1], e.Source) {
		return e.line, 0 // over several lines, or with escapes
	}
	return e.line, e.node.Column + x.Column - 1
}

// fieldsOf returns which fields the result of a step before this one has.
func (c *checker) fieldsOf(step string) (verb string, fields []string, ok bool) {
	v, ok := verbNamed(c.verbs[step])
	return v.name, v.results, ok && !v.anyResult
}

// faults checks those that are there from the start.
func (c *checker) faults() {
	for i := range c.scenario.Faults {
		c.fault(fmt.Sprintf("faults[%d]", i), &c.scenario.Faults[i])
	}
	c.scenario.lab.Faults, c.scenario.lab.Chaos = c.scenario.Faults, c.scenario.Chaos
}

// fault checks one and puts ids in the place of the names that the scenario has for workloads.
func (c *checker) fault(field string, f *fault.Fault) {
	if w := f.For.Workload; w != "" && !strings.Contains(w, "/") {
		if a := c.scenario.workload(w); a.name != "" {
			f.For.Workload = a.Namespace + "/" + a.ServiceAccount
		} else {
			c.one(field+".for.workload", "a workload of this scenario, or NAMESPACE/SERVICE-ACCOUNT", w, c.workloads())
		}
	}
	if id := f.For.Client; id != "" {
		if a := c.scenario.workload(id); a.name != "" {
			f.For.Client = a.ClientID
		} else if _, err := uuid.Parse(id); err != nil && !slices.Contains(c.identities(), id) {
			c.one(field+".for.client", "a client id, or a workload or an identity of this scenario", id, c.identities())
		}
	}
	if r := f.For.Resource; r != "" && !strings.ContainsAny(r, ".:/") { // an address is looked up when it is injected
		if _, err := uuid.Parse(r); err != nil {
			c.one(field+".for.resource", "who answers, a vault or an application", r, c.resources())
		}
	}
	for _, p := range faults.Check(c.scenario.file, field, *f, c.issuers()) {
		c.report(p.At(c.top))
	}
}

// resources are who answers, and the vaults and applications by name.
func (c *checker) resources() []string {
	vaults := c.scenario.lab.Vaults
	if vaults == nil {
		vaults = config.DefaultVaults()
	}
	names := append(lab.Answering(), namesOf(vaults, func(v config.Vault) string { return v.Name })...)
	for _, a := range c.scenario.specs {
		names = append(names, namesOf(a.KeyVaults, func(v workload.KeyVault) string { return v.Name })...)
	}
	for _, section := range c.scenario.lab.Resources {
		if of, ok := section.(resource.Instances); ok {
			names = append(names, of.Names()...)
		}
	}
	return append(names, c.applications()...)
}

// all is the word for every fault there is.
const all = "all"

func (c *checker) clearFault(field string, s *Step) {
	known := []string{all}
	kind := func(f *fault.Fault) {
		if f != nil && !slices.Contains(known, f.Name) {
			known = append(known, f.Name)
		}
	}
	for _, earlier := range c.steps {
		if c.verbs[earlier] == "fault" {
			known = append(known, earlier)
		}
	}
	for i := range c.scenario.Faults {
		kind(&c.scenario.Faults[i])
	}
	for i := range c.scenario.Steps {
		other := &c.scenario.Steps[i]
		if other == s {
			break
		}
		kind(other.Fault)
	}
	c.one(field, "a fault step before this one, a fault that was injected before, or all", s.ClearFault, known)
}
