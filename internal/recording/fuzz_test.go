package recording

import (
	"bytes"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// Whatever is read is written so that it is read again, to the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"wiemu.dev/v1","kind":"Recording","start":"2026-01-05T08:00:00Z","length":"1h","state":{"seed":1,"declared":[{"workload":{"namespace":"n","serviceAccount":"s"},"identity":{}}]},"inputs":[{"id":1,"at":"1s","door":"gateway","method":"GET","path":"/","outcome":{"status":200}}]}`))
	f.Add([]byte("kind: Recording\napiVersion: wiemu.dev/v1\nstart: 2026-01-05T08:00:00Z\nlength: 0s\nstate: {}\ninputs: []\n"))
	f.Add([]byte("\x00{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		first, err := Parse("fuzz", data)
		if err != nil {
			return
		}
		var text, again bytes.Buffer
		if err := first.Write(&text); err != nil {
			t.Fatalf("read, but not written: %v", err)
		}
		second, err := Parse("fuzz", text.Bytes())
		if err != nil {
			t.Fatalf("written, but not read: %v\n%s", err, text.Bytes())
		}
		if err := second.Write(&again); err != nil || !bytes.Equal(text.Bytes(), again.Bytes()) {
			t.Errorf("another one after reading again (%v):\n%s\n%s", err, text.Bytes(), again.Bytes())
		}
	})
}

// With names in the place of credentials a form says what it said, and no secret.
func FuzzForm(f *testing.F) {
	const signature = "c2lnbmF0dXJlLXRoYXQtbm9ib2R5LWtub3dz"
	const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0." + signature
	f.Add("client_assertion=" + token + "&scope=a")
	f.Add("client_assertion=%0a" + token + "%0a&client_assertion=" + token)
	f.Add("Client_Assertion = x&client_secret=a%26b&&=&%")
	f.Add("client_secret=long+enough&password=+long+enough+&a=b")
	f.Add("scope=a+" + token + "+%26b&" + token + "=1&assertion_of=" + strings.ReplaceAll(token, ".", "%2E"))
	f.Fuzz(func(t *testing.T, text string) {
		n := newNames()
		tokens := newTokens(n, newKeys(n))
		formed := tokens.form(1, text)
		named := tokens.in(1, formed)
		if strings.Contains(text, token) && strings.Contains(named, token) {
			t.Fatalf("the signature is still in %q", named)
		}
		before, err := url.ParseQuery(text)
		if err != nil || strings.Contains(text, "{{") || strings.Contains(text, "%7") || strings.Contains(named, "{{part of a token}}") {
			return // a part of a token is not kept
		}
		if named != formed {
			return // what looks like a token goes on from a name to its value
		}
		fill := func(text string, escape func(string) string) string {
			return placeholder().ReplaceAllStringFunc(text, func(found string) string {
				own, ok := n.text(found[2 : len(found)-2])
				if !ok {
					own, _ = n.secretAt(strings.TrimPrefix(found[2:len(found)-2], "secret "))
				}
				return escape(own)
			})
		}
		filled := fill(named, url.QueryEscape)
		if after, err := url.ParseQuery(filled); err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%q became %q, which is %v instead of %v (%v)", text, named, after, before, err)
		}
	})
}
