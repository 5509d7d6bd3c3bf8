package harness

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/gateway"
	"github.com/wiemu/wiemu/emulator/trust"
	"github.com/wiemu/wiemu/harness/process"
)

// Environment is what a workload's process is told: the four variables that
// azure-workload-identity injects into a pod, and the way to the emulated hosts.
type Environment struct {
	ClientID      string       `json:"clientId"`
	TenantID      string       `json:"tenantId"`
	TokenFile     string       `json:"tokenFile"`
	AuthorityHost string       `json:"authorityHost"`
	ProxyURL      string       `json:"proxyUrl"`
	Bundle        trust.Bundle `json:"bundle"`
	ConfigDir     string       `json:"configDir"` // for the logins and settings of command-line tools
}

// Environ returns base, cleaned of what would name another identity or lead
// another way, with the workload's own variables.
func (e Environment) Environ(base []string) []string {
	env := process.CleanEnviron(base)
	env = e.Bundle.Environ(env)
	env = set(env, gateway.Environ(e.ProxyURL)...)
	if java := gateway.JavaOptions(e.ProxyURL); len(java) > 0 {
		env = set(env, "JAVA_TOOL_OPTIONS="+strings.TrimSpace(value(env, "JAVA_TOOL_OPTIONS")+" "+strings.Join(java, " ")))
	}
	if e.ClientID != "" { // the webhook injects no empty value (azure-workload-identity: pkg/webhook/webhook.go)
		env = set(env, "AZURE_CLIENT_ID="+e.ClientID)
	}
	return set(env,
		"AZURE_TENANT_ID="+e.TenantID,
		"AZURE_FEDERATED_TOKEN_FILE="+e.TokenFile,
		"AZURE_AUTHORITY_HOST="+e.AuthorityHost,
		"AZURE_CONFIG_DIR="+filepath.Join(e.ConfigDir, "azure"), // Azure CLI: nobody's real login is read or written
		"KUBECONFIG="+filepath.Join(e.ConfigDir, "kubeconfig"),  // kubectl: nobody's real cluster is met
	)
}

// Changes returns what Environ changes in base: the variables it sets, and the
// names of those it removes, both sorted.
func (e Environment) Changes(base []string) (set, unset []string) {
	env := e.Environ(base)
	for _, v := range env {
		if !slices.Contains(base, v) {
			set = append(set, v)
		}
	}
	for _, v := range base {
		name, _, _ := strings.Cut(v, "=")
		if !slices.ContainsFunc(env, func(o string) bool { return strings.HasPrefix(o, name+"=") }) {
			unset = append(unset, name)
		}
	}
	slices.Sort(set)
	slices.Sort(unset)
	return set, slices.Compact(unset)
}

// set replaces variables of env by name, or adds them.
func set(env []string, variables ...string) []string {
	for _, v := range variables {
		name, _, _ := strings.Cut(v, "=")
		env = slices.DeleteFunc(env, func(o string) bool { return strings.HasPrefix(o, name+"=") })
		env = append(env, v)
	}
	return env
}

func value(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if rest, ok := strings.CutPrefix(v, name+"="); ok {
			return rest
		}
	}
	return ""
}
