package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/scenario/condition"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// A namedSpec is a workload of a scenario, by the name that its steps have for it.
type namedSpec struct {
	name string
	workload.Spec
}

// A checker looks at a scenario that was decoded and prepares it to be run.
type checker struct {
	scenario *Scenario
	language *condition.Language
	top      *yaml.Node
	text     []string // the lines of the file
	problems yamlfile.Problems

	// What could not be decoded has been reported, and what follows from it is not reported again.
	undecoded yamlfile.Problems

	steps  []string          // names of the steps so far
	verbs  map[string]string // what each of them is, "" if that is not known
	copies []string          // names of the copyToken steps so far
}

// add reports a problem at a field, which may be missing.
func (c *checker) add(field, expected, found, fix string) {
	found = cmp.Or(found, "nothing")
	c.report(yamlfile.Problem{File: c.scenario.file, Field: field, Expected: expected, Found: found, Fix: fix}.At(c.top))
}

// report adds a problem, unless it is about a part of the file that could not be
// decoded, or about what that part is in.
func (c *checker) report(p yamlfile.Problem) {
	for _, u := range c.undecoded {
		if within(u.Field, p.Field) || within(p.Field, u.Field) {
			return
		}
	}
	c.problems = append(c.problems, p)
}

// within reports whether the path of a field is that of an outer one, or goes on from there.
func within(field, outer string) bool {
	rest, ok := strings.CutPrefix(field, outer)
	return ok && (rest == "" || outer == "" || rest[0] == '.' || rest[0] == '[')
}

// labIsKnown reports whether all but the steps could be decoded: only then is
// it known who takes part.
func (c *checker) labIsKnown() bool {
	return !slices.ContainsFunc(c.undecoded, func(p yamlfile.Problem) bool { return !within(p.Field, "steps") })
}

// namesAreKnown reports whether the names of all steps could be decoded: a step
// without one, in which something is misspelt, may have been meant to have one.
func (c *checker) namesAreKnown() bool {
	for i, s := range c.scenario.Steps {
		field := fmt.Sprintf("steps[%d]", i)
		if s.Name == "" && slices.ContainsFunc(c.undecoded, func(p yamlfile.Problem) bool { return within(p.Field, field) }) {
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

func (c *checker) check() {
	c.header()
	c.clock()
	c.network()
	c.lab()
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
		c.add("notOn", "one of "+strings.Join(Backends(), ", ")+" to be left out", "all of them", "a scenario makes sense somewhere")
	}
}

var scenarioName = lazyregexp.New(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

func (c *checker) header() {
	s := c.scenario
	if s.APIVersion != APIVersion {
		c.add("apiVersion", APIVersion, s.APIVersion, "")
	}
	if s.Kind != Kind {
		c.add("kind", Kind, s.Kind, "")
	}
	if !scenarioName().MatchString(s.Metadata.Name) {
		c.add("metadata.name", "lower-case letters, digits and hyphens, such as wrong-subject", s.Metadata.Name, "")
	}
}

func (c *checker) network() {
	s := c.scenario
	switch {
	case s.Network.Check() != nil:
		all := namesOf(backend.Networks, func(n backend.Network) string { return string(n) })
		c.add("network", "auto, transparent or proxy", string(s.Network), yamlfile.DidYouMean(string(s.Network), all))
	case s.Isolate && s.Network != "":
		c.add("network", "none, because of isolate: true", string(s.Network), "remove one of them: isolated programs have a network of their own")
	}
}

func (c *checker) clock() {
	modes := []string{serverOnly, lockstep}
	if mode := c.scenario.Clock.Mode; mode != "" && !slices.Contains(modes, mode) {
		c.add("clock.mode", serverOnly+" or "+lockstep, mode, yamlfile.DidYouMean(mode, modes))
	}
	if c.scenario.Clock.Start.IsZero() {
		c.scenario.Clock.Start = defaultStart
	}
}

func (c *checker) lab() {
	s := c.scenario
	own := len(s.Config.Workloads)
	s.lab = s.Config
	s.lab.Workloads = slices.Concat(s.Config.Workloads, s.Workloads)
	if s.Config.Listen != (config.Listen{}) {
		c.add("config.listen", "no addresses", "some", "remove it: scenarios run side by side, each on free ports")
	}
	if len(s.Config.Faults) > 0 {
		c.add("config.faults", "no faults", "some", "write them as faults: at the top of the scenario, where they can be for a workload by its name")
	}
	if s.Config.Chaos != 0 {
		c.add("config.chaos", "no chaos", "some", "write it as chaos: at the top of the scenario")
	}
	completed, err := s.lab.Complete(s.configFile)
	if !c.labIsKnown() {
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
		completed = s.lab
	}
	s.lab = completed
	for i, w := range completed.Workloads {
		field := fmt.Sprintf("config.workloads[%d].name", i)
		if i >= own {
			field = fmt.Sprintf("workloads[%d].name", i-own)
		}
		c.addWorkload(field, namedSpec{
			name: cmp.Or(w.Name, w.ServiceAccount), // as Complete does
			Spec: workload.Declared(w),
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
			var warnings []yamlfile.Problem
			radix, warnings, err = workload.ParseRadixConfig(path, data)
			c.scenario.warnings = append(c.scenario.warnings, warnings...)
		}
		var found yamlfile.Problems
		switch {
		case errors.As(err, &found):
			c.problems = append(c.problems, found...)
		case err != nil:
			c.add("radixconfig", "a radixconfig.yaml", err.Error(), "")
		default:
			c.addRadixWorkloads(radix)
		}
		return
	}
	text, err := yaml.Marshal(c.scenario.RadixConfig)
	if err != nil {
		c.add("radixconfig", "a radixconfig.yaml", err.Error(), "")
		return
	}
	radix, warnings, err := workload.ParseRadixConfig(c.scenario.file, text)
	below := func(field string) string { return strings.TrimSuffix("radixconfig."+field, ".") }
	if c.adopt(err, below) {
		return
	}
	for _, w := range warnings {
		w.File, w.Field = c.scenario.file, below(w.Field)
		c.scenario.warnings = append(c.scenario.warnings, w.At(c.top))
	}
	c.addRadixWorkloads(radix)
}

func (c *checker) addRadixWorkloads(radix *workload.RadixConfig) {
	for _, w := range radix.Workloads() {
		c.addWorkload("radixconfig", namedSpec{radixName(w), workload.Spec{Workload: w}})
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

func (c *checker) addWorkload(field string, a namedSpec) {
	if slices.Contains(c.workloads(), a.name) {
		c.add(field, "a name that no other workload has", a.name, "give one of them another name")
		return
	}
	c.scenario.specs = append(c.scenario.specs, a)
}

func (c *checker) workloads() []string {
	return namesOf(c.scenario.specs, func(a namedSpec) string { return a.name })
}

func namesOf[T any](list []T, name func(T) string) []string {
	names := make([]string, len(list))
	for i, one := range list {
		names[i] = name(one)
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
	if !slices.ContainsFunc(c.scenario.Steps, func(s Step) bool { return len(s.Expect) > 0 }) {
		c.add("steps", "at least one expect step", "none", "without one the scenario cannot fail; add for example "+c.anExpectation())
	}
}
