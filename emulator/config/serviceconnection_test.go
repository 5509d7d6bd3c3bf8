package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wiemu/wiemu/emulator/config"
)

func TestServiceConnectionsAreCompleted(t *testing.T) {
	const organization, connection = "0ca3ddd9-f0b0-4635-a98c-5866526961b6", "64171687-7a59-4fce-b2c8-823278dcf176"
	given := config.ServiceConnection{Organization: "noahstride0304", OrganizationID: organization, Project: "join", Name: "arm", ID: connection}
	named := given
	named.OrganizationID, named.Issuer = "", "https://vstoken.dev.azure.com/"+organization
	old := given
	old.Issuer = "azureDevOps"
	of := func(c config.ServiceConnection, issuer, subject string) config.ServiceConnection {
		c.OrganizationID, c.Issuer, c.Subject = organization, issuer, subject
		return c
	}
	const tenant = "ff882432-09b0-437b-bd22-ca13c0037ded"
	for name, row := range map[string]struct {
		cloud  string
		given  config.ServiceConnection
		want   config.ServiceConnection
		issuer string
	}{
		// The token that is printed in Teleport's RFD 211.
		"of Entra ID":                       {"", given, of(given, "https://login.microsoftonline.com/"+tenant+"/v2.0", "/eid1/c/pub/t/MiSI_7AJe0O9IsoTwAN97Q/a/rISbSSETf0KqFyZ8ppdXmA/sc/"+organization+"/"+connection), "local"},
		"of Azure DevOps":                   {"", old, of(given, "https://vstoken.dev.azure.com/"+organization, "sc://noahstride0304/join/arm"), "azure-devops-noahstride0304"},
		"of Azure DevOps, by its URL":       {"", named, of(given, "https://vstoken.dev.azure.com/"+organization, "sc://noahstride0304/join/arm"), "azure-devops-noahstride0304"},
		"of Azure DevOps, in another cloud": {"AzureUSGovernment", given, of(given, "https://vstoken.dev.azure.com/"+organization, "sc://noahstride0304/join/arm"), "azure-devops-noahstride0304"},
	} {
		t.Run(name, func(t *testing.T) {
			once, err := config.Config{Cloud: row.cloud, Tenants: []config.Tenant{{ID: tenant}}, Workloads: []config.Workload{{ClientID: jobClientID, ServiceConnection: row.given}}}.Complete("")
			if err != nil {
				t.Fatal(err)
			}
			twice, err := once.Complete("")
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []config.Config{once, twice} {
				w := c.Workloads[0]
				if diff := cmp.Diff(row.want, w.ServiceConnection); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
				if w.Issuer != row.issuer || w.Name != "arm" || w.Namespace != "noahstride0304" || w.ServiceAccount != "arm" {
					t.Errorf("the workload is %+v; want issuer %s", w, row.issuer)
				}
				if all := names(c.Issuers); all[0] != "local" || strings.Count(strings.Join(all, " "), row.issuer) != 1 {
					t.Errorf("issuers %v; want one %s", all, row.issuer)
				}
			}
		})
	}
}

func TestMistakesOfServiceConnections(t *testing.T) {
	const workload = "workloads: [{clientId: " + jobClientID + ", serviceConnection: {organization: contoso, project: shop, name: arm"
	const at = "workloads[0].serviceConnection"
	for _, row := range []struct{ file, want string }{
		{"workloads: [{clientId: " + jobClientID + ", serviceConnection: {organization: contoso, name: arm}}]\n", at + ".project: expected the name of a project, such as shop, found nothing"},
		{"workloads: [{clientId: " + jobClientID + ", serviceConnection: {organization: contoso/shop, project: shop, name: a/b}}]\n", at + ".organization: expected the name of an organization, such as contoso, found contoso/shop"},
		{workload + ", id: seven}}]\n", at + ".id: expected a GUID"},
		{workload + ", organizationId: contoso}}]\n", at + ".organizationId: expected a GUID"},
		{workload + ", issuer: azuredevops}}]\n", at + ".issuer: expected entra, azureDevOps, https://login.microsoftonline.com/" + config.DefaultTenant + "/v2.0 or https://vstoken.dev.azure.com/"},
		{"cloud: AzureUSGovernment\n" + workload + ", issuer: entra}}]\n", at + ".issuer: expected azureDevOps, as the cloud is AzureUSGovernment, found entra"},
		{workload + "}, namespace: dev}]\n", "workloads[0].namespace: expected nothing beside serviceConnection, found dev"},
		{workload + "}, managedIdentity: imds}]\n", "workloads[0].managedIdentity: expected nothing beside serviceConnection, found imds"},
		{workload + "}, audience: \"api://mine\"}]\n", "workloads[0].audience: expected api://AzureADTokenExchange, or nothing, beside serviceConnection, found api://mine"},
		{"issuers: [{name: local}, {name: blue}]\n" + workload + "}, issuer: blue}]\n", "workloads[0].issuer: expected nothing beside serviceConnection, found blue"},
		{"issuers: [{name: local}, {name: blue}]\n" + workload + ", issuer: azureDevOps}, issuer: blue}]\n", "workloads[0].issuer: expected nothing beside serviceConnection, found blue"},
		{workload + "}}, {clientId: " + jobClientID + ", serviceConnection: {organization: contoso, project: billing, name: arm}}]\n", "workloads[1].name: expected a name of its own, found arm, as workloads[0] has; give each of the two a name"},
		{workload + "}}, {clientId: " + jobClientID + ", serviceConnection: {organization: contoso, project: shop, name: arm, issuer: azureDevOps}}]\n", "workloads[1].name: expected a name of its own, found arm"},
		{workload + "}}, {name: arm, clientId: " + jobClientID + ", namespace: shop, serviceAccount: web}]\n", "workloads[1].name: expected a name of its own, found arm"},
		{workload + "}, githubJob: {repository: contoso/shop}}]\n", at + ": expected nothing beside githubJob, found arm"},
		{"issuers: [{name: devops, url: \"https://vstoken.dev.azure.com/0ca3ddd9-f0b0-4635-a98c-5866526961b6\", external: true}]\n" + workload + ", issuer: \"https://vstoken.dev.azure.com/0ca3ddd9-f0b0-4635-a98c-5866526961b6\"}}]\n", at + ": expected an issuer at https://vstoken.dev.azure.com/0ca3ddd9-f0b0-4635-a98c-5866526961b6 that wiemu hosts, to make the connection's tokens, found devops, which is external"},
	} {
		if _, err := config.Parse("wiemu.yaml", []byte(row.file)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v; want %s", row.file, err, row.want)
		}
	}
}
