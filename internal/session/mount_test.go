package session_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/secretsstore"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// mounting is a workload that takes from a vault what a radixconfig.yaml names.
func mounting(items ...workload.KeyVaultItem) workload.Spec {
	d := workload.Spec{Workload: web}
	d.KeyVaults = []workload.KeyVault{{Name: "shop", Items: items}}
	return d
}

func startShop(t *testing.T, permissions ...string) *session.Session {
	t.Helper()
	var c config.Config
	c.Identities = []config.Identity{{Principal: config.Principal{
		Name: "web", ClientID: clientID,
		FederatedCredentials: &[]config.FederatedCredential{{Name: "web", Subject: "system:serviceaccount:my-radix-app-dev:web-sa"}},
	}}}
	c.Vaults = []config.Vault{{
		Name: "shop", Secrets: map[string]string{"db-password": "hunter22", "blob": "aGVsbG8="},
		Keys: map[string]config.VaultKey{"signing": {Type: "EC"}}, Certificates: map[string]config.VaultCertificate{"tls": {Subject: "CN=shop.example"}},
		Access: []config.Access{{Identity: "web", Permissions: permissions}},
	}}
	l, err := session.Start(t.Context(), session.Options{Emulator: server.Options{Config: c, Options: lab.Options{Keys: keyringtest.Keys(t)}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestMountedVaults(t *testing.T) {
	l := startShop(t, "*")
	w, err := l.Workload(t.Context(), mounting(
		workload.KeyVaultItem{Name: "db-password", Type: "secret", EnvVar: "DB_PASSWORD"},
		workload.KeyVaultItem{Name: "blob", Type: "secret", Alias: "blob.txt", Encoding: "base64"},
		workload.KeyVaultItem{Name: "signing", Type: "key", EnvVar: "SIGNING"},
		workload.KeyVaultItem{Name: "tls", Type: "cert", Alias: "tls.crt"},
		workload.KeyVaultItem{Name: "tls", Type: "secret"},
		workload.KeyVaultItem{Name: "tls", Type: "secret", Format: "pfx", Encoding: "base64", Alias: "tls.pfx"},
	))
	if err != nil {
		t.Fatal(err)
	}
	env := w.Environ(nil)
	if got := process.Variable(env, "DB_PASSWORD"); got != "hunter22" {
		t.Errorf("DB_PASSWORD=%q", got)
	}
	if got := process.Variable(env, "SIGNING"); !strings.HasPrefix(got, "-----BEGIN PUBLIC KEY-----\n") {
		t.Errorf("SIGNING=%q", got)
	}
	volume := w.Env.Volumes[0]
	if volume.Path != "/mnt/azure-key-vault/shop" {
		t.Errorf("mounted at %s", volume.Path)
	}
	read := func(name string) string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(volume.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if got := read("blob.txt"); got != "hello" {
		t.Errorf("%q", got)
	}
	if block, _ := pem.Decode([]byte(read("tls.crt"))); block == nil || block.Type != "CERTIFICATE" {
		t.Error("tls.crt is no certificate")
	}
	if pair, err := tls.X509KeyPair([]byte(read("tls")), []byte(read("tls"))); err != nil || pair.Leaf.Subject.CommonName != "shop.example" {
		t.Errorf("the secret of a certificate is PEM by default: %v", err)
	}
	if got := read("tls.pfx"); len(got) == 0 || got[0] != 0x30 {
		t.Error("tls.pfx is not binary")
	}

	// What changes in the vault is in the files after two minutes, and never in a variable.
	change := func(value string) {
		t.Helper()
		if err := l.Emulator().Vaults().Update("shop", func(v *keyvault.Vault) error { v.Secrets["db-password"] = value; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	advance := func(d time.Duration) {
		t.Helper()
		if err := l.Clock().Advance(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	change("changed!")
	if got := read("db-password"); got != "hunter22" {
		t.Errorf("%q before the driver has looked", got)
	}
	advance(secretsstore.PollInterval)
	if got, env := read("db-password"), process.Variable(w.Environ(nil), "DB_PASSWORD"); got != "changed!" || env != "hunter22" {
		t.Errorf("file %q, variable %q", got, env)
	}
	// Without access any more, the files stay, for as long as it lasts; that is told once.
	access := func(permissions ...string) {
		t.Helper()
		if err := l.Emulator().Vaults().Update("shop", func(v *keyvault.Vault) error { v.Access[0].Permissions = permissions; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	access()
	change("later")
	advance(10 * time.Minute)
	if got := read("db-password"); got != "changed!" {
		t.Errorf("%q", got)
	}
	failures := 0
	for _, e := range l.Journal().Events() {
		if e.Kind == journal.Admission && e.Outcome == journal.Failed {
			failures++
		}
		if strings.Contains(e.Message+e.Summary, "hunter22") {
			t.Errorf("a secret is in the journal: %+v", e)
		}
	}
	if failures != 1 {
		t.Errorf("told %d times", failures)
	}
	access("*")
	advance(secretsstore.PollInterval)
	// A token that the driver keeps is revoked; the provider asks for one at each look, so
	// that nobody notices.
	if err := l.Emulator().Directory().Revoke(config.DefaultTenant, clientID, l.Clock().Now(), true); err != nil {
		t.Fatal(err)
	}
	change("after the revocation")
	advance(secretsstore.PollInterval)
	if got := read("db-password"); got != "after the revocation" {
		t.Errorf("%q", got)
	}
	change("later")
	advance(26 * time.Hour) // the driver gets new tokens meanwhile
	if got := read("db-password"); got != "later" {
		t.Errorf("%q", got)
	}
	if err := l.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(volume.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the files are still there")
	}
}

func TestAPodWithoutAccessToItsVaultsDoesNotStart(t *testing.T) {
	const begin = "failed to mount secrets store objects for pod my-radix-app-dev/web-0, err: rpc error: code = Unknown desc = failed to mount objects, error: failed to get objectType:"
	for _, row := range []struct {
		name        string
		permissions []string
		item        workload.KeyVaultItem
		parts       []string
	}{
		{"no access", nil, workload.KeyVaultItem{Name: "db-password", Type: "secret"}, []string{"secret, objectName:db-password, objectVersion:: GET https://shop.vault.azure.net/secrets/db-password/\n", "RESPONSE 403: 403 Forbidden\nERROR CODE: Forbidden\n", "does not have secrets get permission on key vault 'shop;", "ForbiddenByPolicy"}},
		{"no such secret", []string{"*"}, workload.KeyVaultItem{Name: "other", Type: "secret"}, []string{"secret, objectName:other", "ERROR CODE: SecretNotFound"}},
		{"no such version", []string{"*"}, workload.KeyVaultItem{Name: "blob", Type: "secret", Version: "1"}, []string{"objectVersion:1: GET https://shop.vault.azure.net/secrets/blob/1\n", "SecretNotFound"}},
		{"another type", []string{"*"}, workload.KeyVaultItem{Name: "blob", Type: "dockerconfig"}, []string{"dockerconfig, objectName:blob, objectVersion:: Invalid vaultObjectTypes. Should be secret, key, or cert"}},
		{"what climbs", []string{"*"}, workload.KeyVaultItem{Name: "blob", Type: "secret", Alias: "../x"}, []string{"file name must not contain '..'"}},
		{"what is not base64", []string{"*"}, workload.KeyVaultItem{Name: "db-password", Type: "secret", Encoding: "hex"}, []string{"encoding/hex"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.permissions == nil {
				row.permissions = []string{"list"}
			}
			l := startShop(t, row.permissions...)
			_, err := l.Workload(t.Context(), mounting(row.item))
			var failed *secretsstore.FailedMount
			if !errors.As(err, &failed) || !strings.HasPrefix(failed.Error(), begin) {
				t.Fatalf("%v", err)
			}
			for _, part := range row.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("no %q in %v", part, err)
				}
			}
			if !slices.ContainsFunc(l.Journal().Events(), func(e journal.Event) bool {
				return e.Kind == journal.Admission && e.Outcome == journal.Failed && e.Remedy != ""
			}) {
				t.Error("the journal does not say that the pod does not start")
			}
			// The pod starts when it may.
			if err := l.Emulator().Vaults().Update("shop", func(v *keyvault.Vault) error { v.Access[0].Permissions = []string{"*"}; return nil }); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Workload(t.Context(), mounting(workload.KeyVaultItem{Name: "db-password", Type: "secret"})); err != nil {
				t.Error(err)
			}
		})
	}
}
