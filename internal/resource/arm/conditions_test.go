package arm_test

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/lab"
)

const conditional = `{"properties": {"mode": "MODE", "parameters": {"make": {"value": MAKE}}, "template": {` + templateHead + `, "parameters": {"make": {"type": "bool"}},
	"resources": {
		"web": {"condition": "[parameters('make')]", "type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web", "location": "westeurope"},
		"module": {"condition": "[parameters('make')]", "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "module", "properties": {"mode": "Incremental", "template": {` + templateHead + `, "resources": {}, "outputs": {"o": {"type": "string", "value": "made"}}}}},
		"other": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "other", "location": "westeurope", "dependsOn": ["web", "module"],
			"tags": {"web": "[if(parameters('make'), reference('web').clientId, 'none')]"}}},
	"outputs": {"web": {"condition": "[parameters('make')]", "type": "string", "value": "[reference('web').clientId]"}, "module": {"type": "string", "value": "[if(parameters('make'), reference('module').outputs.o.value, 'none')]"}}}}}`

func conditionally(mode, makes string) string {
	return strings.NewReplacer("MODE", mode, "MAKE", makes).Replace(conditional)
}

// What a condition leaves out is neither made nor waited for, and what-if says nothing of it. It stays
// if it is there, but in the mode Complete: there it is deleted since the api-version 2019-05-10.
func TestConditions(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	whatIf := func(mode, makes string) string {
		t.Helper()
		return w.finished(w.do("POST "+deployed+"/whatIf"+v2022dep, conditionally(mode, makes))).body
	}
	deploy := func(mode, makes, version string) answer {
		t.Helper()
		w.do("PUT "+deployed+version, conditionally(mode, makes))
		got := w.do("GET "+deployed+v2022dep, "")
		if got.member(t, "properties", "provisioningState") != "Succeeded" {
			t.Fatalf("%s", got.body)
		}
		return got
	}
	exists := func(when string, want bool) {
		t.Helper()
		if got := w.ask(w.terraform(), "GET "+identities+"/web"+v2024, ""); (got.status == 200) != want {
			t.Errorf("%s: the identity: %d", when, got.status)
		}
	}
	if got := whatIf("Incremental", "false"); strings.Count(got, `"changeType":"Create"`) != 1 || strings.Contains(got, "/web") {
		t.Errorf("%s", got)
	}
	got := deploy("Incremental", "false", v2022dep)
	if got.member(t, "properties", "outputs", "module", "value") != "none" || strings.Count(got.body, `{"id":`) != 2 || strings.Contains(got.body, `"dependsOn"`) { // itself, and the other identity
		t.Errorf("%s", got.body)
	}
	exists("the condition is false", false)
	if got := whatIf("Incremental", "true"); strings.Count(got, `"changeType":"Create"`) != 1 || !strings.Contains(got, "/web") {
		t.Errorf("%s", got)
	}
	if got := deploy("Incremental", "true", v2022dep); got.member(t, "properties", "outputs", "module", "value") != "made" || !strings.Contains(got.body, `"dependsOn"`) {
		t.Errorf("%s", got.body)
	}
	exists("the condition is true", true)
	if got := whatIf("Incremental", "false"); strings.Count(got, `"changeType":"Ignore"`) != 1 {
		t.Errorf("%s", got)
	}
	deploy("Incremental", "false", v2022dep)
	exists("incremental", true)
	deploy("Complete", "false", "?api-version=2019-05-01")
	exists("complete, as it was before 2019-05-10", true)
	if got := whatIf("Complete", "false"); strings.Count(got, `"changeType":"Delete"`) != 1 {
		t.Errorf("%s", got)
	}
	deploy("Complete", "false", v2022dep)
	exists("complete", false)
}

// What exists by a resource of the template is waited for with it: who needs it is not made if that
// was refused.
func TestWhatExistsAfterAnother(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	w.do("PUT "+deployed+v2022dep, deployment("Incremental", `{
		"after": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "after", "location": "westeurope", "dependsOn": ["there"]},
		"there": {"existing": true, "type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web", "dependsOn": ["maker"]},
		"maker": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials", "apiVersion": "2023-01-31", "name": "none/credential", "properties": {"issuer": "https://issuer.example/", "subject": "s", "audiences": ["a"]}}}`, `{}`))
	if got := w.do("GET "+deployed+v2022dep, ""); got.member(t, "properties", "provisioningState") != "Failed" {
		t.Errorf("%s", got.body)
	}
	if got := w.ask(w.terraform(), "GET "+identities+"/after"+v2024, ""); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
}
