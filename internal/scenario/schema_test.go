package scenario

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	generator "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/table"
	"github.com/wiemu/wiemu/internal/yamlfile"
	"github.com/wiemu/wiemu/internal/yamlfile/schematest"
)

var update = flag.Bool("update", false, "write the generated schema and the golden files")

const schemaFile = "../../docs/schema/scenario.schema.json"

// generateSchema describes the format from the types and their comments.
func generateSchema(t *testing.T) []byte {
	t.Helper()
	r := &generator.Reflector{ExpandedStruct: true, FieldNameTag: "yaml", Namer: schematest.TypeName, Mapper: func(of reflect.Type) *generator.Schema {
		switch of {
		case reflect.TypeFor[Expression]():
			return &generator.Schema{Type: "string", Description: "A condition in CEL over results, journal, workloads and clock."}
		case reflect.TypeFor[fault.Settings]():
			return schematest.FaultSettings()
		case reflect.TypeFor[yaml.Node](), reflect.TypeFor[*yaml.Node]():
			return &generator.Schema{OneOf: []*generator.Schema{{Type: "object"}, {Type: "string"}}}
		}
		return nil
	}}
	if err := r.AddGoComments("github.com/wiemu/wiemu/internal/scenario", "./"); err != nil {
		t.Fatal(err)
	}
	schema := r.Reflect(&Scenario{})
	if of, ok := schema.Properties.Get("config"); ok {
		wiemu := *of
		wiemu.Description = ""
		*of = generator.Schema{Description: of.Description, OneOf: []*generator.Schema{&wiemu, {Type: "string"}}}
	}
	for _, d := range table.Resources() {
		for _, s := range []resource.Section{d.Section, d.Options} {
			if s.Name == "" {
				continue
			}
			section := r.Reflect(s.New())
			maps.Copy(schema.Definitions, section.Definitions)
			// An id of its own would make "#/$defs" in it mean its own.
			section.ID, section.Version, section.Definitions, section.Description = "", "", nil, s.Description
			schema.Definitions["Config"].Properties.Set(s.Name, section)
		}
	}
	schema.ID = "https://wiemu.dev/schema/scenario.schema.json"
	schema.Title = "wiemu scenario"
	var kinds []string
	for _, v := range verbs() {
		kinds = append(kinds, v.name)
	}
	exactlyOne(schema.Definitions["Step"], kinds...)
	exactlyOne(schema.Definitions["RunStep"], "command", "shell")
	exactlyOne(schema.Definitions["SetStep"], "federatedCredential", "addFederatedCredential", "removeFederatedCredential", "disabled", "deleted")
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func exactlyOne(schema *generator.Schema, fields ...string) {
	for _, f := range fields {
		schema.OneOf = append(schema.OneOf, &generator.Schema{Required: []string{f}})
	}
}

func TestSchemaIsThatOfTheTypes(t *testing.T) {
	golden(t, schemaFile, generateSchema(t))
}

func TestLibraryFitsTheSchema(t *testing.T) {
	schema := compileSchema(t)
	files, err := fs.Glob(library, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		data, err := fs.ReadFile(library, name)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(plain(t, name, data)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An editor that has only the schema finds what is plainly wrong.
func TestSchemaRefuses(t *testing.T) {
	schema := compileSchema(t)
	if err := schema.Validate(plain(t, "minimal", []byte(minimal))); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"an unknown field":        {"steps:", "stepps: []\nsteps:"},
		"an unknown step":         {"    run:", "    rum:"},
		"two steps in one":        {"  - name: read", "  - name: read\n    advance: 5m"},
		"a wrong name":            {"name: minimal", "name: Minimal"},
		"another kind":            {"kind: Scenario", "kind: Configuration"},
		"a clock of another kind": {"steps:", "clock: {mode: lockstp}\nsteps:"},
		"a number of no unit":     {"  - expect:", "  - advance: 5\n  - expect:"},
		"a run without a thing":   {", command: [wiemu-workload, secret, get, mykeyvault, mysecret]", ""},
	} {
		text := strings.Replace(minimal, change[0], change[1], 1)
		if text == minimal {
			t.Fatalf("%s: the minimal scenario has no %q", name, change[0])
		}
		if schema.Validate(plain(t, name, []byte(text))) == nil {
			t.Errorf("%s was not refused", name)
		}
	}
}

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(generateSchema(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("scenario.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("scenario.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// plain is a YAML file as JSON has it.
func plain(t *testing.T, name string, data []byte) any {
	t.Helper()
	var document any
	if err := yamlfile.Decode(name, data, &document); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// golden compares with a committed file, or writes it with -update.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s is not up to date; go test ./internal/scenario -update writes it:\n%s", file, cmp.Diff(string(want), string(got)))
	}
}
