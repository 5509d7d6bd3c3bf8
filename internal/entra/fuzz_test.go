package entra

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// A form is either refused, or text that says the same as Go's own reader read,
// but for white space and case.
func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{
		"grant_type=client_credentials&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default\n&client_id=x",
		"a=1&a=2", "a=%zz", "=&&;=%00", "a=+b+&%41=1", "\n&client_id=\xff", strings.Repeat("a=b&", 200),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := parseForm(body)
		if err != nil {
			return
		}
		values, err := url.ParseQuery(strings.ReplaceAll(body, ";", "%3B"))
		if err != nil {
			t.Fatalf("accepted %q: %v", body, err)
		}
		for name, value := range got {
			if !utf8.ValidString(name+value) || name != strings.ToLower(name) {
				t.Errorf("%q is %q", name, value)
			}
		}
		for name, all := range values {
			// A pair that is all white space is none here, and a value without a name there.
			if name = strings.ToLower(strings.TrimSpace(name)); name != "" && len(all) == 1 && got[name] != strings.TrimSpace(all[0]) {
				t.Errorf("%q is %q, elsewhere %q", name, got[name], all[0])
			}
		}
	})
}

// A scope is either refused or names one resource.
func FuzzResourceOf(f *testing.F) {
	for _, seed := range []string{"https://vault.azure.net/.default openid", "a/.default b/.default", "/.default", "x//.default", " "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, scope string) {
		resource, refusal := resourceOf(scope)
		if (resource == "") != (refusal != nil) || strings.ContainsAny(resource, " \t\n") || refusal == nil && !strings.Contains(scope, resource+"/.default") {
			t.Errorf("scope %q: resource %q, refusal %v", scope, resource, refusal)
		}
	})
}
