package template

import (
	"strings"
	"testing"
	"time"
)

const (
	subscription = "00000000-0000-0000-0000-000000000001"
	group        = "/subscriptions/" + subscription + "/resourceGroups/shop"
)

func deployment() Deployment {
	return Deployment{
		Scope:        group,
		Environment:  NewObject("name", "AzureCloud"),
		Tenant:       NewObject("tenantId", "t"),
		Subscription: NewObject("id", "/subscriptions/"+subscription, "subscriptionId", subscription),
		Group:        NewObject("id", group, "name", "shop", "location", "westeurope"),
		Self:         NewObject("name", "main"),
		Now:          time.Date(2031, 3, 4, 5, 6, 7, 0, time.UTC),
		NewGUID:      func() string { return "11111111-1111-4111-8111-111111111111" },
	}
}

// value evaluates an expression as the only output of a template.
func value(t testing.TB, text string) (any, error) {
	t.Helper()
	data, err := compactJSON(NewObject("$schema", "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
		"variables", NewObject("v", "[concat('a', 'b')]", "list", []any{int64(1), int64(2)}),
		"functions", []any{NewObject("namespace", "shop", "members", NewObject("hello", NewObject("parameters", []any{NewObject("name", "who", "type", "string")}, "output", NewObject("type", "string", "value", "[format('hello {0}', parameters('who'))]"))))},
		"outputs", NewObject("o", NewObject("type", "array", "value", []any{text}))))
	if err != nil {
		t.Fatal(err)
	}
	made, err := parsed([]byte(data))
	if err != nil {
		return nil, err
	}
	plan, err := made.Expand(deployment())
	if err != nil {
		return nil, err
	}
	outputs, err := plan.Outputs(nothing{})
	if err != nil {
		return nil, err
	}
	return outputs.Object("o").List("value")[0], nil
}

// nothing is a subscription in which there is nothing.
type nothing struct{}

func (nothing) Get(string, string) (*Object, error)           { return nil, nil }
func (nothing) List(string, string, string, any) (any, error) { return nil, unsupportedf("It") }

// The values of uniqueString: the first is that of the tests of Azure/terraform-provider-azapi, and the
// rest are those of a script for bash that compared itself with Bicep.
func TestExpressions(t *testing.T) {
	for text, want := range map[string]string{
		"[uniqueString('/subscriptions/00000000-0000-0000-0000-000000000000', 'resource-id')]": `"cwvxuqg24sifi"`,
		"[uniqueString('test')]":              `"rbgf3xv4ufgzg"`,
		"[uniqueString('hello', 'world')]":    `"a7wkljktk6wne"`,
		"[uniqueString('abc')]":               `"cgtzqvhu4i23s"`,
		"[uniqueString('foo', 'bar', 'baz')]": `"xzi4ioaxtmth4"`,
		"[uniqueString('/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/my-rg')]": `"bmg7c6xu4tw46"`,
		"[guid('a', 'b')]": `"` + GUID("a-b") + `"`,

		"plain": `"plain"`, "[[literal]": `"[literal]"`, "[not an expression": `"[not an expression"`,
		"['it''s']": `"it's"`, "[ concat ( 'a' , 'b' ) ]": `"ab"`, "[-5]": "-5",
		"[resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'web')]":                                   `"` + group + `/providers/Microsoft.ManagedIdentity/userAssignedIdentities/web"`,
		"[resourceId('Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials', 'web', 'c')]": `"` + group + `/providers/Microsoft.ManagedIdentity/userAssignedIdentities/web/federatedIdentityCredentials/c"`,
		"[resourceId('other', 'A.B/c', 'd')]":                                                                       `"/subscriptions/` + subscription + `/resourceGroups/other/providers/A.B/c/d"`,
		"[resourceId('00000000-0000-0000-0000-000000000009', 'other', 'A.B/c', 'd')]":                               `"/subscriptions/00000000-0000-0000-0000-000000000009/resourceGroups/other/providers/A.B/c/d"`,
		"[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', 'r')]":                                  `"/subscriptions/` + subscription + `/providers/Microsoft.Authorization/roleDefinitions/r"`,
		"[subscriptionResourceId('Microsoft.Resources/resourceGroups', 'r')]":                                       `"/subscriptions/` + subscription + `/resourceGroups/r"`,
		"[extensionResourceId('/a', 'B.C/d', 'e')]":                                                                 `"/a/providers/B.C/d/e"`, "[tenantResourceId('B.C/d', 'e')]": `"/providers/B.C/d/e"`,
		"[resourceGroup().location]": `"westeurope"`, "[resourcegroup().LOCATION]": `"westeurope"`, "[subscription().subscriptionId]": `"` + subscription + `"`,
		"[deployment().name]": `"main"`, "[environment().name]": `"AzureCloud"`, "[tenant().tenantId]": `"t"`,
		"[variables('v')]": `"ab"`, "[variables('list')[1]]": "2", "[shop.hello('you')]": `"hello you"`,
		"[format('{0}-{1:D3}|{2,5}|{2,-3}|{{}}', 'a', 7, 'x')]": `"a-007|    x|x  |{}"`, "[format('{0}', true())]": `"True"`,
		"[toLower('AbC')]": `"abc"`, "[toUpper('AbC')]": `"ABC"`, "[replace('a-b-c', '-', '')]": `"abc"`, "[trim(' a ')]": `"a"`,
		"[split('a,b;c', createArray(',', ';'))]": `["a","b","c"]`, "[join(createArray('a', 'b'), '-')]": `"a-b"`, "[split('a-b', '-')[1]]": `"b"`,
		"[substring('abcdef', 2, 3)]": `"cde"`, "[substring('abc', 1)]": `"bc"`, "[length('äöü')]": "3", "[padLeft('7', 3, '0')]": `"007"`,
		"[first('abc')]": `"a"`, "[last(createArray(1, 2))]": "2", "[first(createArray())]": "null", "[take('abc', 2)]": `"ab"`, "[skip(createArray(1, 2, 3), 2)]": "[3]",
		"[contains('abc', 'B')]": "true", "[contains(createArray('a'), 'A')]": "false", "[contains(createObject('a', 1), 'A')]": "true",
		"[empty('')]": "true", "[empty(createObject())]": "true", "[empty(null())]": "true",
		"[union(createObject('a', createObject('x', 1)), createObject('A', createObject('y', 2)))]": `{"a":{"x":1,"y":2}}`,
		"[union(createArray(1, 2), createArray(2, 3))]":                                             "[1,2,3]", "[intersection(createArray(1, 2), createArray(2, 3))]": "[2]",
		"[array('a')]": `["a"]`, "[array(createArray(1))]": "[1]", "[string(createObject('b', 1, 'a', createArray(true())))]": `"{\"b\":1,\"a\":[true]}"`,
		"[int('42')]": "42", "[bool('TRUE')]": "true", "[json('{\"a\": [1, 2.5, null]}').a[1]]": "2.5",
		"[if(true(), 1, variables('none'))]": "1", "[and(true(), false())]": "false", "[or(false(), true())]": "true", "[not(true())]": "false",
		"[equals('a', 'A')]": "false", "[equals(createObject('a', 1, 'b', 2), createObject('b', 2, 'a', 1))]": "true", "[less(1, 2)]": "true", "[greaterOrEquals('b', 'a')]": "true",
		"[coalesce(null(), 'a')]": `"a"`, "[add(1, 2)]": "3", "[sub(1, 2)]": "-1", "[mul(3, 4)]": "12", "[div(7, 2)]": "3", "[mod(7, 2)]": "1", "[max(1, 3, 2)]": "3", "[min(createArray(3, 1))]": "1",
		"[range(2, 3)]": "[2,3,4]", "[base64('abc')]": `"YWJj"`, "[base64ToString('YWJj')]": `"abc"`, "[base64ToJson('eyJhIjoxfQ==').a]": "1",
		"[uri('https://a.example/b/', 'c')]": `"https://a.example/b/c"`, "[uriComponent('a b/c')]": `"a%20b%2Fc"`, "[uriComponentToString('a%20b')]": `"a b"`,
		"[map(createArray(1, 2), lambda('x', mul(lambdaVariables('x'), 10)))]":                                            "[10,20]",
		"[filter(range(0, 5), lambda('x', greater(lambdaVariables('x'), 2)))]":                                            "[3,4]",
		"[reduce(range(1, 4), 0, lambda('sum', 'x', add(lambdaVariables('sum'), lambdaVariables('x'))))]":                 "10",
		"[sort(createArray(3, 1, 2), lambda('a', 'b', less(lambdaVariables('a'), lambdaVariables('b'))))]":                "[1,2,3]",
		"[toObject(createArray('a', 'b'), lambda('x', lambdaVariables('x')), lambda('x', length(lambdaVariables('x'))))]": `{"a":1,"b":1}`,
		"[items(createObject('b', 1, 'a', 2))]":                                                                           `[{"key":"a","value":2},{"key":"b","value":1}]`, "[objectKeys(createObject('b', 1, 'a', 2))]": `["a","b"]`,
		"[tryGet(createObject('a', createArray(1)), 'a', 0)]": "1", "[tryGet(createObject(), 'a', 'b')]": "null", "[flatten(createArray(createArray(1), createArray(2)))]": "[1,2]",
		"[startsWith('abc', 'AB')]": "true", "[endsWith('abc', 'bc')]": "true", "[indexOf('abc', 'C')]": "2", "[lastIndexOf('abca', 'a')]": "3",
		"[indexOf('ȺB', 'b')]": "1", "[lastIndexOf('ȺbB', 'b')]": "2", "[indexOf('abc', 'd')]": "-1", "[indexOf('abc', '')]": "0",
		"[indexOf(createArray('a', 'B', 'b', 'b'), 'b')]": "2", "[lastIndexOf(createArray('a', 'b', 'b', 'B'), 'b')]": "2", "[indexOf(createArray(1, createArray(2)), createArray(2))]": "1", "[lastIndexOf(createArray(1), 2)]": "-1",
		"[dataUriToString('data:;base64,SGVsbG8sIFdvcmxkIQ==')]": `"Hello, World!"`, "[dataUriToString(dataUri('Hello'))]": `"Hello"`, "[dataUriToString('data:text/plain,a%20b')]": `"a b"`,
		"[dateTimeAdd('2020-04-07T14:53:14Z', 'P3Y')]": `"20230407T145314Z"`, "[dateTimeAdd('2020-04-07T14:53:14Z', '-P9D', 'yyyy-MM-dd')]": `"2020-03-29"`, "[dateTimeToEpoch('2022-01-01T00:00:00Z')]": "1640995200",
		"[dateTimeFromEpoch(1640995200)]": `"2022-01-01T00:00:00Z"`,
	} {
		v, err := value(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, _ := compactJSON(v); got != want {
			t.Errorf("%s\n is %s\nnot %s", text, got, want)
		}
	}
}

func TestExpressionsThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"[concat('a'":                "", // no expression without its bracket
		"[concat('a']":               "is not valid: the expression is not complete",
		"[concat('a',)]":             "the string character ')' at position '11' is not expected",
		"[concat('a') 'b']":          "the string character ''' at position '12' is not expected",
		"['a]":                       "the expression is not complete",
		"[]":                         "the expression is not complete",
		"[9999999999999999999]":      "is not expected",
		"[nonsense('a')]":            "The template function 'nonsense' is not valid. Please see https://aka.ms/arm-functions for usage details.",
		"[other.hello('a')]":         "The template function 'other.hello' is not valid",
		"[shop.hello()]":             "requires 1 argument(s) while 0 were provided",
		"[pickZones('a', 'b', 'c')]": "The template function 'pickZones' is not emulated",
		"[managementGroupResourceId('A.B/c', 'd')]":  "The template function 'managementGroupResourceId' is not emulated",
		"[indexOf(1, 'a')]":                          "the argument at position '1' must be a string, found 'Integer'",
		"[dataUriToString('text')]":                  "'text' is no data URI",
		"[variables('none')]":                        "The template variable 'none' is not found",
		"[parameters('none')]":                       "The template parameter 'none' is not found",
		"[variables('list')[2]]":                     "array index '2' is out of bounds",
		"[resourceGroup().nothing]":                  "The language expression property 'nothing' doesn't exist, available properties are 'id, name, location'.",
		"[toLower(1)]":                               "Unable to evaluate template language function 'toLower': the argument at position '1' must be a string, found 'Integer'",
		"[toLower('a', 'b')]":                        "requires 1 argument(s) while 2 were provided",
		"[substring('abc', 2, 3)]":                   "must refer to a location within the string",
		"[div(1, 0)]":                                "is no integer",
		"[add(9223372036854775807, 1)]":              "is no integer",
		"[range(0, 10001)]":                          "must be between '0' and '10000'",
		"[newGuid()]":                                "only be used in default values",
		"[utcNow()]":                                 "only be used in default values",
		"[copyIndex()]":                              "The template function 'copyIndex' is not expected at this location",
		"[reference('/a/b')]":                        "The Resource 'a/b' under resource group '' was not found",
		"[reference('nothing')]":                     "The resource 'nothing' is not defined in the template",
		"[listKeys('/a/providers/b', '2020-01-01')]": "is not emulated",
		"[resourceId('a', 'b')]":                     "the fully qualified resource type",
		"[resourceId('A.B/c/d', 'e')]":               "requires '2' resource name argument(s)",
	} {
		v, err := value(t, text)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && err == nil:
			t.Errorf("%s is %v", text, v)
		case want != "" && !strings.Contains(err.Error(), want):
			t.Errorf("%s:\n%v\nlacks %s", text, err, want)
		}
	}
}
