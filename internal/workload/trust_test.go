package workload_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/workload"
)

var update = flag.Bool("update", false, "write what is printed to testdata instead of comparing")

const (
	oldCluster = "https://northeurope.oic.prod-aks.azure.com/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/8f6c0b1e-1d2c-4b9e-9f53-0e1f5d3c7a10/"
	newCluster = "https://northeurope.oic.prod-aks.azure.com/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/2b7d9c44-6a01-4f3b-8d55-c1a2e3f40b21"
)

func trusted(t *testing.T) []workload.TrustRow {
	t.Helper()
	config, _ := read(t, "testdata/trust.yaml")
	return workload.Trust(append(config.Workloads(), config.Triggers()...), []string{oldCluster, newCluster}, cloud.Public().TokenExchange)
}

func TestTheTrustIsPrintedInEveryFormat(t *testing.T) {
	for _, format := range workload.TrustFormats() {
		t.Run(format, func(t *testing.T) {
			var got bytes.Buffer
			if err := workload.WriteTrust(&got, trusted(t), format); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "trust."+format+".golden")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("%s (-want +got), -update accepts it:\n%s", golden, diff)
			}
		})
	}
}

func TestCredentialsAreUniquePerIdentity(t *testing.T) {
	names, subjects := map[string]bool{}, map[string]bool{}
	for _, row := range trusted(t) {
		name, subject := row.ClientID+" "+row.Name, row.ClientID+" "+row.Issuer+" "+row.Subject
		if names[name] || subjects[subject] {
			t.Errorf("twice: %s, %s", name, subject)
		}
		if len(row.Name) < 3 || len(row.Name) > 120 {
			t.Errorf("name %s", row.Name)
		}
		names[name], subjects[subject] = true, true
	}
}

func TestALongNameIsCutToWhatEntraAccepts(t *testing.T) {
	long := strings.Repeat("a", 60)
	rows := workload.Trust([]workload.Workload{
		{Application: long, Environment: long, Component: "b", Namespace: "n", ServiceAccount: "b", ClientID: webID},
		{Application: long, Environment: long, Component: "c", Namespace: "n", ServiceAccount: "c", ClientID: webID},
	}, []string{oldCluster, newCluster}, cloud.Public().TokenExchange)
	seen := map[string]bool{}
	for _, row := range rows {
		if len(row.Name) > 120 || seen[row.Name] {
			t.Errorf("name %s", row.Name)
		}
		seen[row.Name] = true
	}
}

func TestAWorkloadWithoutClientIDNeedsNoTrust(t *testing.T) {
	rows := workload.Trust([]workload.Workload{{Namespace: "n", ServiceAccount: "s"}}, []string{oldCluster}, cloud.Public().TokenExchange)
	var b bytes.Buffer
	if err := workload.WriteTrust(&b, rows, "json"); err != nil || b.String() != "[]\n" {
		t.Errorf("%q, error %v", b.String(), err)
	}
}

func TestRealAzureIsToldOfRealIssuersAlone(t *testing.T) {
	w := []workload.Workload{{Namespace: "my-app-dev", ServiceAccount: "web-sa", ClientID: webID}}
	for _, test := range []struct{ issuer, want string }{
		{"https://dev.oic.wiemu.test/3aa4a235-b6e2-48d5-9195-7fcf05b459b0/uuid/", "exists in this lab only"},
		{"https://WIEMU.TEST/", "exists in this lab only"},
		{"https://a.wiemu.test./x", "exists in this lab only"},
		{"https://a.wiemu.test:443/x", "exists in this lab only"},
		{"https://localhost:6443", "Entra ID cannot reach this machine"},
		{"https://127.0.0.1/", "Entra ID cannot reach this machine"},
		{"http://issuer.example.com/", "expected an https URL"},
		{"issuer.example.com", "expected an https URL"},
		{"https://", "expected an https URL"},
		{"https://me:secret@issuer.example.com", "expected an https URL"},
		{"https://issuer.example.com/?a=b", "without query and fragment"},
		{"https://issuer.example.com/#", "without query and fragment"},
		{"https://issuer.example.com/a b", "without white space"},
		{"https://issuer.example.com/\n", "expected an https URL"},
		{"", "expected the URL of a real issuer, found none"},
	} {
		for _, format := range []string{"azcli", "bicep", "terraform"} {
			var b bytes.Buffer
			err := workload.WriteTrust(&b, workload.Trust(w, []string{test.issuer}, cloud.Public().TokenExchange), format)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "--issuer") || b.Len() > 0 {
				t.Errorf("%s of %q: printed %q, error %v, want %s", format, test.issuer, b.String(), err, test.want)
			}
		}
	}
	for _, format := range []string{"azcli", "bicep", "terraform"} {
		if err := workload.WriteTrust(&bytes.Buffer{}, workload.Trust(w, nil, cloud.Public().TokenExchange), format); err == nil || !strings.Contains(err.Error(), "--issuer") {
			t.Errorf("%s without issuer: %v", format, err)
		}
	}
	if err := workload.WriteTrust(&bytes.Buffer{}, nil, "xml"); err == nil || !strings.Contains(err.Error(), "expected one of table, json, azcli, bicep, terraform") {
		t.Errorf("an unknown format: %v", err)
	}
}

// The script is run with an az that writes down its arguments.
func TestTheAzureCLIScriptCallsAzAsItShould(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("left out: there is no sh here")
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	const az = `#!/bin/sh
if [ "$1 $2" = "ad sp" ]; then
	if [ "$3 $4 $5" = "show --id ` + webID + `" ]; then
		echo isExplicit=True
		echo "/subscriptions/sub-1/resourcegroups/my group/providers/Microsoft.ManagedIdentity/userAssignedIdentities/my-identity"
	fi
	exit 0
fi
for a; do printf '<%s> ' "$a"; done >>"$LOG"
echo >>"$LOG"
`
	if err := os.WriteFile(filepath.Join(dir, "az"), []byte(az), 0o755); err != nil {
		t.Fatal(err)
	}
	issuer := "https://issuer.example.com/it's/$HOME/`id`/"
	rows := workload.Trust([]workload.Workload{
		{Application: "my-app", Environment: "dev", Component: "web", Namespace: "my-app-dev", ServiceAccount: "web-sa", ClientID: webID},
		{Application: "my-app", Environment: "dev", Component: "api\nrm -rf /", Namespace: "my-app-dev", ServiceAccount: "api-sa", ClientID: devID},
	}, []string{issuer}, cloud.Public().TokenExchange)
	var script bytes.Buffer
	if err := workload.WriteTrust(&script, rows, "azcli"); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), sh, "-eu")
	cmd.Stdin, cmd.Env = &script, append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "LOG="+log)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s\n%s", err, out, script.String())
	}
	got, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	parameters, err := json.Marshal(map[string]any{"issuer": issuer})
	if err != nil {
		t.Fatal(err)
	}
	quoted := strings.TrimSuffix(strings.TrimPrefix(string(parameters), `{"issuer":`), "}")
	want := "<identity> <federated-credential> <create> <--subscription> <sub-1> <--resource-group> <my group> <--identity-name> <my-identity> " +
		"<--name> <my-app_dev_web> <--audiences> <api://AzureADTokenExchange> <--issuer> <" + issuer + "> <--subject> <system:serviceaccount:my-app-dev:web-sa> \n" +
		"<ad> <app> <federated-credential> <create> <--id> <" + devID + "> <--parameters> <" +
		`{"name":"my-app_dev_api-rm--rf-","issuer":` + quoted + `,"subject":"system:serviceaccount:my-app-dev:api-sa","audiences":["api://AzureADTokenExchange"]}> ` + "\n"
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("calls of az (-want +got):\n%s", diff)
	}
}

func ExampleTrust() {
	w := workload.Workload{
		Application: "my-radix-app", Environment: "dev", Component: "web",
		Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49",
	}
	for _, row := range workload.Trust([]workload.Workload{w}, []string{"https://old.example.com/", "https://new.example.com/"}, cloud.Public().TokenExchange) {
		fmt.Println(row.Name, row.Issuer, row.Subject)
	}
	// Output:
	// my-radix-app_dev_web https://old.example.com/ system:serviceaccount:my-radix-app-dev:web-sa
	// my-radix-app_dev_web_599365061e https://new.example.com/ system:serviceaccount:my-radix-app-dev:web-sa
}

// many are workloads of one identity: half of them share subjects.
func many(n int) []workload.Workload {
	all := make([]workload.Workload, n)
	for i := range all {
		all[i] = workload.Workload{
			Namespace: "app-dev", ServiceAccount: fmt.Sprintf("c%d-sa", i/2), Component: fmt.Sprintf("c%d", i),
			Application: "app", Environment: "dev", ClientID: "11111111-1111-4111-8111-111111111111",
		}
	}
	return all
}

// TestATrustOfManyIsLinear: a radixconfig.yaml of 49 KB took 14 seconds when each
// credential was compared with every other. So many as here would take the hour.
func TestATrustOfManyIsLinear(t *testing.T) {
	const n = 200_000
	rows := workload.Trust(many(n), []string{"https://issuer.example/"}, cloud.Public().TokenExchange)
	if len(rows) != n/2 || len(rows[n/2-1].UsedBy) != 2 {
		t.Errorf("%d credentials", len(rows))
	}
	// A credential that everybody shares names each of its users once.
	shared := many(n)
	for i := range shared {
		shared[i].ServiceAccount = "shared-sa"
	}
	shared = append(shared, shared[0])
	if rows := workload.Trust(shared, []string{"https://issuer.example/"}, cloud.Public().TokenExchange); len(rows) != 1 || len(rows[0].UsedBy) != n {
		t.Errorf("%d credentials of %d users", len(rows), len(rows[0].UsedBy))
	}
}

// BenchmarkTrust shows that the time for one workload does not depend on how many
// there are.
func BenchmarkTrust(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000, 100_000} {
		all := many(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				workload.Trust(all, []string{"https://issuer.example/"}, cloud.Public().TokenExchange)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/workload")
		})
	}
}

func TestTheAudienceIsTheCloudsOwn(t *testing.T) {
	government, _ := cloud.Named("AzureUSGovernment")
	rows := workload.Trust([]workload.Workload{{Namespace: "n", ServiceAccount: "s", ClientID: webID}}, []string{oldCluster}, government.TokenExchange)
	if rows[0].Audience != "api://AzureADTokenExchangeUSGov" {
		t.Errorf("audience %s", rows[0].Audience)
	}
}
