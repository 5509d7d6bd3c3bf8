package arm_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/lab"
)

// secretTemplate has a secure parameter, one whose default value is written in it, and a module that is
// evaluated with the first: its template has the value. It shows an output that is secure, and one that is not.
const secretTemplate = `{` + templateHead + `, "parameters": {"password": {"type": "securestring"}, "other": {"type": "securestring", "defaultValue": "` + password + `"}, "team": {"type": "string"}},
	"resources": {
		"web": {"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "web", "location": "westeurope"},
		"inner": {"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "inner", "dependsOn": ["web"], "properties": {"mode": "Incremental",
			"template": {` + templateHead + `, "resources": {}, "outputs": {"o": {"type": "securestring", "value": "[concat('Server=x;Password=', parameters('password'))]"}}}}}},
	"outputs": {"team": {"type": "string", "value": "[parameters('team')]"}, "password": {"type": "securestring", "value": "[parameters('password')]"}}}`

const password = "correct-horse-battery"

// deployments are all that clients can ask about the deployments of the group shop.
func (w *world) history() map[string]string {
	w.t.Helper()
	made := map[string]string{}
	for _, path := range []string{"", "/main", "/inner", "/main/operations", "/inner/operations"} {
		made[path] = w.do("GET "+group+"/providers/Microsoft.Resources/deployments"+path+v2022dep, "").body
	}
	for _, name := range []string{"main", "inner"} {
		made["export "+name] = w.do("POST "+group+"/providers/Microsoft.Resources/deployments/"+name+"/exportTemplate"+v2022dep, "").body
	}
	return made
}

// deploySecrets deploys secretTemplate as main, and returns where its answer leads.
func (w *world) deploySecrets() (status string) {
	w.t.Helper()
	w.group()
	got := w.do("PUT "+deployed+v2022dep, `{"properties": {"mode": "Incremental", "template": `+secretTemplate+`, "parameters": {"password": {"value": "`+password+`"}, "team": {"value": "shop"}}}}`)
	return got.header.Get("Azure-Asyncoperation")
}

// copied is a copy of a state directory, as a process leaves it that is killed.
func copied(t *testing.T, dir string) string {
	t.Helper()
	made := filepath.Join(t.TempDir(), "state")
	if err := os.CopyFS(made, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return made
}

// What was deployed is told after a restart as before, whether the process ended in order or was killed. What is
// secure is in no file.
func TestDeploymentsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, lab.Options{StateDir: dir, Keep: true})
	status := w.deploySecrets()
	before := w.history()
	for path, text := range map[string]string{"/main": `"team":{"type":"String","value":"shop"}`, "/main/operations": "EvaluateDeploymentOutput", "export inner": `"$schema"`} {
		if !strings.Contains(before[path], text) {
			t.Fatalf("%s: %s", path, before[path])
		}
	}
	killed := copied(t, dir)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{killed, dir, dir} {
		w = newWorld(t, lab.Options{StateDir: state, Keep: true})
		for path, was := range before {
			if is := w.history()[path]; is != was {
				t.Errorf("%s: %s\nwas %s", path, is, was)
			}
		}
		if got := w.request(w.terraform(), "https://management.azure.com/.default", "GET", status, ""); !strings.Contains(got.body, `"status":"Succeeded"`) {
			t.Errorf("where the answer leads: %d %s", got.status, got.body)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(state + "/*")
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			if data, err := os.ReadFile(file); err == nil && bytes.Contains(data, []byte(password)) {
				t.Errorf("%s has the secure parameter", file)
			}
		}
	}
	w = newWorld(t, lab.Options{StateDir: dir, Keep: true})
	w.do("DELETE "+deployed+v2022dep, "")
	if got := w.deploySecrets(); got == status {
		t.Error("two operations have the same number")
	}
	w.do("DELETE "+group+groups2022, "")
	w = newWorld(t, lab.Options{StateDir: copied(t, dir), Keep: true})
	w.group()
	if got := w.do("GET "+group+"/providers/Microsoft.Resources/deployments"+v2022dep, ""); got.body != `{"value":[]}` {
		t.Errorf("after the group was deleted: %s", got.body)
	}
}

// A deployment that was under way when the process ended has failed, and says why; it can be deployed
// again. One of the same name that had ended before is replaced by it.
func TestAnInterruptedDeployment(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, lab.Options{StateDir: dir, Keep: true})
	w.deploySecrets()
	w.deploySecrets()
	killed := copied(t, dir)
	data, err := os.ReadFile(killed + "/arm.log")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(data), "\n"), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(last, `"ended"`) {
		t.Fatalf("%s", last)
	}
	if err := os.WriteFile(killed+"/arm.log", []byte(strings.Join(lines[:len(lines)-1], "")), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w = newWorld(t, lab.Options{StateDir: killed, Keep: true})
		got := w.do("GET "+deployed+v2022dep, "")
		if got.member(t, "properties", "provisioningState") != "Failed" || got.member(t, "properties", "error", "code") != "DeploymentInterrupted" || got.member(t, "properties", "parameters", "team", "value") != "shop" {
			t.Errorf("%s", got.body)
		}
		if got := w.do("GET "+group+"/providers/Microsoft.Resources/deployments"+v2022dep, ""); strings.Count(got.body, `"id":"`+deployed+`"`) != 1 || strings.Count(got.body, `"Succeeded"`) != 1 {
			t.Errorf("%s", got.body)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w = newWorld(t, lab.Options{StateDir: killed, Keep: true})
	w.deploySecrets()
	if got := w.do("GET "+deployed+v2022dep, ""); got.member(t, "properties", "provisioningState") != "Succeeded" {
		t.Errorf("%s", got.body)
	}
}

// A change of what an earlier process had made and stored takes its place, also after a kill.
func TestAChangeOfWhatWasStored(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, lab.Options{StateDir: dir, Keep: true})
	w.group()
	w.do("PUT "+vaults+"/ledger"+v2023kv, vaultBody(rbac))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, lab.Options{StateDir: dir, Keep: true})
	w.do("PATCH "+vaults+"/ledger"+v2023kv, `{"tags": {"team": "shop"}}`)
	w.do("PATCH "+group+groups2022, `{"tags": {"team": "shop"}}`)
	w = newWorld(t, lab.Options{StateDir: copied(t, dir), Keep: true})
	for _, list := range []string{vaults + v2023kv, inTenant + "/resourceGroups" + groups2022} {
		if got := w.do("GET "+list, ""); strings.Count(got.body, `"shop"`)+strings.Count(got.body, `"name":"shop"`) < 1 || strings.Count(got.body, `"name":"ledger"`) > 1 || strings.Count(got.body, `"name":"shop"`) > 1 {
			t.Errorf("%s", got.body)
		}
	}
}

// A scope keeps 700 deployments, and when there is one more, the newest 600. All scopes together
// keep 16 MB.
func TestALongHistory(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	admin := w.terraform() // with one token for all requests
	const all = group + "/providers/Microsoft.Resources/deployments"
	put := func(name, metadata string) {
		t.Helper()
		w.ask(admin, "PUT "+all+"/"+name+v2022dep, `{"properties": {"mode": "Incremental", "template": {`+templateHead+`, "metadata": {"a": "`+metadata+`"}, "resources": {}}}}`)
	}
	count := func() int {
		return strings.Count(w.do("GET "+all+v2022dep, "").body, `"type":"Microsoft.Resources/deployments"`)
	}
	for n := range 700 {
		put(fmt.Sprint("d", n), "")
	}
	put("d0", "") // which is the newest from now on
	if n := count(); n != 700 {
		t.Errorf("%d deployments", n)
	}
	put("last", "")
	if n := count(); n != 600 {
		t.Errorf("%d deployments", n)
	}
	for name, status := range map[string]int{"d0": 200, "d1": 404, "d101": 404, "d102": 200, "last": 200} {
		if got := w.ask(admin, "GET "+all+"/"+name+v2022dep, ""); got.status != status {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	for n := range 6 {
		put(fmt.Sprint("long", n), strings.Repeat("x", 4<<20-1000))
	}
	for name, status := range map[string]int{"d0": 404, "last": 404, "long1": 404, "long3": 200, "long5": 200} {
		if got := w.ask(admin, "GET "+all+"/"+name+v2022dep, ""); got.status != status {
			t.Errorf("%s: %d", name, got.status)
		}
	}
}

// While a deployment is under way, there is no other one of its name: not that of a module either.
func TestADeploymentInOneOfTheSameName(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	w.do("PUT "+deployed+v2022dep, deployment("Incremental", `{"m": {"type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "main", "properties": {"mode": "Incremental", "template": {`+templateHead+`, "resources": {}}}}}`, `{}`))
	got := w.do("GET "+deployed+v2022dep, "")
	if got.status != http.StatusOK || got.member(t, "properties", "provisioningState") != "Failed" || !strings.Contains(got.body, `"code":"DeploymentActive","message":"Unable to edit or replace deployment 'main': previous deployment from '3/4/2031 5:06:07 AM' is still active (expiration time is '3/11/2031 5:06:07 AM').`) {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// The history is cut when all of a deployment is made, not while it may refer to its modules: they are
// more than 16 MB here, all that they made stays, and their outputs are known.
func TestModulesThatExceedTheHistory(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	const all = group + "/providers/Microsoft.Resources/deployments"
	resources := `{"m": {"copy": {"name": "m", "count": 12, "mode": "serial"}, "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": "[format('m{0}', copyIndex())]",
		"properties": {"mode": "Incremental", "expressionEvaluationOptions": {"scope": "inner"}, "parameters": {"name": {"value": "[format('web{0}', copyIndex())]"}}, "template": {` + templateHead + `, "metadata": {"a": "` + strings.Repeat("x", 1600<<10) + `"},
			"parameters": {"name": {"type": "string"}}, "resources": {"web": ` + strings.Replace(identity22, `"web"`, `"[parameters('name')]"`, 1) + `}}, "outputs": {"o": {"type": "string", "value": "[parameters('name')]"}}}}}}`
	w.do("PUT "+deployed+v2022dep, deployment("Complete", resources, `{"o": {"type": "string", "value": "[reference('m[0]').outputs.o.value]"}}`))
	if got := w.do("GET "+deployed+v2022dep, ""); got.member(t, "properties", "provisioningState") != "Succeeded" || !strings.Contains(got.body, `"web0"`) {
		t.Errorf("%s", got.body)
	}
	for n := range 12 {
		if got := w.ask(w.terraform(), fmt.Sprintf("GET %s/%s/web%d%s", group, identities, n, v2024), ""); got.status != http.StatusOK {
			t.Errorf("web%d: %d", n, got.status)
		}
	}
	for name, status := range map[string]int{"m0": 404, "m1": 404, "m11": 200} {
		if got := w.ask(w.terraform(), "GET "+all+"/"+name+v2022dep, ""); got.status != status {
			t.Errorf("%s: %d", name, got.status)
		}
	}
}

// What is exported is the template that was deployed, though a secret is a word in it: that of a
// deployment, and that of a module that was not evaluated before. In one that was, the secret is redacted.
func TestExportWithASecretThatIsAWord(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	const secure = `{` + templateHead + `,"parameters":{"adminPassword":{"type":"securestring"}},"resources":{},"outputs":{"admin":{"type":"string","value":"[string(empty(parameters('adminPassword')))]"}}}`
	const evaluated = `{` + templateHead + `,"resources":{},"outputs":{"o":{"type":"securestring","value":"[parameters('adminPassword')]"}}}`
	template := strings.Replace(secure, `"resources":{}`, `"resources":{"m":{"type":"Microsoft.Resources/deployments","apiVersion":"2022-09-01","name":"module","properties":{"mode":"Incremental","expressionEvaluationOptions":{"scope":"inner"},"parameters":{"adminPassword":{"value":"[parameters('adminPassword')]"}},"template":`+secure+`}},`+
		`"o":{"type":"Microsoft.Resources/deployments","apiVersion":"2022-09-01","name":"outer","properties":{"mode":"Incremental","template":`+evaluated+`}}}`, 1)
	w.do("PUT "+deployed+v2022dep, `{"properties": {"mode": "Incremental", "template": `+template+`, "parameters": {"adminPassword": {"value": "admin"}}}}`)
	for name, want := range map[string]string{"main": template, "module": secure, "outer": strings.Replace(evaluated, "[parameters('adminPassword')]", "[redacted: secure parameter]", 1)} {
		got := w.do("POST "+group+"/providers/Microsoft.Resources/deployments/"+name+"/exportTemplate"+v2022dep, "")
		var is, was bytes.Buffer
		if err := cmp.Or(json.Compact(&is, []byte(got.body)), json.Compact(&was, []byte(`{"template":`+want+`}`))); err != nil || is.String() != was.String() {
			t.Errorf("%s: %v\n%s\nnot\n%s", name, err, is.String(), was.String())
		}
	}
}
