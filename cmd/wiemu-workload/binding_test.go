package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// The SDK reads the CA file of the identity-binding proxy before every request,
// and goes on with what it has while a rotation has emptied the file.
func TestTheProxysCARotatesUnderTheSDK(t *testing.T) {
	lab, err := session.Start(t.Context(), session.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := lab.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w, err := lab.Workload(t.Context(), workload.Spec{Workload: workload.Workload{Namespace: "dev", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"}, TokenOptions: workload.TokenOptions{IdentityBinding: "ca-file"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range w.Environ(nil) {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
	file := w.Env.IdentityBinding.CAFile
	ca, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write := func(content []byte) {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	credential, err := options{credential: "binding"}.newCredential()
	if err != nil {
		t.Fatal(err)
	}
	// Each for another resource, so that none comes from the SDK's cache.
	for _, step := range []struct {
		ca    []byte
		scope string
	}{
		{ca, "https://vault.azure.net/.default"},
		{nil, "https://graph.microsoft.com/.default"},
		{append([]byte("# rotated\n"), ca...), "https://storage.azure.com/.default"},
	} {
		write(step.ca)
		if _, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{step.scope}}); err != nil {
			t.Errorf("%s: %v", step.scope, err)
		}
	}
	write(nil)
	if _, err := (options{credential: "binding"}).newCredential(); err == nil || !strings.Contains(err.Error(), "is empty") {
		t.Errorf("a program that starts while the file is empty: %v", err)
	}
}
