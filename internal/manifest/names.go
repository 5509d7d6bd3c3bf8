package manifest

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/internal/kubename"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// rule is what Kubernetes lets something be called.
type rule struct {
	allows   func(name string) bool
	expected string
}

// Source: Kubernetes, pkg/apis/core/validation/validation.go (ValidateEnv,
// ValidateEnvFrom, validateContainers) and apimachinery/pkg/util/validation/validation.go
// (IsRelaxedEnvVarName, IsConfigMapKey).
var (
	aLabel     = rule{kubename.IsLabel, kubename.LabelRule}
	aSubdomain = rule{kubename.IsSubdomain, kubename.SubdomainRule}
	aVariable  = rule{func(name string) bool { return name != "" && isVariable(name) }, "a variable's name: printable ASCII characters without ="}
	aPrefix    = rule{isVariable, "the beginning of a variable's name: printable ASCII characters without ="}
	aKey       = rule{func(name string) bool { return len(name) <= maxConfigKey && configKey().MatchString(name) }, "a key: at most 253 alphanumeric characters, '-', '_' or '.'"}
	aPath      = rule{isVariable, "printable ASCII characters"}
)

// The lengths of names are not in these patterns: repeated so often, they would take longer to
// compile than everything else that a start of wiemu does.
var configKey = lazyregexp.New(`^[-._a-zA-Z0-9]+$`)

const maxConfigKey = 253

func isVariable(name string) bool {
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '=' })
}

// checkNames refuses names that the API server would refuse: they become paths, parts
// of tokens, and lines on a terminal.
func checkNames(file string, object *yaml.Node, kind string, template []string) yamlfile.Problems {
	c := nameChecker{file: file}
	c.names("", object, "metadata", map[string]rule{"name": aSubdomain, "namespace": aLabel})
	switch {
	case isValues(kind):
		c.keys("data", yamlfile.Get(object, "data"))
		c.keys("stringData", yamlfile.Get(object, "stringData"))
	case template != nil:
		at := ""
		for _, step := range template {
			object, at = yamlfile.Get(object, step), yamlfile.Join(at, step)
		}
		c.names(at, object, "spec", map[string]rule{"serviceAccountName": aSubdomain})
		at = yamlfile.Join(at, "spec")
		c.containers(at, yamlfile.Get(object, "spec"))
	}
	return c.problems
}

type nameChecker struct {
	file     string
	problems yamlfile.Problems
}

// check refuses text that a rule does not allow. What is no text is refused elsewhere.
func (c *nameChecker) check(field string, node *yaml.Node, r rule) {
	if yamlfile.IsNull(node) || node.ShortTag() != "!!str" || r.allows(node.Value) {
		return
	}
	fix := ""
	if strings.Contains(node.Value, "${") || strings.Contains(node.Value, "{{") {
		fix = "templates have to be rendered first: helm template, kustomize build, envsubst"
	}
	c.problems = append(c.problems, yamlfile.Problem{
		File: c.file, Line: node.Line, Column: node.Column, Field: field, Expected: r.expected, Found: yamlfile.Describe(node), Fix: fix,
	})
}

// names checks keys of the mapping that is below a key of a node.
func (c *nameChecker) names(at string, node *yaml.Node, key string, rules map[string]rule) {
	mapping := yamlfile.Get(node, key)
	if mapping == nil || mapping.Kind != yaml.MappingNode {
		return
	}
	at = yamlfile.Join(at, key)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		name := mapping.Content[i].Value
		if r, named := rules[name]; named {
			c.check(yamlfile.Join(at, name), mapping.Content[i+1], r)
		}
	}
}

func (c *nameChecker) keys(at string, values *yaml.Node) {
	if values == nil || values.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(values.Content); i += 2 {
		if key := values.Content[i]; !aKey.allows(key.Value) {
			c.problems = append(c.problems, yamlfile.Problem{
				File: c.file, Line: key.Line, Column: key.Column, Field: yamlfile.Join(at, key.Value), Expected: aKey.expected, Found: fmt.Sprintf("%q", key.Value),
			})
		}
	}
}

func (c *nameChecker) containers(at string, spec *yaml.Node) {
	for _, list := range []string{"initContainers", "containers"} {
		each(yamlfile.Join(at, list), yamlfile.Get(spec, list), func(at string, container *yaml.Node) {
			c.check(at+".name", yamlfile.Get(container, "name"), aLabel)
			each(at+".env", yamlfile.Get(container, "env"), c.variable)
			each(at+".envFrom", yamlfile.Get(container, "envFrom"), func(at string, source *yaml.Node) {
				c.check(at+".prefix", yamlfile.Get(source, "prefix"), aPrefix)
				for _, kind := range []string{"configMapRef", "secretRef"} {
					c.names(at, source, kind, map[string]rule{"name": aSubdomain})
				}
			})
		})
	}
}

func (c *nameChecker) variable(at string, env *yaml.Node) {
	if name := yamlfile.Get(env, "name"); !yamlfile.IsNull(name) {
		c.check(at+".name", name, aVariable)
	} else {
		c.problems = append(c.problems, yamlfile.Problem{File: c.file, Line: env.Line, Column: env.Column, Field: at + ".name", Expected: aVariable.expected, Found: "nothing"})
	}
	from := yamlfile.Get(env, "valueFrom")
	at += ".valueFrom"
	for _, kind := range []string{"configMapKeyRef", "secretKeyRef"} {
		c.names(at, from, kind, map[string]rule{"name": aSubdomain, "key": aKey})
	}
	c.names(at, from, "fieldRef", map[string]rule{"fieldPath": aPath})
	c.names(at, from, "resourceFieldRef", map[string]rule{"resource": aPath})
}

func each(at string, list *yaml.Node, call func(at string, element *yaml.Node)) {
	if list == nil || list.Kind != yaml.SequenceNode {
		return
	}
	for i, element := range list.Content {
		if element.Kind == yaml.MappingNode {
			call(fmt.Sprintf("%s[%d]", at, i), element)
		}
	}
}
