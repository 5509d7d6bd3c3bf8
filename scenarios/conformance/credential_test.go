package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The curl client with a client secret, as it is and with mistakes.
func TestCredentials(t *testing.T) {
	need(t, "bash")
	need(t, "curl")
	wiemu := build(t)
	script, err := os.ReadFile(filepath.Join("clients", "curl", "client.sh"))
	if err != nil {
		t.Fatal(err)
	}
	description := strings.Replace(good, "refusal: AADSTS700213\n", "", 1) + "credentials: [{name: client secret, run: secret}]\n"
	for name, row := range map[string]struct {
		old, new string // in the script
		want     string // "": it passes
	}{
		"as it should be":       {"", "", ""},
		"a secret of its own":   {"client_secret=${AZURE_CLIENT_SECRET}", "client_secret=another", "AADSTS7000215"},
		"a refusal passed over": {`echo "$answer"; exit 1`, "exit 0", "refused: the client exited with 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := strings.ReplaceAll(string(script), row.old, row.new)
			if row.old != "" && changed == string(script) {
				t.Fatalf("the client's script has no %q", row.old)
			}
			clients := write(t, map[string]string{"curl/client.yaml": description, "curl/client.sh": changed})
			var out, progress bytes.Buffer
			err := run(t.Context(), []string{"-root", filepath.Join("..", ".."), "-wiemu", wiemu, "-clients", clients, "-cache", t.TempDir()}, &out, &progress)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(unindent(progress.String()), row.want)) {
				t.Errorf("%v; said\n%s\nwant %s", err, progress.String(), row.want)
			}
			if row.want == "" && (!strings.Contains(out.String(), "| curl | client secret |") || strings.Contains(out.String(), "| federated |") || !strings.Contains(out.String(), "`AADSTS7000215`")) {
				t.Errorf("printed %s", out.String())
			}
		})
	}
}
