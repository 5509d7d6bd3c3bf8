package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Table is accuracy.yaml: requests and what Entra ID answers.
type Table struct {
	Variables map[string]string `yaml:"variables"`
	Setup     string            `yaml:"setup"` // a wiemu.yaml
	Cases     []Case            `yaml:"cases"`
}

// Case is one request, as it differs from a good one, and its reply.
type Case struct {
	Name   string `yaml:"name"`
	Base   string `yaml:"base"`   // federated, secret, certificate, or "" for a request without form
	Host   string `yaml:"host"`   // "": the login host
	Method string `yaml:"method"` // "": POST
	Path   string `yaml:"path"`   // "": the v2 token endpoint

	// What differs in the form, the header, the assertion's claims and its
	// header. null takes a member away.
	Form      map[string]*string `yaml:"form"`
	Header    map[string]string  `yaml:"header"`
	Assertion map[string]any     `yaml:"assertion"`
	Jose      map[string]any     `yaml:"jose"`

	Times map[string]time.Duration `yaml:"times"` // claims, from now on
	Key   string                   `yaml:"key"`   // other: a key that the issuer does not have
	Quote bool                     `yaml:"quote"` // the assertion is put in quotes
	Alg   string                   `yaml:"alg"`   // of the assertion: RS256 or PS256; "": RS256
	Pad   bool                     `yaml:"pad"`   // the assertion's base64url is padded

	Multipart bool   `yaml:"multipart"` // the form is sent as multipart/form-data
	Body      string `yaml:"body"`      // is sent instead of the form
	Bearer    string `yaml:"bearer"`    // the scope of an access token of app, which is sent along

	Reply      Reply  `yaml:"reply"`
	Source     string `yaml:"source"`
	Confidence string `yaml:"confidence"` // recorded, documented or inferred
}

// Reply is what is known of the answer; what is left out is not looked at.
type Reply struct {
	Status  int               `yaml:"status"`
	Error   string            `yaml:"error"`
	Code    int               `yaml:"code"`    // AADSTS; also the one member of error_codes
	Text    string            `yaml:"text"`    // a regular expression, found in error_description
	URI     *bool             `yaml:"uri"`     // whether there is an error_uri, which is the code's
	Members []string          `yaml:"members"` // of the body, in order
	Body    map[string]any    `yaml:"body"`    // some members, exactly; null: not there; a dot goes into an object
	Matches map[string]string `yaml:"matches"` // some members, by regular expression
	Headers map[string]string `yaml:"headers"`
	Claims  map[string]any    `yaml:"claims"` // some claims of the access token, exactly
	Lacks   []string          `yaml:"lacks"`  // claims that it does not have
	Jose    map[string]any    `yaml:"jose"`   // some members of its header; null: not there
	UTI     bool              `yaml:"uti"`    // its uti is made of x-ms-request-id
	Trace   bool              `yaml:"trace"`  // trace_id is x-ms-request-id
	Key     []string          `yaml:"key"`    // members that every key of a key set has
}

func readTable(file string, data []byte, over map[string]string) (Table, error) {
	node, err := yamlfile.Parse(file, data)
	if err != nil {
		return Table{}, err
	}
	var t Table
	problems := yamlfile.DecodeNode(file, node, &t)
	names := map[string]bool{}
	for i, c := range t.Cases {
		at := fmt.Sprintf("cases[%d]", i)
		for _, rule := range []struct {
			kept                   bool
			field, expected, found string
		}{
			{c.Name != "" && !names[c.Name], "name", "a name of its own", c.Name},
			{slices.Contains([]string{"", "federated", "secret", "certificate"}, c.Base), "base", "federated, secret or certificate", c.Base},
			{slices.Contains([]string{"", "RS256", "PS256"}, c.Alg), "alg", "RS256 or PS256", c.Alg},
			{slices.Contains(confidences(), c.Confidence), "confidence", "recorded, documented or inferred", c.Confidence},
			{c.Source != "", "source", "where this is known from", "nothing"},
			{c.Reply.Status != 0, "reply.status", "a status", "none"},
		} {
			if !rule.kept {
				problems = append(problems, yamlfile.Problem{File: file, Field: at + "." + rule.field, Expected: rule.expected, Found: rule.found})
			}
		}
		names[c.Name] = true
	}
	for name, value := range over {
		if _, ok := t.Variables[name]; !ok {
			known := slices.Sorted(maps.Keys(t.Variables))
			return t, fmt.Errorf("variable %q: expected one of %s", name, strings.Join(known, ", "))
		}
		t.Variables[name] = value
	}
	return t, problems.Err()
}

func (t Table) count() map[string]int {
	n := map[string]int{}
	for _, c := range t.Cases {
		n[c.Confidence]++
	}
	return n
}

// fill replaces {NAME} by the variable; what is none stays.
func (t Table) fill(s string) string {
	for name, value := range t.Variables {
		s = strings.ReplaceAll(s, "{"+name+"}", value)
	}
	return s
}

// fillAny does so in every text of a value.
func (t Table) fillAny(v any) any {
	switch v := v.(type) {
	case string:
		return t.fill(v)
	case []any:
		filled := make([]any, len(v))
		for i, member := range v {
			filled[i] = t.fillAny(member)
		}
		return filled
	case map[string]any:
		filled := make(map[string]any, len(v))
		for name, member := range v {
			filled[name] = t.fillAny(member)
		}
		return filled
	}
	return v
}
