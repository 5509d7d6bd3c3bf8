package workload

import (
	"encoding/json"
	"regexp"
	"strings"
)

// writeAzureCLI writes a POSIX shell script. A client id does not say whether it
// is that of an app registration or of a managed identity; the directory does:
// the service principal of a managed identity has its resource id among its
// alternative names. The Radix CLI tells them apart in the same way.
func writeAzureCLI(p printer, rows []TrustRow) {
	p.remark("For sh: run it, or paste it, logged in with az login as an owner of the identities.")
	p.line("")
	p.line(`# managed_identity CLIENT_ID: the resource id of a user-assigned managed identity, or nothing
# for an app registration.
managed_identity() {
  az ad sp show --id "$1" --query 'alternativeNames' --output tsv | tr '\t' '\n' |
    grep -i '/providers/Microsoft.ManagedIdentity/userAssignedIdentities/' || true
}`)
	for _, row := range rows {
		p.title(row)
		p.line("id=$(managed_identity %s)", shellQuote(row.ClientID))
		p.line(`if [ -n "$id" ]; then`)
		p.line(`  az identity federated-credential create --subscription "$(echo "$id" | cut -d/ -f3)" \`)
		p.line(`    --resource-group "$(echo "$id" | cut -d/ -f5)" --identity-name "${id##*/}" \`)
		p.line(`    --name %s --audiences %s \`, shellQuote(row.Name), shellQuote(row.Audience))
		p.line(`    --issuer %s \`, shellQuote(row.Issuer))
		p.line(`    --subject %s`, shellQuote(row.Subject))
		p.line(`else`)
		p.line(`  az ad app federated-credential create --id %s \`, shellQuote(row.ClientID))
		p.line(`    --parameters %s`, shellQuote(parameters(row)))
		p.line(`fi`)
	}
}

// parameters is what az ad app federated-credential create takes.
func parameters(row TrustRow) string {
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(struct { // strings alone: it cannot fail
		Name      string   `json:"name"`
		Issuer    string   `json:"issuer"`
		Subject   string   `json:"subject"`
		Audiences []string `json:"audiences"`
	}{row.Name, row.Issuer, row.Subject, []string{row.Audience}})
	return strings.TrimSpace(b.String())
}

var plainInShell = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./-]+$`)

// shellQuote makes text one word of a POSIX shell.
func shellQuote(text string) string {
	if plainInShell.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
