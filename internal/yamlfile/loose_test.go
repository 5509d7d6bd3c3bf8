package yamlfile_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	kubernetesyaml "sigs.k8s.io/yaml"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// object is read by both: by the library as JSON, by us as YAML.
type object struct {
	Name     string            `json:"name" yaml:"name"`
	Optional *string           `json:"optional" yaml:"optional"`
	On       bool              `json:"enabled" yaml:"enabled"`
	Count    int32             `json:"count" yaml:"count"`
	Small    *uint8            `json:"small" yaml:"small"`
	Ratio    float64           `json:"ratio" yaml:"ratio"`
	Names    []string          `json:"names" yaml:"names"`
	Labels   map[string]string `json:"labels" yaml:"labels"`
	Inner    *object           `json:"inner" yaml:"inner"`
	Objects  []object          `json:"objects" yaml:"objects"`
}

func looseObject(data []byte) (o object, told yamlfile.Problems, err error) {
	top, told, err := yamlfile.ParseLoose("f", data)
	if err != nil {
		return o, nil, err
	}
	told = append(told, yamlfile.DecodeLoose("f", top, &o, func(yamlfile.Unknown) {})...)
	return o, told.Warnings(), told.Err()
}

// Scalars of all kinds, each as text, as a truth value, as numbers and as a key.
func TestLooseIsWhatKubernetesReads(t *testing.T) {
	scalars := strings.Fields(`5000 0.5 1e3 0x10 010 0o10 0b11 1_000 yes Yes YES yEs no No on off y n Y N true True TRUE
		false null ~ 2026-01-01 12:30:45 1.10 1.0 3.14159265358979 16777217.0 1234567.5 1e21 12345678901234567890
		123456789012345678901234 9007199254740993 .inf -.inf .nan +5 -5 -0 0 00 007 08 1. 1__0 0.1 1e-7 100000000.0
		0xFFFFFFFFFFFFFFFF -0x10 = << 1e400 685_230.15 +.inf 0b -0o7 0O7 .5 5. 1E3 +1e3 v1.5 256 -1 2.0 "5" 'yes' "" text _1 1_ 0x 0x_f 1:30`)
	scalars = append(scalars, "", "!!str 5", `!!int "5"`, "!!str yes", "!!float 5", "!!bool yes", "!!binary aGk=", "!!timestamp 2026-01-01", "!other text", "2026-01-01T10:00:00Z", "two words")
	for _, scalar := range scalars {
		for _, form := range []string{"name: %s", "optional: %s", "enabled: %s", "count: %s", "small: %s", "ratio: %s", "names: [%s, %[1]s]", "labels: {a: %s}", "labels: {%s: a}", "objects: [{name: %s}]", "inner: {Name: %s}"} {
			compare(t, fmt.Sprintf(form, scalar))
		}
	}
	for _, file := range []string{
		"name: a\nname: b", "inner: {name: a}\ninner: {count: 1}", "names: [a]\nnames: [b, c]\nnames: []",
		"NAME: a", "Enabled: yes\nLABELS: {Aa: b}\nInner: {inneR: {cOunt: 0x7}}",
		"labels: {x: 1, <<: {x: 2}}", "labels: {<<: {x: 2}, x: 1}", "labels: {<<: [{x: 1}, {x: 2, y: 3}]}", "labels: {<<: {x: 1}, <<: {x: 2}}",
		"labels: &l {x: 1}\ninner: {labels: *l, count: &n 08, name: *n}",
		"labels: {yes: 1, 5: 2, 0x10: 3, 1.50: 4, y: 5, 2026-01-01: 6, \"yes\": 7, .inf: 8}",
		"name: a\n---\nname: b", "name: a\n--- }{\n\t", "---\n---\nname: a", "# nothing", "",
		"labels: {null: 1}", "labels: {[a]: b}", "labels: [a]", "names: a", "inner: x", "? name\n: b", "name: >-\n  yes\n", "name: |\n  5", "name: a\n  b",
	} {
		compare(t, file)
	}
}

// compare reports where we differ from the library. What it takes we take, too.
func compare(t *testing.T, file string) {
	t.Helper()
	var want object
	refused := kubernetesyaml.Unmarshal([]byte(file), &want)
	got, told, err := looseObject([]byte(file))
	if (err == nil) != (refused == nil) {
		t.Errorf("%q: error %v, the library's %v", file, err, refused)
		return
	}
	if diff := cmp.Diff(want, got); diff != "" && err == nil {
		t.Errorf("%q (-library +loose):\n%s", file, diff)
	}
	// What strict reading would have refused or read as another value is told.
	var strict object
	if yamlfile.Decode("f", []byte(file), &strict) != nil || !cmp.Equal(strict, got) {
		if err == nil && len(told) == 0 {
			t.Errorf("%q: read as %+v without a warning", file, got)
		}
	}
}

func TestLooseReadingIsTold(t *testing.T) {
	for _, test := range []struct{ file, want string }{
		{"labels: {PORT: 5000}", `f:1:16: warning: labels.PORT: number 5000 is read as the text "5000"; put it in quotes: "5000"`},
		{"name: 1.10", `f:1:7: warning: name: number 1.10 is read as the text "1.1"; put it in quotes if that is not meant: "1.10"`},
		{"name: yes", `f:1:7: warning: name: yes is read as the text "true"; put it in quotes if that is not meant: "yes"`},
		{"name: true", `f:1:7: warning: name: true is read as the text "true"; put it in quotes: "true"`},
		{"enabled: on", `f:1:10: warning: enabled: on is read as true; write true`},
		{"count: 1e3", `f:1:8: warning: count: number 1e3 is read as 1000; write 1000`},
		{"labels: {y: a}", `f:1:10: warning: labels.true: the key y is read as the text "true"; put it in quotes if that is not meant: "y"`},
		{"inner: {Names: [a]}", `f:1:9: warning: inner.names: Names is read as names, since the case of letters does not count; write names`},
		{"name: a\nname: b", `f:2:1: warning: name: the key is also on line 1; this one counts, because it is the last; remove one of the two`},
		{"labels: {x: a, <<: {x: b}}", `f:1:16: warning: labels.<<: it replaces x of line 1, which stands before it; put << first`},
		{"name: a\n---\nname: b", `f:3:1: warning: what follows --- is not read; remove it, or put it into a file of its own`},
	} {
		_, told, err := looseObject([]byte(test.file))
		if got := told.Error(); err != nil || got != test.want {
			t.Errorf("%q: error %v, told\n%s\nwant\n%s", test.file, err, got, test.want)
		}
	}
}

// What was read under another name is found under its own.
func TestLooseNamesAreFoundInTheTree(t *testing.T) {
	top, _, err := yamlfile.ParseLoose("f", []byte("Inner:\n  NAME: a\n"))
	if err != nil {
		t.Fatal(err)
	}
	yamlfile.DecodeLoose("f", top, new(object), nil)
	if line := yamlfile.Line(top, "inner.name"); line != 2 {
		t.Errorf("inner.name is on line %d", line)
	}
}

// FuzzLoose: what sigs.k8s.io/yaml reads we read, to the same value.
func FuzzLoose(f *testing.F) {
	f.Add([]byte("name: yes\nNames: [1, 0x10, on]\nlabels: {<<: &a {x: 1}, x: 2, x: 3}\ninner: {count: 1e3}\n---\nname: 5"))
	f.Add([]byte("labels: &l {5: 08, y: ~}\nobjects: [{labels: *l}, {small: 0b1, ratio: .5}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var want object
		refused := kubernetesyaml.Unmarshal(data, &want)
		got, _, err := looseObject(data)
		if refused != nil || differsByParser(data) {
			return
		}
		if err != nil {
			t.Fatalf("%v, and the library reads %+v", err, want)
		}
		if a, b := asJSON(want), asJSON(got); a != b {
			t.Fatalf("library %s\nloose   %s", a, b)
		}
	})
}

func asJSON(o object) string {
	text, err := json.Marshal(o)
	return fmt.Sprint(string(text), err)
}

// differsByParser reports whether a file is one that YAML 1.1 and 1.2 cut up in
// different ways, goes beyond our limits, or has a field twice in letters of
// different case, which the library merges as JSON.
func differsByParser(data []byte) bool {
	var v3 any
	if yaml.Unmarshal(data, &v3) != nil && yaml.Unmarshal(data, new(yaml.Node)) != nil {
		return true
	}
	top, _, err := yamlfile.ParseLoose("f", data)
	if err != nil {
		return true
	}
	return hasTwins(top)
}

func hasTwins(node *yaml.Node) bool {
	seen := map[string]bool{}
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 {
			name := strings.ToLower(child.Value)
			if seen[name] {
				return true
			}
			seen[name] = true
		}
		if hasTwins(child) {
			return true
		}
	}
	return false
}
