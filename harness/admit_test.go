package harness_test

import (
	"testing"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/workload"
)

func TestTheFirstServiceAccountOfAClientIDOwnsIt(t *testing.T) {
	const outside = "https://northeurope.oic.prod-aks.azure.com/t/u/"
	const client, owned = "b96d264b-7053-4465-a4a7-32be5b0fec49", "4a7d8f52-3c1b-4e0a-9f6d-2b5c8e7a1d30"
	lab, err := harness.Start(t.Context(), harness.Options{Dir: t.TempDir(), Emulator: emulator.Options{InMemory: true, Config: config.Config{
		Issuers:    []config.Issuer{{Name: "local"}, {Name: "aks", URL: outside, External: true}},
		Identities: []config.Identity{{Principal: config.Principal{Name: "owned", ClientID: owned}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lab.Close(t.Context()) })
	for _, row := range []struct {
		name      string
		namespace string
		client    string
		identity  harness.Identity
		made      bool
	}{
		{"nobody knows the client id", "shop", client, harness.Identity{Issuer: "aks"}, true},
		{"a pod of the same service account comes again", "shop", client, harness.Identity{Issuer: "aks"}, false},
		{"another namespace's wants the same client id", "wrong", client, harness.Identity{Issuer: "aks"}, false},
		{"the identity has owners", "shop", owned, harness.Identity{}, false},
		{"the service account has no client id", "shop", "", harness.Identity{}, false},
	} {
		made, err := lab.Admit(t.Context(), workload.Workload{Namespace: row.namespace, ServiceAccount: "web-sa", ClientID: row.client}, row.identity)
		if err != nil || made != row.made {
			t.Errorf("%s: made %v, %v; want %v", row.name, made, err, row.made)
		}
	}
	p, _ := lab.Emulator().Directory().Principal(config.DefaultTenant, client)
	if len(p.FederatedCredentials) != 1 || p.FederatedCredentials[0].Issuer != outside || p.FederatedCredentials[0].Subject != "system:serviceaccount:shop:web-sa" {
		t.Errorf("%s trusts %+v", client, p.FederatedCredentials)
	}
	if err := lab.Emulator().Directory().Remove(config.DefaultTenant, client); err != nil {
		t.Fatal(err)
	}
	again := workload.Workload{Namespace: "shop", ServiceAccount: "web-sa", ClientID: client}
	if made, err := lab.Admit(t.Context(), again, harness.Identity{Issuer: "aks"}); made || err != nil {
		t.Errorf("an identity that was removed came back: %v, %v", made, err)
	}
	if _, exists := lab.Emulator().Directory().Principal(config.DefaultTenant, client); exists {
		t.Error("an identity that was removed is there again")
	}
	for _, id := range []harness.Identity{{Tenant: "nowhere.example"}, {Issuer: "nobody"}} {
		if _, err := lab.Admit(t.Context(), workload.Workload{Namespace: "shop", ServiceAccount: "api-sa", ClientID: "c0000000-0000-4000-8000-000000000001"}, id); err == nil {
			t.Errorf("%+v was admitted", id)
		}
	}
}

// What a cluster's pods have been granted outlives the emulator in its node.
func TestWhoWasAdmittedStaysAdmittedAfterARestart(t *testing.T) {
	const client, deleted = "b96d264b-7053-4465-a4a7-32be5b0fec49", "4a7d8f52-3c1b-4e0a-9f6d-2b5c8e7a1d30"
	dir, state := t.TempDir(), t.TempDir()
	var lab *harness.Lab
	start := func() {
		t.Helper()
		var err error
		if lab, err = harness.Start(t.Context(), harness.Options{Dir: dir, Emulator: emulator.Options{InMemory: true, InCluster: true, StateDir: state, Keep: true}}); err != nil {
			t.Fatal(err)
		}
	}
	admit := func(namespace, clientID string) bool {
		t.Helper()
		made, err := lab.Admit(t.Context(), workload.Workload{Namespace: namespace, ServiceAccount: "web-sa", ClientID: clientID}, harness.Identity{})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	start()
	if !admit("shop", client) || !admit("shop", deleted) {
		t.Error("those whom nobody knows are not admitted")
	}
	if err := lab.Emulator().Directory().Remove(config.DefaultTenant, deleted); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if admit("shop", deleted) {
			t.Error("an identity that was deleted is made again")
		}
		if admit("wrong", client) {
			t.Error("another namespace is trusted, too")
		}
		p, there := lab.Emulator().Directory().Principal(config.DefaultTenant, client)
		if !there || len(p.FederatedCredentials) != 1 || p.FederatedCredentials[0].Subject != "system:serviceaccount:shop:web-sa" {
			t.Errorf("%s trusts %+v", client, p)
		}
		if err := lab.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		start()
	}
	if err := lab.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
