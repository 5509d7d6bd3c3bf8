package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/truncate"
	"github.com/wiemu/wiemu/internal/unverified"
)

type answer struct {
	status int
	header http.Header
	raw    []byte
	body   map[string]any // nil if it is no JSON object
}

func read(resp *http.Response) (answer, error) {
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	a := answer{status: resp.StatusCode, header: resp.Header, raw: raw}
	_ = json.Unmarshal(raw, &a.body) // the checks say what is missing
	return a, err
}

func (t Table) differences(want Reply, got answer) []string {
	d := &diff{table: t, got: got}
	d.same("status", want.Status, got.status)
	if want.Error != "" {
		d.same("error", want.Error, got.body["error"])
	}
	if want.Code != 0 {
		d.same("error_codes", []any{float64(want.Code)}, got.body["error_codes"])
		d.matches("error_description", fmt.Sprintf("^AADSTS%d: ", want.Code), got.body["error_description"])
	}
	if want.Text != "" {
		d.matches("error_description", want.Text, got.body["error_description"])
	}
	if want.URI != nil {
		uri, _ := got.body["error_uri"].(string)
		if *want.URI {
			d.same("error_uri", fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", want.Code), uri)
		} else {
			d.same("error_uri", "", uri)
		}
	}
	if want.Members != nil {
		d.same("members", want.Members, members(got.raw))
	}
	for name, value := range want.Body {
		d.same(name, value, member(got.body, name))
	}
	for name, pattern := range want.Matches {
		d.matches(name, pattern, member(got.body, name))
	}
	for name, value := range want.Headers {
		d.same(name, value, got.header.Get(name))
	}
	if want.Trace {
		d.same("trace_id", got.header.Get("X-Ms-Request-Id"), got.body["trace_id"])
	}
	d.token(want)
	d.keys(want.Key)
	slices.Sort(d.found)
	return d.found
}

// member is a member of an object, or of one within: error.code.
func member(object map[string]any, name string) any {
	if value, ok := object[name]; ok {
		return value
	}
	first, rest, ok := strings.Cut(name, ".")
	within, isObject := object[first].(map[string]any)
	if !ok || !isObject {
		return nil
	}
	return member(within, rest)
}

type diff struct {
	table Table
	got   answer
	found []string
}

func (d *diff) same(what string, want, got any) {
	want = plain(d.table.fillAny(want))
	if got = plain(got); !reflect.DeepEqual(want, got) {
		d.found = append(d.found, fmt.Sprintf("%s: Entra ID has %v, found %v", what, show(want), show(got)))
	}
}

func (d *diff) matches(what, pattern string, got any) {
	text, _ := got.(string)
	re, err := regexp.Compile(d.table.fill(pattern))
	if err != nil {
		d.found = append(d.found, fmt.Sprintf("%s: the table's pattern: %v", what, err))
	} else if !re.MatchString(text) {
		d.found = append(d.found, fmt.Sprintf("%s: Entra ID has %s, found %v", what, re, show(got)))
	}
}

func (d *diff) token(want Reply) {
	if want.Claims == nil && want.Jose == nil && want.Lacks == nil && !want.UTI {
		return
	}
	token, _ := d.got.body["access_token"].(string)
	parts, err := unverified.Parse(token)
	if err != nil {
		d.found = append(d.found, "access_token: Entra ID has a JWT, found "+show(token))
		return
	}
	var header, claims map[string]any
	_, _ = parts.Header.Decode(&header), parts.Claims.Decode(&claims) // the checks say what is missing
	for name, value := range want.Jose {
		d.same("header "+name, value, header[name])
	}
	for name, value := range want.Claims {
		d.same("claim "+name, value, claims[name])
	}
	for _, name := range want.Lacks {
		if value, there := claims[name]; there {
			d.found = append(d.found, fmt.Sprintf("claim %s: Entra ID has none, found %v", name, show(value)))
		}
	}
	if want.UTI {
		d.same("claim uti", utiOf(d.got.header.Get("X-Ms-Request-Id")), claims["uti"])
	}
}

// keys looks for the members of the keys of a key set.
func (d *diff) keys(want []string) {
	if want == nil {
		return
	}
	keys, _ := d.got.body["keys"].([]any)
	if len(keys) == 0 {
		d.found = append(d.found, "keys: Entra ID has some, found none")
	}
	for _, key := range keys {
		key, _ := key.(map[string]any)
		for _, name := range want {
			if _, there := key[name]; !there {
				d.found = append(d.found, "key: Entra ID's have "+name+", this one does not")
			}
		}
	}
}

// utiOf is the id of a request in the form of the claim uti: its GUID as Windows
// lays it out, in base64url.
func utiOf(requestID string) string {
	id, err := uuid.Parse(requestID)
	if err != nil {
		return ""
	}
	b := [16]byte{id[3], id[2], id[1], id[0], id[5], id[4], id[7], id[6]}
	copy(b[8:], id[8:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

func members(raw []byte) []string {
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return nil
	}
	var names []string
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return names
		}
		names = append(names, fmt.Sprint(name))
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return names
		}
	}
	return names
}

// plain is a value as JSON has it, so that 1 and 1.0 are the same.
func plain(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var p any
	_ = json.Unmarshal(data, &p) // it was made a moment ago
	return p
}

func show(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return truncate.Bytes(string(data), 300)
}
