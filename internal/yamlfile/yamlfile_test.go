package yamlfile_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wiemu/wiemu/internal/yamlfile"
	"go.yaml.in/yaml/v3"
)

type level string

func (l *level) UnmarshalText(text []byte) error {
	if string(text) != "low" && string(text) != "high" {
		return errors.New("low or high")
	}
	*l = level(text)
	return nil
}

// A vault may be given by its name alone.
type vault struct {
	Name    string            `yaml:"name"`
	Secrets map[string]string `yaml:"secrets"`
}

func (vt *vault) UnmarshalYAMLFile(v yamlfile.Value) {
	if v.Node.Kind == yaml.ScalarNode {
		v.Decode(&vt.Name)
		return
	}
	type plain vault
	v.Decode((*plain)(vt))
}

type metadata struct {
	Labels map[string]string `yaml:"labels"`
}

type lab struct {
	metadata `yaml:",inline"`
	Name     string        `yaml:"name"`
	ClientID string        `yaml:"clientId,omitempty"`
	Count    int           `yaml:"count"`
	Small    uint8         `yaml:"small"`
	Ratio    float64       `yaml:"ratio"`
	On       bool          `yaml:"on"`
	Optional *bool         `yaml:"optional"`
	Lifetime time.Duration `yaml:"lifetime"`
	Start    time.Time     `yaml:"start"`
	Level    level         `yaml:"level"`
	Names    []string      `yaml:"names"`
	Vaults   []vault       `yaml:"vaults"`
	Inner    *lab          `yaml:"inner"`
	Anything any           `yaml:"anything"`
	Node     *yaml.Node    `yaml:"node"`
	Hidden   string        `yaml:"-"`
}

func TestDecodeReadsEveryKindOfValue(t *testing.T) {
	const file = `
name: web          # a comment
clientId: b96d264b-7053-4465-a4a7-32be5b0fec49
count: 0x10
small: 255
ratio: 1
"on": true
optional: false
lifetime: 25h
start: 2026-11-23T11:04:05+01:00
level: high
names: [a, 2026-01-01]
vaults:
- mykeyvault
- {name: other, secrets: {a: b}}
inner:
    name: ~
    names:
anything: {n: 1, list: [true, x], date: 2026-01-01}
labels: {a: b}
`
	got := lab{Count: 7}
	if err := yamlfile.Decode("wiemu.yaml", []byte(file), &got); err != nil {
		t.Fatal(err)
	}
	off := false
	want := lab{
		metadata: metadata{Labels: map[string]string{"a": "b"}},
		Name:     "web", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49",
		Count: 16, Small: 255, Ratio: 1, On: true, Optional: &off,
		Lifetime: 25 * time.Hour, Start: time.Date(2026, 11, 23, 10, 4, 5, 0, time.UTC),
		Level: "high", Names: []string{"a", "2026-01-01"},
		Vaults:   []vault{{Name: "mykeyvault"}, {Name: "other", Secrets: map[string]string{"a": "b"}}},
		Inner:    &lab{},
		Anything: map[string]any{"n": 1, "list": []any{true, "x"}, "date": "2026-01-01"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(lab{})); diff != "" {
		t.Errorf("decoded value (-want +got):\n%s", diff)
	}
}

func TestDecodeKeepsTheDefaultOfWhatIsNotGiven(t *testing.T) {
	for _, file := range []string{"", "# nothing\n", "---\n", "name:\n", "name: null\n---\n"} {
		got := lab{Name: "default"}
		if err := yamlfile.Decode("f", []byte(file), &got); err != nil || got.Name != "default" {
			t.Errorf("%q: name %q, error %v", file, got.Name, err)
		}
	}
}

func TestDecodeSaysWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ name, file, want string }{
		{"a misspelt field is told its spelling", "inner: {inner: {clientID: x}}",
			`found an unknown field; did you mean clientId?`},
		{"an unquoted number is not a name", "name: 1e5",
			`f:1:7: name: expected text, found number 1e5; put it in quotes: "1e5"`},
		{"a word of YAML 1.1 is not a bool", "\"on\": yes",
			`f:1:7: on: expected true or false, found text "yes"; write true`},
		{"a quoted bool is not a bool", "\"on\": \"true\"",
			`f:1:7: on: expected true or false, found text "true"; write it without quotes`},
		{"a number needs its unit", "lifetime: 3600",
			`f:1:11: lifetime: expected a duration such as 90s, 10m or 1h30m, found number 3600; give the unit: 3600s`},
		{"days are written in hours", "lifetime: 1d",
			`f:1:11: lifetime: expected a duration such as 90s, 10m or 1h30m, found text "1d"; write days in hours: a day is 24h`},
		{"a number may be too large", "small: 256",
			`f:1:8: small: expected a whole number of at most 8 bits, not negative, found number 256`},
		{"a quoted number is not a number", "count: '3'",
			`f:1:8: count: expected a whole number of at most 64 bits, found text "3"; write it without quotes`},
		{"a time is RFC 3339", "start: tomorrow",
			`f:1:8: start: expected a time such as 2026-11-23T10:04:05Z, found text "tomorrow"; write it as RFC 3339, with Z or an offset, or as a date alone`},
		{"a type says what it accepts", "level: middle",
			`f:1:8: level: expected low or high, found text "middle"`},
		{"a list has dashes", "names: a",
			`f:1:8: names: expected a list, found text "a"; put "- " in front, even of a single element`},
		{"a mapping has none", "inner:\n- name: a",
			`f:2:1: inner: expected a mapping, found a list; remove the - in front`},
		{"an element is named by its index", "inner:\n  vaults:\n  - a\n  - {name: [], secrets: {x: 1}}",
			"f:4:12: inner.vaults[1].name: expected text, found a list\n" +
				`f:4:29: inner.vaults[1].secrets.x: expected text, found number 1; put it in quotes: "1"`},
		{"a value of another tag", "name: !!binary aGk=",
			`f:1:7: name: expected text, found a value with the tag !!binary`},
		{"a key is given once", "name: a\nname: b",
			`f:2:1: name: expected every key once, found it is also on line 1; remove one of the two`},
		{"a key is text", "? [a]\n: b",
			`f:1:3: expected a key that is text, found a list; quote it if it is meant as text, such as "{name}"`},
		{"a file is one document", "name: a\n---\nname: b",
			`f:3:1: expected one YAML document, found 2; put what follows --- into a file of its own`},
		{"a tab is no indentation", "inner:\n\tname: a",
			`f:2: expected YAML, found character that cannot start any token; indent with spaces, not tabs, and quote text that begins with a special character`},
		{"a template is to be rendered first", "name: {{ .Values.name }}",
			`f:1:8: name: expected a key that is text, found a mapping; templates have to be rendered first: helm template, kustomize build; or quote it if it is meant as text, such as "{name}"`},
		{"a template that is no YAML is to be rendered first", "{{- if .Values.on }}\nname: a\n{{- end }}",
			`f: expected YAML, found a line without the expected node content; templates have to be rendered first: helm template, kustomize build`},
		{"what moves the cursor is written out", "{name: a, \"\\e[2J\": b}",
			`f:1:11: ["\x1b[2J"]: expected one of anything, clientId, count, inner, labels, level, lifetime, name, names, node, on, optional, ratio, small, start, vaults, found an unknown field; remove it`},
		{"an alias does not contain itself", "anything: &a [*a]",
			`f:1:15: anything[0]: expected an alias of something else, found *a inside of what it names; write the value out`},
		{"a merge key names a mapping", "inner: {<<: x}",
			`f:1:13: inner.<<: expected a mapping, found text "x"; name an anchor of a mapping, or quote "<<" if it is meant as a key`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := yamlfile.Decode("f", []byte(test.file), new(lab))
			if err == nil || !strings.HasSuffix(err.Error(), test.want) {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestDecodeTellsAllProblemsInTheOrderOfLines(t *testing.T) {
	err := yamlfile.Decode("wiemu.yaml", []byte("clientID: x\nvaultz: []\ncount: many\nzzz: 1\n"), new(lab))
	var problems yamlfile.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("error is a %T", err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprint(p.Line, " ", p.Field, " ", p.Fix))
	}
	want := []string{"1 clientID did you mean clientId?", "2 vaultz did you mean vaults?", "3 count ", "4 zzz remove it"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestDecodeTolerantWarnsOfUnknownFields(t *testing.T) {
	top, err := yamlfile.Parse("f", []byte("newer: 1\nname: [a]\n"))
	if err != nil {
		t.Fatal(err)
	}
	problems := yamlfile.DecodeTolerant("f", top, new(lab), nil)
	if got := len(problems.Warnings()); got != 1 || problems.Warnings()[0].Field != "newer" {
		t.Errorf("warnings: %v", problems.Warnings())
	}
	if err := problems.Err(); err == nil || strings.Contains(err.Error(), "newer") {
		t.Errorf("error: %v", err)
	}
	if err := (yamlfile.Problems{{Warning: true}}).Err(); err != nil {
		t.Errorf("a warning alone is the error %v", err)
	}
}

func TestAliasesAndMergeKeysAreResolved(t *testing.T) {
	const file = `
anything: &base {name: base, count: 1}
inner:
  <<: *base
  count: 2
  inner: {<<: [{count: 3}, *base]}
names: [&n a, *n]
`
	var got lab
	if err := yamlfile.Decode("f", []byte(file), &got); err != nil {
		t.Fatal(err)
	}
	want := &lab{Name: "base", Count: 2, Inner: &lab{Name: "base", Count: 3}}
	if diff := cmp.Diff(want, got.Inner, cmp.AllowUnexported(lab{})); diff != "" {
		t.Errorf("inner (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "a"}, got.Names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
}

func TestParseRefusesFilesMeantToHarm(t *testing.T) {
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 10; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	chain := "a0: &a0 [x]\n" // every alias one level deeper
	for i := 1; i < 2*yamlfile.MaxDepth; i++ {
		chain += fmt.Sprintf("a%d: &a%d [*a%d]\n", i, i, i-1)
	}
	for name, file := range map[string]string{
		"an alias bomb":            bomb,
		"aliases that nest deeply": chain,
		"deep lists":               strings.Repeat("[", 5000) + strings.Repeat("]", 5000),
		"a file beyond the limit":  "a: " + strings.Repeat("x", yamlfile.MaxBytes),
		"binary":                   "\x7fELF\x00\x01",
	} {
		var problems yamlfile.Problems
		if _, err := yamlfile.Parse("f", []byte(file)); !errors.As(err, &problems) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestNearestFindsTheNameThatWasMeant(t *testing.T) {
	known := []string{"identity", "azure", "clientId", "name", "on", "environmentConfig"}
	for written, meant := range map[string]string{
		"idenity": "identity", "identiy": "identity", "indentity": "identity", "Identity": "identity",
		"azur": "azure", "azrue": "azure", "client_id": "clientId", "clientID": "clientId", "clientIdd": "clientId",
		"naem": "name", "no": "on", "enviromentConfig": "environmentConfig",
		"x": "", "": "", "authentication": "", "nnnn": "", "ports": "",
	} {
		if got := yamlfile.Nearest(written, known); got != meant {
			t.Errorf("Nearest(%q) = %q, want %q", written, got, meant)
		}
	}
}

func TestLineFindsThePlaceOfAField(t *testing.T) {
	top, err := yamlfile.Parse("f", []byte("a:\n  b:\n  - c: 1\n  - d: 2\n    \"e.f\":\n      g: 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	for field, line := range map[string]int{
		"": 1, "a": 2, "a.b": 3, "a.b[0].c": 3, "a.b[1].d": 4, `a.b[1]["e.f"].g`: 6,
		"a.b[1].missing": 4, "a.b[7]": 3, "a[0]": 2, "nothing.there": 1, "[": 1, `["`: 1, "a..b": 2,
	} {
		if got := yamlfile.Line(top, field); got != line {
			t.Errorf("Line(%q) = %d, want %d", field, got, line)
		}
	}
}

func ExampleDecode() {
	const file = `name: web
clientID: b96d264b-7053-4465-a4a7-32be5b0fec49
lifetime: 3600
`
	var into struct {
		Name     string        `yaml:"name"`
		ClientID string        `yaml:"clientId"`
		Lifetime time.Duration `yaml:"lifetime"`
	}
	fmt.Println(yamlfile.Decode("wiemu.yaml", []byte(file), &into))
	// Output:
	// wiemu.yaml:2:1: clientID: expected one of clientId, lifetime, name, found an unknown field; did you mean clientId?
	// wiemu.yaml:3:11: lifetime: expected a duration such as 90s, 10m or 1h30m, found number 3600; give the unit: 3600s
}

// FuzzDecode: whatever the file, the answer is a value or problems that can be
// printed, never a panic.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("name: web\nvaults: [a, {name: b}]\n"))
	f.Add([]byte("a: &a {b: [*a]}\n<<: *a\n---\n? {x: y}\n: z"))
	f.Add([]byte("inner: &i {inner: {<<: [*i, {}], lifetime: 1d}}\nanything: !!binary x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var into lab
		if err := yamlfile.Decode("f", data, &into); err != nil {
			var problems yamlfile.Problems
			if !errors.As(err, &problems) || len(problems) == 0 || problems.Error() == "" {
				t.Fatalf("error %#v", err)
			}
		}
	})
}
