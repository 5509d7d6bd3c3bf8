package webhook

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Operation is one of a JSON patch (RFC 6902).
type Operation struct {
	Op    string // add, replace or remove
	Path  string // JSON pointer (RFC 6901)
	Value any
}

// MarshalJSON writes a value only where there is one; it may be null.
func (o Operation) MarshalJSON() ([]byte, error) {
	fields := map[string]any{"op": o.Op, "path": o.Path}
	if o.Op != "remove" {
		fields["value"] = o.Value
	}
	return encode(fields)
}

// UnmarshalJSON reads an operation.
func (o *Operation) UnmarshalJSON(data []byte) error {
	var fields struct {
		Op, Path string
		Value    any
	}
	err := json.Unmarshal(data, &fields)
	*o = Operation(fields)
	return err
}

// diff appends what makes after out of before. Objects are compared by field and
// lists by position: a list that grew is appended to.
func diff(patch []Operation, path string, before, after any) []Operation {
	switch b := before.(type) {
	case map[string]any:
		if a, ok := after.(map[string]any); ok {
			return diffObjects(patch, path, b, a)
		}
	case []any:
		if a, ok := after.([]any); ok && len(a) >= len(b) {
			for i := range b {
				patch = diff(patch, path+"/"+strconv.Itoa(i), b[i], a[i])
			}
			for _, more := range a[len(b):] {
				patch = append(patch, Operation{"add", path + "/-", more})
			}
			return patch
		}
	}
	if !reflect.DeepEqual(before, after) {
		patch = append(patch, Operation{"replace", path, after})
	}
	return patch
}

func diffObjects(patch []Operation, path string, before, after map[string]any) []Operation {
	for _, field := range slices.Sorted(maps.Keys(before)) {
		if _, kept := after[field]; !kept {
			patch = append(patch, Operation{Op: "remove", Path: path + "/" + pointer(field)})
		}
	}
	for _, field := range slices.Sorted(maps.Keys(after)) {
		at := path + "/" + pointer(field)
		if old, had := before[field]; had {
			patch = diff(patch, at, old, after[field])
		} else {
			patch = append(patch, Operation{"add", at, after[field]})
		}
	}
	return patch
}

// pointer escapes a field's name (RFC 6901 §3).
func pointer(field string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(field) }
