package session_test

import (
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

func TestWhatIsDeclaredToAClustersEmulatorIsTrustedAndNothingElse(t *testing.T) {
	const aks = "https://northeurope.oic.prod-aks.azure.com/t/u/"
	lab := newLab(t, session.Options{Emulator: server.Options{Config: config.Config{
		Issuers: []config.Issuer{{Name: "cluster", URL: aks, External: true}},
		Vaults:  []config.Vault{{Name: "mine", Secrets: map[string]string{"password": "kept"}}},
	}}})
	declared := workload.Spec{Workload: web}
	declared.KeyVaults = []workload.KeyVault{
		{Name: "mine", Items: []workload.KeyVaultItem{{Name: "other", Type: "secret"}}},
		{Name: "new-one", Items: []workload.KeyVaultItem{{Name: "token", Type: "secret"}, {Name: "cert", Type: "cert"}}},
	}
	client := &control.Client{URL: lab.Emulator().ControlURL(), Token: lab.Emulator().Token()}
	for range 2 { // a second time is the same
		if err := session.Declare(t.Context(), client, []workload.Spec{declared}); err != nil {
			t.Fatal(err)
		}
	}
	p, found := lab.Emulator().Directory().Principal(config.DefaultTenant, clientID)
	if !found || len(p.FederatedCredentials) != 1 || p.FederatedCredentials[0].Issuer != aks || p.FederatedCredentials[0].Subject != web.Subject() {
		t.Errorf("%s trusts %+v; want %s of the cluster's issuer alone", clientID, p.FederatedCredentials, web.Subject())
	}
	stranger := web
	stranger.Namespace = "my-radix-app-test"
	if made, err := lab.TrustPod(t.Context(), workload.Spec{Workload: stranger, TokenOptions: workload.TokenOptions{Issuer: "cluster"}}); made || err != nil {
		t.Errorf("who was not declared is trusted: %v, %v", made, err)
	}
	if v, _ := lab.Emulator().Vaults().Vault("mine"); len(v.Secrets) != 1 || v.Secrets["password"] != "kept" {
		t.Errorf("a configured vault has become %v", v.Secrets)
	}
	if v, found := lab.Emulator().Vaults().Vault("new-one"); !found || len(v.Secrets) != 1 || v.Secrets["token"] == "" {
		t.Errorf("the vault that is taken for granted: %v %v", found, v.Secrets)
	}
}
