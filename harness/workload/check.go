package workload

import (
	"fmt"
	"regexp"

	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// nameForm is what Radix allows as a name: namespaces and service accounts are
// made of it. Source: json-schema/radixapplication.json.
var nameForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

const (
	nameRule = "lower-case letters, digits and -"
	// A namespace is APP-ENVIRONMENT and at most 63 characters. Operator: envNameValidator.
	maxNamespace = 63
)

// check looks at what the names of namespaces and service accounts depend on.
func (r *reader) check(file *applicationFile, c *RadixConfig) {
	if file.APIVersion != RadixAPIVersion {
		r.refuse("apiVersion", RadixAPIVersion, found(file.APIVersion), "")
	}
	r.name("metadata.name", c.Application, "the name of the application")
	if len(c.Environments) == 0 {
		r.refuse("spec.environments", "the application's environments", "none", "add - name: dev")
	}
	seen := map[string]bool{}
	for i, environment := range c.Environments {
		field := fmt.Sprintf("spec.environments[%d].name", i)
		r.name(field, environment, "the name of the environment")
		switch {
		case environment == "app":
			r.refuse(field, "another name", "app, which Radix reserves: APP-app is the application's own namespace", "rename it")
		case seen[environment] && environment != "":
			r.refuse(field, "a name of its own", "that of another environment", "rename one of the two")
		case len(c.Application)+1+len(environment) > maxNamespace:
			r.refuse(field, fmt.Sprintf("a namespace %s-%s of at most %d characters", c.Application, environment, maxNamespace),
				fmt.Sprintf("%d", len(c.Application)+1+len(environment)), "shorten it")
		}
		seen[environment] = true
	}
	r.checkParts(c)
}

func (r *reader) checkParts(c *RadixConfig) {
	seen := map[string]bool{}
	for _, p := range c.parts {
		field := p.base.field + ".name"
		r.name(field, p.name, "the name of the "+string(p.role))
		if seen[p.name] && p.name != "" {
			r.refuse(field, "a name of its own", "that of another component or job", "rename one of the two")
		}
		seen[p.name] = true
		r.checkEnvironments(c, p)
	}
}

// checkEnvironments refuses an override that would be dropped in silence.
func (r *reader) checkEnvironments(c *RadixConfig, p part) {
	known, seen := map[string]bool{}, map[string]bool{}
	for _, environment := range c.Environments {
		known[environment] = true
	}
	for _, l := range p.over {
		field := l.field + ".environment"
		switch {
		case !known[l.environment]:
			fix := "add it to spec.environments"
			if meant := yamlfile.Nearest(l.environment, c.Environments); meant != "" {
				fix = "did you mean " + meant + "?"
			}
			r.refuse(field, "one of spec.environments", found(l.environment), fix)
		case seen[l.environment]:
			r.refuse(field, "every environment once", found(l.environment)+" again", "merge the two entries")
		}
		seen[l.environment] = true
	}
}

func (r *reader) name(field, name, what string) {
	if !nameForm.MatchString(name) {
		r.refuse(field, what+" ("+nameRule+")", found(name), "")
	}
}

func found(text string) string {
	if text == "" {
		return "nothing"
	}
	return fmt.Sprintf("text %q", text)
}
