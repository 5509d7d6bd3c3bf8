package overlay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/errdefs"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Source says which project to read, as docker compose does.
type Source struct {
	Files    []string // compose files. Defaults to compose.yaml and its variants in the directory
	Dir      string   // Defaults to that of the first file
	Name     string   // of the project. Defaults to that of the files, COMPOSE_PROJECT_NAME or the directory
	Profiles []string // besides COMPOSE_PROFILES
	EnvFiles []string // instead of .env
}

// Options returns the options of the compose loader, to load the project again.
func (s Source) Options() (*cli.ProjectOptions, error) {
	return cli.NewProjectOptions(s.Files,
		cli.WithWorkingDirectory(s.Dir), cli.WithOsEnv, cli.WithConfigFileEnv, cli.WithDefaultConfigPath,
		cli.WithEnvFiles(s.EnvFiles...), cli.WithDotEnv, cli.WithDefaultProfiles(s.Profiles...), cli.WithName(s.Name),
	)
}

// Load reads a project. An error in a file has its line, if the loader says what it is about.
func Load(ctx context.Context, s Source) (*types.Project, error) {
	for _, f := range s.Files {
		if f == "-" {
			return nil, errors.New("compose file -: expected a file; docker compose reads it a second time, with the overlay")
		}
		if _, err := os.Stat(f); err != nil {
			return nil, fmt.Errorf("read the compose file: %w", err)
		}
	}
	opts, err := s.Options()
	if err != nil {
		return nil, fmt.Errorf("find the compose file: %w; name it with -f", err)
	}
	seen := map[string]bool{}
	found := len(s.Files) == 0 && os.Getenv("COMPOSE_FILE") == ""
	for _, f := range opts.ConfigPaths {
		if found {
			if err := yamlfile.CheckFound(f); err != nil {
				return nil, fmt.Errorf("read the compose file: %w", err)
			}
		}
		if err := checkSize(f, seen); err != nil {
			return nil, err
		}
	}
	project, err := opts.LoadProject(ctx)
	if errors.Is(err, errdefs.ErrNotFound) && len(opts.ConfigPaths) == 0 {
		return nil, errors.New("find the compose file: there is no compose.yaml and no docker-compose.yml here; name it with -f")
	}
	if err != nil {
		return nil, fmt.Errorf("read the compose file: %w", locate(err, opts.ConfigPaths))
	}
	return project, nil
}

// maxValues is how many values a compose file may have with its aliases expanded: the loader
// expands them, and a file of a few lines must not keep it busy for minutes.
const maxValues = 100_000

// checkSize refuses a file that is larger, or has more values, than any written by hand, and
// checks the files that it includes or extends services of. The loader reports what is no
// YAML, and missing files.
func checkSize(file string, seen map[string]bool) error {
	if seen[file] {
		return nil
	}
	seen[file] = true
	data, err := yamlfile.Read(file)
	if err != nil {
		return fmt.Errorf("read the compose file: %w", err)
	}
	documents := yaml.NewDecoder(bytes.NewReader(data))
	for root := (yaml.Node{}); documents.Decode(&root) == nil; root = (yaml.Node{}) {
		if valuesOf(&root, map[*yaml.Node]int{}) > maxValues {
			return fmt.Errorf("%s: expected at most %d values, with aliases written out, found more; write out what you need of them", file, maxValues)
		}
		for _, name := range namedIn(&root) {
			if !filepath.IsAbs(name) {
				name = filepath.Join(filepath.Dir(file), name)
			}
			if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
				continue
			}
			if err := checkSize(name, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// namedIn returns the compose files that one includes or whose services it extends.
func namedIn(root *yaml.Node) []string {
	var file struct {
		Include  []yaml.Node `yaml:"include"`
		Services map[string]struct {
			Extends yaml.Node `yaml:"extends"`
		} `yaml:"services"`
	}
	_ = root.Decode(&file) // other forms are ignored here, and reported by the loader
	var names []string
	add := func(node *yaml.Node) {
		var one string
		var several []string
		switch {
		case node == nil:
		case node.Decode(&one) == nil:
			names = append(names, one)
		case node.Decode(&several) == nil:
			names = append(names, several...)
		}
	}
	for i := range file.Include {
		if n := &file.Include[i]; n.Kind == yaml.MappingNode {
			add(yamlfile.Get(n, "path"))
		} else {
			add(n)
		}
	}
	for _, service := range file.Services {
		if service.Extends.Kind == yaml.MappingNode {
			add(yamlfile.Get(&service.Extends, "file"))
		}
	}
	return names
}

// valuesOf counts the values of a node, up to a few more than maxValues. An anchor that refers
// to itself counts once; the loader refuses it.
func valuesOf(node *yaml.Node, known map[*yaml.Node]int) int {
	if n, counted := known[node]; counted {
		return n
	}
	known[node] = 1
	n := 1
	if node.Alias != nil {
		n += valuesOf(node.Alias, known)
	}
	for _, child := range node.Content {
		n = min(n+valuesOf(child, known), maxValues+1)
	}
	known[node] = n
	return n
}

// The loader's forms of a position: the path of a field, the name of a service, or a line of
// what is no YAML.
var (
	fieldPath   = lazyregexp.New(`\b(services|networks|volumes|configs|secrets|name|include)((?:\.[A-Za-z0-9_-]+|\[[^\]]*\])*)`)
	serviceName = lazyregexp.New(`service "([^"]+)"`)
	yamlLine    = lazyregexp.New(`\bat L(?:\d+\.C\d+-L)?(\d+)`)
)

// locate adds file and line to an error of the loader.
func locate(err error, files []string) error {
	text := err.Error()
	path := strings.FieldsFunc(fieldPath().FindString(text), func(r rune) bool { return strings.ContainsRune(".[]", r) })
	if named := serviceName().FindStringSubmatch(text); len(path) == 0 && named != nil {
		path = []string{"services", named[1]}
	}
	for _, file := range files {
		if strings.Contains(text, "validating ") && !strings.Contains(text, filepath.Base(file)) {
			continue // it says which file it is, and it is another
		}
		data, failed := os.ReadFile(file)
		if failed != nil {
			continue
		}
		root := yaml.Node{}
		if yaml.Unmarshal(data, &root) != nil {
			if at := yamlLine().FindStringSubmatch(text); at != nil {
				return fmt.Errorf("%s:%s: %w", file, at[1], err)
			}
			return fmt.Errorf("%s: %w", file, err)
		}
		if len(root.Content) == 0 {
			continue
		}
		if line, there := lineOf(root.Content[0], path); there {
			return fmt.Errorf("%s:%d: %w", file, line, err)
		}
		_, found, _ := cutLast(text, ": ")
		if line, field := lineWith(root.Content[0], found, ""); len(path) == 0 && line > 0 {
			return fmt.Errorf("%s:%d: %s: %w", file, line, field, err)
		}
	}
	if len(files) == 1 {
		return fmt.Errorf("%s: %w", files[0], err)
	}
	return err
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

// lineWith returns the line of the first value that contains what the loader quotes.
func lineWith(node *yaml.Node, text, path string) (line int, field string) {
	if text == "" {
		return 0, ""
	}
	if node.Kind == yaml.ScalarNode && strings.Contains(node.Value, text) {
		return node.Line, strings.TrimPrefix(path, ".")
	}
	for i, child := range node.Content {
		at := path
		switch {
		case node.Kind == yaml.SequenceNode:
			at += fmt.Sprintf("[%d]", i)
		case node.Kind == yaml.MappingNode && i%2 == 0:
			continue
		case node.Kind == yaml.MappingNode:
			at += "." + node.Content[i-1].Value
		}
		if line, field := lineWith(child, text, at); line > 0 {
			return line, field
		}
	}
	return 0, ""
}

// lineOf returns the line of the deepest existing part of a path.
func lineOf(node *yaml.Node, path []string) (line int, there bool) {
	for _, step := range path {
		next := child(node, step)
		if next == nil {
			return line, there
		}
		for i := 0; i+1 < len(node.Content) && node.Kind == yaml.MappingNode; i += 2 {
			if node.Content[i].Value == step {
				line = node.Content[i].Line
			}
		}
		if node.Kind == yaml.SequenceNode {
			line = next.Line
		}
		node, there = next, true
	}
	return line, there
}

func child(node *yaml.Node, step string) *yaml.Node {
	if node.Kind == yaml.SequenceNode {
		var i int
		if _, err := fmt.Sscanf(step, "%d", &i); err != nil || i < 0 || i >= len(node.Content) {
			return nil
		}
		return node.Content[i]
	}
	if node.Kind != yaml.MappingNode {
		return nil
	}
	return yamlfile.Get(node, step)
}
