package inventory_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// A large directory makes a file that is larger than what people write, and is read where it is
// named. Another kind of file of that size is refused for its size.
func TestALargeDirectory(t *testing.T) {
	const identities, credentials = 300, 20
	var all []directory.Principal
	for n := range identities {
		p := directory.Principal{Kind: directory.ManagedIdentity, ClientID: fmt.Sprintf("%08x-7053-4465-a4a7-32be5b0fec49", n), ObjectID: fmt.Sprintf("%08x-868a-5155-83e3-42b177d2a12e", n), DisplayName: fmt.Sprintf("identity-%d", n)}
		for c := range credentials {
			p.FederatedCredentials = append(p.FederatedCredentials, directory.FederatedCredential{Name: fmt.Sprintf("credential-%d", c), Issuer: "https://northeurope.oic.prod-aks.azure.com/00000000-0000-0000-0000-000000000001/", Subject: fmt.Sprintf("system:serviceaccount:namespace-%d:account-%d", n, c), Audience: "api://AzureADTokenExchange"})
		}
		all = append(all, p)
	}
	written := exported(t, stateOf(all...))
	if len(written.YAML) <= yamlfile.MaxBytes {
		t.Fatalf("%d bytes are too few for this test", len(written.YAML))
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "wiemu.yaml")
	if err := os.WriteFile(name, []byte(written.YAML), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{{name}, nil} { // named, and found in the folder
		files, err := session.ReadFiles(dir, names)
		if err != nil {
			t.Fatal(err)
		}
		if got := files.Config.Identities; len(got) != identities || len(*got[identities-1].FederatedCredentials) != credentials {
			t.Errorf("%d identities", len(got))
		}
	}
	for what, text := range map[string]string{"a manifest": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", "a radixconfig": "apiVersion: radix.equinor.com/v1\nkind: RadixApplication\nmetadata: {name: a}\n"} {
		large := filepath.Join(dir, "large.yaml")
		if err := os.WriteFile(large, []byte(text+"# "+strings.Repeat("x", yamlfile.MaxBytes)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := session.ReadFiles(dir, []string{large}); err == nil || !strings.Contains(err.Error(), "expected at most 1 MiB") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
