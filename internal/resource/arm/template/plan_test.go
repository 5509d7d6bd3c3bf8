package template

import (
	"fmt"
	"strings"
	"testing"
)

const head = `"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0"`

// parsed is a template that is read.
func parsed(data []byte) (*Template, error) {
	root, err := ParseObject(data)
	if err != nil {
		return nil, err
	}
	return New(root)
}

// expand expands a template, which is given without its first two members.
func expand(t testing.TB, rest, parameters string) (*Plan, error) {
	t.Helper()
	made, err := parsed([]byte("{" + head + "," + rest + "}"))
	if err != nil {
		return nil, err
	}
	d := deployment()
	if d.Parameters, err = ParseObject([]byte(parameters)); err != nil {
		t.Fatal(err)
	}
	return made.Expand(d)
}

// written is a plan as lines: the ids without the group, what they depend on, and the bodies.
func written(t testing.TB, p *Plan, live Live) string {
	t.Helper()
	short := func(id string) string { return strings.TrimPrefix(strings.TrimPrefix(id, group), "/providers/") }
	var out strings.Builder
	for _, r := range p.Resources {
		_, _ = fmt.Fprintf(&out, "%s", short(r.ID))
		for _, o := range r.DependsOn {
			_, _ = fmt.Fprintf(&out, " < %s", short(o.ID))
		}
		switch {
		case r.Existing:
			out.WriteString(" existing\n")
			continue
		case r.Skipped:
			out.WriteString(" skipped\n")
			continue
		}
		body, err := p.Definition(r, live, true)
		if err != nil {
			t.Fatal(err)
		}
		text, err := compactJSON(body)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(&out, " %s\n", strings.ReplaceAll(text, group, "GROUP"))
	}
	return out.String()
}

// What Bicep makes of an identity with a federated credential and a role, in both versions of the
// language.
func TestPlans(t *testing.T) {
	for name, c := range map[string]struct{ template, parameters, want string }{
		"dependsOn and reference": {`"parameters": {"name": {"type": "string"}, "location": {"type": "string", "defaultValue": "[resourceGroup().location]"}},
			"variables": {"role": "4633458b-17de-408a-b874-0445c86b69e6"},
			"resources": [
			{"type": "Microsoft.Authorization/roleAssignments", "apiVersion": "2022-04-01", "scope": "[format('Microsoft.KeyVault/vaults/{0}', 'orders')]", "name": "[guid(parameters('name'))]",
			 "properties": {"principalId": "[reference(resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', parameters('name')), '2023-01-31').principalId]", "roleDefinitionId": "[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', variables('role'))]"},
			 "dependsOn": ["[resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', parameters('name'))]"]},
			{"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "[parameters('name')]", "location": "[parameters('location')]"}]`,
			`{"name": {"value": "web"}}`,
			`Microsoft.ManagedIdentity/userAssignedIdentities/web {"location":"westeurope"}
Microsoft.KeyVault/vaults/orders/providers/Microsoft.Authorization/roleAssignments/` + GUID("web") + ` < Microsoft.ManagedIdentity/userAssignedIdentities/web {"properties":{"principalId":"[reference(resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', parameters('name')), '2023-01-31').principalId]","roleDefinitionId":"/subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"}}
`},
		"symbolic names, existing, and a dependency by reference alone": {`"languageVersion": "2.0", "resources": {
			"role": {"type": "Microsoft.Authorization/roleAssignments", "apiVersion": "2022-04-01", "scope": "[resourceId('Microsoft.KeyVault/vaults', 'orders')]", "name": "11111111-1111-4111-8111-111111111111", "properties": {"principalId": "[reference('web').principalId]", "vault": "[reference('vault', '2023-07-01', 'full').location]"}},
			"vault": {"existing": true, "type": "Microsoft.KeyVault/vaults", "apiVersion": "2023-07-01", "name": "orders", "resourceGroup": "other"},
			"web": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web", "location": "westeurope"}}`, `{}`,
			`Microsoft.ManagedIdentity/userAssignedIdentities/web {"location":"westeurope"}
/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/other/providers/Microsoft.KeyVault/vaults/orders existing
Microsoft.KeyVault/vaults/orders/providers/Microsoft.Authorization/roleAssignments/11111111-1111-4111-8111-111111111111 < Microsoft.ManagedIdentity/userAssignedIdentities/web < /subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/other/providers/Microsoft.KeyVault/vaults/orders {"properties":{"principalId":"[reference('web').principalId]","vault":"[reference('vault', '2023-07-01', 'full').location]"}}
`},
		"loops and conditions": {`"parameters": {"names": {"type": "array", "minLength": 1}}, "variables": {"copy": [{"name": "doubled", "count": 2, "input": "[mul(copyIndex('doubled', 1), 2)]"}]},
			"resources": [
			{"copy": {"name": "identities", "count": "[length(parameters('names'))]"}, "type": "A.B/c", "apiVersion": "2020-01-01", "name": "[parameters('names')[copyIndex()]]", "properties": {"n": "[copyIndex(10)]", "copy": [{"name": "list", "count": 2, "input": {"i": "[copyIndex('list')]", "of": "[copyIndex('identities')]"}}]}},
			{"type": "A.B/c", "apiVersion": "2020-01-01", "name": "after", "dependsOn": ["identities"], "properties": {"doubled": "[variables('doubled')]"}},
			{"condition": "[equals('a', 'b')]", "type": "A.B/c", "apiVersion": "2020-01-01", "name": "never"}]`, `{"names": {"value": ["x", "y"]}}`,
			`A.B/c/x {"properties":{"n":10,"list":[{"i":0,"of":0},{"i":1,"of":0}]}}
A.B/c/y {"properties":{"n":11,"list":[{"i":0,"of":1},{"i":1,"of":1}]}}
A.B/c/after < A.B/c/x < A.B/c/y {"properties":{"doubled":[2,4]}}
A.B/c/never skipped
`},
		"symbolic loops": {`"languageVersion": "2.0", "resources": {
			"web": {"copy": {"name": "web", "count": 2, "mode": "serial", "batchSize": 1}, "type": "A.B/c", "apiVersion": "2020-01-01", "name": "[format('c{0}', copyIndex())]"},
			"one": {"type": "A.B/c", "apiVersion": "2020-01-01", "name": "one", "properties": {"p": "[reference(format('web[{0}]', 1)).x]"}},
			"all": {"type": "A.B/c", "apiVersion": "2020-01-01", "name": "all", "dependsOn": ["web"]}}`, `{}`,
			`A.B/c/c0 {}
A.B/c/c1 < A.B/c/c0 {}
A.B/c/one < A.B/c/c1 {"properties":{"p":"[reference(format('web[{0}]', 1)).x]"}}
A.B/c/all < A.B/c/c0 < A.B/c/c1 {}
`},
		"children, and a nested template that is not evaluated": {`"resources": [
			{"type": "A.B/c", "apiVersion": "2020-01-01", "name": "p", "resources": [{"type": "d", "apiVersion": "2020-01-01", "name": "q", "dependsOn": ["p"]}]},
			{"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "m", "resourceGroup": "other", "properties": {"mode": "Incremental", "expressionEvaluationOptions": {"scope": "inner"}, "parameters": {"x": {"value": "[concat('a', 'b')]"}}, "template": {"x": "[parameters('x')]"}}}]`, `{}`,
			`A.B/c/p {}
A.B/c/p/d/q < A.B/c/p {}
/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/other/providers/Microsoft.Resources/deployments/m {"properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},"parameters":{"x":{"value":"ab"}},"template":{"x":"[parameters('x')]"}}}
`},
		// Source of the four: azure-docs, azure-resource-manager/templates/conditional-resource-deployment.md,
		// resource-dependency.md and copy-resources.md ("Copy limits").
		"conditions of parameters, which do not hold for children": {`"parameters": {"n": {"type": "string"}, "deep": {"type": "object"}}, "resources": [
			{"condition": "[equals(parameters('n'), 'new')]", "type": "A.B/c", "apiVersion": "2020-01-01", "name": "a", "resources": [{"type": "d", "apiVersion": "2020-01-01", "name": "child", "dependsOn": ["a"]}]},
			{"condition": "[and(parameters('deep').on, not(empty(parameters('deep').list)))]", "type": "A.B/c", "apiVersion": "2020-01-01", "name": "b", "dependsOn": ["a"]},
			{"condition": true, "type": "A.B/c", "apiVersion": "2020-01-01", "name": "e"}]`, `{"n": {"value": "existing"}, "deep": {"value": {"on": true, "list": [1]}}}`,
			`A.B/c/a skipped
A.B/c/a/d/child < A.B/c/a {}
A.B/c/b < A.B/c/a {}
A.B/c/e {}
`},
		"a condition for each copy": {`"resources": [{"condition": "[equals(mod(copyIndex(), 2), 1)]", "copy": {"name": "l", "count": 3}, "type": "A.B/c", "apiVersion": "2020-01-01", "name": "[format('c{0}', copyIndex())]"}]`, `{}`,
			"A.B/c/c0 skipped\nA.B/c/c1 {}\nA.B/c/c2 skipped\n"},
		"loops that make nothing": {`"parameters": {"all": {"type": "array", "defaultValue": []}}, "variables": {"copy": [{"name": "v", "count": "[length(parameters('all'))]", "input": "x"}]}, "resources": [
			{"copy": {"name": "none", "count": "[length(parameters('all'))]", "mode": "serial", "batchSize": 1}, "type": "A.B/c", "apiVersion": "2020-01-01", "name": "[parameters('all')[copyIndex()]]"},
			{"type": "A.B/c", "apiVersion": "2020-01-01", "name": "after", "dependsOn": ["none"], "properties": {"v": "[variables('v')]", "copy": [{"name": "p", "count": 0, "input": {}}]}}]`, `{}`,
			`A.B/c/after {"properties":{"v":[],"p":[]}}` + "\n"},
		"symbolic loops that make nothing": {`"languageVersion": "2.0", "resources": {
			"none": {"copy": {"name": "loop", "count": 0}, "type": "A.B/c", "apiVersion": "2020-01-01", "name": "x"},
			"after": {"type": "A.B/c", "apiVersion": "2020-01-01", "name": "after", "dependsOn": ["none"]}}`, `{}`, "A.B/c/after {}\n"},
		"what has the name of a loop that makes nothing": {`"resources": [
			{"copy": {"name": "b", "count": 0}, "type": "A.B/c", "apiVersion": "2020-01-01", "name": "none"},
			{"copy": {"name": "loop", "count": 0}, "type": "A.B/c", "apiVersion": "2020-01-01", "name": "none"},
			{"type": "A.B/c", "apiVersion": "2020-01-01", "name": "a", "dependsOn": ["b", "loop"]},
			{"type": "A.B/c", "apiVersion": "2020-01-01", "name": "b"},
			{"copy": {"name": "loop", "count": 1}, "type": "A.B/c", "apiVersion": "2020-01-01", "name": "one"}]`, `{}`,
			"A.B/c/b {}\nA.B/c/one {}\nA.B/c/a < A.B/c/b < A.B/c/one {}\n"},
		// Source: Azure/bicep#15909 (2025).
		"one of two of the same id": {`"languageVersion": "2.0", "parameters": {"first": {"type": "bool", "defaultValue": false}}, "resources": {
			"one": {"condition": "[parameters('first')]", "type": "A.B/c", "apiVersion": "2020-01-01", "name": "x", "properties": {"n": 1}},
			"other": {"condition": "[not(parameters('first'))]", "type": "A.B/c", "apiVersion": "2020-01-01", "name": "x", "properties": {"n": 2}},
			"after": {"type": "A.B/c", "apiVersion": "2020-01-01", "name": "after", "properties": {"x": "[reference(resourceId('A.B/c', 'x'), '2020-01-01').x]"}}}`, `{}`,
			`A.B/c/x skipped
A.B/c/x {"properties":{"n":2}}
A.B/c/after < A.B/c/x {"properties":{"x":"[reference(resourceId('A.B/c', 'x'), '2020-01-01').x]"}}
`},
		"what exists depends on what makes it": {`"languageVersion": "2.0", "resources": {
			"after": {"type": "A.B/c", "apiVersion": "2020-01-01", "name": "after", "dependsOn": ["there"]},
			"there": {"existing": true, "type": "A.B/c", "apiVersion": "2020-01-01", "name": "there", "dependsOn": ["maker"]},
			"maker": {"type": "A.B/c", "apiVersion": "2020-01-01", "name": "maker"}}`, `{}`, "A.B/c/maker {}\nA.B/c/there < A.B/c/maker existing\nA.B/c/after < A.B/c/there {}\n"},
		// Source: azure-docs, azure-resource-manager/templates/linked-templates.md, "Expression evaluation scope in nested templates".
		"an outer scope is evaluated before, an inner one not": {`"variables": {"x": "outer"}, "resources": [
			{"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "o", "properties": {"mode": "Incremental", "template": {"variables": {"x": "inner"}, "resources": [{"condition": "[equals(variables('x'), 'inner')]", "name": "[variables('x')]"}]}}},
			{"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "i", "condition": "[equals(variables('x'), 'inner')]", "properties": {"mode": "Incremental", "expressionEvaluationOptions": {"scope": "Inner"}, "template": {"resources": [{"name": "[variables('x')]"}]}}}]`, `{}`,
			`Microsoft.Resources/deployments/o {"properties":{"mode":"Incremental","template":{"variables":{"x":"inner"},"resources":[{"condition":false,"name":"outer"}]}}}
Microsoft.Resources/deployments/i skipped
`},
		"a role on the tenant": {`"resources": [{"type": "Microsoft.Authorization/roleAssignments", "apiVersion": "2022-04-01", "name": "a", "scope": "/"}]`, `{}`, "Microsoft.Authorization/roleAssignments/a {}\n"},
		"a name that is only a diamond": {`"resources": [
			{"type": "A.B/c", "apiVersion": "2020-01-01", "name": "a", "dependsOn": ["b", "c"]}, {"type": "A.B/c", "apiVersion": "2020-01-01", "name": "b"},
			{"type": "A.B/c", "apiVersion": "2020-01-01", "name": "c", "dependsOn": ["d"]}, {"type": "A.B/c", "apiVersion": "2020-01-01", "name": "d", "dependsOn": ["A.B/c/b"]}]`, `{}`,
			"A.B/c/b {}\nA.B/c/d < A.B/c/b {}\nA.B/c/c < A.B/c/d {}\nA.B/c/a < A.B/c/b < A.B/c/c {}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := expand(t, c.template, c.parameters)
			if err != nil {
				t.Fatal(err)
			}
			if got := written(t, p, nothing{}); got != c.want {
				t.Errorf("got\n%s\nnot\n%s", got, c.want)
			}
		})
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	const c = `"type": "A.B/c", "apiVersion": "2020-01-01"`
	for name, r := range map[string]struct{ template, parameters, path, text string }{
		"a circle": {`"resources": [{` + c + `, "name": "a", "dependsOn": ["b"]}, {` + c + `, "name": "b", "dependsOn": ["a"]}]`, `{}`, "resources[0]",
			"Deployment template validation failed: 'Circular dependency detected on resource: '" + group + "/providers/A.B/c/a'. Please see https://aka.ms/arm-syntax-resources for usage details.'."},
		"a circle by reference":     {`"resources": [{` + c + `, "name": "a", "properties": {"x": "[reference(resourceId('A.B/c', 'b')).x]"}}, {` + c + `, "name": "b", "dependsOn": ["a"]}]`, `{}`, "resources[0]", "Circular dependency detected on resource: '"},
		"itself":                    {`"resources": [{` + c + `, "name": "a", "tags": "[reference(resourceId('A.B/c', 'a'), '2020-01-01', 'Full').tags]"}]`, `{}`, "resources[0]", "Circular dependency detected on resource: '" + group + "/providers/A.B/c/a'"},
		"unknown dependsOn":         {`"resources": [{` + c + `, "name": "a", "dependsOn": ["b"]}]`, `{}`, "resources[0].dependsOn[0]", "The resource 'b' is not defined in the template."},
		"dependsOn without a name":  {`"resources": [{` + c + `, "copy": {"count": 0}, "name": "x"}, {` + c + `, "name": "a", "dependsOn": [""]}]`, `{}`, "resources[1].dependsOn[0]", "The resource '' is not defined in the template."},
		"twice":                     {`"resources": [{` + c + `, "name": "a"}, {` + c + `, "name": "A"}]`, `{}`, "resources[1]", "is defined multiple times in a template"},
		"segments":                  {`"resources": [{` + c + `, "name": "a/b"}]`, `{}`, "resources[0]", "has incorrect segment lengths"},
		"no parameter":              {`"parameters": {"x": {"type": "string"}}, "resources": []`, `{}`, "parameters.x", "The value for the template parameter 'x' at line '1' and column '"},
		"unknown parameter":         {`"parameters": {"x": {"type": "string"}}, "resources": []`, `{"x": {"value": "1"}, "y": {"value": 1}}`, "parameters.y", "The template parameters 'y' in the parameters file are not valid; they are not present in the original template and can therefore not be provided at deployment time. The only supported parameters for this template are 'x'."},
		"wrong type":                {`"parameters": {"x": {"type": "string"}}, "resources": []`, `{"x": {"value": 1}}`, "parameters.x", "Template parameter JToken type is not valid. Expected 'String, Uri'. Actual 'Integer'."},
		"not allowed":               {`"parameters": {"x": {"type": "string", "allowedValues": ["a", "b"]}}, "resources": []`, `{"x": {"value": "c"}}`, "parameters.x", "is not part of the allowed value(s): 'a,b'"},
		"too short":                 {`"parameters": {"x": {"type": "string", "minLength": 3}}, "resources": []`, `{"x": {"value": "c"}}`, "parameters.x", "Expected minLength '3', found '1'"},
		"too many":                  {`"parameters": {"x": {"type": "int", "maxValue": 3}}, "resources": []`, `{"x": {"value": 4}}`, "parameters.x", "Expected maxValue '3', found '4'"},
		"secret of a vault":         {`"parameters": {"x": {"type": "securestring"}}, "resources": []`, `{"x": {"reference": {}}}`, "parameters.x", "is not emulated"},
		"bad expression":            {`"resources": [{` + c + `, "name": "[concat('a'"}, {` + c + `, "name": "[concat('a')"}, {` + c + `, "name": "[nope()]"}]`, `{}`, "resources[2].name", "The template resource '[nope()]' at line '1' and column '"},
		"copies":                    {`"resources": [{` + c + `, "copy": {"name": "x", "count": 801}, "name": "a"}]`, `{}`, "resources[0].copy.count", "The copy count '801' is not valid. It must be between '0' and '800'"},
		"too many resources":        {`"resources": [{` + c + `, "copy": {"name": "x", "count": 800}, "name": "[string(copyIndex())]"}, {` + c + `, "name": "a"}]`, `{}`, "", "The number of template resources limit exceeded. Limit: '800' and actual: '801'."},
		"a variable of itself":      {`"variables": {"a": "[variables('b')]", "b": "[variables('a')]"}, "resources": [{` + c + `, "name": "[variables('a')]"}]`, `{}`, "variables.b", "refers to itself by way of 'a, b'"},
		"reference in a name":       {`"resources": [{` + c + `, "name": "[reference('x')]"}]`, `{}`, "resources[0].name", "The template function 'reference' is not expected at this location"},
		"two that are deployed":     {`"resources": [{` + c + `, "name": "a", "condition": true}, {` + c + `, "name": "a", "condition": "[equals('a', 'a')]"}]`, `{}`, "resources[1]", "is defined multiple times in a template"},
		"no condition":              {`"resources": [{` + c + `, "name": "a", "condition": true}, {` + c + `, "name": "b", "condition": "[concat('a', 'b')]"}]`, `{}`, "resources[1].condition", "The condition must be a boolean"},
		"condition of what is made": {`"resources": [{` + c + `, "name": "a", "condition": "[reference('b').x]"}, {` + c + `, "name": "b"}]`, `{}`, "resources[0].condition", "The template function 'reference' is not expected at this location"},
		"a name of a condition":     {`"resources": [{` + c + `, "name": "[concat(1, nope())]", "condition": false}]`, `{}`, "resources[0].name", "nope"},
		"fewer copies than none":    {`"resources": [{` + c + `, "copy": {"name": "x", "count": -1}, "name": "a"}]`, `{}`, "resources[0].copy.count", "The copy count '-1' is not valid"},
		"extensions":                {`"extensions": {"g": {}}, "resources": []`, `{}`, "extensions", "is not emulated"},
		"the tenant":                {`"resources": [{"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "a", "scope": "/", "properties": {"mode": "Incremental", "template": {}}}]`, `{}`, "resources[0].scope", "A deployment to another scope than a subscription or a resource group is not emulated."},
		"a management group":        {`"resources": [{"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "a", "scope": "/providers/Microsoft.Management/managementGroups/g", "properties": {"mode": "Incremental", "template": {}}}]`, `{}`, "resources[0].scope", "A deployment to another scope than"},
		"not emulated":              {`"resources": [{` + c + `, "name": "a", "properties": {"zone": ["[pickZones('A', 'b', 'c')]"]}}]`, `{}`, "resources[0].properties.zone[0]", "The template function 'pickZones' is not emulated."},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := expand(t, r.template, r.parameters)
			what, ok := err.(*Error) //nolint:errorlint // it is returned as it is
			if !ok {
				t.Fatalf("%v", err)
			}
			if what.Path != r.path || !strings.Contains(what.Message, r.text) {
				t.Errorf("at %q: %s\nnot at %q: %s", what.Path, what.Message, r.path, r.text)
			}
		})
	}
}
