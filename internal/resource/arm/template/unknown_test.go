package template

import (
	"strings"
	"testing"
)

// assume expands a template, whose parameters may have no value.
func assume(t testing.TB, rest string) *Plan {
	t.Helper()
	made, err := parsed([]byte("{" + head + "," + rest + "}"))
	if err != nil {
		t.Fatal(err)
	}
	d := deployment()
	d.Assume = true
	p, err := made.Expand(d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What is made of a value that is not known is not known either, and nothing of it is refused: the
// expression stands for it. What does not depend on it is known.
func TestUnknownArguments(t *testing.T) {
	const r = "reference('/a/b').x"
	for text, want := range map[string]string{
		"[take(" + r + ", 8)]": "", "[take('abc', " + r + ")]": "", "[skip(" + r + ", 1)]": "", "[first(" + r + ")]": "", "[last(" + r + ")]": "", "[length(" + r + ")]": "", "[empty(" + r + ")]": "",
		"[union(" + r + ", createObject())]": "", "[union(createObject('a', 1), " + r + ")]": "", "[union(createArray(1), " + r + ")]": "", "[items(" + r + ")]": "", "[objectKeys(" + r + ")]": "",
		"[flatten(" + r + ")]": "", "[shallowMerge(" + r + ")]": "", "[concat('a-', " + r + ")]": "", "[concat(" + r + ", '-a')]": "", "[concat(createArray(1), " + r + ")]": "", "[array(" + r + ")]": "",
		"[tryGet(" + r + ", 'a')]": "", "[tryGet(createObject('a', 1), " + r + ")]": "", "[createObject(" + r + ", 1)]": "", "[coalesce(" + r + ", 'a')]": "",
		"[filter(createArray(1), lambda('x', equals(lambdaVariables('x'), " + r + ")))]":     "",
		"[sort(createArray(1, 2), lambda('a', 'b', less(lambdaVariables('a'), " + r + ")))]": "",
		"[toObject(createArray(1), lambda('x', " + r + "))]":                                 "",
		"[references(" + r + ")]":                                 "",
		"[if(equals(" + r + ", 'a'), variables('list')[2], 'b')]": "",
		"[if(equals(" + r + ", 'a'), 'b', json('{'))]":            "",
		"[coalesce('a', " + r + ")]":                              `"a"`, "[length(createArray(" + r + ", 1))]": "2", "[take(createArray('a', " + r + "), 1)]": `["a"]`, "[empty(createObject('a', " + r + "))]": "false",
		"[createArray('a', " + r + ")[0]]": `"a"`, "[createObject('a', " + r + ", 'b', 1).b]": "1", "[objectKeys(createObject('a', " + r + "))]": `["a"]`,
	} {
		quoted, err := compactJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = quoted
		}
		p, err := expand(t, `"variables": {"list": [1, 2]}, "resources": [{"type": "A.B/c", "apiVersion": "2020-01-01", "name": "a", "properties": {"p": `+quoted+`}}]`, `{}`)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := written(t, p, nothing{}); got != `A.B/c/a {"properties":{"p":`+want+"}}\n" {
			t.Errorf("%s is %s", text, got)
		}
	}
}

// What is not known inside an object or an array is the part of the expression that it is made by.
func TestUnknownMembers(t *testing.T) {
	const r = "reference('/a/b').x"
	for text, want := range map[string]string{
		"[createObject('a', " + r + ", 'b', 1)]":                                                         `{"a":"[reference('/a/b').x]","b":1}`,
		"[createArray('it''s', reference('/a/b').list[0].y)]":                                            `["it's","[reference('/a/b').list[0].y]"]`,
		"[createObject('a', createArray(concat('x-', " + r + ")))]":                                      `{"a":["[concat('x-', reference('/a/b').x)]"]}`,
		"[createArray(if(equals(" + r + ", 1), 'a', 'b'))]":                                              `["[if(equals(reference('/a/b').x, 1), 'a', 'b')]"]`,
		"[map(createArray(1, 2), lambda('n', createObject('n', lambdaVariables('n'), 'p', " + r + ")))]": `[{"n":1,"p":"[reference('/a/b').x]"},{"n":2,"p":"[reference('/a/b').x]"}]`,
	} {
		quoted, err := compactJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := expand(t, `"resources": [{"type": "A.B/c", "apiVersion": "2020-01-01", "name": "a", "properties": {"p": `+quoted+`}}]`, `{}`)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := written(t, p, nothing{}); got != `A.B/c/a {"properties":{"p":`+want+"}}\n" {
			t.Errorf("%s is %s", text, got)
		}
	}
}

// What is not emulated is refused in a branch that may not be the one, too.
func TestUnknownConditions(t *testing.T) {
	_, err := expand(t, `"resources": [{"type": "A.B/c", "apiVersion": "2020-01-01", "name": "a", "properties": {"p": "[if(equals(reference('/a/b').x, 'a'), pickZones('A', 'b', 'c'), 'b')]"}}]`, `{}`)
	if err == nil || !strings.Contains(err.Error(), "'pickZones' is not emulated") {
		t.Error(err)
	}
}

// A loop in properties that runs an unknown number of times is unknown, and what it refers to is
// deployed before.
func TestUnknownLoopInProperties(t *testing.T) {
	p, err := expand(t, `"resources": [
		{"type": "A.B/c", "apiVersion": "2020-01-01", "name": "a", "properties": {"copy": [{"name": "l", "count": "[length(reference('/a/b').list)]", "input": {"[reference('/a/b').x]": "[reference(resourceId('A.B/c', 'b')).names[copyIndex('l')]]"}}]}},
		{"type": "A.B/c", "apiVersion": "2020-01-01", "name": "b"}]`, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	const want = `A.B/c/b {}
A.B/c/a < A.B/c/b {"properties":{"l":"[length(reference('/a/b').list)]"}}
`
	if got := written(t, p, nothing{}); got != want {
		t.Errorf("got\n%s\nnot\n%s", got, want)
	}
}

// A template is looked at without the values of its parameters: its resources whose names depend on
// them are there, and their ids are not settled.
func TestAssumedResources(t *testing.T) {
	const c = `"type": "A.B/c", "apiVersion": "2020-01-01"`
	for name, row := range map[string]struct{ resources, want string }{
		"names of copies": {`{` + c + `, "name": "[concat(parameters('x'), copyIndex())]", "copy": {"name": "all", "count": 2}}, {` + c + `, "name": "after", "dependsOn": ["all"]}`,
			"[concat(parameters('x'), copyIndex())] unsettled, [concat(parameters('x'), copyIndex())] unsettled, after < 2"},
		"how many copies": {`{` + c + `, "name": "[format('web{0}', copyIndex(1))]", "copy": {"name": "all", "count": "[parameters('x')]", "mode": "serial", "batchSize": "[parameters('x')]"}}, {` + c + `, "name": "web1"}, {` + c + `, "name": "after", "dependsOn": ["all"]}`,
			"[format('web{0}', copyIndex(1))] unsettled, web1, after < 1"},
		"no index in the name": {`{` + c + `, "name": "web", "copy": {"name": "all", "count": "[parameters('x')]"}}, {` + c + `, "name": "web"}`, "web unsettled, web"},
		"a scope":              {`{` + c + `, "name": "web", "scope": "[parameters('x')]"}`, "web unsettled"},
		"a dependency":         {`{` + c + `, "name": "web", "dependsOn": ["[resourceId('A.B/c', parameters('x'))]"]}`, "web"},
	} {
		p := assume(t, `"parameters": {"x": {"type": "string"}}, "resources": [`+row.resources+`]`)
		var all []string
		for _, r := range p.Resources {
			one := r.Name
			if r.Unsettled {
				one += " unsettled"
			}
			if n := len(r.DependsOn); n > 0 {
				one += " < " + string(rune('0'+n))
			}
			all = append(all, one)
		}
		if got := strings.Join(all, ", "); got != row.want {
			t.Errorf("%s: %s\nnot %s", name, got, row.want)
		}
	}
}
