package scenario

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/scenario/condition"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Load reads scenario files in the order given; a directory stands for the YAML
// files in it. Everything is checked before it returns: the error is of type
// [yamlfile.Problems] and tells all that is wrong in all files.
func Load(paths ...string) ([]Scenario, error) { return LoadNamed(nil, paths...) }

// LoadNamed is Load for which a path that leads to no file may be the name of a
// scenario of a library, whose files are NAME.yaml.
func LoadNamed(library fs.FS, paths ...string) ([]Scenario, error) {
	l, err := newLoader()
	if err != nil {
		return nil, err
	}
	for _, name := range paths {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) && library != nil {
			l.named(library, name, err)
			continue
		}
		if err != nil {
			l.unreadable(name, err)
			continue
		}
		if !info.IsDir() {
			data, err := yamlfile.Read(name)
			l.add(name, data, err)
			continue
		}
		l.directory(os.DirFS(name), func(file string) string { return filepath.Join(name, file) })
	}
	return l.result()
}

// LoadFS reads all scenario files of a file system, such as the library's.
func LoadFS(files fs.FS) ([]Scenario, error) {
	l, err := newLoader()
	if err != nil {
		return nil, err
	}
	l.directory(files, func(file string) string { return file })
	return l.result()
}

// Parse reads one scenario from data; file is the name that errors and reports use.
func Parse(file string, data []byte) (Scenario, error) {
	l, err := newLoader()
	if err != nil {
		return Scenario{}, err
	}
	l.add(file, data, nil)
	loaded, err := l.result()
	if err != nil {
		return Scenario{}, err
	}
	return loaded[0], nil
}

// A loader gathers scenarios and what is wrong with them.
type loader struct {
	language *condition.Language
	loaded   []Scenario
	names    map[string]string // the file of each name
	problems yamlfile.Problems // file by file
}

func newLoader() (*loader, error) {
	language, err := condition.NewLanguage()
	return &loader{language: language, names: map[string]string{}}, err
}

func (l *loader) directory(files fs.FS, show func(string) string) {
	entries, err := fs.ReadDir(files, ".") // sorted by name
	if err != nil {
		l.unreadable(show("."), err)
		return
	}
	found := false
	for _, entry := range entries {
		if extension := path.Ext(entry.Name()); entry.IsDir() || extension != ".yaml" && extension != ".yml" {
			continue
		}
		found = true
		data, err := fs.ReadFile(files, entry.Name())
		l.add(show(entry.Name()), data, err)
	}
	if !found {
		l.problems = append(l.problems, yamlfile.Problem{
			File: show("."), Expected: "scenario files NAME.yaml in the directory", Found: "none", Fix: "name a directory that has some",
		})
	}
}

// named takes a scenario of a library by its name.
func (l *loader) named(library fs.FS, name string, missing error) {
	files, err := fs.Glob(library, "*.yaml")
	if err != nil {
		l.unreadable(name, err)
		return
	}
	if file := name + ".yaml"; slices.Contains(files, file) {
		data, err := fs.ReadFile(library, file)
		l.add(file, data, err)
		return
	}
	l.unreadable(name, missing)
	for i, file := range files {
		files[i] = strings.TrimSuffix(file, ".yaml")
	}
	p := &l.problems[len(l.problems)-1]
	p.Expected += ", or the name of one that is built in"
	if meant := yamlfile.Nearest(strings.TrimSuffix(name, ".yaml"), files); meant != "" && !strings.HasPrefix(p.Fix, "did you mean") {
		p.Fix = fmt.Sprintf("did you mean %s?", meant)
	}
}

func (l *loader) unreadable(name string, err error) {
	p := yamlfile.Problem{File: name, Expected: "a scenario file or a directory of them", Found: err.Error()}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.Found, p.Fix = "nothing of that name", yamlfile.MeantFile(name)
	case errors.Is(err, fs.ErrPermission):
		p.Found, p.Fix = "no permission to read it", "check its mode and owner"
	}
	l.problems = append(l.problems, p)
}

// add checks a file that was read, or could not be.
func (l *loader) add(file string, data []byte, err error) {
	if err != nil {
		l.unreadable(file, err)
		return
	}
	before := len(l.problems)
	s := Scenario{}
	top, err := yamlfile.Parse(file, data)
	if err != nil {
		l.refuse(err, yamlfile.Problem{File: file, Expected: "YAML"})
		return
	}
	// Another kind of file is reported as such, not field by field.
	if kind := yamlfile.Get(top, "kind"); kind != nil && kind.Value != "" && kind.Value != Kind {
		l.problems = append(l.problems, yamlfile.Problem{File: file, Line: kind.Line, Column: kind.Column, Expected: "kind " + Kind, Found: kind.Value})
		return
	}
	configFile, err := readConfig(file, top)
	if err != nil {
		l.refuse(err, yamlfile.Problem{File: file, Field: "config"})
		return
	}
	problems := yamlfile.DecodeNode(file, top, &s)
	for i, p := range problems {
		problems[i].Fix = meantStep(p)
	}
	s.file, s.configFile = file, file
	if configFile != "" {
		s.configFile = configFile
		s.adoptConfig()
	}
	c := checker{scenario: &s, language: l.language, top: top, text: strings.Split(string(data), "\n"), verbs: map[string]string{}}
	errors.As(problems.Err(), &c.undecoded)
	c.check()
	problems = append(problems, c.problems...)
	problems.Sort()
	for _, p := range problems {
		if p.Warning {
			s.warnings = append(s.warnings, p)
		} else {
			l.problems = append(l.problems, p)
		}
	}
	if len(l.problems) > before {
		return
	}
	if other, taken := l.names[s.Metadata.Name]; taken {
		l.problems = append(l.problems, yamlfile.Problem{
			File: file, Field: "metadata.name",
			Expected: "a name of its own", Found: fmt.Sprintf("%s, which %s has too", s.Metadata.Name, other), Fix: "rename one of them",
		}.At(top))
		return
	}
	l.names[s.Metadata.Name] = file
	l.loaded = append(l.loaded, s)
}

// refuse adds the problems that an error lists, else one that it is found in.
func (l *loader) refuse(err error, found yamlfile.Problem) {
	var listed yamlfile.Problems
	if !errors.As(err, &listed) {
		found.Found = err.Error()
		listed = yamlfile.Problems{found}
	}
	l.problems = append(l.problems, listed...)
}

// otherWords are what people call a step that is called otherwise here.
var otherWords = map[string]string{
	"wait": "advance", "sleep": "advance", "pause": "advance", "tick": "advance", "timeTravel": "advance",
	"exec": "run", "start": "run", "command": "run", "shell": "run", "program": "run",
	"assert": "expect", "check": "expect", "verify": "expect", "test": "expect", "then": "expect",
	"inject": "fault", "break": "fault", "rotateKey": "rotate", "rotateKeys": "rotate", "publishKey": "publish",
}

var stepField = lazyregexp.New(`^steps\[\d+\]\.(\w+)$`)

// meantStep is the problem's fix, or for a step of another name the name it has.
func meantStep(p yamlfile.Problem) string {
	word := stepField().FindStringSubmatch(p.Field)
	if word == nil || strings.HasPrefix(p.Fix, "did you mean") || otherWords[word[1]] == "" || p.Found != yamlfile.UnknownField {
		return p.Fix
	}
	return fmt.Sprintf("did you mean %s?", otherWords[word[1]])
}

func (l *loader) result() ([]Scenario, error) {
	if len(l.problems) > 0 {
		return nil, l.problems
	}
	return l.loaded, nil
}

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

// readNamed reads such a file. What is wrong with it is reported at the field that names it.
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

// readConfig puts the wiemu.yaml that a scenario names in place of its name; path "" if none.
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
	s.Chaos = cmp.Or(s.Chaos, s.Config.Chaos)
	s.Config.Faults, s.Config.Chaos = nil, 0
}
