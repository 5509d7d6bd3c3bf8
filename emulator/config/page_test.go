package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
)

const configurationIntro = `# wiemu.yaml

Every field of wiemu.yaml, with an example; all examples together are one valid file.
Everything may be left out: an empty file is one tenant, one issuer and the vault of the Radix
documentation. Unknown fields are refused with line and column. Editors complete and check it by
[schema/wiemu.schema.json](schema/wiemu.schema.json); a shorter file is
[examples/wiemu.yaml](examples/wiemu.yaml).

Without ` + "`-f`" + `, wiemu reads ` + "`wiemu.yaml`" + ` and ` + "`radixconfig.yaml`" + ` of the folder that it is run in,
those that are there. With ` + "`-f`" + ` it reads the named files and no others, and warns of a
` + "`wiemu.yaml`" + ` that it passes over: ` + "`wiemu run -f radixconfig.yaml -f wiemu.yaml --env dev web`" + `
names both. At most one of the files is a wiemu.yaml; workloads of all files are one lab's, and
key vaults that a radixconfig.yaml names and the wiemu.yaml does not are added, open and with
placeholders as secrets. A running ` + "`wiemu serve`" + ` keeps the configuration that it was started with.

A tenant is named by its id or a domain, an issuer by its name, an application or identity by its
name or client id. Durations are written as ` + "`90s`, `10m` or `25h`" + `.
`

// docs/configuration.md has a section for each field of the schema: its description,
// the example of testdata/every-field.yaml, and the fields below it.
func TestConfigurationPage(t *testing.T) {
	schema := readSchema(t)
	example, err := os.ReadFile(filepath.Join("testdata", "every-field.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	parts := topLevel(string(example))
	var b strings.Builder
	b.WriteString(configurationIntro)
	for field := schema.Properties.Oldest(); field != nil; field = field.Next() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```yaml\n%s```\n", field.Key, described(field.Value.Description), parts[field.Key])
		var rows strings.Builder
		fieldRows(&rows, schema, "", field.Value)
		if rows.Len() > 0 {
			b.WriteString("\n| field | |\n|---|---|\n" + rows.String())
		}
	}
	file := filepath.Join("..", "..", "docs", "configuration.md")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); string(page) != got {
		t.Errorf("%s is not what the schema and testdata/every-field.yaml say; go test ./emulator/config -update writes it:\n%s", file, cmp.Diff(string(page), got))
	}
}

// The YAML of the page is one file that wiemu takes and in which each field of the
// schema is written.
func TestConfigurationPageHasAnExampleOfEveryField(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	var blocks bytes.Buffer
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1) {
		blocks.Write(block[1])
	}
	if _, err := config.Parse("configuration.md", blocks.Bytes()); err != nil {
		t.Error(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(blocks.Bytes(), &root); err != nil {
		t.Fatal(err)
	}
	schema := readSchema(t)
	for field := schema.Properties.Oldest(); field != nil; field = field.Next() {
		if !strings.Contains(string(page), "\n## "+field.Key+"\n") {
			t.Errorf("the page has no section %s", field.Key)
		}
	}
	written := map[string]bool{}
	paths(written, "", root.Content[0])
	wanted(schema, "", schema, func(path string) {
		// Only applications have flexible credentials; theirs has the example.
		if !writtenAt(written, path) && !strings.HasPrefix(path, "identities.federatedCredentials.claimsMatchingExpression") {
			t.Errorf("no example has %s", path)
		}
	})
}

// writtenAt reports whether a field is written, NAME standing for any name.
func writtenAt(written map[string]bool, path string) bool {
	if written[path] {
		return true
	}
	named := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(path), "NAME", "[^.]+") + "$")
	for found := range written {
		if named.MatchString(found) {
			return true
		}
	}
	return false
}

func readSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "schema", "wiemu.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(data, &schema); err != nil {
		t.Fatal(err)
	}
	return &schema
}

// topLevel cuts a YAML file into its top-level fields.
func topLevel(text string) map[string]string {
	parts, name := map[string]string{}, ""
	for line := range strings.Lines(text) {
		if key, _, found := strings.Cut(line, ":"); found && !strings.HasPrefix(line, " ") {
			name = key
		}
		parts[name] += line
	}
	return parts
}

// object is what a property holds, itself, in a list or by name; nil if that has no fields.
func object(schema, property *jsonschema.Schema) (of *jsonschema.Schema, list string) {
	property = resolved(schema, property)
	if property.Items != nil {
		property, list = property.Items, "[]"
	} else if named := property.AdditionalProperties; named != nil && named.Ref != "" {
		property, list = named, ".NAME"
	}
	property = resolved(schema, property)
	if property.Properties == nil || property.Properties.Len() == 0 {
		return nil, ""
	}
	return property, list
}

func resolved(schema, property *jsonschema.Schema) *jsonschema.Schema {
	if name, found := strings.CutPrefix(property.Ref, "#/$defs/"); found {
		return schema.Definitions[name]
	}
	return property
}

func fieldRows(b *strings.Builder, schema *jsonschema.Schema, at string, property *jsonschema.Schema) {
	of, _ := object(schema, property)
	if of == nil {
		return
	}
	for field := of.Properties.Oldest(); field != nil; field = field.Next() {
		text := described(field.Value.Description)
		if field.Value.Type == "boolean" {
			text = "If true, " + strings.ToLower(text[:1]) + text[1:]
		}
		values := field.Value.Enum
		if field.Value.Items != nil {
			values = field.Value.Items.Enum
		}
		if len(values) > 0 {
			text += " One of"
			for i, v := range values {
				text += map[bool]string{true: " ", false: ", "}[i == 0] + fmt.Sprintf("`%v`", v)
			}
			text += "."
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", at+field.Key, strings.ReplaceAll(text, "|", `\|`))
		_, list := object(schema, field.Value)
		fieldRows(b, schema, at+field.Key+list+".", field.Value)
	}
}

// leading are the first words of a Go comment, which name the field once more.
var leading = regexp.MustCompile(`^\w+ (?:(?:is|are|says that|say|says) |(holds|hits|makes|decides) )`)

// sentence is the first word of a description, unless it is a value such as wiemu.dev/v1.
var sentence = regexp.MustCompile(`^[a-z-]+(?:[ ,;:]|$)`)

func described(text string) string {
	text = strings.TrimSpace(leading.ReplaceAllString(text, "$1 "))
	if sentence.MatchString(text) {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return text
}

// paths are the fields of a YAML file, a list's items under the list's name.
func paths(found map[string]bool, at string, node *yaml.Node) {
	switch node.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(node.Content); i += 2 {
			path := at + node.Content[i].Value
			found[path] = true
			paths(found, path+".", node.Content[i+1])
		}
	case yaml.SequenceNode:
		for _, item := range node.Content {
			paths(found, at, item)
		}
	}
}

// wanted visits the fields of the schema.
func wanted(schema *jsonschema.Schema, at string, of *jsonschema.Schema, visit func(path string)) {
	for field := of.Properties.Oldest(); field != nil; field = field.Next() {
		visit(at + field.Key)
		if below, list := object(schema, field.Value); below != nil {
			wanted(schema, at+field.Key+strings.TrimSuffix(list, "[]")+".", below, visit)
		}
	}
}
