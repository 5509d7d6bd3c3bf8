package recording

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// The header of a recording.
const (
	APIVersion = "wiemu.dev/v1"
	Kind       = "Recording"
)

// MaxBytes is the size of the largest file that is read.
const MaxBytes = 64 << 20

// Recording is a session of a lab.
type Recording struct {
	// APIVersion is wiemu.dev/v1.
	APIVersion string `yaml:"apiVersion" json:"apiVersion" jsonschema:"enum=wiemu.dev/v1"`
	// Kind is Recording.
	Kind string `yaml:"kind" json:"kind" jsonschema:"enum=Recording"`
	// Start is the lab time at which it began.
	Start time.Time `yaml:"start" json:"start"`
	// Length is the lab time from the start to the end.
	Length Since `yaml:"length" json:"length" jsonschema:"type=string,example=25h0m0s"`
	// State is what was there when it began.
	State State `yaml:"state" json:"state"`
	// Tokens are the tokens that inputs and outcomes speak of.
	Tokens []Token `yaml:"tokens,omitempty" json:"tokens,omitempty"`
	// Inputs are the requests, in the order in which they came.
	Inputs []Input `yaml:"inputs" json:"inputs"`
	// Outside is what external issuers answered, in the order in which they were asked.
	Outside []Fetched `yaml:"outside,omitempty" json:"outside,omitempty"`
	// Events are what happened by itself.
	Events []Event `yaml:"events,omitempty" json:"events,omitempty"`

	file string // where it was read from
}

// Since is lab time since the start of a recording.
type Since time.Duration

// String is the text of time.Duration.
func (s Since) String() string { return time.Duration(s).String() }

// MarshalText writes what time.ParseDuration reads.
func (s Since) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what time.ParseDuration reads; recordings do not go back.
func (s *Since) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < 0 {
		return fmt.Errorf("expected the lab time since the start as a duration, such as 1h30m or 0s, found %q", text)
	}
	*s = Since(parsed)
	return nil
}

// State is what a lab is when a recording begins.
type State struct {
	// Config is the wiemu.yaml.
	Config config.Config `yaml:"config,omitempty" json:"-"`
	// Declared are the workloads that were declared by files.
	Declared Declared `yaml:"declared,omitempty" json:"declared,omitempty"`
	// Names is what created identities are named after: workload. If empty, it is their service account or application, as in recordings of older versions; the texts of their events are not compared.
	Names string `yaml:"names,omitempty" json:"names,omitempty" jsonschema:"enum=workload"`
	// Seed decides about faults with a probability.
	Seed uint64 `yaml:"seed,omitempty" json:"seed,omitempty"`
	// Faults are those that there were from the start, chaos included.
	Faults []fault.Fault `yaml:"faults,omitempty" json:"faults,omitempty"`
	// Keys are the private keys in the order in which they came into use, PKCS#8 PEM. If empty, a replay takes new ones.
	Keys []string `yaml:"keys,omitempty" json:"keys,omitempty"`
	// Certificates are the PEM files that the configuration names.
	Certificates map[string]string `yaml:"certificates,omitempty" json:"certificates,omitempty"`
	// Files are those of the vaults' keys and certificates, PEM or JWK. If empty, the lab of a replay makes these.
	Files map[string]string `yaml:"files,omitempty" json:"files,omitempty"`
}

// MarshalJSON writes the configuration as wiemu.yaml has it.
func (s State) MarshalJSON() ([]byte, error) {
	type plain State
	written, err := asYAMLHasIt(s.Config)
	if err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		Config map[string]any `json:"config,omitempty"`
		plain
	}{written, plain(s)})
}

// asYAMLHasIt turns a value into what its file would have: durations are text there.
func asYAMLHasIt(value any) (map[string]any, error) {
	text, err := yaml.Marshal(value)
	if err != nil {
		return nil, err
	}
	var written map[string]any
	return written, yaml.Unmarshal(text, &written)
}

// Declared are workloads in the form of the control API.
type Declared []workload.Spec

// UnmarshalYAMLFile reads them strictly.
func (d *Declared) UnmarshalYAMLFile(v yamlfile.Value) {
	var written any
	if !v.Decode(&written) {
		return
	}
	text, err := json.Marshal(written)
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		err = decoder.Decode((*[]workload.Spec)(d))
	}
	if err != nil {
		v.Refuse("a list of workloads as wiemu records them", err.Error(), "")
	}
}

// Token is a token that came up.
type Token struct {
	// ID is the ordinal by which inputs and outcomes name it: the input with which it came up, and a number.
	ID string `yaml:"id" json:"id" jsonschema:"pattern=^[0-9]+\\.[0-9]+$"`
	// Answered says that the emulator gave it out in the answer to that input.
	Answered bool `yaml:"answered,omitempty" json:"answered,omitempty"`
	// Header is the JOSE header.
	Header map[string]any `yaml:"header,omitempty" json:"header,omitzero"`
	// Claims is the payload.
	Claims map[string]any `yaml:"claims,omitempty" json:"claims,omitzero"`
	// SignedBy is the key: its ring and ordinal, such as local 2. If empty, no key of the lab signed it.
	SignedBy string `yaml:"signedBy,omitempty" json:"signedBy,omitempty"`
	// Signature is the length, in characters, of a signature that no key of the lab made.
	Signature int `yaml:"signature,omitempty" json:"signature,omitempty"`
	// Malformed says that such a signature is not even base64url.
	Malformed bool `yaml:"malformed,omitempty" json:"malformed,omitempty"`
	// Text is what was there in the place of a token, if it was none.
	Text string `yaml:"text,omitempty" json:"text,omitempty"`
}

// Input is a request that came from outside.
type Input struct {
	// ID is its ordinal.
	ID int `yaml:"id" json:"id" jsonschema:"minimum=1"`
	// At is when it came.
	At Since `yaml:"at" json:"at" jsonschema:"type=string,example=48m0s"`
	// Endpoint is what received it: gateway, cluster, control, bindings, or machine with a workload.
	Endpoint string `yaml:"door" json:"door"`
	// Workload is the workload of the token that it carries: namespace/service account.
	Workload string `yaml:"workload,omitempty" json:"workload,omitempty"`
	// Method is the HTTP method.
	Method string `yaml:"method" json:"method"`
	// Host is the host that was asked.
	Host string `yaml:"host,omitempty" json:"host,omitempty"`
	// Path is the request target: path and query.
	Path string `yaml:"path" json:"path"`
	// Header are the headers that answers depend on.
	Header map[string][]string `yaml:"header,omitempty" json:"header,omitempty"`
	// Body is the body.
	Body string `yaml:"body,omitempty" json:"body,omitempty"`
	// BodyLength is the length in bytes of a body that is content of a storage account, which is not recorded.
	BodyLength int64 `yaml:"bodyLength,omitempty" json:"bodyLength,omitempty" jsonschema:"minimum=0"`
	// BodySum is the SHA-256 sum of such a body, in hexadecimal.
	BodySum string `yaml:"bodySum,omitempty" json:"bodySum,omitempty"`
	// Took is how much lab time went by until it was answered. If 0, it was less than a second.
	Took Since `yaml:"took,omitempty" json:"took,omitzero" jsonschema:"type=string"`
	// Outcome is what was answered.
	Outcome Outcome `yaml:"outcome" json:"outcome"`

	done bool // the outcome is there

	content        *content // the body, of a request that is not read before it is answered
	target, source string   // of such a request: its target, and x-ms-copy-source, with the signatures of SAS
}

// Outcome is what came of an input.
type Outcome struct {
	// Status is the HTTP status. 0: the connection was cut instead.
	Status int `yaml:"status" json:"status"`
	// Code is the AADSTS code of a refusal.
	Code int `yaml:"code,omitempty" json:"code,omitempty"`
	// Error is the OAuth error, or the resource's error code.
	Error string `yaml:"error,omitempty" json:"error,omitempty"`
	// Header are the headers that clients act on.
	Header map[string]string `yaml:"header,omitempty" json:"header,omitempty"`
	// Body is the answer: JSON, or text.
	Body any `yaml:"body,omitempty" json:"body,omitempty"`
	// BodyLength is the length in bytes of an answer of a storage account, which is not recorded.
	BodyLength int64 `yaml:"bodyLength,omitempty" json:"bodyLength,omitempty" jsonschema:"minimum=0"`
	// BodySum is the SHA-256 sum of such an answer, in hexadecimal. It is not compared.
	BodySum string `yaml:"bodySum,omitempty" json:"bodySum,omitempty"`
	// Tokens are the tokens that were given out, decoded.
	Tokens []Token `yaml:"tokens,omitempty" json:"tokens,omitempty"`
	// Event is what the journal says of it.
	Event map[string]any `yaml:"event,omitempty" json:"event,omitempty"`
}

// Refused reports whether the request was refused for a reason that the session
// is about: a challenge, which clients ask for on purpose, is none.
func (o Outcome) Refused() bool {
	if detail, ok := o.Event["detail"].(map[string]any); ok && detail["challenge"] == "true" {
		return false
	}
	return o.Status == 0 || o.Status >= 400
}

// Event is something that happened by itself.
type Event struct {
	// At is when it happened.
	At Since `yaml:"at" json:"at" jsonschema:"type=string"`
	// Kind is the journal's kind of event.
	Kind string `yaml:"kind" json:"kind"`
	// Outcome says how it ended.
	Outcome string `yaml:"outcome" json:"outcome"`
	// Part is the issuer or key ring.
	Part string `yaml:"part,omitempty" json:"part,omitempty"`
	// Workload is namespace/service account.
	Workload string `yaml:"workload,omitempty" json:"workload,omitempty"`
	// Summary says what happened.
	Summary string `yaml:"summary" json:"summary"`
	// Kid is the key.
	Kid string `yaml:"kid,omitempty" json:"kid,omitempty"`
	// JTI is the service-account token.
	JTI string `yaml:"jti,omitempty" json:"jti,omitempty"`
}

// Write writes the file: JSON.
func (r *Recording) Write(w io.Writer) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	_, err := w.Write(printable(text.Bytes()))
	return err
}

// printable escapes the characters that JSON may have and YAML, by which the file is read, may not.
func printable(text []byte) []byte {
	if !bytes.ContainsFunc(text, unprintable) {
		return text
	}
	var out bytes.Buffer
	for _, r := range string(text) {
		if unprintable(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
			continue
		}
		out.WriteRune(r)
	}
	return out.Bytes()
}

func unprintable(r rune) bool {
	return r == 0xfeff || r == 0xfffe || r == 0xffff || r > '~' && unicode.IsControl(r)
}

// Parse reads a recording; file is the name that errors use. The error is a
// yamlfile.Problems that names every line at fault.
func Parse(file string, data []byte) (*Recording, error) {
	top, err := yamlfile.ParseUpTo(MaxBytes, file, data)
	if err != nil {
		return nil, err
	}
	if kind := yamlfile.Get(top, "kind"); kind == nil || kind.Value != Kind { // a file of another kind is reported as such
		p := yamlfile.Problem{File: file, Line: 1, Expected: "kind " + Kind, Found: "none", Fix: "make one with wiemu record"}
		if kind != nil {
			p.Line, p.Column, p.Found = kind.Line, kind.Column, kind.Value
		}
		return nil, yamlfile.Problems{p}
	}
	r := &Recording{file: file}
	problems := yamlfile.DecodeNode(file, top, r)
	if problems.Err() == nil {
		problems = append(problems, r.check(top)...)
	}
	problems.Sort()
	return r, problems.Err()
}

// check looks for what does not fit together.
func (r *Recording) check(top *yaml.Node) yamlfile.Problems {
	var problems yamlfile.Problems
	add := func(field, expected, found string) {
		problems = append(problems, yamlfile.Problem{File: r.file, Line: yamlfile.Line(top, field), Field: field, Expected: expected, Found: found})
	}
	if r.APIVersion != APIVersion {
		add("apiVersion", APIVersion, r.APIVersion)
	}
	if r.Start.IsZero() {
		add("start", "the lab time at which the session began", "nothing")
	}
	problems = append(problems, r.checkNumbers(top)...)
	known := map[string]bool{}
	for i, t := range r.Tokens {
		field := fmt.Sprintf("tokens[%d]", i)
		switch {
		case !ordinal().MatchString(t.ID):
			add(field+".id", "two numbers with a dot, such as 5.1", fmt.Sprintf("%q", t.ID))
		case known[t.ID]:
			add(field+".id", "an ordinal of its own", t.ID+", which another token has too")
		case !t.Answered && t.Text == "" && t.Claims == nil:
			add(field, "header and claims, text, or answered: true", "none of them")
		}
		for _, named := range namesInToken(t) {
			if !known[named] {
				add(field+".claims", "a token that is listed before this one, for none can be inside of itself", "{{token "+named+"}}")
			}
		}
		known[t.ID] = true
	}
	last, at := 0, Since(0)
	for i, in := range r.Inputs {
		field := fmt.Sprintf("inputs[%d]", i)
		if in.ID <= last {
			add(field+".id", fmt.Sprintf("more than %d, the one before", last), fmt.Sprint(in.ID))
		}
		if in.At < at {
			add(field+".at", fmt.Sprintf("%v or later, as the one before", at), in.At.String())
		}
		if in.Method == "" || in.Path == "" || in.Endpoint == "" {
			add(field, "door, method and path", "less")
		}
		for _, named := range tokenNames(in.Path, in.Body, in.Header) {
			if !known[named] {
				add(field, "a token that is listed under tokens", "{{token "+named+"}}")
			}
		}
		last, at = max(last, in.ID), max(at, in.At)
	}
	if r.Length < at {
		add("length", fmt.Sprintf("at least %v, when the last input came", at), r.Length.String())
	}
	return problems
}
