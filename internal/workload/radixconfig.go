package workload

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// RadixKind is the kind of document that a radixconfig.yaml holds, and RadixAPIVersion its version.
const (
	RadixKind       = "RadixApplication"
	RadixAPIVersion = "radix.equinor.com/v1"
)

// RadixConfig is what a radixconfig.yaml says about identities.
type RadixConfig struct {
	File         string   // as it was named to ParseRadixConfig
	Application  string   // metadata.name
	Environments []string // in the order of the file

	workloads []Workload
	deployed  []Workload
	triggers  []Workload
	parts     []part
}

// ParseRadixConfig reads a radixconfig.yaml; name names it in messages. It takes what Radix takes,
// which reads it with sigs.k8s.io/yaml (radix-operator, pkg/apis/pipeline/application): numbers for
// text, field names in letters of any case, keys that are given twice. These are warnings, as are
// fields that are not known, because Radix gains new ones; anything wrong with an identity is an
// error of type [yamlfile.Problems], which lists all problems.
func ParseRadixConfig(name string, data []byte) (*RadixConfig, []yamlfile.Problem, error) {
	top, warnings, err := yamlfile.ParseLoose(name, data)
	if err != nil {
		return nil, nil, err
	}
	var file applicationFile
	r := reader{file: name, top: top, problems: yamlfile.DecodeLoose(name, top, &file, unknownField)}
	if file.Kind != RadixKind {
		fix := "check that this is the radixconfig.yaml of an application"
		if lacksKind(file) {
			fix = "write kind: " + RadixKind
		}
		return nil, nil, yamlfile.Problems{yamlfile.Problem{
			File: name, Field: "kind", Expected: RadixKind, Found: yamlfile.Describe(yamlfile.Get(top, "kind")), Fix: fix,
		}.At(top)}
	}
	r.problems = append(r.problems, warnings...)
	config := r.read(&file)
	r.problems.Sort()
	if err := r.problems.Err(); err != nil {
		return nil, r.problems.Warnings(), err
	}
	return config, r.problems.Warnings(), nil
}

// lacksKind reports whether a file is a radixconfig.yaml in which only the kind is missing.
func lacksKind(file applicationFile) bool {
	hasParts := file.Metadata.Name != "" && len(file.Spec.Environments)+len(file.Spec.Components)+len(file.Spec.Jobs) > 0
	return file.Kind == "" && (strings.HasPrefix(file.APIVersion, "radix.equinor.com/") || file.APIVersion == "" && hasParts)
}

// IsRadixConfig reports whether a file is a radixconfig.yaml, by its kind, or by what it
// has besides where the kind is missing.
func IsRadixConfig(data []byte) bool {
	top, _, err := yamlfile.ParseLoose("", data)
	if err != nil {
		return false
	}
	var file applicationFile
	_ = yamlfile.DecodeLoose("", top, &file, func(yamlfile.Unknown) {}) // what is wrong is reported when it is read as what it is
	return file.Kind == RadixKind || lacksKind(file)
}

// Workloads returns everything that runs with an identity, environment by
// environment: components, their OAuth2 proxies, jobs, the sub-pipeline.
func (c *RadixConfig) Workloads() []Workload { return slices.Clone(c.workloads) }

// Deployed returns every component and job that runs in an environment. Those
// without an identity run as the namespace's service account [NoIdentity].
func (c *RadixConfig) Deployed(environment string) []Workload {
	return slices.DeleteFunc(slices.Clone(c.deployed), func(w Workload) bool { return w.Environment != environment })
}

// Triggers returns the KEDA triggers that use an identity. They need a trust but
// are no workloads of the application: KEDA's operator asks for their tokens.
func (c *RadixConfig) Triggers() []Workload { return slices.Clone(c.triggers) }

// Find returns the workload that runs under a name in an environment, which may
// be "" where there is only one. The error says what there is.
func (c *RadixConfig) Find(component, environment string) (Workload, error) {
	if environment == "" && len(c.Environments) == 1 {
		environment = c.Environments[0]
	}
	if !slices.Contains(c.Environments, environment) {
		return Workload{}, fmt.Errorf("%s: no environment %q%s: expected one of %s",
			c.File, environment, yamlfile.DidYouMeanAside(environment, c.Environments), strings.Join(c.Environments, ", "))
	}
	var here []string
	for _, w := range c.workloads {
		if w.Environment != environment {
			continue
		}
		if w.Component == component {
			return w, nil
		}
		here = append(here, w.Component)
	}
	return Workload{}, fmt.Errorf("%s: %s", c.File, c.missing(component, environment, here))
}

// Has reports whether there is a component or job of a name, with or without an identity.
func (c *RadixConfig) Has(name string) bool {
	return slices.ContainsFunc(c.parts, func(p part) bool { return p.name == name })
}

// LacksIdentity returns the error for a file in which nothing has an identity: it says what
// to write where.
func (c *RadixConfig) LacksIdentity() error {
	var names []string
	for _, p := range c.parts {
		names = append(names, p.name)
	}
	there := "there are none"
	if len(names) > 0 {
		there = "there are " + strings.Join(names, ", ")
	}
	return fmt.Errorf("%s: expected identity.azure.clientId on a component or job that is enabled (%s), found none; %s", c.File, there, writeIdentity)
}

func (c *RadixConfig) missing(component, environment string, here []string) string {
	there := "no workload of " + environment + " has an identity"
	if len(here) > 0 {
		there = "with an identity there are " + strings.Join(here, ", ")
	}
	for _, p := range c.parts {
		switch {
		case p.name != component:
		case !p.enabled(environment):
			return fmt.Sprintf("%s %s is not enabled in %s; %s", p.role, component, environment, there)
		default:
			return fmt.Sprintf("%s %s has no identity in %s: add identity.azure.clientId to it; %s", p.role, component, environment, there)
		}
	}
	return fmt.Sprintf("no component or job %q%s; in %s, %s", component, yamlfile.DidYouMeanAside(component, here), environment, there)
}

// A part is a component or job with what its environments override.
type part struct {
	role Role
	name string
	base level
	over []level
}

// A level is what is said about a part for all environments, or for one.
type level struct {
	field       string // where it stands in the file
	environment string
	settings
	componentSettings
}

// in returns what is said for an environment, which may be nothing. The
// operator compares names exactly (getEnvironmentSpecificConfigForComponent).
func (p part) in(environment string) level {
	for _, l := range p.over {
		if l.environment == environment {
			return l
		}
	}
	return level{}
}

func (p part) enabled(environment string) bool {
	for _, l := range []level{p.in(environment), p.base} {
		if l.Enabled != nil {
			return *l.Enabled
		}
	}
	return true
}

// reader makes a RadixConfig of a decoded file and collects what is wrong with it.
type reader struct {
	file     string
	top      *yaml.Node
	problems yamlfile.Problems
}

// refuse reports a problem, unless the field has one: the first says most.
func (r *reader) refuse(field, expected, found, fix string) {
	if slices.ContainsFunc(r.problems, func(p yamlfile.Problem) bool { return p.Field == field && !p.Warning }) {
		return
	}
	r.problems = append(r.problems, yamlfile.Problem{
		File: r.file, Field: field, Expected: expected, Found: found, Fix: fix,
	}.At(r.top))
}

func (r *reader) read(file *applicationFile) *RadixConfig {
	c := &RadixConfig{File: r.file, Application: file.Metadata.Name, parts: parts(&file.Spec)}
	for _, environment := range file.Spec.Environments {
		c.Environments = append(c.Environments, environment.Name)
	}
	r.check(file, c)
	for i, environment := range file.Spec.Environments {
		deployed := deployment{reader: r, application: c.Application, environment: environment.Name}
		for _, p := range c.parts {
			if p.enabled(environment.Name) {
				deployed.part(p)
			}
		}
		deployed.subPipeline(&file.Spec, i)
		c.workloads = append(c.workloads, deployed.workloads...)
		c.deployed = append(c.deployed, deployed.parts...)
		c.triggers = append(c.triggers, deployed.triggers...)
	}
	return c
}

func parts(spec *specFile) []part {
	var all []part
	for i, component := range spec.Components {
		p := part{role: Component, name: component.Name}
		p.base = level{fmt.Sprintf("spec.components[%d]", i), "", component.settings, component.componentSettings}
		for j, over := range component.EnvironmentConfig {
			field := fmt.Sprintf("%s.environmentConfig[%d]", p.base.field, j)
			p.over = append(p.over, level{field, over.Environment, over.settings, over.componentSettings})
		}
		all = append(all, p)
	}
	for i, job := range spec.Jobs {
		p := part{role: Job, name: job.Name}
		p.base = level{fmt.Sprintf("spec.jobs[%d]", i), "", job.settings, componentSettings{}}
		for j, over := range job.EnvironmentConfig {
			field := fmt.Sprintf("%s.environmentConfig[%d]", p.base.field, j)
			p.over = append(p.over, level{field, over.Environment, over.settings, componentSettings{}})
		}
		all = append(all, p)
	}
	return all
}

// nameForm is what Radix allows as a name: namespaces and service accounts are
// made of it. Source: json-schema/radixapplication.json.
var nameForm = lazyregexp.New(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

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
			fix := cmp.Or(yamlfile.DidYouMean(l.environment, c.Environments), "add it to spec.environments")
			r.refuse(field, "one of spec.environments", found(l.environment), fix)
		case seen[l.environment]:
			r.refuse(field, "every environment once", found(l.environment)+" again", "merge the two entries")
		}
		seen[l.environment] = true
	}
}

func (r *reader) name(field, name, what string) {
	if !nameForm().MatchString(name) {
		r.refuse(field, what+" ("+nameRule+")", found(name), "")
	}
}

func found(text string) string {
	if text == "" {
		return "nothing"
	}
	return fmt.Sprintf("text %q", text)
}
