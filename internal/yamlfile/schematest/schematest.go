// Package schematest is what the tests that write the schemas of wiemu.yaml and of scenarios
// have in common. Nothing else links it.
package schematest

import (
	"path"
	"reflect"

	"github.com/invopop/jsonschema"
)

// prefixes are of the packages whose types have names in a schema that other types have, too.
var prefixes = map[string]string{"fault": "Fault", "storage": "Storage", "sql": "SQL", "postgres": "Postgres"}

// TypeName returns the name of a type in a schema: with that of its package in front, where
// the name alone would stand for several.
func TypeName(of reflect.Type) string {
	name := prefixes[path.Base(of.PkgPath())] + of.Name()
	if name == "FaultFault" {
		return "Fault"
	}
	return name
}

// FaultSettings are the parameters of a fault, with the types that YAML may write them in.
func FaultSettings() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "object", AdditionalProperties: &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}}}
}
