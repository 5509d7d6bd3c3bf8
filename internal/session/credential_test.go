package session_test

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

func TestCredentialsOfApplications(t *testing.T) {
	const (
		identity   = "0b1d1e9c-6f0a-4c44-9b12-6f2f3b1d9a01" // a managed identity of the file
		configured = "7c2b7e47-9a0c-4f4c-8f0e-2c3a4b5d6e7f" // of a workload of the file, with a secret
		unknown    = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	)
	lab, err := session.Start(t.Context(), session.Options{Emulator: server.Options{Config: config.Config{
		Workloads:  []config.Workload{{Namespace: "shop", ServiceAccount: "daemon-sa", ClientID: configured, Credential: config.ClientSecret}},
		Identities: []config.Identity{{Principal: config.Principal{Name: "machine", ClientID: identity}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	stop := func() {
		if !closed {
			closed = true
			if err := lab.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	admit := func(account, clientID, credential string) (*session.Workload, error) {
		return lab.Workload(t.Context(), workload.Spec{Workload: workload.Workload{Namespace: "shop", ServiceAccount: account, ClientID: clientID}, TokenOptions: workload.TokenOptions{Credential: credential}})
	}

	if p, ok := lab.Emulator().Directory().Principal(config.DefaultTenant, configured); !ok || p.Kind != directory.Application || len(p.FederatedCredentials) > 0 {
		t.Errorf("the client id of a workload of the file with a secret is %+v; want an application without federated credentials", p)
	}

	// Others of the client id use their token file first, so that it is a managed identity.
	if _, err := admit("federated-sa", unknown, ""); err != nil {
		t.Fatal(err)
	}
	first, err := admit("one-sa", unknown, config.ClientSecret)
	if err != nil {
		t.Fatal(err)
	}
	second, err := admit("two-sa", unknown, config.ClientSecret)
	if err != nil {
		t.Fatal(err)
	}
	secret := first.Env.Credential.Secret
	if secret == "" || second.Env.Credential.Secret != secret {
		t.Errorf("the secrets of one application are %q and %q; want one", secret, second.Env.Credential.Secret)
	}
	answer, err := lab.Client().PostForm("https://login.microsoftonline.com/"+config.DefaultTenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {unknown}, "client_secret": {secret}, "scope": {"https://graph.microsoft.com/.default"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("a token for the secret: %s", answer.Status)
	}
	for _, e := range lab.Journal().Events() {
		if strings.Contains(e.Summary, secret) {
			t.Errorf("the journal has the secret: %s", e.Summary)
		}
	}

	certified, err := admit("three-sa", unknown, config.ClientCertificate)
	if err != nil {
		t.Fatal(err)
	}
	env := certified.Environ([]string{"AZURE_CLIENT_SECRET=callers", "AZURE_FEDERATED_TOKEN_FILE=callers"})
	file := certified.Env.Credential.CertificateFile
	if !slices.Contains(env, "AZURE_CLIENT_CERTIFICATE_PATH="+file) || slices.ContainsFunc(env, func(v string) bool {
		return strings.HasPrefix(v, "AZURE_CLIENT_SECRET=") || strings.HasPrefix(v, "AZURE_FEDERATED_TOKEN_FILE=") || strings.HasPrefix(v, "AZURE_CLIENT_CERTIFICATE_PASSWORD=")
	}) {
		t.Errorf("the environment of an application with a certificate is %v", env)
	}
	for path, want := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v; want mode %v", path, info, err, want)
		}
	}

	for _, row := range []struct{ account, clientID, credential, want string }{
		{"machine-sa", identity, config.ClientSecret, "machine (" + identity + ") is a managed identity, which has neither secrets nor certificates"},
		{"machine-sa", identity, config.ClientCertificatePFX, "is a managed identity"},
		{"nobody-sa", "", config.ClientSecret, "expected a client id"},
		{"one-sa", unknown, "password", "expected one of federated, secret, certificate, certificate-pfx"},
	} {
		if _, err := admit(row.account, row.clientID, row.credential); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s with %s: %v; want %q", row.clientID, row.credential, err, row.want)
		}
	}

	stop()
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the private key is there after the lab: %v", err)
	}
}
