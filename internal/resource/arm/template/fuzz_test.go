package template

import (
	"strings"
	"testing"
	"time"
)

// FuzzExpression looks for expressions that panic, do not end, or make values without end.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		"[concat('a', 'b')]", "[variables('v')[0]]", "[reference('/a/b').c]", "[format('{0,9:D3}', 1)]", "[map(range(0, 3), lambda('x', lambdaVariables('x')))]",
		"[reduce(range(0, 10000), 'x', lambda('a', 'b', concat(lambdaVariables('a'), lambdaVariables('a'))))]", "[json('[1')]", "[padLeft('', 99999999)]", "[union(createObject(), createObject())]",
		"[shop.hello('x')]", "[if(true(), 1, 2)]", "[toObject(createArray('a'), lambda('x', lambdaVariables('x')))]", "[dateTimeAdd('2020-01-01', 'P1D', 'f')]", "[substring('ä', 0, 1)]", "[copyIndex('a', 1)]", "[[x]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		began := time.Now()
		v, err := value(t, text)
		if spent := time.Since(began); spent > 20*time.Second { // on the machine's clock: it bounds work
			t.Errorf("%q took %s", text, spent)
		}
		if err == nil {
			if _, err := compactJSON(v); err != nil {
				t.Errorf("%q is %v: %v", text, v, err)
			}
		}
	})
}

// FuzzTemplate looks for templates that panic or do not end.
func FuzzTemplate(f *testing.F) {
	f.Add(`{` + head + `, "resources": [{"type": "A.B/c", "apiVersion": "1", "name": "a", "copy": {"name": "x", "count": 2}}]}`)
	f.Add(`{` + head + `, "languageVersion": "2.0", "resources": {"a": {"type": "A.B/c", "apiVersion": "1", "name": "a", "dependsOn": ["a"]}}}`)
	f.Add(`{` + head + `, "variables": {"copy": [{"name": "v", "count": 800, "input": {"copy": [{"name": "w", "count": 800, "input": "[copyIndex('w')]"}]}}]}, "outputs": {"o": {"type": "array", "copy": {"count": 3, "input": "[variables('v')]"}}}}`)
	f.Add(`{` + head + `, parameters: {x: {type: 'object', "$ref": "#/definitions/d"}}, definitions: {d: {"$ref": "#/definitions/d"}}, // comment
	resources: [{type: 'A.B/c', apiVersion: '1', name: 'p', resources: [{type: 'd', name: 'q', apiVersion: '1', scope: '/'}],},]}`)
	f.Fuzz(func(t *testing.T, text string) {
		made, err := parsed([]byte(text))
		if err != nil {
			return
		}
		d := deployment()
		d.Assume = true
		p, err := made.Expand(d)
		if err != nil {
			return
		}
		for _, r := range p.Resources {
			body, err := p.Definition(r, nothing{}, true)
			if err == nil {
				if _, err = compactJSON(body); err != nil {
					t.Error(err)
				}
			}
		}
		_, _ = p.Outputs(nothing{}) // it may be refused
	})
}

// What grows without end is refused, and soon.
func TestBombs(t *testing.T) {
	doubling := `"variables": {"v0": "0123456789012345678901234567890123456789"`
	arrays := `"variables": {"v0": ["0123456789"]`
	for i := range 60 {
		from, to := string(rune('0'+i/10))+string(rune('0'+i%10)), string(rune('0'+(i+1)/10))+string(rune('0'+(i+1)%10))
		if i == 0 {
			from = "0"
		}
		doubling += `, "v` + to + `": "[concat(variables('v` + from + `'), variables('v` + from + `'))]"`
		arrays += `, "v` + to + `": ["[variables('v` + from + `')]", "[variables('v` + from + `')]"]`
	}
	const use = `}, "resources": [], "outputs": {"o": {"type": "array", "value": ["[variables('v60')]"]}}`
	one := func(text string) string {
		return `"resources": [], "outputs": {"o": {"type": "array", "value": ["` + text + `"]}}`
	}
	const tooLarge = "expressions make are too large: more than 33554432 bytes for one deployment"
	for name, row := range map[string]struct{ template, want string }{
		"strings that double": {doubling + use, tooLarge}, "arrays that double": {arrays + use, tooLarge},
		"loops in loops":    {one(`[map(range(0, 10000), lambda('a', map(range(0, 10000), lambda('b', range(0, 10000)))))]`), tooLarge},
		"a growing string":  {one(`[reduce(range(0, 10000), 'x', lambda('a', 'b', concat(lambdaVariables('a'), lambdaVariables('a'))))]`), tooLarge},
		"a deepening array": {one(`[reduce(range(0, 10000), 'x', lambda('a', 'b', createArray(lambdaVariables('a'))))]`), tooLarge},
		"replaced":          {one(`[reduce(range(0, 100), 'aaaaaaaaaa', lambda('a', 'b', replace(lambdaVariables('a'), 'a', lambdaVariables('a'))))]`), tooLarge},
		"joined":            {one(`[reduce(range(0, 100), 'aaaaaaaaaa', lambda('a', 'b', join(createArray(lambdaVariables('a'), lambdaVariables('a')), lambdaVariables('a'))))]`), tooLarge},
		"padded":            {one(`[padLeft('', 2147483647)]`), tooLarge},
		"unions":            {one(`[union(range(0, 10000), range(10000, 10000))]`), tooLarge},
		"copies of copies":  {`"resources": [], "variables": {"copy": [{"name": "v", "count": 800, "input": {"copy": [{"name": "w", "count": 800, "input": {"copy": [{"name": "u", "count": 800, "input": 1}]}}]}}]}, "outputs": {"o": {"type": "array", "value": "[variables('v')]"}}`, tooLarge},
		"deep elements":     {one("[range(0, 1)" + strings.Repeat("[0]", 6000) + "]"), "deep"},
		"deep functions":    {one("[" + strings.Repeat("not(", 3000) + "true()" + strings.Repeat(")", 3000) + "]"), "deep"},
		"dependencies":      {`"resources": [{"type": "A.B/c", "apiVersion": "1", "name": "[string(copyIndex())]", "copy": {"name": "x", "count": 799}}, {"type": "A.B/c", "apiVersion": "1", "name": "z", "dependsOn": [` + strings.Repeat(`"x",`, 100000) + `"x"]}]`, tooLarge},
		"looked at again":   {`"variables": {"big": "[range(0, 10000)]"}, "resources": [], "outputs": {"o": {"type": "array", "value": [` + strings.Repeat(`"[contains(variables('big'), -1)]",`, 50000) + `1]}}`, tooLarge},
		"long":              {one("[concat('" + strings.Repeat("a", 25000) + "')]"), "24576"},
		"split":             {one(`[split(padLeft('', 20000, 'a'), map(range(0, 5000), lambda('x', concat('b', string(lambdaVariables('x'))))))]`), tooLarge},
		"allowed":           {`"parameters": {"x": {"type": "array", "allowedValues": [` + strings.Repeat(`"no",`, 5000) + `"yes"], "defaultValue": [` + strings.Repeat(`"yes",`, 10000) + `"yes"]}}, "resources": []`, tooLarge},
		"requests":          {one(`[map(range(0, 10000), lambda('x', map(range(0, 10), lambda('y', tryGet(reference('/a/providers/b/c', '1', 'Full'), 'z')))))]`), tooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := expand(t, row.template, `{}`)
			if err == nil {
				_, err = p.Outputs(there{})
			}
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v lacks %s", err, row.want)
			}
		})
	}
}

// there is a subscription in which there is everything.
type there struct{ nothing }

func (there) Get(string, string) (*Object, error) { return NewObject(), nil }

// Deployments that come of one have a budget together beside that of each.
func TestBudgetOfSeveralDeployments(t *testing.T) {
	made, err := parsed([]byte("{" + head + `, "resources": [{"type": "A.B/c", "apiVersion": "1", "name": "[string(length(padLeft('', 14000000)))]"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	d := deployment()
	d.Budget = NewBudget()
	n := 0
	for ; n < 100 && err == nil; n++ {
		_, err = made.Expand(d)
	}
	if err == nil || !strings.Contains(err.Error(), "for a deployment with those in its template") || n < 10 || n > 20 {
		t.Errorf("after %d deployments: %v", n, err)
	}
	if _, err := made.Expand(deployment()); err != nil {
		t.Errorf("another deployment: %v", err)
	}
}
