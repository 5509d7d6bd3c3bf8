package scenario

import (
	"github.com/wiemu/wiemu/internal/scenario/report"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A scenario may name the wiemu.yaml and the radixconfig.yaml of an application, from
// where it lies.
func TestFilesThatAScenarioNames(t *testing.T) {
	program := client(t) // built outside of what is checked for leftovers
	temporary(t)
	dir := t.TempDir()
	put := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	put("wiemu.yaml", "listen: {gateway: '127.0.0.1:18443'}\nvaults: [{name: orders, secrets: {password: hunter2}}]\nworkloads: [{name: api, namespace: shop, serviceAccount: api-sa, clientId: 5a0ae41b-2ab4-4a0c-9d3e-0f8d8f7b3a11}]\nfaults: [{name: throttled, for: {resource: entra}, when: {count: 1}}]\n")
	put("radixconfig.yaml", "apiVersion: radix.equinor.com/v1\nkind: RadixApplication\nmetadata: {name: my-radix-app}\nspec:\n  environments: [{name: dev}]\n  components:\n    - name: web\n      identity: {azure: {clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}}\n")
	const head = "apiVersion: wiemu.dev/v1\nkind: Scenario\nmetadata: {name: named}\n"
	file := put("scenarios/named.yaml", head+`config: ../wiemu.yaml
radixconfig: ../radixconfig.yaml
steps:
  - {name: read, run: {workload: web-dev, timeout: 5m, command: [wiemu-workload, secret, get, orders, password]}}
  - {name: other, run: {workload: api, timeout: 5m, shell: 'echo "$AZURE_CLIENT_ID"'}}
  - expect:
      - results.read.json.ok
      - results.other.stdout == '5a0ae41b-2ab4-4a0c-9d3e-0f8d8f7b3a11\n'
      - results.read.events.exists(e, e.kind == 'fault')
`)
	list, err := Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if o := Run(t.Context(), list, Options{Program: program}).Scenarios[0]; o.Outcome != report.Passed {
		t.Error(strings.Join(o.Texts(), ""))
	}
	put("broken.yaml", "vautls: []\n")
	for text, want := range map[string]string{
		"config: ../wiemo.yaml\n":              "named.yaml:4:9: config: expected a wiemu.yaml, or the path of one, found " + filepath.Join(dir, "wiemo.yaml") + ", which is not there; did you mean " + filepath.Join(dir, "wiemu.yaml"),
		"radixconfig: nowhere.yaml\n":          "named.yaml:4:14: radixconfig: expected a radixconfig.yaml, or the path of one",
		"config: ../broken.yaml\n":             "broken.yaml:1:1: vautls:",
		"radixconfig: ../broken.yaml\n":        "broken.yaml",
		"config: [a]\n":                        "named.yaml:4:9: config",
		"config: {listen: {gateway: 'a:1'}}\n": "config.listen",
	} {
		_, err := Load(put("scenarios/named.yaml", head+text+"steps: [{advance: 1h}, {expect: ['true']}]\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%sexpected %q, got %v", text, want, err)
		}
	}
}

// What a radixconfig.yaml has that is not known is passed over with a warning, whether it is
// in the scenario's file or named by it.
func TestWarningsOfARadixConfigAreKept(t *testing.T) {
	const clientID = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	inline := strings.Replace(radixconfig(clientID), "spec:\n", "spec:\n    newFeature: yes\n", 1)
	dir := t.TempDir()
	text := "apiVersion: radix.equinor.com/v1\nkind: RadixApplication\nmetadata: {name: a}\nspec:\n  newFeature: yes\n  environments: [{name: dev}]\n  components:\n    - name: web\n      identity: {azure: {clientId: " + clientID + "}}\n"
	if err := os.WriteFile(filepath.Join(dir, "radixconfig.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for radix, want := range map[string]string{
		inline:                            "warning: radixconfig.spec.newFeature: an unknown field, passed over",
		"radixconfig: radixconfig.yaml\n": "radixconfig.yaml:5:3: warning: spec.newFeature: an unknown field, passed over",
	} {
		s, err := Parse(filepath.Join(dir, "s.yaml"), []byte(strings.Replace(minimal, "steps:", radix+"steps:", 1)))
		if err != nil {
			t.Error(err)
			continue
		}
		if w := s.Warnings(); len(w) != 1 || !strings.Contains(w[0].Error(), want) {
			t.Errorf("warnings %v, want %q", w, want)
		}
	}
}
