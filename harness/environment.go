package harness

import (
	"path/filepath"
	"regexp"
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
	ConfigDir     string       `json:"configDir"` // for the logins and settings of command-line tools; "": in a container, where nobody else's are

	// IsolatedProxy is the host:port of the lab's proxy for isolated programs: see
	// package isolation.
	IsolatedProxy string `json:"isolatedProxy,omitempty"`

	// OpenPorts are those, besides 443, on which the lab lets programs through to
	// hosts outside.
	OpenPorts []uint16 `json:"openPorts,omitempty"`

	// NotInjected says that the webhook left the pod alone: it has neither the
	// variables nor the token file. See fault.WebhookNotInjecting.
	NotInjected bool `json:"notInjected,omitempty"`

	// Own are the variables, NAME=VALUE, that the workload's pod has of its own. What
	// leads to the lab goes before them, the variables of the webhook behind them.
	Own []string `json:"own,omitempty"`

	Credential *Credential       `json:"credential,omitempty"` // of a workload that proves who it is with a secret or certificate
	Machine    *MachineAccess    `json:"machine,omitempty"`    // of a workload that uses a managed identity
	TokenProxy *TokenProxyAccess `json:"tokenProxy,omitempty"` // of one that uses an identity binding
}

// Environ returns base, cleaned of what would name another identity or lead
// another way, with the workload's own variables. Doing it twice is doing it once.
func (e Environment) Environ(base []string) []string {
	env := set(process.CleanEnviron(base), e.Own...)
	base = set(slices.Clone(base), e.Own...)
	env = e.Bundle.Environ(env)
	java := e.Bundle.JavaOptions()
	if e.ProxyURL != "" {
		java = append(java, gateway.JavaOptions(e.ProxyURL)...)
		env = set(env, gateway.Environ(e.ProxyURL)...)
	}
	env = set(env, "JAVA_TOOL_OPTIONS="+mergeOptions(value(base, "JAVA_TOOL_OPTIONS"), java))
	if e.ConfigDir != "" {
		env = set(env,
			"AZURE_CONFIG_DIR="+filepath.Join(e.ConfigDir, "azure"), // Azure CLI: nobody's real login is read or written
			"KUBECONFIG="+filepath.Join(e.ConfigDir, "kubeconfig"),  // kubectl: nobody's real cluster is met
		)
	}
	env = set(env, e.Machine.environ()...)
	if e.NotInjected {
		return env
	}
	if e.ClientID != "" { // the webhook injects no empty value (azure-workload-identity: pkg/webhook/webhook.go)
		env = set(env, "AZURE_CLIENT_ID="+e.ClientID)
	}
	switch {
	case e.Credential != nil:
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "AZURE_FEDERATED_TOKEN_FILE=") }) // a pod's own
		env = set(env, append(e.Credential.environ(), "AZURE_AUTHORITY_HOST="+e.AuthorityHost)...)
	case !e.Machine.replacesTokenFile():
		env = set(env, "AZURE_FEDERATED_TOKEN_FILE="+e.TokenFile, "AZURE_AUTHORITY_HOST="+e.AuthorityHost)
	}
	env = set(env, append(e.TokenProxy.environ(), "AZURE_TENANT_ID="+e.TenantID)...)
	return set(env, e.ownIdentity()...)
}

// ownIdentity are those of a pod's own variables that the webhook leaves as they are.
// The file with the token is another one than in the pod.
func (e Environment) ownIdentity() []string {
	var all []string
	for _, v := range e.Own {
		name, _, _ := strings.Cut(v, "=")
		if slices.Contains([]string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST"}, name) {
			all = append(all, v)
		}
	}
	return all
}

// HidesTokenFile reports whether the program is told of no token file, because its
// pod has none.
func (e Environment) HidesTokenFile() bool { return e.NotInjected || e.Credential != nil }

// Changes returns the variables that Environ sets, whether base has them so
// already or not, and the names of those of base that it removes, both sorted.
func (e Environment) Changes(base []string) (set, unset []string) {
	for _, v := range e.Environ(nil) {
		name, _, _ := strings.Cut(v, "=")
		set = append(set, name+"="+value(e.Environ(base), name))
	}
	env := e.Environ(base)
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

// mergeOptions appends options of the form -Dname=value, quoted or not, to a
// command line, in place of those of the same names.
func mergeOptions(line string, options []string) string {
	for _, o := range options {
		name, _, _ := strings.Cut(strings.Trim(o, `"`), "=")
		same := regexp.MustCompile(`(^|\s)("` + regexp.QuoteMeta(name) + `=[^"]*"|` + regexp.QuoteMeta(name) + `=\S*)`)
		line = same.ReplaceAllString(line, "")
	}
	return strings.TrimSpace(line + " " + strings.Join(options, " "))
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
