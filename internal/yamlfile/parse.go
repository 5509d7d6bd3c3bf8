package yamlfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/wiemu/wiemu/internal/lazyregexp"

	"go.yaml.in/yaml/v3"
)

// Limits of a file. Configuration is written by people: what exceeds these is a
// mistake or an attack.
const (
	MaxBytes = 1 << 20 // the size of a file
	// MaxConfiguration is the size of a wiemu.yaml, which programs write, too: one with 3,000
	// identities and 20 federated credentials each has 15 MB, and takes 600 MB to be read.
	MaxConfiguration = 64 << 20
	MaxDepth         = 100 // levels of lists and mappings in one another

	// maxAliased is how many nodes aliases may add to those that are written
	// out; an alias bomb ("billion laughs") needs millions.
	maxAliased = 100_000
)

// Parse reads a file that holds one YAML document and returns the document's
// top node. Aliases and merge keys are resolved in it: it consists of mappings
// with text keys, lists and scalars only. An empty file gives a null scalar.
//
// The error is of type [Problems]: a syntax error, a key given twice, a key
// that is not text, a second document, or a file beyond the limits.
func Parse(file string, data []byte) (*yaml.Node, error) { return ParseUpTo(MaxBytes, file, data) }

// ParseUpTo is [Parse] for files that programs write, which may be larger: most is
// the limit in bytes.
func ParseUpTo(most int, file string, data []byte) (*yaml.Node, error) {
	documents, err := parseAll(file, most, data)
	if err != nil {
		return nil, err
	}
	switch len(documents) {
	case 0:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: 1, Column: 1}, nil
	case 1:
		return documents[0], nil
	}
	return nil, Problems{{
		File: file, Line: documents[1].Line, Column: documents[1].Column,
		Expected: "one YAML document", Found: fmt.Sprintf("%d", len(documents)),
		Fix: "put what follows --- into a file of its own",
	}}
}

// ParseAll is [Parse] for a file that may hold several documents, one node each.
// Empty documents are left out.
func ParseAll(file string, data []byte) ([]*yaml.Node, error) { return parseAll(file, MaxBytes, data) }

func parseAll(file string, most int, data []byte) ([]*yaml.Node, error) {
	if len(data) > most {
		return nil, tooLarge(file, most, int64(len(data)))
	}
	var documents []*yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			problem := syntaxProblem(file, err)
			if bytes.Contains(data, []byte("{{")) {
				problem.Fix = renderFirst
			}
			return nil, Problems{problem}
		}
		if document.Kind != yaml.DocumentNode || len(document.Content) == 0 {
			continue
		}
		r := resolver{file: file, resolved: map[*yaml.Node]resolution{}}
		top, _ := r.resolve(document.Content[0], "", 0)
		if len(r.problems) > 0 {
			r.problems.Sort()
			return nil, r.problems
		}
		if !IsNull(top) {
			documents = append(documents, top)
		}
	}
}

func tooLarge(file string, most int, size int64) Problems {
	return Problems{{
		File: file, Expected: fmt.Sprintf("at most %d MiB", most>>20), Found: fmt.Sprintf("%d bytes", size),
		Fix: "check that this is the file you meant",
	}}
}

const renderFirst = "templates have to be rendered first: helm template, kustomize build"

// The parser says "yaml: line 3: did not find expected key".
var syntaxLine = lazyregexp.New(`^yaml: (?:line (\d+)(?:, column \d+)?: )?`)

func syntaxProblem(file string, err error) Problem {
	p := Problem{File: file, Expected: "YAML", Found: err.Error()}
	if at := syntaxLine().FindStringSubmatch(p.Found); at != nil {
		p.Found = strings.TrimPrefix(p.Found, at[0])
		p.Line, _ = strconv.Atoi(at[1])
	}
	p.Found = strings.TrimPrefix(p.Found, "found ") // as Problem says it
	switch {
	case strings.Contains(p.Found, "cannot start any token"):
		p.Fix = "indent with spaces, not tabs, and quote text that begins with a special character"
	case strings.Contains(p.Found, "mapping values are not allowed"):
		p.Fix = "check the indentation, and quote text that contains a colon"
	case strings.Contains(p.Found, "did not find expected "):
		p.Found = strings.Replace(p.Found, "did not find expected ", "a line without the expected ", 1)
		p.Fix = "check the indentation of this line and of those before it"
	}
	return p
}

// IsNull reports whether a node is absent, empty or null, which all mean "not given".
func IsNull(node *yaml.Node) bool {
	return node == nil || node.Kind == 0 || node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null"
}

// A resolver replaces aliases by what they stand for and merges << keys.
type resolver struct {
	file     string
	loose    bool     // see ParseLoose
	warnings Problems // of what is read loosely
	problems Problems
	aliased  int // nodes that aliases have added
	resolved map[*yaml.Node]resolution
}

type resolution struct {
	node *yaml.Node // nil while it is being resolved
	size int
}

func (r *resolver) problem(node *yaml.Node, field, expected, found, fix string) {
	r.problems = append(r.problems, Problem{
		File: r.file, Line: node.Line, Column: node.Column, Field: field, Expected: expected, Found: found, Fix: fix,
	})
}

// resolve returns the node without aliases, and the number of nodes in it
// counted as if every alias had been written out.
func (r *resolver) resolve(node *yaml.Node, field string, depth int) (*yaml.Node, int) {
	if len(r.problems) > 20 { // enough to work on
		return node, 1
	}
	if depth > MaxDepth {
		r.problem(node, field, fmt.Sprintf("at most %d levels", MaxDepth), "more", "flatten the file")
		return node, 1
	}
	if node.Kind == yaml.AliasNode {
		return r.alias(node, field, depth)
	}
	if node.Anchor != "" {
		r.resolved[node] = resolution{}
	}
	size := 1
	switch node.Kind {
	case yaml.MappingNode:
		size = r.mapping(node, field, depth)
	case yaml.SequenceNode:
		for i, element := range node.Content {
			resolved, n := r.resolve(element, fmt.Sprintf("%s[%d]", field, i), depth+1)
			node.Content[i], size = resolved, size+n
		}
	}
	if node.Anchor != "" {
		r.resolved[node] = resolution{node, size}
	}
	return node, size
}

func (r *resolver) alias(node *yaml.Node, field string, depth int) (*yaml.Node, int) {
	target, known := r.resolved[node.Alias]
	if !known && node.Alias.Kind == yaml.ScalarNode { // an anchor on a key
		target = resolution{node.Alias, 1}
	}
	if target.node == nil { // an anchor stands before its aliases, so it has been begun
		r.problem(node, field, "an alias of something else", "*"+node.Value+" inside of what it names", "write the value out")
		return null(node), 1
	}
	r.aliased += target.size
	if r.aliased > maxAliased {
		r.problem(node, field, fmt.Sprintf("aliases that stand for at most %d values", maxAliased), "more", "write the values out")
		return null(node), 1
	}
	if d := depthOf(target.node, MaxDepth-depth); d > MaxDepth-depth {
		r.problem(node, field, fmt.Sprintf("at most %d levels", MaxDepth), "more", "flatten the file")
		return null(node), 1
	}
	return target.node, target.size
}

// depthOf is the number of levels below node, or more than limit as soon as it is known to be.
// Every alias has been counted before it gets here, so the walk is bounded.
func depthOf(node *yaml.Node, limit int) int {
	deepest := 0
	if limit < 0 {
		return 1
	}
	for _, child := range node.Content {
		deepest = max(deepest, 1+depthOf(child, limit-1))
		if deepest > limit {
			break
		}
	}
	return deepest
}

func null(at *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: at.Line, Column: at.Column}
}

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
