package arm_test

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/lab"
)

// A template makes a vault and a storage account, which answer like any other resource; what they
// are once more is no change.
func TestADeploymentOfVaultsAndAccounts(t *testing.T) {
	w := newWorld(t, lab.Options{})
	w.group()
	const template = `{` + templateHead + `, "resources": {
		"vault": {"type": "Microsoft.KeyVault/vaults", "apiVersion": "2023-07-01", "name": "fromtemplate", "location": "westeurope", "properties": {"tenantId": "[tenant().tenantId]", "sku": {"family": "A", "name": "standard"}, "enableRbacAuthorization": true}},
		"account": {"type": "Microsoft.Storage/storageAccounts", "apiVersion": "2023-01-01", "name": "[format('st{0}', uniqueString(resourceGroup().id))]", "location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}, "properties": {"allowSharedKeyAccess": false}}},
		"outputs": {"vault": {"type": "string", "value": "[reference('vault').vaultUri]"}, "blob": {"type": "string", "value": "[reference('account').primaryEndpoints.blob]"}}}`
	for _, change := range []string{"Create", "NoChange"} {
		foretold := w.finished(w.do("POST "+deployed+"/whatIf"+v2022dep, `{"properties": {"mode": "Incremental", "template": `+template+`}}`))
		if strings.Count(foretold.body, `"changeType":"`+change+`"`) != 2 {
			t.Errorf("%s", foretold.body)
		}
		made, err := w.deploy("main", template, "Incremental")
		if err != nil {
			t.Fatal(err)
		}
		outputs, _ := made.Properties.Outputs.(map[string]any)
		for name, want := range map[string]string{"vault": "https://fromtemplate.vault.azure.net", "blob": ".blob.core.windows.net/"} {
			if v, _ := outputs[name].(map[string]any)["value"].(string); !strings.Contains(v, want) {
				t.Errorf("%s: %q", name, v)
			}
		}
	}
}
