package scenarios

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/scenarios/library"
)

// Each scenario of the library goes red when its cause is taken out, so none is
// green for another reason than it says.
func TestEachScenarioFailsWithoutItsCause(t *testing.T) {
	causes := map[string]struct{ cause, without, says string }{
		"happy-path": {
			"mykeyvault, mysecret", "mykeyvault, othersecret",
			"results.read.exitCode == 0",
		},
		"curl-from-the-documentation": { // an app registration's token lives for an hour
			"radixconfig:", "config:\n  applications: [{name: app, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\nradixconfig:",
			"results.ask.json.expires_in == 86399",
		},
		"expired-assertion": {
			"- advance: 24h", "- advance: 30m",
			"results.stale.json.code == 700024",
		},
		"identity-binding-not-enabled": {
			"--credential, default,", "--credential, binding,",
			"results.by_default.json.code == 700211",
		},
		"issuer-trailing-slash": {
			"2b7f4c1d9e60\n          subject", "2b7f4c1d9e60/\n          subject",
			"results.read.json.code == 700211",
		},
		"key-removed-too-early": { // not so early that Entra ID's copy of the JWKS has grown old
			"- advance: 6h", "- advance: 30m",
			"results.read_later.json.code == 7000272",
		},
		"key-rotated-properly": {
			"{name: rotated, rotate: {}}", "{name: rotated, rotate: {}}\n  - {removeKey: {key: retired}}",
			"results.read_rotated.exitCode == 0",
		},
		"managed-identity-unnamed": {
			"assigned: [monitoring]", "assigned: []",
			"results.unnamed.exitCode == 1",
		},
		"token-rotated": {
			"- advance: 3m", "- advance: 30s",
			"results.second.token.jti != results.first.token.jti",
		},
		"unknown-application": {
			"deleted: true", "disabled: false",
			"results.after.json.code == 700016",
		},
		"wrong-audience": {
			"audience: https://kubernetes.default.svc.cluster.local", "audience: api://AzureADTokenExchange",
			"results.by_hand.json.code == 700212",
		},
		"wrong-subject": {
			"workload: web-dev, token: web-prod", "workload: web-dev, token: web-dev",
			"results.foreign.json.code == 700213",
		},
	}
	program := client(t)
	temporary(t)
	files, err := fs.Glob(library.Files(), "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list []Scenario
	for _, file := range files {
		name := strings.TrimSuffix(file, ".yaml")
		data, err := fs.ReadFile(library.Files(), file)
		if err != nil {
			t.Fatal(err)
		}
		c, ok := causes[name]
		text := strings.Replace(string(data), c.cause, c.without, 1)
		if !ok || text == string(data) {
			t.Errorf("%s: expected a cause that can be taken out, found %q", file, c.cause)
			continue
		}
		s, err := Parse(file, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	for _, o := range Run(t.Context(), list, Options{Program: program}).Scenarios {
		failed := ""
		for _, f := range o.Failures {
			failed += f.text()
		}
		if says := causes[o.Name].says; !strings.Contains(failed, says) {
			t.Errorf("%s: expected %q to fail, got %s %s", o.Name, says, o.Outcome, failed)
		}
	}
}
