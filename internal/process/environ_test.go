package process_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/process"
)

func TestCleanEnvironDropsWhatTheCallerIs(t *testing.T) {
	for _, test := range []struct{ why, variables string }{
		{"the caller's application is not the workload", "AZURE_CLIENT_ID AZURE_CLIENT_SECRET AZURE_TENANT_ID AZURE_FEDERATED_TOKEN_FILE AZURE_USERNAME AZURE_PASSWORD AZURE_CLIENT_CERTIFICATE_PATH"},
		{"the caller's Azure CLI login is nobody's business", "AZURE_CONFIG_DIR AZURE_TOKEN_CREDENTIALS AZURE_ADDITIONALLY_ALLOWED_TENANTS AZURE_AUTHORITY_HOST"},
		{"nor is that of Terraform", "ARM_CLIENT_ID ARM_CLIENT_SECRET ARM_USE_OIDC ARM_OIDC_TOKEN ARM_SUBSCRIPTION_ID"},
		{"a managed identity of the machine is another identity", "IDENTITY_ENDPOINT IDENTITY_HEADER IDENTITY_SERVER_THUMBPRINT MSI_ENDPOINT MSI_SECRET IMDS_ENDPOINT"},
		{"so are those of a build agent", "ACTIONS_ID_TOKEN_REQUEST_URL ACTIONS_ID_TOKEN_REQUEST_TOKEN SYSTEM_ACCESSTOKEN SYSTEM_OIDCREQUESTURI"},
		{"and those that AzureCLI@2 sets for its script", "AZURESUBSCRIPTION_CLIENT_ID servicePrincipalId servicePrincipalKey idToken tenantId"},
		{"older names count too", "AAD_CLIENT_ID AAD_SECRET AZD_CONFIG_DIR"},
		{"the caller's cluster is not the workload's", "KUBECONFIG"},
		{"there is one way to the network", "HTTP_PROXY http_proxy HTTPS_PROXY https_proxy Https_Proxy ALL_PROXY all_proxy NO_PROXY no_proxy npm_config_https_proxy npm_config_noproxy"},
		{"there is one authority to trust", "SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE CURL_CA_BUNDLE PIP_CERT PGSSLROOTCERT GIT_SSL_CAINFO DENO_CERT npm_config_cafile"},
		{"and verification is not switched off", "NODE_TLS_REJECT_UNAUTHORIZED PYTHONHTTPSVERIFY GIT_SSL_NO_VERIFY"},
	} {
		for _, name := range strings.Fields(test.variables) {
			if left := process.CleanEnviron([]string{name + "=x"}); len(left) > 0 {
				t.Errorf("%s, but %s is kept", test.why, name)
			}
		}
	}
}

func TestCleanEnvironKeepsTheRest(t *testing.T) {
	base := []string{
		"PATH=/bin", "HOME=/root", "TERM=xterm", "LANG=C", "AZUREISH=1", "MYAZURE_CLIENT_ID=1", "HARM_X=1", "PROXY=1",
		"JAVA_TOOL_OPTIONS=-Xmx1g", "EMPTY=", "=C:=C:\\", "odd", "PATH=/again",
	}
	given := slices.Clone(base)
	if got := process.CleanEnviron(base); !slices.Equal(got, base) {
		t.Errorf("kept %q of %q", got, base)
	}
	if _ = process.CleanEnviron(append(base, "KUBECONFIG=x")); !slices.Equal(base, given) {
		t.Error("the caller's list was changed")
	}
}
