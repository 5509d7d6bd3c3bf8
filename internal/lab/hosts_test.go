package lab_test

import (
	"slices"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/lab"
)

// What maps names one by one, such as aliases of a stack and hostAliases of pods, has each
// host of each account, in the cloud that is emulated.
func TestHostsOfStorageAccounts(t *testing.T) {
	for in, domain := range map[string]string{"AzureCloud": "core.windows.net", "AzureChinaCloud": "core.chinacloudapi.cn"} {
		c, err := config.Config{Cloud: in, Resources: map[string]any{"storageAccounts": []any{map[string]any{"name": "orders"}, map[string]any{"name": "reports"}}}}.Complete("")
		if err != nil {
			t.Fatal(err)
		}
		before := lab.Hosts(c)
		l, err := lab.New(t.Context(), c, lab.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range []string{"orders", "reports"} {
			for _, service := range []string{"blob", "queue", "table", "dfs", "file"} {
				host := account + "." + service + "." + domain
				if !slices.Contains(before, host) || !slices.Contains(l.Hosts(), host) {
					t.Errorf("%s is not among the hosts", host)
				}
			}
		}
		if zone := "blob." + domain; !slices.Contains(lab.Zones(c), zone) {
			t.Errorf("%s is not among the zones %v", zone, lab.Zones(c))
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
