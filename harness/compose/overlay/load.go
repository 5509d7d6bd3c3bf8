package overlay

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// Source says which project to read, as docker compose does.
type Source struct {
	Files    []string // compose files; none: compose.yaml and its like in the directory
	Dir      string   // "": that of the first file
	Name     string   // of the project; "": what the files, COMPOSE_PROJECT_NAME or the directory say
	Profiles []string // besides COMPOSE_PROFILES
	EnvFiles []string // instead of .env
}

// Options are those of the compose loader, for whoever loads the project again.
func (s Source) Options() (*cli.ProjectOptions, error) {
	return cli.NewProjectOptions(s.Files,
		cli.WithWorkingDirectory(s.Dir), cli.WithOsEnv, cli.WithConfigFileEnv, cli.WithDefaultConfigPath,
		cli.WithEnvFiles(s.EnvFiles...), cli.WithDotEnv, cli.WithDefaultProfiles(s.Profiles...), cli.WithName(s.Name),
	)
}

// Load reads a project. What is wrong with a file is told with its line, where
// the loader says what it is about.
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
	project, err := opts.LoadProject(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the compose file: %w", locate(err, opts.ConfigPaths))
	}
	return project, nil
}

// A field as the loader names it in its errors: services.web.ports.0.
var fieldPath = regexp.MustCompile(`\b(services|networks|volumes|configs|secrets|name|include)((?:\.[A-Za-z0-9_-]+|\[[^\]]*\])*)`)

// locate adds file and line of the field that an error of the loader names: it has
// them only for what is no YAML.
func locate(err error, files []string) error {
	text := err.Error()
	path := fieldPath.FindString(text)
	if path == "" {
		return err
	}
	for _, file := range files {
		data, failed := os.ReadFile(file)
		if failed != nil {
			continue
		}
		root := yaml.Node{}
		if yaml.Unmarshal(data, &root) != nil || len(root.Content) == 0 {
			continue
		}
		if strings.Contains(text, "validating ") && !strings.Contains(text, filepath.Base(file)) {
			continue // it says which file it is, and it is another
		}
		if line, there := lineOf(root.Content[0], strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune(".[]", r) })); there {
			return fmt.Errorf("%s:%d: %w", file, line, err)
		}
	}
	return err
}

// lineOf is the line of the deepest part of a path that there is.
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
