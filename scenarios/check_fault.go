package scenarios

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
)

// faults checks those that are there from the start.
func (c *checker) faults() {
	for i := range c.scenario.Faults {
		c.fault(fmt.Sprintf("faults[%d]", i), &c.scenario.Faults[i])
	}
	c.scenario.world.Faults, c.scenario.world.Chaos = c.scenario.Faults, c.scenario.Chaos
}

// fault checks one and puts ids in the place of the names that the scenario has
// for workloads.
func (c *checker) fault(field string, f *fault.Fault) {
	if w := f.For.Workload; w != "" && !strings.Contains(w, "/") {
		if a, ok := c.actorNamed(w); ok {
			f.For.Workload = a.Workload.Namespace + "/" + a.Workload.ServiceAccount
		} else {
			c.one(field+".for.workload", "a workload of this scenario, or NAMESPACE/SERVICE-ACCOUNT", w, c.actors())
		}
	}
	if id := f.For.Client; id != "" {
		if a, ok := c.actorNamed(id); ok {
			f.For.Client = a.Workload.ClientID
		} else if _, err := uuid.Parse(id); err != nil && !slices.Contains(c.identities(), id) {
			c.one(field+".for.client", "a client id, or a workload or an identity of this scenario", id, c.identities())
		}
	}
	if r := f.For.Resource; r != "" && !strings.ContainsAny(r, ".:/") { // an address is looked up when it is injected
		if _, err := uuid.Parse(r); err != nil {
			c.one(field+".for.resource", "who answers, a vault or an application", r, c.resources())
		}
	}
	for _, p := range config.CheckFault(c.scenario.file, field, *f, c.scenario.world.Issuers) {
		c.report(p.At(c.top))
	}
}

// resources are who answers, and the vaults and applications by name.
func (c *checker) resources() []string {
	names := emulator.Answering()
	for _, v := range c.scenario.world.Vaults {
		names = append(names, v.Name)
	}
	if c.scenario.world.Vaults == nil {
		for _, v := range config.DefaultVaults() {
			names = append(names, v.Name)
		}
	}
	for _, a := range c.scenario.actors {
		for _, v := range a.Workload.KeyVaults {
			names = append(names, v.Name)
		}
	}
	for _, a := range c.scenario.world.Applications {
		names = append(names, a.Name)
	}
	return names
}

func (c *checker) actorNamed(name string) (actor, bool) {
	i := slices.IndexFunc(c.scenario.actors, func(a actor) bool { return a.name == name })
	if i < 0 {
		return actor{}, false
	}
	return c.scenario.actors[i], true
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
