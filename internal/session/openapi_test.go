package session_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/console"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/inventory"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/scenario/report"
	"github.com/wiemu/wiemu/internal/scenarioapi"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

var update = flag.Bool("update", false, "write docs/schema/control.openapi.json")

const openAPIFile = "../../docs/schema/control.openapi.json"

// operation is one thing that can be asked of the control API.
type operation struct {
	method, path, summary string
	query                 []string
	request, answer       any // values of their types; nil: none
	stream                bool
}

type (
	by struct {
		By string `json:"by"`
	}
	to struct {
		To string `json:"to"`
	}
	speed struct {
		Speed float64 `json:"speed"`
	}
	none struct{}
)

func operations() []operation {
	const post, get = http.MethodPost, http.MethodGet
	return []operation{
		{method: get, path: "/v1/status", summary: "How the lab is: time, listeners, issuers, keys", answer: control.Status{}},
		{method: get, path: "/v1/events", summary: "The events after one, or all that are kept", query: []string{"after"}, answer: []journal.Event{}},
		{method: post, path: "/v1/events", summary: "Record what a program did", request: journal.Event{}, answer: journal.Event{}},
		{method: get, path: "/v1/events/{id}", summary: "Why an event ended as it did, by its id, trace id, correlation id, jti or uti", answer: controlapi.Explained{}},
		{method: get, path: "/v1/directory", summary: "Tenants with their identities and federated credentials; of secrets only hints", answer: []controlapi.Tenant{}},
		{method: post, path: "/v1/directory", summary: "Change what the directory says about an identity", request: control.DirectoryChange{}, answer: control.Changed{}},
		{method: get, path: inventory.Path, summary: "What exists, of which wiemu directory export writes a wiemu.yaml; without secrets", answer: inventory.State{}},
		{method: get, path: "/v1/roles", summary: "Role assignments", query: []string{"identity", "scope"}, answer: control.Roles{}},
		{method: post, path: "/v1/roles/assign", summary: "Assign a role", request: control.RoleChange{}, answer: control.RoleChanged{}},
		{method: post, path: "/v1/roles/remove", summary: "Remove a role", request: control.RoleChange{}, answer: control.RoleChanged{}},
		{method: get, path: "/v1/resources", summary: "What access tokens open, without values of secrets", answer: []controlapi.Resource{}},
		{method: post, path: "/v1/resources/secret", summary: "The value of one secret of a vault", request: controlapi.SecretRequest{}, answer: controlapi.RevealedSecret{}},
		{method: get, path: "/v1/errors", summary: "The AADSTS codes with meaning and remedy", answer: []aadsts.Entry{}},
		{method: get, path: "/v1/faults", summary: "The faults that are injected", answer: control.Faults{}},
		{method: get, path: "/v1/faults/kinds", summary: "The kinds of fault with their parameters", answer: []fault.Kind{}},
		{method: post, path: "/v1/faults", summary: "Inject a fault", request: fault.Fault{}, answer: control.Injected{}},
		{method: http.MethodDelete, path: "/v1/faults", summary: "Clear all faults", answer: control.Faults{}},
		{method: http.MethodDelete, path: "/v1/faults/{id}", summary: "Clear a fault", answer: control.Injected{}},
		{method: post, path: "/v1/clock/advance", summary: "Move lab time forward by a duration such as 25h", request: by{}, answer: control.Status{}},
		{method: post, path: "/v1/clock/set", summary: "Move lab time forward to a moment in RFC 3339", request: to{}, answer: control.Status{}},
		{method: post, path: "/v1/clock/freeze", summary: "Let lab time stand still", request: none{}, answer: control.Status{}},
		{method: post, path: "/v1/clock/speed", summary: "Let lab time run so many times as fast as the machine's clock", request: speed{}, answer: control.Status{}},
		{method: post, path: "/v1/clock/skew", summary: "Make the clock of a component of the lab wrong", request: controlapi.SkewRequest{}, answer: control.Status{}},
		{method: post, path: "/v1/clock/settle", summary: "Wait until what is due has happened", request: none{}, answer: control.Status{}},
		{method: post, path: controlapi.ClockPath, summary: "Follow the lab clock: the connection becomes a stream (Upgrade: wiemu-stream)", stream: true},
		{method: post, path: "/v1/keys/{ring}/rotate", summary: "Let the next key of a ring sign", answer: control.KeyStatus{}},
		{method: post, path: "/v1/keys/{ring}/publish", summary: "Publish a key that does not sign yet", answer: control.KeyStatus{}},
		{method: post, path: "/v1/keys/{ring}/remove", summary: "Take a key out of a ring's JWKS", request: controlapi.RemoveKeyRequest{}, answer: control.KeyStatus{}},
		{method: post, path: "/v1/tokens", summary: "A service-account token", request: control.MintRequest{}, answer: control.Minted{}},
		{method: post, path: "/v1/tokens/inspect", summary: "What a token says and whom it would meet; it is neither stored nor journaled", request: controlapi.InspectRequest{}, answer: controlapi.Inspected{}},
		{method: post, path: "/v1/examine", summary: "What Entra ID would say to an assertion", request: control.ExamineRequest{}, answer: journal.Event{}},
		{method: post, path: controlapi.BlobPath, summary: "Read a blob, or write it", request: controlapi.BlobRequest{}, answer: controlapi.Blob{}},
		{method: get, path: "/v1/workloads", summary: "The workloads that are declared", answer: []workload.Spec{}},
		{method: post, path: "/v1/workloads", summary: "Admit a workload, and get its pod environment", request: session.Attachment{}, answer: session.PodEnv{}},
		{method: get, path: "/v1/workloads/trust", summary: "The workloads with the trust that they meet", answer: []session.ShownWorkload{}},
		{method: post, path: "/v1/workloads/declare", summary: "Declare workloads", request: []workload.Spec{}, answer: []workload.Spec{}},
		{method: post, path: "/v1/workloads/files", summary: "Declare the workloads of a radixconfig.yaml or of Kubernetes manifests", request: []session.GivenFile{}, answer: session.DeclaredFiles{}},
		{method: post, path: "/v1/workloads/move", summary: "Move workloads to another issuer", request: session.Moving{}, answer: []session.Moved{}},
		{method: get, path: scenarioapi.ListPath, summary: "The built-in scenarios (wiemu serve)", answer: []scenarioapi.Listed{}},
		{method: post, path: scenarioapi.RunPath, summary: "Run a scenario in a lab of its own (wiemu serve)", answer: scenarioapi.Run{}},
		{method: get, path: scenarioapi.ShowPath, summary: "How a run of a scenario goes, with its events after the first so many (wiemu serve)", query: []string{"after"}, answer: scenarioapi.Run{}},
		{method: get, path: scenarioapi.SavePath, summary: "What happened in the session until now, as a draft of a scenario or as a recording, if it is recorded (wiemu serve)", query: []string{"as", "name"}, answer: scenarioapi.Saved{}},
		{method: post, path: console.LinkPath, summary: "A link that opens the console once", answer: console.Link{}},
	}
}

// withScenarios adds a scenario to a lab, as wiemu serve adds the library.
func withScenarios(t *testing.T, o session.Options) session.Options {
	t.Helper()
	l := scenarioapi.New(t.Context(), func() ([]scenario.Scenario, error) {
		s, err := scenario.Parse("waits.yaml", []byte("apiVersion: wiemu.dev/v1\nkind: Scenario\nmetadata: {name: waits}\nsteps: [advance: 1m, expect: [clock.elapsed == duration('1m')]]\n"))
		return []scenario.Scenario{s}, err
	}, scenarioapi.Options{})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	l.Record(recordedSession{})
	o.Emulator.Control = l.Handle
	return o
}

// recordedSession is a session in which nothing happened.
type recordedSession struct{}

func (recordedSession) Recording(context.Context) (*recording.Recording, error) {
	return &recording.Recording{APIVersion: recording.APIVersion, Kind: recording.Kind}, nil
}

// object is JSON.
type object = map[string]any

// openAPI is the document: the operations with the schemas of what goes in and comes out.
func openAPI(t *testing.T) []byte {
	t.Helper()
	schemas, paths := object{}, object{}
	for _, o := range operations() {
		ok := object{"description": "Done"}
		if o.answer != nil {
			ok["content"] = content(t, schemas, o.answer)
		}
		described := object{"summary": o.summary, "responses": object{"200": ok, "default": object{"$ref": "#/components/responses/Refused"}}}
		if o.stream {
			described["responses"] = object{"101": object{"description": "The connection is a stream"}}
		}
		if o.request != nil {
			described["requestBody"] = object{"content": content(t, schemas, o.request)}
		}
		var parameters []object
		for _, name := range o.query {
			parameters = append(parameters, object{"name": name, "in": "query", "schema": object{"type": "string"}})
		}
		for part := range strings.SplitSeq(o.path, "/") {
			if name, isName := strings.CutPrefix(part, "{"); isName {
				parameters = append(parameters, object{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": object{"type": "string"}})
			}
		}
		if parameters != nil {
			described["parameters"] = parameters
		}
		if paths[o.path] == nil {
			paths[o.path] = object{}
		}
		paths[o.path].(object)[strings.ToLower(o.method)] = described
	}
	text := object{"type": "string"}
	refusal := object{"type": "object", "required": []string{"error"}, "properties": object{
		"error": text, "field": text, "fields": object{"type": "array", "items": object{"type": "object", "properties": object{"field": text, "expected": text, "found": text}}},
	}}
	data, err := json.MarshalIndent(object{
		"openapi":  "3.1.0",
		"info":     object{"title": "wiemu control API", "version": "v1", "description": "Changes a running lab and tells about it. It listens on loopback; requests carry the bearer token of the lab. The console asks the same below the path of its pages and /api, with the cookie of its session."},
		"security": []object{{"token": []string{}}},
		"paths":    paths,
		"components": object{
			"schemas": schemas, "securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
			"responses": object{"Refused": object{"description": "What is wrong, with the field that it is about", "content": object{"application/json": object{"schema": refusal}}}},
		},
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

// content is the schema of a value's type, whose named types are added to schemas.
func content(t *testing.T, schemas object, value any) object {
	t.Helper()
	r := &jsonschema.Reflector{Anonymous: true, AllowAdditionalProperties: false, Mapper: func(of reflect.Type) *jsonschema.Schema {
		switch of {
		case reflect.TypeFor[fault.Duration]():
			return &jsonschema.Schema{Type: "string"}
		case reflect.TypeFor[time.Duration]():
			return &jsonschema.Schema{Type: "integer", Description: "nanoseconds"}
		case reflect.TypeFor[json.RawMessage]():
			return &jsonschema.Schema{Type: "object"}
		case reflect.TypeFor[report.Seconds]():
			return &jsonschema.Schema{Type: "number"}
		case reflect.TypeFor[config.Config]():
			return &jsonschema.Schema{Type: "object"}
		}
		return nil
	}, Namer: func(of reflect.Type) string {
		if of.Name() == "" {
			return ""
		}
		pkg := of.PkgPath()[strings.LastIndexByte(of.PkgPath(), '/')+1:]
		return strings.TrimPrefix(pkg+"."+of.Name(), "session_test.")
	}}
	data, err := json.Marshal(r.ReflectFromType(reflect.TypeOf(value)))
	if err != nil {
		t.Fatal(err)
	}
	var schema object
	if err := json.Unmarshal(bytes.ReplaceAll(data, []byte(`"#/$defs/`), []byte(`"#/components/schemas/`)), &schema); err != nil {
		t.Fatal(err)
	}
	defs, _ := schema["$defs"].(object)
	for name, def := range defs {
		delete(def.(object), "required") // what is empty is left out of some requests
		schemas[name] = def
	}
	delete(schema, "$defs")
	delete(schema, "$schema")
	return object{"application/json": object{"schema": schema}}
}

// The OpenAPI document names what the handlers answer, no more and no less, and is what the Go
// types say.
func TestTheOpenAPIDocumentIsThatOfTheHandlers(t *testing.T) {
	s := newLab(t, withScenarios(t, session.Options{}))
	routes, err := s.Emulator().Control().Routes()
	if err != nil {
		t.Fatal(err)
	}
	var described []string
	for _, o := range operations() {
		described = append(described, o.method+" "+o.path)
	}
	slices.Sort(described)
	if diff := cmp.Diff(routes, described); diff != "" {
		t.Errorf("what the handlers answer (-) and what is described (+):\n%s", diff)
	}
	document := openAPI(t)
	if *update {
		if err := os.WriteFile(openAPIFile, document, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stored, err := os.ReadFile(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(stored), string(document)); diff != "" {
		t.Errorf("%s is not what the types say; go test ./internal/session -run OpenAPI -update\n%s", openAPIFile, diff)
	}
}

// What is described is what the handlers take and answer.
func TestHandlersAnswerAsTheOpenAPIDocumentSays(t *testing.T) {
	s := newLab(t, withScenarios(t, session.Options{Workloads: []workload.Spec{{Workload: web}}}))
	if _, err := s.Workload(t.Context(), workload.Spec{Workload: web}); err != nil {
		t.Fatal(err)
	}
	if status, said := ask(t, s, http.MethodPost, filled(scenarioapi.RunPath), ""); status != http.StatusOK {
		t.Fatal(status, said)
	}
	document, err := validator.UnmarshalJSON(bytes.NewReader(openAPI(t)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := validator.NewCompiler()
	if err := compiler.AddResource("control.json", document); err != nil {
		t.Fatal(err)
	}
	for _, o := range operations() {
		name := o.method + " " + o.path
		if o.request != nil && reflect.TypeOf(o.request).Kind() == reflect.Struct {
			for field := range document.(object)["components"].(object)["schemas"].(object)[schemaName(o.request)].(object)["properties"].(object) {
				if _, said := ask(t, s, o.method, filled(o.path), fmt.Sprintf(`{%q: null, "nobody knows this": 1}`, field)); !strings.Contains(said, `unknown field \"nobody knows this\"`) {
					t.Errorf("%s takes %s, it says: %s", name, field, said)
				}
			}
		}
		if o.method != http.MethodGet {
			continue
		}
		path := strings.ReplaceAll(o.path, "{id}", "1")
		status, said := ask(t, s, o.method, path, "")
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", name, status, said)
			continue
		}
		schema, err := compiler.Compile("control.json#/paths/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(o.path) + "/get/responses/200/content/application~1json/schema")
		if err != nil {
			t.Fatal(err)
		}
		value, err := validator.UnmarshalJSON(strings.NewReader(said))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s answers otherwise than is described: %v", name, err)
		}
	}
}

func schemaName(value any) string {
	of := reflect.TypeOf(value)
	return strings.TrimPrefix(of.PkgPath()[strings.LastIndexByte(of.PkgPath(), '/')+1:]+"."+of.Name(), "session_test.")
}

func filled(path string) string {
	return strings.NewReplacer("{ring}", "local", "{id}", "1", "{name}", "waits").Replace(path)
}

func ask(t *testing.T, s *session.Session, method, path, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.Emulator().ControlURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Emulator().Token())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
