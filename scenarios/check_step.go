package scenarios

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/keyring"
	"github.com/wiemu/wiemu/emulator/yamlfile"
)

var stepName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// verbs are what a step can be.
var verbs = []struct {
	name  string
	given func(*Step) bool
	check func(c *checker, field string, s *Step)
}{
	{"run", func(s *Step) bool { return s.Run != nil }, (*checker).run},
	{"start", func(s *Step) bool { return s.Start != nil }, (*checker).start},
	{"stop", func(s *Step) bool { return s.Stop != nil }, (*checker).stop},
	{"advance", func(s *Step) bool { return s.Advance != nil }, (*checker).advance},
	{"setClock", func(s *Step) bool { return s.SetClock != nil }, (*checker).setClock},
	{"speed", func(s *Step) bool { return s.Speed != nil }, (*checker).speed},
	{"freeze", func(s *Step) bool { return s.Freeze }, func(*checker, string, *Step) {}},
	{"skew", func(s *Step) bool { return s.Skew != nil }, (*checker).skew},
	{"rotate", func(s *Step) bool { return s.Rotate != nil }, func(c *checker, field string, s *Step) { c.keyRing(field, s.Rotate.Issuer) }},
	{"publish", func(s *Step) bool { return s.Publish != nil }, func(c *checker, field string, s *Step) { c.keyRing(field, s.Publish.Issuer) }},
	{"removeKey", func(s *Step) bool { return s.RemoveKey != nil }, (*checker).removeKey},
	{"set", func(s *Step) bool { return s.Set != nil }, (*checker).set},
	{"copyToken", func(s *Step) bool { return s.CopyToken != nil }, (*checker).copyToken},
	{"moveWorkload", func(s *Step) bool { return s.MoveWorkload != nil }, (*checker).moveWorkload},
	{"fault", func(s *Step) bool { return s.Fault != nil }, func(c *checker, field string, s *Step) { c.fault(field, s.Fault) }},
	{"clearFault", func(s *Step) bool { return s.ClearFault != "" }, (*checker).clearFault},
	{"expect", func(s *Step) bool { return s.Expect != nil }, (*checker).expect},
}

func (c *checker) step(i int, s *Step) {
	field := fmt.Sprintf("steps[%d]", i)
	s.line = yamlfile.Line(c.top, field)
	var names, given []string
	check := func(*checker, string, *Step) {}
	for _, v := range verbs {
		names = append(names, v.name)
		if v.given(s) {
			given, check = append(given, v.name), v.check
		}
	}
	if len(given) != 1 {
		c.name(field, "", s)
		c.add(field, "exactly one of "+strings.Join(names, ", "), strings.Join(given, " and "), "make a step of each")
		return
	}
	check(c, yamlfile.Join(field, given[0]), s)
	c.name(field, given[0], s)
}

// name checks the step's name, by which later steps know it.
func (c *checker) name(field, verb string, s *Step) {
	if s.Name == "" {
		return
	}
	switch {
	case !stepName.MatchString(s.Name):
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
	if slices.Contains(known, name) || !c.worldIsKnown() {
		return
	}
	expected := fmt.Sprintf("%s: %s", of, strings.Join(known, ", "))
	if len(known) == 0 {
		expected = of + ", of which there are none"
	}
	c.add(field, expected, name, didYouMean(name, known))
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
	var started []string
	for _, name := range c.steps {
		if c.verbs[name] == "start" {
			started = append(started, name)
		}
	}
	c.one(field+".program", "the name of a start step before this one", s.Stop.Program, started)
}

func (c *checker) program(field string, r *ProgramStep) {
	c.one(field+".workload", "a workload of this scenario", r.Workload, c.actors())
	switch {
	case len(r.Command) == 0 && r.Shell == "":
		c.add(field, "a command or a shell text", "", "")
	case len(r.Command) > 0 && r.Shell != "":
		c.add(field+".shell", "a command or a shell text", "both", "remove one")
	case len(r.Command) > 0 && r.Command[0] == "":
		c.add(field+".command[0]", "the name of a program", "", "")
	}
	if r.Token != "" {
		c.one(field+".token", "a workload, or a copyToken step before this one", r.Token, slices.Concat(c.actors(), c.copies))
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

func (c *checker) keyRing(field, name string) {
	if name != "" {
		c.one(field+".issuer", "an issuer that wiemu hosts", name, append([]string{clock.Entra}, c.hosted()...))
	}
}

// hosted are the names of the issuers that wiemu hosts.
func (c *checker) hosted() []string {
	var names []string
	for _, i := range c.scenario.world.Issuers {
		if !i.External {
			names = append(names, i.Name)
		}
	}
	return names
}

func (c *checker) moveWorkload(field string, s *Step) {
	c.one(field+".workload", "a workload of this scenario", s.MoveWorkload.Workload, c.actors())
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
	c.one(field+".workload", "a workload of this scenario", s.CopyToken.Workload, c.actors())
	if s.Name == "" {
		c.add(strings.TrimSuffix(field, ".copyToken")+".name", "a name for the copy", "", "run steps take the copy with token: NAME")
	}
}

func (c *checker) set(field string, s *Step) {
	t := s.Set
	if _, err := uuid.Parse(t.Identity); err != nil {
		c.one(field+".identity", "a workload, an application, a managed identity or a client id", t.Identity, c.identities())
	}
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
	var known []string
	for _, i := range c.scenario.world.Issuers {
		known = append(known, i.Name)
	}
	c.one(field, "an https URL or the name of an issuer", name, known)
}

// identities are the names by which a set step can call an identity.
func (c *checker) identities() []string {
	names := c.actors()
	for _, a := range c.scenario.world.Applications {
		names = append(names, a.Name)
	}
	for _, i := range c.scenario.world.Identities {
		names = append(names, i.Name)
	}
	return names
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
		p, errs := c.language.compile(e.Source, c.steps, c.actors())
		if e.program = p; p != nil {
			errs = p.checkFields(c.verbs)
		}
		for _, x := range errs {
			if x.names == "workloads" && !c.worldIsKnown() || x.names == "results" && !c.namesAreKnown() {
				continue
			}
			line, column := c.place(e, x)
			c.report(yamlfile.Problem{
				File: c.scenario.file, Line: line, Column: column, Field: fmt.Sprintf("%s[%d]", field, i),
				Expected: x.expected, Found: x.found, Fix: x.fix,
			})
		}
	}
}

// place is where in the file a place in an expression is; column 0 when the
// YAML style makes that uncertain.
func (c *checker) place(e *Expression, x expressionError) (line, column int) {
	switch e.node.Style {
	case yaml.LiteralStyle:
		// The text begins below the |, each line indented as much as the first.
		if line = e.line + x.line; line <= len(c.text) {
			first := c.text[e.line]
			return line, len(first) - len(strings.TrimLeft(first, " ")) + x.column
		}
		return e.line, 0
	case yaml.FoldedStyle:
		return e.line + 1, 0
	case yaml.SingleQuotedStyle, yaml.DoubleQuotedStyle:
		x.column++
	}
	if e.line > len(c.text) || strings.Contains(e.Source, "\n") || !strings.Contains(c.text[e.line-1], e.Source) {
		return e.line, 0 // over several lines, or with escapes
	}
	return e.line, e.node.Column + x.column - 1
}
