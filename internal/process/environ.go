package process

import (
	"runtime"
	"slices"
	"strings"
)

// CleanEnviron returns base without the variables that would give a child an identity
// other than its workload's, another cluster, another proxy or other certificate
// authorities: the caller's logins must be neither used nor changed. Everything else
// stays, in its order.
func CleanEnviron(base []string) []string {
	rules := notInherited()
	return slices.DeleteFunc(slices.Clone(base), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.ContainsFunc(rules, func(r rule) bool { return r.matches(name) })
	})
}

// WithoutProxies returns base without the variables by which programs find a proxy.
func WithoutProxies(base []string) []string {
	return slices.DeleteFunc(slices.Clone(base), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		return slices.ContainsFunc(proxies, func(r rule) bool { return r.matches(name) })
	})
}

// A rule names variables that are not inherited.
type rule struct {
	name    string // ending in * for all that begin so
	anyCase bool   // programs read it in capitals and in small letters
}

func (r rule) matches(name string) bool {
	pattern, isPrefix := strings.CutSuffix(r.name, "*")
	if r.anyCase || runtime.GOOS == "windows" {
		pattern, name = strings.ToUpper(pattern), strings.ToUpper(name)
	}
	if isPrefix {
		return strings.HasPrefix(name, pattern)
	}
	return name == pattern
}

var proxies = []rule{
	{"HTTP_PROXY", true},
	{"HTTPS_PROXY", true},
	{"ALL_PROXY", true},
	{"FTP_PROXY", true},
	{"NO_PROXY", true},
	{"NPM_CONFIG_PROXY", true}, // npm reads its settings from the environment in any case
	{"NPM_CONFIG_HTTP_PROXY", true},
	{"NPM_CONFIG_HTTPS_PROXY", true},
	{"NPM_CONFIG_NOPROXY", true},
	{"NODE_USE_ENV_PROXY", false},
}

func notInherited() []rule {
	return slices.Concat(proxies, []rule{
		// Identities.
		{"AZURE_*", false},            // Azure SDKs, Azure CLI, azure-workload-identity
		{"ARM_*", false},              // Terraform's azurerm and azuread providers, Pulumi
		{"IDENTITY_*", false},         // managed identity on App Service, Arc and Service Fabric
		{"MSI_*", false},              // managed identity on older App Service and Cloud Shell
		{"IMDS_*", false},             // where managed identity is looked for on Azure Arc
		{"AAD_*", false},              // older names of the AZURE_ variables
		{"AZD_*", false},              // Azure Developer CLI
		{"ACTIONS_ID_TOKEN_*", false}, // GitHub Actions' own workload identity
		{"SYSTEM_ACCESSTOKEN", false}, // Azure Pipelines', as are the next two
		{"SYSTEM_OIDCREQUESTURI", false},
		{"AZURESUBSCRIPTION_*", false},
		{"servicePrincipalId", false}, // AzureCLI@2 with addSpnToEnvironment, as are the next three (azure-pipelines-tasks: Tasks/AzureCLIV2/azureclitask.ts)
		{"servicePrincipalKey", false},
		{"idToken", false},
		{"tenantId", false},
		{"KUBECONFIG", false}, // clusters and how to log in to them

		// Certificate authorities, and whether certificates are verified.
		{"SSL_CERT_FILE", false}, // OpenSSL, Go, .NET, Ruby, Rust
		{"SSL_CERT_DIR", false},
		{"NODE_EXTRA_CA_CERTS", false},
		{"NODE_TLS_REJECT_UNAUTHORIZED", false},
		{"NPM_CONFIG_CA", true},
		{"NPM_CONFIG_CAFILE", true},
		{"REQUESTS_CA_BUNDLE", false}, // Python requests, Azure CLI
		{"CURL_CA_BUNDLE", false},
		{"PIP_CERT", false},
		{"HTTPLIB2_CA_CERTS", false},
		{"PYTHONHTTPSVERIFY", false},
		{"PGSSLROOTCERT", false}, // libpq, pgx
		{"GIT_SSL_CAINFO", false},
		{"GIT_SSL_CAPATH", false},
		{"GIT_SSL_NO_VERIFY", false},
		{"AWS_CA_BUNDLE", false},
		{"DENO_CERT", false},
		{"DENO_TLS_CA_STORE", false},
		{"CARGO_HTTP_CAINFO", false},
	})
}
