package graph

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseFilter(t *testing.T) {
	for text, expected := range map[string][]comparison{
		"appId eq 'x'":                               {{"appId", "x"}},
		"  appId   EQ   'x'  ":                       {{"appId", "x"}},
		"displayName eq 'Ole''s'":                    {{"displayName", "Ole's"}},
		"displayName eq ''":                          {{"displayName", ""}},
		"a eq 'x and y' and b eq true AND c eq 'z'":  {{"a", "x and y"}, {"b", "true"}, {"c", "z"}},
		"id eq 11111111-2222-4333-8444-555555555555": {{"id", "11111111-2222-4333-8444-555555555555"}},
		"x eq null":                                  {{"x", "null"}},
	} {
		got, err := parseFilter(text)
		if err != nil || !reflect.DeepEqual(got, expected) {
			t.Errorf("%q: expected %v, found %v, %v", text, expected, got, err)
		}
	}
	for _, text := range []string{
		"", " ", "appId", "appId eq", "appId eq ", "appId eq 'x", "appId eq x", "appId eq 'x' or b eq 'y'", "appId eq 'x'and b eq 'y'",
		"appId eq 'x' and", "appIdeq 'x'", "appId eq'x'", "startswith(displayName,'x')", "(appId eq 'x')", "appId eq 'x';", "a/b eq 'x'",
		strings.Repeat("a", maxFilter+1),
	} {
		if got, err := parseFilter(text); err == nil {
			t.Errorf("%q: accepted as %v", text, got)
		}
	}
}

// FuzzParseFilter looks for text that makes the parser fall over, or that is
// accepted and then written out as something that is not.
func FuzzParseFilter(f *testing.F) {
	f.Add("appId eq 'x' and displayName eq 'Ole''s'")
	f.Add("a eq 'x")
	f.Add("a eq 11111111-2222-4333-8444-555555555555")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := parseFilter(text)
		if err != nil {
			if err.Error() == "" || first != nil {
				t.Errorf("%q: refused without a reason, or with a result", text)
			}
			return
		}
		var parts []string
		for _, c := range first {
			parts = append(parts, c.property+" eq '"+strings.ReplaceAll(c.value, "'", "''")+"'")
		}
		second, err := parseFilter(strings.Join(parts, " and "))
		if err != nil && !strings.Contains(err.Error(), "bytes") || err == nil && !reflect.DeepEqual(first, second) {
			t.Errorf("%q: %v, again %v, %v", text, first, second, err)
		}
	})
}
