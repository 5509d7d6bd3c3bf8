package scenarios

import (
	"errors"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// named is the file that a scenario names where it could say what is in it; a path is
// relative to the scenario's own file.
func named(file string, node *yaml.Node) (path string, ok bool) {
	if node == nil || node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str" || node.Value == "" {
		return "", false
	}
	if filepath.IsAbs(node.Value) {
		return node.Value, true
	}
	return filepath.Join(filepath.Dir(file), node.Value), true
}

// readNamed reads such a file. What is wrong with it is told at the field that names it.
func readNamed(file, field, expected, path string, top *yaml.Node) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		found, fix := err.Error(), ""
		if errors.Is(err, os.ErrNotExist) {
			found, fix = path+", which is not there", yamlfile.MeantFile(path)
		}
		return nil, yamlfile.Problems{yamlfile.Problem{File: file, Field: field, Expected: expected + ", or the path of one", Found: found, Fix: fix}.At(top)}
	}
	return data, nil
}

// readConfig puts what is in the wiemu.yaml that a scenario names in place of its
// name, and returns its path; "" if it names none.
func readConfig(file string, top *yaml.Node) (path string, err error) {
	node := yamlfile.Get(top, "config")
	path, ok := named(file, node)
	if !ok {
		return "", nil
	}
	data, err := readNamed(file, "config", "a wiemu.yaml", path, top)
	if err != nil {
		return "", err
	}
	parsed, err := config.Parse(path, data)
	if err == nil {
		_, err = parsed.Complete(path)
	}
	if err != nil {
		return "", err
	}
	root, err := yamlfile.Parse(path, data)
	if err != nil {
		return "", err
	}
	*node = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: node.Line, Column: node.Column}
	if root != nil && root.Kind == yaml.MappingNode {
		node.Content = root.Content
	}
	return path, nil
}

// adoptConfig takes what a wiemu.yaml says that is for a lab of its own: addresses do
// not matter, as scenarios run side by side, and what goes wrong goes wrong here.
func (s *Scenario) adoptConfig() {
	s.Config.Listen = config.Listen{}
	s.Faults = append(s.Config.Faults, s.Faults...)
	if s.Chaos == 0 {
		s.Chaos = s.Config.Chaos
	}
	s.Config.Faults, s.Config.Chaos = nil, 0
}
