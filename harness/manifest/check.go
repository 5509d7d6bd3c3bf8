package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// Check refuses containers with variables that no program can have, such as those that
// are too long. It needs all files: variables come from config maps, and name others,
// so that they grow beyond what is written.
func (o *Objects) Check() error {
	if !config.IsLabel(o.namespace) {
		return fmt.Errorf("namespace %q: expected %s", o.namespace, config.LabelRule)
	}
	var problems yamlfile.Problems
	all := 0
	for _, p := range o.pods {
		for _, list := range []struct {
			name       string
			containers []Container
		}{{"initContainers", p.Template.Spec.InitContainers}, {"containers", p.Template.Spec.Containers}} {
			for i, c := range list.containers {
				field := fmt.Sprintf("spec.%s[%d]", list.name, i)
				e := o.Environ(p, c)
				if e.refused != nil {
					problems = append(problems, p.refused(field, c, *e.refused))
				}
				if all += e.size; all > maxAllVariables {
					return append(problems, p.problem(field, "at most 64 MiB of variables in all containers", "more", "name fewer files"))
				}
			}
		}
	}
	return problems.Err()
}

func (p *Pods) refused(field string, c Container, r refused) yamlfile.Problem {
	if r.index >= 0 {
		field += fmt.Sprintf(".env[%d]", r.index)
	} else {
		field += ".envFrom"
	}
	return p.problem(field, fmt.Sprintf("%s, in variable %s of container %s", r.expected, r.name, c.Name), r.found, r.fix)
}

// problem is one with a field of the pods.
func (p *Pods) problem(field, expected, found, fix string) yamlfile.Problem {
	field = strings.Join(append(slices.Clone(p.path), field), ".")
	return yamlfile.Problem{File: p.file, Field: field, Expected: expected, Found: found, Fix: fix}.At(p.object)
}
