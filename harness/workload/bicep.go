package workload

import "strings"

// writeBicep writes a Bicep file for user-assigned managed identities, and the
// same for app registrations as a comment: Bicep cannot find out what a client id
// belongs to.
func writeBicep(p printer, rows []TrustRow) {
	p.line("")
	p.remark("Bicep knows an identity by its name. These are taken for user-assigned managed identities of")
	p.remark("the resource group that is deployed to; for an app registration use the lines at the end.")
	for _, id := range clientIDs(rows) {
		p.line("")
		p.line("@description(%s)", bicepQuote("Name of the user-assigned managed identity with client id "+id))
		p.line("param %s string", symbol("identityName", id))
		p.line("")
		p.line("resource %s 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {", symbol("identity", id))
		p.line("  name: %s", symbol("identityName", id))
		p.line("}")
	}
	previous := map[string]string{} // Azure refuses to write two credentials of an identity at once
	for _, row := range rows {
		p.title(row)
		p.line("resource %s 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2023-01-31' = {", credentialSymbol(row))
		p.line("  parent: %s", symbol("identity", row.ClientID))
		p.line("  name: %s", bicepQuote(row.Name))
		p.bicepProperties("  ", "properties: {", row)
		if before := previous[row.ClientID]; before != "" {
			p.line("  dependsOn: [")
			p.line("    %s", before)
			p.line("  ]")
		}
		p.line("}")
		previous[row.ClientID] = credentialSymbol(row)
	}
	writeGraphBicep(p, rows)
}

// writeGraphBicep writes the alternative for app registrations.
func writeGraphBicep(p printer, rows []TrustRow) {
	p.line("")
	p.remark("For app registrations, with this in bicepconfig.json:")
	p.remark(`  {"extensions": {"microsoftGraphV1": "br:mcr.microsoft.com/bicep/extensions/microsoftgraph/v1.0:1.0.0"}}`)
	var b strings.Builder
	q := printer{&b, "//"}
	q.line("extension microsoftGraphV1")
	for _, id := range clientIDs(rows) {
		q.line("")
		q.line("@description(%s)", bicepQuote("uniqueName of the app registration with client id "+id))
		q.line("param %s string", symbol("applicationName", id))
		q.line("")
		q.line("resource %s 'Microsoft.Graph/applications@v1.0' existing = {", symbol("application", id))
		q.line("  uniqueName: %s", symbol("applicationName", id))
		q.line("}")
	}
	for _, row := range rows {
		q.line("")
		q.line("resource %s 'Microsoft.Graph/applications/federatedIdentityCredentials@v1.0' = {", symbol("application", credentialSymbol(row)))
		q.line("  name: '${%s.uniqueName}/%s'", symbol("application", row.ClientID), row.Name)
		q.bicepProperties("  ", "", row)
		q.line("}")
	}
	p.line("")
	for line := range strings.Lines(b.String()) {
		p.b.WriteString(strings.TrimRight("// "+line, " \n") + "\n")
	}
}

// bicepProperties writes issuer, subject and audiences, in an object if one is opened.
func (p printer) bicepProperties(indent, open string, row TrustRow) {
	inner := indent
	if open != "" {
		p.line("%s%s", indent, open)
		inner += "  "
	}
	p.line("%sissuer: %s", inner, bicepQuote(row.Issuer))
	p.line("%ssubject: %s", inner, bicepQuote(row.Subject))
	p.line("%saudiences: [", inner)
	p.line("%s  %s", inner, bicepQuote(row.Audience))
	p.line("%s]", inner)
	if open != "" {
		p.line("%s}", indent)
	}
}

// bicepQuote makes a string literal of Bicep.
func bicepQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "${", `\${`).Replace(text) + "'"
}
