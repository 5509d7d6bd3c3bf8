package session_test

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/managedidentity"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// Which variables a workload gets depends on where it runs.
func TestEnvironmentSaysWhereTheWorkloadRuns(t *testing.T) {
	pod := []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST"}
	machine := pod[:2]
	for name, c := range map[string]struct {
		identity workload.TokenOptions
		want     []string
	}{
		"pod":         {workload.TokenOptions{}, pod},
		"imds":        {workload.TokenOptions{ManagedIdentity: "imds"}, append(slices.Clone(machine), "AZURE_POD_IDENTITY_AUTHORITY_HOST")},
		"app-service": {workload.TokenOptions{ManagedIdentity: "app-service"}, append(slices.Clone(machine), "IDENTITY_ENDPOINT", "IDENTITY_HEADER")},
		"sidecar":     {workload.TokenOptions{ManagedIdentity: "sidecar"}, append(slices.Clone(pod), "AZURE_POD_IDENTITY_AUTHORITY_HOST")},
		"ca-file":     {workload.TokenOptions{IdentityBinding: "ca-file"}, append(slices.Clone(pod), "AZURE_KUBERNETES_TOKEN_PROXY", "AZURE_KUBERNETES_SNI_NAME", "AZURE_KUBERNETES_CA_FILE")},
		"ca-data":     {workload.TokenOptions{IdentityBinding: "ca-data"}, append(slices.Clone(pod), "AZURE_KUBERNETES_TOKEN_PROXY", "AZURE_KUBERNETES_SNI_NAME", "AZURE_KUBERNETES_CA_DATA")},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, session.Options{})
			w, err := l.Workload(t.Context(), workload.Spec{Workload: workload.Workload{Namespace: "dev", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"}, TokenOptions: c.identity})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			known := session.Variables()
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
		identity workload.TokenOptions
		clientID string
		want     string
	}{
		{workload.TokenOptions{ManagedIdentity: "vm"}, "b96d264b-7053-4465-a4a7-32be5b0fec49", "expected one of imds, app-service, sidecar"},
		{workload.TokenOptions{IdentityBinding: "yes"}, "b96d264b-7053-4465-a4a7-32be5b0fec49", "expected one of ca-file, ca-data"},
		{workload.TokenOptions{IdentityBinding: "ca-file", ManagedIdentity: "imds"}, "b96d264b-7053-4465-a4a7-32be5b0fec49", "expected one of the two"},
		{workload.TokenOptions{IdentityBinding: "ca-file"}, "", "expected a client id"},
	} {
		_, err := newLab(t, session.Options{}).Workload(t.Context(), workload.Spec{Workload: workload.Workload{Namespace: "dev", ServiceAccount: "web-sa", ClientID: c.clientID}, TokenOptions: c.identity})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", c.identity, err, c.want)
		}
	}
	// What a flag says replaces what a file says.
	file := workload.TokenOptions{ManagedIdentity: "imds", Audience: "api://AzureADTokenExchange"}
	if got := file.With(workload.TokenOptions{IdentityBinding: "ca-file"}); got.ManagedIdentity != "" || got.Audience != "api://AKSIdentityBinding" {
		t.Errorf("%+v", got)
	}
}

func TestWhatLeadsOutOfANetworkOfItsOwn(t *testing.T) {
	e := session.PodEnv{
		Machine:         &session.MachineAccess{Kind: "app-service", Address: "127.0.0.1:4711"},
		IdentityBinding: &session.IdentityBindingAccess{URL: "https://127.0.0.1:4712", CAFile: "ca.crt"},
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
	if e.Machine.Address != "127.0.0.1:4711" || len(session.PodEnv{}.Relays()) > 0 {
		t.Error("the original changed, or something leads out of a pod")
	}
}

func TestWhereTheMetadataServiceIsFor(t *testing.T) {
	for _, row := range []struct {
		name    string
		machine *session.MachineAccess
		at      string
	}{
		{"no machine", nil, "127.0.0.1:1"},
		{"a virtual machine", &session.MachineAccess{Kind: managedidentity.IMDS, Address: "127.0.0.1:2"}, "127.0.0.1:2"},
		{"App Service, which has none", &session.MachineAccess{Kind: managedidentity.AppService, Address: "127.0.0.1:2"}, "127.0.0.1:1"},
	} {
		env := session.PodEnv{Machine: row.machine, Leading: &session.Leading{Metadata: "127.0.0.1:1"}}
		got, err := env.Literals()
		if to := got[netip.MustParseAddrPort("169.254.169.254:80")].String(); err != nil || to != row.at || len(got) != 1 {
			t.Errorf("%s: expected %s, found %v, %v", row.name, row.at, got, err)
		}
	}
	if _, err := (session.PodEnv{Leading: &session.Leading{}}).Literals(); err == nil {
		t.Error("without an address: expected an error")
	}
}
