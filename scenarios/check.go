package scenarios

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/yamlfile"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/workload"
)

// An actor is a workload that takes part in a scenario.
type actor struct {
	name string
	harness.Declared
}

// A checker looks at a scenario that was decoded and prepares it to be run.
type checker struct {
	scenario *Scenario
	language *language
	top      *yaml.Node
	text     []string // the lines of the file
	problems yamlfile.Problems

	// What could not be decoded is known to be wrong, and what follows from it is
	// not told.
	undecoded error

	steps  []string          // names of the steps so far
	verbs  map[string]string // what each of them is, "" if that is not known
	copies []string          // names of the copyToken steps so far
}

// add reports a problem at a field, which may be missing.
func (c *checker) add(field, expected, found, fix string) {
	if found == "" {
		found = "nothing"
	}
	c.report(yamlfile.Problem{File: c.scenario.file, Field: field, Expected: expected, Found: found, Fix: fix}.At(c.top))
}

// report adds a problem, unless it is about a part of the file that could not be
// decoded, or about what that part is in.
func (c *checker) report(p yamlfile.Problem) {
	var undecoded yamlfile.Problems
	errors.As(c.undecoded, &undecoded)
	for _, u := range undecoded {
		if within(u.Field, p.Field) || within(p.Field, u.Field) {
			return
		}
	}
	c.problems = append(c.problems, p)
}

// within reports whether the path of a field is that of an outer one, or goes on
// from there.
func within(field, outer string) bool {
	rest, ok := strings.CutPrefix(field, outer)
	return ok && (rest == "" || outer == "" || rest[0] == '.' || rest[0] == '[')
}

// worldIsKnown reports whether all but the steps could be decoded: only then is
// it known who takes part.
func (c *checker) worldIsKnown() bool {
	var undecoded yamlfile.Problems
	errors.As(c.undecoded, &undecoded)
	return !slices.ContainsFunc(undecoded, func(p yamlfile.Problem) bool { return !within(p.Field, "steps") })
}

// namesAreKnown reports whether the names of all steps could be decoded: a step
// without one, in which something is misspelt, may have been meant to have one.
func (c *checker) namesAreKnown() bool {
	var undecoded yamlfile.Problems
	errors.As(c.undecoded, &undecoded)
	for i, s := range c.scenario.Steps {
		field := fmt.Sprintf("steps[%d]", i)
		if s.Name == "" && slices.ContainsFunc(undecoded, func(p yamlfile.Problem) bool { return within(p.Field, field) }) {
			return false
		}
	}
	return true
}

// adopt reports the problems of a part of the file that another room reads, and
// tells whether there were any.
func (c *checker) adopt(err error, rename func(field string) string) bool {
	if err == nil {
		return false
	}
	var problems yamlfile.Problems
	if !errors.As(err, &problems) {
		problems = yamlfile.Problems{{Found: err.Error()}}
	}
	for _, p := range problems {
		p.File, p.Field = c.scenario.file, rename(p.Field)
		c.report(p.At(c.top))
	}
	return true
}

// didYouMean names the known word that is nearest, if one is near.
func didYouMean(word string, known []string) string {
	if meant := yamlfile.Nearest(word, known); meant != "" {
		return fmt.Sprintf("did you mean %s?", meant)
	}
	return ""
}

func (c *checker) check() {
	c.header()
	c.clock()
	c.world()
	c.faults()
	for i := range c.scenario.Steps {
		c.step(i, &c.scenario.Steps[i])
	}
	c.canFail()
	c.notOn()
}

// notOn refuses a scenario that makes sense nowhere.
func (c *checker) notOn() {
	if n := c.scenario.NotOn; n.Process != "" && n.Compose != "" && n.Kind != "" {
		c.add("notOn", "one of "+strings.Join(Places(), ", ")+" to be left out", "all of them", "a scenario makes sense somewhere")
	}
}

var scenarioName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

func (c *checker) header() {
	s := c.scenario
	if s.APIVersion != APIVersion {
		c.add("apiVersion", APIVersion, s.APIVersion, "")
	}
	if s.Kind != Kind {
		c.add("kind", Kind, s.Kind, "")
	}
	if !scenarioName.MatchString(s.Metadata.Name) {
		c.add("metadata.name", "lower-case letters, digits and hyphens, such as wrong-subject", s.Metadata.Name, "")
	}
}

func (c *checker) clock() {
	modes := []string{serverOnly, lockstep}
	if mode := c.scenario.Clock.Mode; mode != "" && !slices.Contains(modes, mode) {
		c.add("clock.mode", serverOnly+" or "+lockstep, mode, didYouMean(mode, modes))
	}
	if c.scenario.Clock.Start.IsZero() {
		c.scenario.Clock.Start = defaultStart
	}
}

// world completes the configuration and finds out who takes part.
func (c *checker) world() {
	s := c.scenario
	own := len(s.Config.Workloads)
	s.world = s.Config
	s.world.Workloads = slices.Concat(s.Config.Workloads, s.Workloads)
	if s.Config.Listen != (config.Listen{}) {
		c.add("config.listen", "no addresses", "some", "remove it: scenarios run side by side, each on free ports")
	}
	if len(s.Config.Faults) > 0 {
		c.add("config.faults", "no faults", "some", "write them as faults: at the top of the scenario, where they can be for a workload by its name")
	}
	if s.Config.Chaos != 0 {
		c.add("config.chaos", "no chaos", "some", "write it as chaos: at the top of the scenario")
	}
	completed, err := s.world.Complete(s.configFile)
	if !c.worldIsKnown() {
		err = nil // it follows from what is missing
	}
	wrong := c.adopt(err, func(field string) string {
		// Workloads are in two places of the file and in one list of the configuration.
		var i int
		if n, _ := fmt.Sscanf(field, "workloads[%d]", &i); n == 1 && i >= own {
			return fmt.Sprintf("workloads[%d]%s", i-own, field[strings.Index(field, "]")+1:])
		}
		return "config." + field
	})
	if wrong { // go on with what is there, to check the names that steps use
		completed = s.world
	}
	s.world = completed
	for i, w := range completed.Workloads {
		field := fmt.Sprintf("config.workloads[%d].name", i)
		if i >= own {
			field = fmt.Sprintf("workloads[%d].name", i-own)
		}
		c.actor(field, actor{
			name: cmp.Or(w.Name, w.ServiceAccount), // as Complete does
			Declared: harness.Declared{Workload: workload.Workload{Component: w.Name, Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, ClientID: w.ClientID}, Identity: harness.Identity{
				Tenant: w.Tenant, Issuer: w.Issuer, Audience: w.Audience, TokenLifetime: w.TokenLifetime,
				Credential: w.Credential, ManagedIdentity: w.ManagedIdentity, IdentityBinding: w.IdentityBinding,
			}},
		})
	}
	c.radix()
}

// radix adds the workloads of an inline radixconfig.yaml.
func (c *checker) radix() {
	if yamlfile.IsNull(c.scenario.RadixConfig) {
		return
	}
	if path, ok := named(c.scenario.file, c.scenario.RadixConfig); ok {
		data, err := readNamed(c.scenario.file, "radixconfig", "a radixconfig.yaml", path, c.top)
		var radix *workload.RadixConfig
		if err == nil {
			radix, _, err = workload.ParseRadixConfig(path, data)
		}
		var found yamlfile.Problems
		switch {
		case errors.As(err, &found):
			c.problems = append(c.problems, found...)
		case err != nil:
			c.add("radixconfig", "a radixconfig.yaml", err.Error(), "")
		default:
			c.radixActors(radix)
		}
		return
	}
	text, err := yaml.Marshal(c.scenario.RadixConfig)
	if err != nil {
		c.add("radixconfig", "a radixconfig.yaml", err.Error(), "")
		return
	}
	radix, _, err := workload.ParseRadixConfig(c.scenario.file, text)
	if c.adopt(err, func(field string) string { return strings.TrimSuffix("radixconfig."+field, ".") }) {
		return
	}
	c.radixActors(radix)
}

// radixActors adds the workloads of a radixconfig.yaml.
func (c *checker) radixActors(radix *workload.RadixConfig) {
	for _, w := range radix.Workloads() {
		c.actor("radixconfig", actor{radixName(w), harness.Declared{Workload: w}})
	}
}

// radixName is how the steps call a workload of a Radix application.
func radixName(w workload.Workload) string {
	name := w.Component + "-" + w.Environment
	if w.Component == "" {
		name = string(w.Role) + "-" + w.Environment
	}
	return name
}

func (c *checker) actor(field string, a actor) {
	if slices.Contains(c.actors(), a.name) {
		c.add(field, "a name that no other workload has", a.name, "give one of them another name")
		return
	}
	c.scenario.actors = append(c.scenario.actors, a)
}

func (c *checker) actors() []string {
	names := make([]string, len(c.scenario.actors))
	for i, a := range c.scenario.actors {
		names[i] = a.name
	}
	return names
}

// anExpectation is a step to begin with, about what the scenario does.
func (c *checker) anExpectation() string {
	condition := "journal.exists(e, e.kind == 'exchange' && e.outcome == 'granted')"
	for _, s := range c.scenario.Steps {
		switch {
		case s.Run != nil && s.Name != "":
			condition = "results." + s.Name + ".exitCode == 0"
		case s.Run != nil:
			condition = "journal.filter(e, e.kind == 'run').all(e, e.detail.exitCode == '0')"
		}
	}
	return fmt.Sprintf("- expect: [%q]", condition)
}

// canFail refuses a scenario that expects nothing.
func (c *checker) canFail() {
	for _, s := range c.scenario.Steps {
		if len(s.Expect) > 0 {
			return
		}
	}
	c.add("steps", "at least one expect step", "none", "without one the scenario cannot fail; add for example "+c.anExpectation())
}
