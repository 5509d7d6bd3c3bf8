package config_test

import (
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
)

const identities = `identities:
- {name: web, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}
- {name: monitoring, clientId: 0b1d1e9c-6f0a-4c44-9b12-6f2f3b1d9a01}
`

func TestIdentitiesOfMachinesAndBindingsAreFoundByName(t *testing.T) {
	c, err := config.Parse("wiemu.yaml", []byte(identities+`managedIdentity: {assigned: [monitoring], unavailable: [404, 429]}
identityBindings: [{identity: web, serviceAccounts: [dev/web-sa]}]
workloads:
- {namespace: dev, serviceAccount: web-sa, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49, identityBinding: ca-data}
`))
	if err != nil {
		t.Fatal(err)
	}
	done, err := c.Complete("wiemu.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := done.ManagedIdentity.Assigned[0]; got != "0b1d1e9c-6f0a-4c44-9b12-6f2f3b1d9a01" {
		t.Errorf("assigned %s", got)
	}
	if b := done.IdentityBindings[0]; b.Identity != "b96d264b-7053-4465-a4a7-32be5b0fec49" || b.Tenant != config.DefaultTenant || b.Issuer != "local" {
		t.Errorf("binding %+v", b)
	}
	if got := done.Workloads[0].Audience; got != "api://AKSIdentityBinding" {
		t.Errorf("audience %s", got)
	}
	if c.ManagedIdentity.Assigned[0] != "monitoring" {
		t.Error("completing changed the original")
	}
}

func TestBadMachinesAndBindingsAreTold(t *testing.T) {
	const workload = "workloads:\n- {namespace: dev, serviceAccount: web-sa, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49, "
	for name, c := range map[string]struct{ file, want string }{
		"nobody is assigned":         {"managedIdentity: {assigned: [monitorin]}\n", "wiemu.yaml:4:30: managedIdentity.assigned[0]: expected the name or client id of a managed identity under identities, found monitorin; did you mean monitoring?"},
		"a status of another kind":   {"managedIdentity: {unavailable: [418]}\n", "managedIdentity.unavailable[0]: expected 404, 410, 429, 500 or 503, found 418"},
		"a binding of nobody":        {"identityBindings: [{identity: wbe, serviceAccounts: []}]\n", "identityBindings[0].identity: expected the name or client id of a managed identity"},
		"a binding of a bad name":    {"identityBindings: [{identity: web, serviceAccounts: [web-sa]}]\n", "identityBindings[0].serviceAccounts[0]: expected NAMESPACE/NAME"},
		"a binding of no cluster":    {"identityBindings: [{identity: web, issuer: blue, serviceAccounts: []}]\n", "identityBindings[0].issuer: expected the name of an issuer that wiemu hosts, found blue"},
		"an unknown machine":         {workload + "managedIdentity: imd}\n", "wiemu.yaml:5:109: workloads[0].managedIdentity: expected imds, app-service, sidecar, or left out, found imd; did you mean imds?"},
		"an unknown form":            {workload + "identityBinding: file}\n", "workloads[0].identityBinding: expected ca-file, ca-data, or left out"},
		"a machine and a binding":    {workload + "identityBinding: ca-file, managedIdentity: imds}\n", "expected identityBinding or managedIdentity, found both"},
		"a sidecar and a binding":    {workload + "identityBinding: ca-file, managedIdentity: sidecar}\n", "expected identityBinding or managedIdentity, found both"},
		"an application is assigned": {"applications: [{name: app, clientId: 7d4b7e0e-2b43-4c58-8d20-0f5b1de0ac02}]\nmanagedIdentity: {assigned: [app]}\n", "managedIdentity.assigned[0]: expected the name or client id of a managed identity"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("wiemu.yaml", []byte(identities+c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// wiemu creates the identity of a workload whose client id nothing describes, and
// shows it under the workload's name.
func TestAccessNamesTheIdentityOfAWorkload(t *testing.T) {
	const webID, ordersID, otherID = "b96d264b-7053-4465-a4a7-32be5b0fec49", "6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11", "7c2b7e47-9a0c-4f4c-8f0e-2c3a4b5d6e7f"
	const workloads = `workloads:
- {namespace: shop, serviceAccount: orders-sa, clientId: ` + ordersID + `}
- {namespace: shop, serviceAccount: billing-sa, name: billing, clientId: ` + otherID + `}
- {namespace: shop, serviceAccount: report-sa, clientId: ` + webID + `}
- {namespace: dev, serviceAccount: web, clientId: ` + otherID + `}
- {namespace: dev, serviceAccount: same-sa, clientId: ` + ordersID + `}
- {namespace: test, serviceAccount: same-sa, clientId: ` + otherID + `}
`
	for _, row := range []struct{ identity, want, refused string }{
		{"orders-sa", ordersID, ""},
		{"billing", otherID, ""},
		{"web", webID, ""}, // the identity of that name, not the workload
		{"report-sa", "", "expected *, or the name or client id of an identity of the tenant (billing, monitoring, orders-sa, same-sa, web), found report-sa"},
		{"order-sa", "", "did you mean orders-sa?"},
		{"same-sa", "", "found same-sa, the name of workloads with the client ids " + ordersID + " and " + otherID + "; write the client id"},
		{"somebody", "", "for a workload that this file does not have, write its client id"},
	} {
		c, err := config.Parse("wiemu.yaml", []byte(identities+workloads+"vaults: [{name: orders, access: [{identity: "+row.identity+", permissions: [get]}]}]\n"))
		if row.refused != "" {
			if err == nil || !strings.Contains(err.Error(), row.refused) {
				t.Errorf("%s: error %v, want %q", row.identity, err, row.refused)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", row.identity, err)
			continue
		}
		if done, err := c.Complete("wiemu.yaml"); err != nil || done.Vaults[0].Access[0].Identity != row.want {
			t.Errorf("%s stands for %s, %v; want %s", row.identity, done.Vaults[0].Access[0].Identity, err, row.want)
		}
	}
}
