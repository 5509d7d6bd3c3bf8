package session_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

const shopRadixConfig = `
apiVersion: radix.equinor.com/v1
kind: RadixApplication
metadata: {name: shop}
spec:
  environments: [{name: dev}, {name: prod}]
  components:
    - name: web
      identity: {azure: {clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}}
      ports: [{name: http, port: 8080}]
`

// The workloads of files that a client sends are declared as if the lab had been started with them.
func TestFilesAreDeclaredInARunningLab(t *testing.T) {
	s := newLab(t, session.Options{})
	send := func(files ...session.GivenFile) (int, string) {
		t.Helper()
		body, err := json.Marshal(files)
		if err != nil {
			t.Fatal(err)
		}
		return ask(t, s, http.MethodPost, "/v1/workloads/files", string(body))
	}
	for _, row := range []struct {
		file session.GivenFile
		want string
	}{
		{session.GivenFile{Name: "wiemu.yaml", Text: "issuers: [{name: blue}]"}, "wiemu serve -f wiemu.yaml"},
		{session.GivenFile{Text: "issuers: [{name: blue}]"}, "[0].name: expected the name of the file"},
		{session.GivenFile{Name: "wiemu.yaml", Text: "identities: [{name: a, clientId: seven}]"}, "wiemu serve -f wiemu.yaml"},
		{session.GivenFile{Name: "radixconfig.yaml", Text: strings.Replace(shopRadixConfig, "identity", "identities", 1)}, "radixconfig.yaml:"},
		{session.GivenFile{Name: "pod.yaml", Text: "kind: Chart\n"}, "pod.yaml:1:"},
		{session.GivenFile{Name: "radixconfig.yaml", Text: strings.Replace(shopRadixConfig, "      identity: {azure: {clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}}\n", "", 1)}, "the files have none"},
	} {
		if status, said := send(row.file); status != http.StatusBadRequest || !strings.Contains(said, row.want) {
			t.Errorf("%s: %d %s, want 400 and %s", row.file.Name, status, said, row.want)
		}
	}
	if status, said := send(); status != http.StatusBadRequest {
		t.Errorf("no file: %d %s", status, said)
	}
	for range 2 { // it is idempotent
		status, said := send(session.GivenFile{Name: "radixconfig.yaml", Text: shopRadixConfig})
		var done session.DeclaredFiles
		if err := json.Unmarshal([]byte(said), &done); err != nil || status != http.StatusOK || len(done.Workloads) != 2 {
			t.Fatalf("%d %s %v, want the 2 workloads", status, said, err)
		}
	}
	var shown []session.ShownWorkload
	if _, said := ask(t, s, http.MethodGet, "/v1/workloads/trust", ""); json.Unmarshal([]byte(said), &shown) != nil || len(shown) != 2 || shown[0].Namespace != "shop-dev" || shown[0].Issuer == "" {
		t.Errorf("it shows %s", said)
	}
}

// A radixconfig.yaml that was changed is declared again: what it mounts since is mounted, in the
// vault that was made for it, where nothing else changes.
func TestAChangedFileIsDeclaredAgain(t *testing.T) {
	s := newLab(t, session.Options{})
	mounting := func(items string) string {
		return shopRadixConfig + "      secretRefs: {azureKeyVaults: [{name: shop-vault, useAzureIdentity: true, items: [" + items + "]}]}\n"
	}
	declareIn := func(s *session.Session, items string) {
		t.Helper()
		text := mounting(items)
		body, err := json.Marshal([]session.GivenFile{{Name: "radixconfig.yaml", Text: text}})
		if err != nil {
			t.Fatal(err)
		}
		if status, said := ask(t, s, http.MethodPost, "/v1/workloads/files", string(body)); status != http.StatusOK {
			t.Fatalf("%d %s", status, said)
		}
	}
	declare := func(items string) {
		t.Helper()
		declareIn(s, items)
	}
	vaults := s.Emulator().Vaults()
	declare("{name: first, envVar: FIRST}")
	if err := vaults.Update("shop-vault", func(v *keyvault.Vault) error { v.Secrets["first"] = "hunter22"; return nil }); err != nil {
		t.Fatal(err)
	}
	declare("{name: first, envVar: FIRST}, {name: second, envVar: SECOND}")
	if v, _ := vaults.Vault("shop-vault"); v.Secrets["first"] != "hunter22" || v.Secrets["second"] == "" {
		t.Errorf("the vault has %v", v.Secrets)
	}
	var listed []workload.Spec
	if _, said := ask(t, s, http.MethodGet, "/v1/workloads", ""); json.Unmarshal([]byte(said), &listed) != nil || len(listed) != 2 || len(listed[0].KeyVaults) != 1 || len(listed[0].KeyVaults[0].Items) != 2 {
		t.Errorf("it lists %s", said)
	}
	if err := vaults.Update("shop-vault", func(v *keyvault.Vault) error { delete(v.Secrets, "second"); return nil }); err != nil {
		t.Fatal(err)
	}
	declare("{name: second, envVar: SECOND}")
	if v, _ := vaults.Vault("shop-vault"); v.Secrets["second"] != "" {
		t.Errorf("the deleted secret is there again: %v", v.Secrets)
	}
	declare("{name: tls, type: cert, envVar: TLS}")
	declare("{name: tls, type: secret, envVar: TLS_KEY}")
	if v, _ := vaults.Vault("shop-vault"); v.Secrets["tls"] != "" { // which has not those of certificates
		t.Errorf("the certificate's secret is %q", v.Secrets["tls"])
	}

	started := newLab(t, func() session.Options {
		files := readFiles(t, mounting("{name: first, envVar: FIRST}"))
		o := session.Options{Workloads: files.Workloads()}
		o.Emulator.Config = files.Configuration()
		return o
	}())
	declareIn(started, "{name: first, envVar: FIRST}, {name: second, envVar: SECOND}")
	if v, _ := started.Emulator().Vaults().Vault("shop-vault"); v.Secrets["second"] == "" {
		t.Errorf("the vault of a lab that was started with the file has %v", v.Secrets)
	}
}
