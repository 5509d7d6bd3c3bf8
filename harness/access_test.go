package harness_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/workload"
)

// Which variables a workload gets depends on where it runs.
func TestEnvironmentSaysWhereTheWorkloadRuns(t *testing.T) {
	pod := []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST"}
	machine := pod[:2]
	for name, c := range map[string]struct {
		identity harness.Identity
		want     []string
	}{
		"pod":         {harness.Identity{}, pod},
		"imds":        {harness.Identity{ManagedIdentity: "imds"}, append(slices.Clone(machine), "AZURE_POD_IDENTITY_AUTHORITY_HOST")},
		"app-service": {harness.Identity{ManagedIdentity: "app-service"}, append(slices.Clone(machine), "IDENTITY_ENDPOINT", "IDENTITY_HEADER")},
		"sidecar":     {harness.Identity{ManagedIdentity: "sidecar"}, append(slices.Clone(pod), "AZURE_POD_IDENTITY_AUTHORITY_HOST")},
		"ca-file":     {harness.Identity{IdentityBinding: "ca-file"}, append(slices.Clone(pod), "AZURE_KUBERNETES_TOKEN_PROXY", "AZURE_KUBERNETES_SNI_NAME", "AZURE_KUBERNETES_CA_FILE")},
		"ca-data":     {harness.Identity{IdentityBinding: "ca-data"}, append(slices.Clone(pod), "AZURE_KUBERNETES_TOKEN_PROXY", "AZURE_KUBERNETES_SNI_NAME", "AZURE_KUBERNETES_CA_DATA")},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, harness.Options{})
			w, err := l.Workload(t.Context(), workload.Workload{Namespace: "dev", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"}, c.identity)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			known := harness.Variables()
			for _, v := range w.Environ([]string{"IDENTITY_ENDPOINT=http://real", "AZURE_KUBERNETES_TOKEN_PROXY=https://real"}) {
				name, _, _ := strings.Cut(v, "=")
				if (strings.HasPrefix(name, "AZURE_") || strings.HasPrefix(name, "IDENTITY_")) && name != "AZURE_CONFIG_DIR" {
					got = append(got, name)
				}
				if !slices.Contains(known, name) {
					t.Errorf("Variables does not know %s", name)
				}
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestAnIdentityIsUsedInOneWay(t *testing.T) {
	for _, c := range []struct {
		identity harness.Identity
		clientID string
		want     string
	}{
		{harness.Identity{ManagedIdentity: "vm"}, "b96d264b-7053-4465-a4a7-32be5b0fec49", "expected one of imds, app-service, sidecar"},
		{harness.Identity{IdentityBinding: "yes"}, "b96d264b-7053-4465-a4a7-32be5b0fec49", "expected one of ca-file, ca-data"},
		{harness.Identity{IdentityBinding: "ca-file", ManagedIdentity: "imds"}, "b96d264b-7053-4465-a4a7-32be5b0fec49", "expected one of the two"},
		{harness.Identity{IdentityBinding: "ca-file"}, "", "expected a client id"},
	} {
		_, err := newLab(t, harness.Options{}).Workload(t.Context(), workload.Workload{Namespace: "dev", ServiceAccount: "web-sa", ClientID: c.clientID}, c.identity)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.identity, err, c.want)
		}
	}
	// What a flag says replaces what a file says.
	file := harness.Identity{ManagedIdentity: "imds", Audience: "api://AzureADTokenExchange"}
	if got := file.With(harness.Identity{IdentityBinding: "ca-file"}); got.ManagedIdentity != "" || got.Audience != "api://AKSIdentityBinding" {
		t.Errorf("%+v", got)
	}
}

func TestWhatLeadsOutOfANetworkOfItsOwn(t *testing.T) {
	e := harness.Environment{
		Machine:    &harness.MachineAccess{Kind: "app-service", Address: "127.0.0.1:4711"},
		TokenProxy: &harness.TokenProxyAccess{URL: "https://127.0.0.1:4712", CAFile: "ca.crt"},
	}
	want := map[string]string{"169.254.169.254:80": "127.0.0.1:4711", "10.0.0.1:443": "127.0.0.1:4712"}
	if got := e.Relays(); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	env := e.Inside("/var/run/secrets/azure/tokens/azure-identity-token").Environ(nil)
	for _, v := range []string{"IDENTITY_ENDPOINT=http://169.254.169.254/msi/token", "AZURE_KUBERNETES_TOKEN_PROXY=https://10.0.0.1"} {
		if !slices.Contains(env, v) {
			t.Errorf("%s is missing in %v", v, env)
		}
	}
	if e.Machine.Address != "127.0.0.1:4711" || len(harness.Environment{}.Relays()) > 0 {
		t.Error("the original changed, or something leads out of a pod")
	}
}
