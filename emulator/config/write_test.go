package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/emulator/config"
)

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":   "{}",
		"no vaults": "vaults: []",
		"no access": "vaults: [{name: shop1, access: []}, {name: shop2, accessPolicies: []}, {name: shop3, access: [], accessPolicies: []}]\nstorageAccounts: [{name: orders, access: []}]",
		"no trust":  "applications: [{name: shop, clientId: 1d0b3f2c-5a67-4d8e-9c41-7e2f60a8b915, federatedCredentials: []}]",
		"durations": "issuers: [{name: local, rotateKeysEvery: 168h, cacheLifetime: 90s}]",
		"faults":    "faults: [{name: throttled, parameters: {retry-after: 20s}, for: {resource: entra}, when: {count: 2, after: 5m, probability: 0.5}}]",
		"times":     "applications: [{name: shop, clientId: 1d0b3f2c-5a67-4d8e-9c41-7e2f60a8b915, secrets: [{value: 'a: b', expires: 2026-01-05T09:00:00Z}]}]",
		"workloads": "workloads: [{namespace: shop, serviceAccount: web-sa, clientId: 1d0b3f2c-5a67-4d8e-9c41-7e2f60a8b915, tokenLifetime: 10m}]",
	} {
		c, err := config.Parse("wiemu.yaml", []byte(text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		completed, err := c.Complete("wiemu.yaml")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for what, c := range map[string]config.Config{"as written": c, "completed": completed} {
			written, err := c.YAML()
			if err != nil {
				t.Fatalf("%s, %s: %v", name, what, err)
			}
			again, err := config.Parse("again.yaml", written)
			if err != nil {
				t.Fatalf("%s, %s: %v\n%s", name, what, err, written)
			}
			if again, err = again.Complete("again.yaml"); err != nil {
				t.Fatalf("%s, %s: %v\n%s", name, what, err, written)
			}
			if diff := cmp.Diff(completed, again, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); diff != "" {
				t.Errorf("%s, %s: %s", name, what, diff)
			}
		}
	}
}
