package session_test

import (
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

func TestTheFirstServiceAccountOfAClientIDOwnsIt(t *testing.T) {
	const outside = "https://northeurope.oic.prod-aks.azure.com/t/u/"
	const client, owned = "b96d264b-7053-4465-a4a7-32be5b0fec49", "4a7d8f52-3c1b-4e0a-9f6d-2b5c8e7a1d30"
	started, err := session.Start(t.Context(), session.Options{Dir: t.TempDir(), Emulator: server.Options{InMemory: true, Config: config.Config{
		Issuers:    []config.Issuer{{Name: "local"}, {Name: "aks", URL: outside, External: true}},
		Identities: []config.Identity{{Principal: config.Principal{Name: "owned", ClientID: owned}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = started.Close(t.Context()) })
	for _, row := range []struct {
		name      string
		namespace string
		client    string
		identity  workload.TokenOptions
		made      bool
	}{
		{"nobody knows the client id", "shop", client, workload.TokenOptions{Issuer: "aks"}, true},
		{"a pod of the same service account comes again", "shop", client, workload.TokenOptions{Issuer: "aks"}, false},
		{"another namespace's wants the same client id", "wrong", client, workload.TokenOptions{Issuer: "aks"}, false},
		{"the identity has owners", "shop", owned, workload.TokenOptions{}, false},
		{"the service account has no client id", "shop", "", workload.TokenOptions{}, false},
	} {
		made, err := started.TrustPod(t.Context(), workload.Spec{Workload: workload.Workload{Namespace: row.namespace, ServiceAccount: "web-sa", ClientID: row.client}, TokenOptions: row.identity})
		if err != nil || made != row.made {
			t.Errorf("%s: made %v, %v; want %v", row.name, made, err, row.made)
		}
	}
	p, _ := started.Emulator().Directory().Principal(config.DefaultTenant, client)
	if len(p.FederatedCredentials) != 1 || p.FederatedCredentials[0].Issuer != outside || p.FederatedCredentials[0].Subject != "system:serviceaccount:shop:web-sa" {
		t.Errorf("%s trusts %+v", client, p.FederatedCredentials)
	}
	if err := started.Emulator().Directory().Remove(config.DefaultTenant, client); err != nil {
		t.Fatal(err)
	}
	again := workload.Workload{Namespace: "shop", ServiceAccount: "web-sa", ClientID: client}
	if made, err := started.TrustPod(t.Context(), workload.Spec{Workload: again, TokenOptions: workload.TokenOptions{Issuer: "aks"}}); made || err != nil {
		t.Errorf("an identity that was removed came back: %v, %v", made, err)
	}
	if _, exists := started.Emulator().Directory().Principal(config.DefaultTenant, client); exists {
		t.Error("an identity that was removed is there again")
	}
	for _, id := range []workload.TokenOptions{{Tenant: "nowhere.example"}, {Issuer: "nobody"}} {
		if _, err := started.TrustPod(t.Context(), workload.Spec{Workload: workload.Workload{Namespace: "shop", ServiceAccount: "api-sa", ClientID: "c0000000-0000-4000-8000-000000000001"}, TokenOptions: id}); err == nil {
			t.Errorf("%+v was admitted", id)
		}
	}
}

// What a cluster's pods have been granted outlives the emulator in its node.
func TestWhoWasAdmittedStaysAdmittedAfterARestart(t *testing.T) {
	const client, deleted = "b96d264b-7053-4465-a4a7-32be5b0fec49", "4a7d8f52-3c1b-4e0a-9f6d-2b5c8e7a1d30"
	dir, state := t.TempDir(), t.TempDir()
	var started *session.Session
	start := func() {
		t.Helper()
		var err error
		if started, err = session.Start(t.Context(), session.Options{Dir: dir, Emulator: server.Options{InMemory: true, Options: lab.Options{InCluster: true, StateDir: state, Keep: true}}}); err != nil {
			t.Fatal(err)
		}
	}
	admit := func(namespace, clientID string) bool {
		t.Helper()
		made, err := started.TrustPod(t.Context(), workload.Spec{Workload: workload.Workload{Namespace: namespace, ServiceAccount: "web-sa", ClientID: clientID}})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	start()
	if !admit("shop", client) || !admit("shop", deleted) {
		t.Error("those whom nobody knows are not admitted")
	}
	if err := started.Emulator().Directory().Remove(config.DefaultTenant, deleted); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if admit("shop", deleted) {
			t.Error("an identity that was deleted is made again")
		}
		if admit("wrong", client) {
			t.Error("another namespace is trusted, too")
		}
		p, there := started.Emulator().Directory().Principal(config.DefaultTenant, client)
		if !there || len(p.FederatedCredentials) != 1 || p.FederatedCredentials[0].Subject != "system:serviceaccount:shop:web-sa" {
			t.Errorf("%s trusts %+v", client, p)
		}
		if err := started.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		start()
	}
	if err := started.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
