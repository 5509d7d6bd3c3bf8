package harness_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/harness"
)

// A pod's own variables stay, but for those that lead to the lab and the token file.
func TestAPodsOwnVariables(t *testing.T) {
	e := harness.Environment{
		ClientID: "id", TenantID: "tenant", TokenFile: "/run/token", AuthorityHost: "https://login.microsoftonline.com/", ProxyURL: "http://127.0.0.1:1",
		Own: []string{"LEVEL=info", "AZURE_LOG_LEVEL=verbose", "AZURE_TENANT_ID=own.example", "AZURE_FEDERATED_TOKEN_FILE=/pod/token", "HTTPS_PROXY=http://pod", "JAVA_TOOL_OPTIONS=-Xmx64m"},
	}
	base := []string{"LEVEL=mine", "AZURE_CLIENT_SECRET=mine", "HOME=/home"}
	check := func(env []string, want ...string) {
		t.Helper()
		for _, v := range want {
			if !slices.Contains(env, v) {
				t.Errorf("no %s in %q", v, env)
			}
		}
	}
	env := e.Environ(base)
	check(env, "LEVEL=info", "HOME=/home", "AZURE_LOG_LEVEL=verbose", "AZURE_TENANT_ID=own.example", "AZURE_CLIENT_ID=id", "AZURE_FEDERATED_TOKEN_FILE=/run/token", "HTTPS_PROXY=http://127.0.0.1:1")
	if slices.Contains(env, "AZURE_CLIENT_SECRET=mine") || !slices.ContainsFunc(env, func(v string) bool { return len(v) > 30 && v[:26] == "JAVA_TOOL_OPTIONS=-Xmx64m " }) {
		t.Errorf("%q", env)
	}
	if again := e.Environ(env); !slices.Equal(again, e.Environ(again)) || !slices.Contains(again, "LEVEL=info") {
		t.Errorf("a second time: %q", again)
	}
	e.NotInjected = true
	check(e.Environ(base), "AZURE_FEDERATED_TOKEN_FILE=/pod/token", "AZURE_TENANT_ID=own.example")
	if env := e.Environ(base); slices.Contains(env, "AZURE_CLIENT_ID=id") {
		t.Errorf("a pod that the webhook leaves alone has %q", env)
	}
}

// What is odd in a radixconfig.yaml is logged; its workloads and those of manifests
// are the lab's.
func TestALabOfLooseFiles(t *testing.T) {
	radix, app := filepath.Join(t.TempDir(), "radixconfig.yaml"), filepath.Join(t.TempDir(), "app.yaml")
	for file, text := range map[string]string{
		radix: "apiVersion: radix.equinor.com/v1\nkind: RadixApplication\nmetadata: {name: shop}\nspec: {environments: [{name: dev}], components: [{name: web, Identity: {azure: {clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}}}]}\n",
		app:   "kind: Pod\nmetadata: {name: job, namespace: shop, labels: {azure.workload.identity/use: 'true'}}\nspec: {serviceAccountName: job-sa, containers: [{name: c, env: [{name: AZURE_CLIENT_ID, value: b96d264b-0000-4000-8000-000000000001}]}]}\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	logged := &logged{TB: t}
	lab := harness.New(t, harness.FromFiles(logged, radix, app))
	for account, id := range map[string]string{"shop-dev/web-sa": "b96d264b-7053-4465-a4a7-32be5b0fec49", "shop/job-sa": "b96d264b-0000-4000-8000-000000000001"} {
		if pod := lab.Workload(account); pod.ClientID != id {
			t.Errorf("%s has client id %s, want %s", account, pod.ClientID, id)
		}
	}
	if len(logged.lines) != 1 || !strings.Contains(logged.lines[0], ":4:62: warning: spec.components[0].identity: Identity is read as identity") {
		t.Errorf("logged %q", logged.lines)
	}
}

type logged struct {
	harness.TB
	lines []string
}

func (l *logged) Logf(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}
