package template

import (
	"strings"
	"testing"
)

// read is an object of JSON.
func read(t *testing.T, text string) *Object {
	t.Helper()
	o, err := ParseObject([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// expectText compares a template with its text.
func expectText(t *testing.T, o *Object, want string) {
	t.Helper()
	if got, err := compactJSON(o); err != nil || got != want {
		t.Errorf("%v\n%s\nnot\n%s", err, got, want)
	}
}

// A secret that begins with another one leaves nothing of itself, in whichever order they came.
func TestSecretsThatBeginAlike(t *testing.T) {
	var s Secrets
	s.Add([]string{"horse", "horse"})
	expectText(t, s.Redacted(read(t, `{"a":"x=horse"}`)), `{"a":"x=[redacted: secure parameter]"}`)
	s.Add([]string{"horse-battery", "xy"})
	expectText(t, s.Redacted(read(t, `{"a":"x=horse-battery;horse","b":["xy","xyz"],"c":1}`)), `{"a":"x=[redacted: secure parameter];[redacted: secure parameter]","b":["[redacted: secure parameter]","xyz"],"c":1}`)
}

// A number in a secure object is a secret, too.
func TestNumbersThatAreSecret(t *testing.T) {
	p, err := expand(t, `"parameters": {"card": {"type": "secureObject"}}, "resources": []`, `{"card": {"value": {"pin": 4711, "on": true, "rate": 0.5, "all": [12]}}}`)
	if err != nil {
		t.Fatal(err)
	}
	var s Secrets
	s.Add(p.Secrets())
	expectText(t, s.Redacted(read(t, `{"a":4711,"b":"pin=4711","c":0.5,"d":12,"e":"12","f":true,"g":"","h":13}`)),
		`{"a":"[redacted: secure parameter]","b":"pin=[redacted: secure parameter]","c":"[redacted: secure parameter]","d":"[redacted: secure parameter]","e":"[redacted: secure parameter]","f":true,"g":"","h":13}`)
}

// A template is kept without the default values of its secure parameters, and what it gives to those of
// the templates in it, however deep. Expressions and empty texts stay.
func TestSecretsThatAreWrittenIntoATemplate(t *testing.T) {
	const secure = `"pw":{"type":"secureString","defaultValue":"DEFAULT"},"named":{"$ref":"#/definitions/d","defaultValue":"DEFAULT"},"made":{"type":"securestring","defaultValue":"[newGuid()]"},"none":{"type":"securestring","defaultValue":""},"o":{"type":"secureObject","defaultValue":{"a":["DEFAULT",NUMBER],"on":true}},"open":{"type":"string","defaultValue":"x"}`
	const inner = `{` + head + `,"definitions":{"d":{"type":"securestring"}},"parameters":{` + secure + `},"resources":[]}`
	const module = `{"type":"Microsoft.Resources/deployments","name":"m","properties":{"parameters":{"PW":{"value":"GIVEN"},"named":{"value":"GIVEN"},"made":{"value":"[parameters('pw')]"},"o":{"value":{"a":[NUMBER]}},"open":{"value":"x"}},"template":INNER}}`
	middle := strings.Replace(inner, `"resources":[]`, `"resources":{"m":`+strings.Replace(module, "INNER", inner, 1)+`}`, 1)
	template := strings.Replace(inner, `"resources":[]`, `"resources":[`+strings.Replace(module, "INNER", middle, 1)+`]`, 1)
	written := func(secret, number string) string {
		return strings.NewReplacer("DEFAULT", secret, "GIVEN", secret, "NUMBER", number).Replace(template)
	}
	compact := strings.NewReplacer(`": "`, `":"`, `, "`, `,"`).Replace // head has spaces
	made, err := parsed([]byte(written("s3cret", "4711")))
	if err != nil {
		t.Fatal(err)
	}
	expectText(t, made.WithoutGiven(), compact(written(instead, `"`+instead+`"`)))
	expectText(t, made.Root(), compact(written("s3cret", "4711")))
}
