package session

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/gateway"
	"github.com/wiemu/wiemu/internal/managedidentity"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/secretsstore"
)

// PodEnv is what the variables of a workload's process are made of: the four that
// azure-workload-identity injects into a pod, and how it reaches the emulated hosts.
type PodEnv struct {
	ClientID      string    `json:"clientId"`
	TenantID      string    `json:"tenantId"`
	TokenFile     string    `json:"tokenFile"`
	AuthorityHost string    `json:"authorityHost"`
	ProxyURL      string    `json:"proxyUrl"`          // if empty, programs are led in another way
	Drivers       []string  `json:"drivers,omitempty"` // variables, NAME=VALUE, by which drivers of databases reach the lab that heed no proxy, such as libpq's PGHOSTADDR
	Bundle        ca.Bundle `json:"bundle"`
	ConfigDir     string    `json:"configDir"` // of the logins and settings of command-line tools. Empty in a container, which has its own

	// IsolatedProxy is the host:port of the lab's proxy for isolated programs: see
	// package isolation.
	IsolatedProxy string `json:"isolatedProxy,omitempty"`

	// Leading is what leads programs to the lab: see package lead. If nil, they cannot be led
	// on this system, or the lab's server is an older wiemu.
	Leading *Leading `json:"leading,omitempty"`

	// OpenPorts are the ports, besides 443, on which programs may reach hosts outside the
	// lab.
	OpenPorts []uint16 `json:"openPorts,omitempty"`

	// NotInjected says that the webhook left the pod alone: it has neither the
	// variables nor the token file. See fault.WebhookNotInjecting.
	NotInjected bool `json:"notInjected,omitempty"`

	// Own are the variables, NAME=VALUE, of the workload's pod itself. Those that lead to the
	// lab override them; they override the variables of the webhook.
	Own []string `json:"own,omitempty"`

	// Mounted are the variables, NAME=VALUE, that a Radix component takes from key vaults, and
	// Volumes where the files of these are: see package secretsstore.
	Mounted []string              `json:"mounted,omitempty"`
	Volumes []secretsstore.Volume `json:"volumes,omitempty"`

	Credential      *Credential            `json:"credential,omitempty"` // of a workload that proves who it is with a secret or certificate
	Machine         *MachineAccess         `json:"machine,omitempty"`    // of a workload that uses a managed identity
	IdentityBinding *IdentityBindingAccess `json:"tokenProxy,omitempty"` // of one that uses an identity binding
	GitHubJob       *JobAccess             `json:"githubJob,omitempty"`  // of a job of GitHub Actions
	Task            *TaskAccess            `json:"task,omitempty"`       // of a task of Azure Pipelines with a service connection

	withoutProxy bool // see Led
}

// Led returns the environment of a program whose connections are led to the lab: without a
// proxy, those of the pod's own variables included, unless some of its connections may need
// one.
func (e PodEnv) Led(withProxy bool) PodEnv {
	e.Drivers = nil
	if !withProxy {
		e.ProxyURL, e.withoutProxy = "", true
	}
	return e
}

// Literals returns what answers at addresses that programs know without a name: the address
// on this machine by the one that they connect to.
func (e PodEnv) Literals() (map[netip.AddrPort]netip.AddrPort, error) {
	at := e.Leading.Metadata
	if e.Machine != nil && e.Machine.Kind != managedidentity.AppService { // which has none
		at = e.Machine.Address
	}
	to, err := netip.ParseAddrPort(at)
	if err != nil {
		return nil, fmt.Errorf("lead to the metadata service of the workload: %w", err)
	}
	return map[netip.AddrPort]netip.AddrPort{netip.MustParseAddrPort(metadataAddress + ":80"): to}, nil
}

// Leading is what leads programs to a lab that heed no proxy.
type Leading struct {
	Handover string   `json:"handover"` // address of the socket to which connections are handed
	Hosts    []string `json:"hosts"`    // that the lab answers for; ".suffix" stands for all below it
	Metadata string   `json:"metadata"` // host:port of what answers as 169.254.169.254:80, if the workload has no machine of its own
}

// Environ returns base without the variables of other identities and proxies, and with the
// workload's own. It is idempotent.
func (e PodEnv) Environ(base []string) []string {
	env := process.SetVariables(process.CleanEnviron(base), append(slices.Clone(e.Own), e.Mounted...)...)
	base = process.SetVariables(slices.Clone(base), e.Own...)
	inherited := process.Variable(base, "JAVA_TOOL_OPTIONS")
	if e.withoutProxy {
		env, inherited = process.WithoutProxies(env), gateway.WithoutJavaProxy(inherited)
	}
	env = e.Bundle.Environ(env)
	java := e.Bundle.JavaOptions()
	if e.ProxyURL != "" {
		java = append(java, gateway.JavaOptions(e.ProxyURL)...)
		env = process.SetVariables(env, gateway.Environ(e.ProxyURL)...)
		env = process.SetVariables(env, e.drivers(env)...)
	}
	env = process.SetVariables(env, "JAVA_TOOL_OPTIONS="+mergeOptions(inherited, java))
	if e.ConfigDir != "" {
		env = process.SetVariables(env,
			"AZURE_CONFIG_DIR="+filepath.Join(e.ConfigDir, "azure"), // Azure CLI: the user's real login is neither read nor written
			"KUBECONFIG="+filepath.Join(e.ConfigDir, "kubeconfig"),  // kubectl: the user's real clusters are not reached
		)
	}
	env = process.SetVariables(env, e.Machine.environ()...)
	if e.NotInjected {
		return env
	}
	if e.ClientID != "" && e.Task == nil { // the webhook injects no empty value (azure-workload-identity: pkg/webhook/webhook.go)
		env = process.SetVariables(env, "AZURE_CLIENT_ID="+e.ClientID)
	}
	switch {
	case e.GitHubJob != nil:
		env = process.SetVariables(env, e.GitHubJob.environ(e.ClientID, e.TenantID)...)
	case e.Task != nil:
		env = process.SetVariables(env, e.Task.environ(e.ClientID, e.TenantID)...)
	case e.Credential != nil:
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, "AZURE_FEDERATED_TOKEN_FILE=") }) // a pod's own
		env = process.SetVariables(env, append(e.Credential.environ(), "AZURE_AUTHORITY_HOST="+e.AuthorityHost)...)
	case !e.Machine.replacesTokenFile():
		env = process.SetVariables(env, "AZURE_FEDERATED_TOKEN_FILE="+e.TokenFile, "AZURE_AUTHORITY_HOST="+e.AuthorityHost)
	}
	if e.Task == nil {
		env = process.SetVariables(env, append(e.IdentityBinding.environ(), "AZURE_TENANT_ID="+e.TenantID)...)
	}
	return process.SetVariables(env, e.ownIdentity()...)
}

// ownIdentity returns those of a pod's own variables that the webhook does not change. The
// token file is not one of them: its path differs from that in the pod.
func (e PodEnv) ownIdentity() []string {
	return slices.DeleteFunc(slices.Clone(e.Own), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return !slices.Contains([]string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_AUTHORITY_HOST"}, name)
	})
}

// inPipeline reports whether the program is one of a pipeline, which asks an endpoint for its token.
func (e PodEnv) inPipeline() bool { return e.GitHubJob != nil || e.Task != nil }

// HidesTokenFile reports whether the program gets no token file, because its pod has none.
func (e PodEnv) HidesTokenFile() bool {
	return e.NotInjected || e.Credential != nil || e.inPipeline()
}

// Changes returns the variables that Environ sets, whether base has them so
// already or not, and the names of those of base that it removes, both sorted.
func (e PodEnv) Changes(base []string) (set, unset []string) {
	for _, v := range e.Environ(nil) {
		name, _, _ := strings.Cut(v, "=")
		set = append(set, name+"="+process.Variable(e.Environ(base), name))
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

// drivers are Drivers, unless the program or its caller says itself where its PostgreSQL is:
// another address, a service, or this machine as what is taken where nothing is named.
func (e PodEnv) drivers(env []string) []string {
	ours := func(address string) bool { return strings.HasPrefix(address, "127.79.") } // of another lab
	for _, name := range []string{"PGHOSTADDR", "PGSERVICE"} {
		if v := process.Variable(env, name); v != "" && !ours(v) && !slices.Contains(e.Drivers, name+"="+v) {
			return nil
		}
	}
	switch host := process.Variable(env, "PGHOST"); {
	case strings.HasPrefix(host, "/"), strings.HasPrefix(host, "127."), host == "localhost", host == "::1":
		return nil
	}
	return e.Drivers
}
