package graph

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// written is a clause as OData, with every parenthesis.
func (c clause) written(element string) string {
	name, values := c.property, make([]string, len(c.values))
	if name == "" {
		name = element
	}
	for i, value := range c.values {
		values[i] = "'" + strings.ReplaceAll(value, "'", "''") + "'"
	}
	switch c.operator {
	case "and", "or":
		parts := make([]string, len(c.parts))
		for i, part := range c.parts {
			parts[i] = "(" + part.written(element) + ")"
		}
		return strings.Join(parts, " "+c.operator+" ")
	case "not":
		return "not (" + c.parts[0].written(element) + ")"
	case "any":
		return c.property + "/any(e:" + c.parts[0].written("e") + ")"
	case "eq", "ne":
		if len(values) > 1 {
			return name + " in (" + strings.Join(values, ",") + ")"
		}
		return name + " " + c.operator + " " + values[0]
	}
	return fmt.Sprintf("%s(%s,%s)", c.operator, name, values[0])
}

func TestParseFilter(t *testing.T) {
	for text, expected := range map[string]string{
		"appId eq 'x'":                                  "appId eq 'x'",
		"  appId   EQ   'x'  ":                          "appId eq 'x'",
		"displayName eq 'Ole''s'":                       "displayName eq 'Ole''s'",
		"displayName eq ''":                             "displayName eq ''",
		"a eq 'x and y' and b eq true AND c eq 'z'":     "(a eq 'x and y') and (b eq 'true') and (c eq 'z')",
		"id eq 11111111-2222-4333-8444-555555555555":    "id eq '11111111-2222-4333-8444-555555555555'",
		"x eq null":                                     "x eq 'null'",
		"a eq 'x' or b eq 'y' and c ne 'z'":             "(a eq 'x') or ((b eq 'y') and (c ne 'z'))",
		"(a eq 'x' or b eq 'y') and c eq 'z'":           "((a eq 'x') or (b eq 'y')) and (c eq 'z')",
		"not (a eq 'x') and not(b eq 'y')":              "(not (a eq 'x')) and (not (b eq 'y'))",
		"not startswith(a, 'x')":                        "not (startswith(a,'x'))",
		"a in ('x', 'y')":                               "a in ('x','y')",
		"startsWith(displayName,'x')":                   "startswith(displayName,'x')",
		"servicePrincipalNames/any(c:c eq 'x')":         "servicePrincipalNames/any(e:e eq 'x')",
		"uris/any(u:u eq 'x' or startswith(u,'y'))":     "uris/any(e:(e eq 'x') or (startswith(e,'y')))",
		"notes eq 'x'":                                  "notes eq 'x'",
		"((((((((((a eq 'x'))))))))))":                  "a eq 'x'",
		"identifierUris/any(s:s eq 'a') and b eq 'c'  ": "(identifierUris/any(e:e eq 'a')) and (b eq 'c')",
	} {
		got, err := parseFilter(text)
		if err != nil || got.written("") != expected {
			t.Errorf("%q: expected %s, found %s, %v", text, expected, got.written(""), err)
		}
	}
	for _, text := range []string{
		"", " ", "appId", "appId eq", "appId eq ", "appId eq 'x", "appId eq x", "appId eq 'x'and b eq 'y'",
		"appId eq 'x' and", "appIdeq 'x'", "appId eq'x'", "startswith(displayName,'x'", "startswith('x')", "(appId eq 'x'", "appId eq 'x')", "appId eq 'x';", "a/b eq 'x'",
		"a/any(b eq 'x')", "a/any(b:c eq 'x')", "a/any(b:b eq 'x'", "a in ()", "a in ('x'", "a in 'x'", "not", "length(a) eq 1", "a gt 'x'", "a eq 'x' xor b eq 'y'",
		strings.Repeat("(", maxDepth+1) + "a eq 'x'" + strings.Repeat(")", maxDepth+1), strings.Repeat("a", maxFilter+1),
	} {
		if got, err := parseFilter(text); err == nil {
			t.Errorf("%q: accepted as %s", text, got.written(""))
		}
	}
	for _, text := range []string{"a gt 'x'", "length(a) eq 1", "a/all(b:b eq 'x')"} {
		if _, err := parseFilter(text); !errors.Is(err, errOperator) {
			t.Errorf("%q is OData that is not read: %v", text, err)
		}
	}
}

// FuzzParseFilter looks for text that makes the parser fall over, or that is
// accepted and then written out as something that is not.
func FuzzParseFilter(f *testing.F) {
	f.Add("appId eq 'x' and displayName eq 'Ole''s'")
	f.Add("a eq 'x")
	f.Add("a eq 11111111-2222-4333-8444-555555555555")
	f.Add("not (a/any(c:c eq 'x') or startswith(b,'y') and c in ('1','2'))")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := parseFilter(text)
		if err != nil {
			if err.Error() == "" {
				t.Errorf("%q: refused without a reason", text)
			}
			return
		}
		again := first.written("")
		second, err := parseFilter(again)
		if err != nil && !strings.Contains(err.Error(), "bytes") && !strings.Contains(err.Error(), "parentheses") || err == nil && second.written("") != again {
			t.Errorf("%q: %s, again %s, %v", text, again, second.written(""), err)
		}
	})
}

// FuzzParseObject looks for bodies that are accepted and are no JSON object, and for members of
// which the value is none.
func FuzzParseObject(f *testing.F) {
	f.Add([]byte(`{"displayName":"web","web":{"redirectUris":[]},"tags":null}`))
	f.Add([]byte(`{"a":[[[[1]]]]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		read, err := parseObject(data)
		if err != nil {
			return
		}
		for name, value := range read {
			if len(value) == 0 {
				t.Errorf("%q of %q is empty", name, data)
			}
		}
		_, err = parseObject(appendJSON(nil, map[string]any{"all": read}))
		if err != nil && len(data) < 1000 && !strings.Contains(err.Error(), "deep") {
			t.Errorf("%q, again: %v", data, err)
		}
		for _, members := range [][]member{applicationMembers, servicePrincipalMembers} {
			taken := object{}
			for name, value := range read {
				taken[name] = value
			}
			if written, failed := taken.write(nil, members); failed == nil {
				for _, m := range members {
					appendJSON(nil, memberValue(written, m))
				}
			}
		}
	})
}
