package validate_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/validate"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// mustBeTold fails unless an error names the file and reads as one for a person.
func mustBeTold(t *testing.T, err error, file string) {
	t.Helper()
	var problems yamlfile.Problems
	if !errors.As(err, &problems) || !strings.Contains(err.Error(), file) {
		t.Errorf("the error does not name the file as a problem of it: %v", err)
	}
}

func FuzzManifests(f *testing.F) {
	f.Add(api())
	f.Add("kind: List\nitems:\n- kind: List\n  items: [null, 1, {}]\n")
	f.Add("kind: CronJob\nspec: {jobTemplate: {spec: {template: {metadata: {labels: {azure.workload.identity/use: x}}}}}}\n")
	f.Add("kind: Pod\nspec: {serviceAccountName: 5, volumes: [{projected: {sources: [{serviceAccountToken: {expirationSeconds: 1.5}}]}}]}\n")
	f.Add("kind: Deployment\nkind: Pod\n---\n- a\n---\nkind: ServiceAccount\nmetadata: {annotations: []}\n")
	f.Fuzz(func(t *testing.T, manifests string) {
		file := filepath.Join(t.TempDir(), "m.yaml")
		if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
			t.Fatal(err)
		}
		demand, err := validate.ReadDemand([]string{file}, validate.DemandOptions{})
		if err != nil {
			mustBeTold(t, err, "m.yaml")
			return
		}
		checked(t, demand.Workloads, &validate.Directory{})
	})
}

func FuzzExport(f *testing.F) {
	for _, content := range application(right()) {
		f.Add(content)
	}
	f.Add(`{"value": [{"appId": "a", "federatedIdentityCredentials": [{}, {"name": 1}]}], "@odata.nextLink": "x"}`)
	f.Add(`[{"id": "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/n", "clientId": "c", "properties": {"properties": null}}]`)
	f.Add(`{"error": {"code": "Authorization_RequestDenied", "message": "Insufficient privileges"}} [] 5 null`)
	f.Fuzz(func(t *testing.T, export string) {
		dir := written(t, map[string]string{client + ".json": export, "m.yaml": api()})
		entra, err := validate.ReadDirectory([]string{filepath.Join(dir, client+".json")})
		if err != nil {
			mustBeTold(t, err, client+".json")
			return
		}
		demand, err := validate.ReadDemand([]string{filepath.Join(dir, "m.yaml")}, validate.DemandOptions{})
		if err != nil {
			t.Fatal(err)
		}
		checked(t, demand.Workloads, entra)
	})
}

// checked checks and writes the report, whatever was read.
func checked(t *testing.T, workloads []validate.Workload, entra *validate.Directory) {
	t.Helper()
	report, err := validate.Check(workloads, entra, validate.Options{Issuers: []string{oldCluster, newCluster}})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Write(&strings.Builder{}); err != nil {
		t.Fatal(err)
	}
}
