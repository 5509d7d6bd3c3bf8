package yamlfile

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// mapping resolves the values of a mapping, refuses keys given twice, and adds
// what its << keys name. Source: https://yaml.org/type/merge.html.
// It returns the mapping's size as resolve does.
func (r *resolver) mapping(node *yaml.Node, field string, depth int) int {
	if r.loose {
		return r.looseMapping(node, field, depth)
	}
	var merges []*yaml.Node
	content := make([]*yaml.Node, 0, len(node.Content))
	first, size := map[string]int{}, 1
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, ok := r.key(node.Content[i], field)
		if !ok {
			continue
		}
		name, path := key.Value, Join(field, key.Value)
		if line, twice := first[name]; twice {
			r.problem(key, path, "every key once", fmt.Sprintf("it is also on line %d", line), "remove one of the two")
			continue
		}
		first[name] = key.Line
		value, n := r.resolve(node.Content[i+1], path, depth+1)
		size += n + 1
		if key.ShortTag() == "!!merge" {
			merges = append(merges, r.merged(value, path)...)
			continue
		}
		content = append(content, key, value)
	}
	for _, other := range merges {
		for i := 0; i+1 < len(other.Content); i += 2 {
			// What is written here wins, then what is merged first.
			if name := other.Content[i].Value; first[name] == 0 {
				first[name] = other.Content[i].Line
				content = append(content, other.Content[i], other.Content[i+1])
			}
		}
	}
	node.Content = content
	return size
}

// key returns the node of a key, which has to be a scalar.
func (r *resolver) key(node *yaml.Node, field string) (*yaml.Node, bool) {
	key := node
	if key.Kind == yaml.AliasNode {
		key = key.Alias
	}
	if key.Kind != yaml.ScalarNode {
		fix := "quote it if it is meant as text, such as \"{name}\""
		if key.Kind == yaml.MappingNode { // {{ .Values.name }}
			fix = renderFirst + "; or " + fix
		}
		r.problem(node, field, "a key that is text", Describe(key), fix)
		return nil, false
	}
	return key, true
}

// merged returns the mappings that a << key names: one, or a list of them.
func (r *resolver) merged(value *yaml.Node, field string) []*yaml.Node {
	switch value.Kind {
	case yaml.MappingNode:
		return []*yaml.Node{value}
	case yaml.SequenceNode:
		for _, element := range value.Content {
			if element.Kind != yaml.MappingNode {
				r.problem(element, field, "a mapping", Describe(element), "name an anchor of a mapping")
				return nil
			}
		}
		return value.Content
	}
	r.problem(value, field, "a mapping", Describe(value), "name an anchor of a mapping, or quote \"<<\" if it is meant as a key")
	return nil
}
