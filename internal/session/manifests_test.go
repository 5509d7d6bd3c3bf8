package session_test

import (
	"slices"
	"testing"

	"github.com/wiemu/wiemu/internal/session"
)

// A pod's own variables stay, but for those that lead to the lab and the token file.
func TestAPodsOwnVariables(t *testing.T) {
	e := session.PodEnv{
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
