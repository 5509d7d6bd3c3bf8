package recording

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	generator "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
)

var update = flag.Bool("update", false, "write the generated schema")

var schemaFile = filepath.Join("..", "..", "docs", "schema", "recording.schema.json")

// generateSchema describes the format from the types and their comments.
func generateSchema(t *testing.T) []byte {
	t.Helper()
	r := &generator.Reflector{ExpandedStruct: true, FieldNameTag: "yaml", Mapper: func(of reflect.Type) *generator.Schema {
		switch of {
		case reflect.TypeFor[Declared]():
			return &generator.Schema{Type: "array", Items: &generator.Schema{Type: "object"}}
		case reflect.TypeFor[Since]():
			return &generator.Schema{Type: "string"}
		case reflect.TypeFor[config.Config](): // has a schema of its own
			return &generator.Schema{Type: "object", Description: "A wiemu.yaml: see wiemu.schema.json."}
		case reflect.TypeFor[fault.Fault]():
			return &generator.Schema{Type: "object", Description: "A fault, as in a wiemu.yaml."}
		}
		return nil
	}}
	if err := r.AddGoComments("github.com/wiemu/wiemu/internal/recording", "./"); err != nil {
		t.Fatal(err)
	}
	schema := r.Reflect(&Recording{})
	schema.ID = "https://wiemu.dev/schema/recording.schema.json"
	schema.Title = "wiemu recording"
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func TestSchemaIsThatOfTheTypes(t *testing.T) {
	got := generateSchema(t)
	if *update {
		if err := os.WriteFile(schemaFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not that of the types: go test ./internal/recording -update", schemaFile)
	}
}

// Day is a session with a rotation, an old assertion and an old access token that
// an earlier wiemu recorded: it has to replay as long as its kind of file is read.
const day = "testdata/day.wiemu.json"

func TestRecordingsFitTheSchema(t *testing.T) {
	data, err := os.ReadFile(day)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(generateSchema(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("recording.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("recording.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	recorded, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(recorded); err != nil {
		t.Error(err)
	}
}
