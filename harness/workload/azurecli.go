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
	found := identity{subscription: `"$(echo "$id" | cut -d/ -f3)"`, group: `"$(echo "$id" | cut -d/ -f5)"`, name: `"${id##*/}"`}
	indent := strings.NewReplacer("\n", "\n  ")
	for _, row := range rows {
		p.title(row)
		p.line("id=$(managed_identity %s)", shellQuote(row.ClientID))
		p.line(`if [ -n "$id" ]; then`)
		p.line(`  %s`, indent.Replace(found.write("create", row)))
		p.line(`else`)
		p.line(`  %s`, indent.Replace(Holder{ClientID: row.ClientID}.Create(row)))
		p.line(`fi`)
	}
}

// Holder is who has federated credentials in real Azure: a managed identity if
// it has a resource id, otherwise an app registration.
type Holder struct {
	ClientID   string
	ResourceID string // /subscriptions/…/userAssignedIdentities/NAME
}

// Create is the az command that creates a federated credential.
func (h Holder) Create(row TrustRow) string {
	if id, ok := h.identity(); ok {
		return id.write("create", row)
	}
	return "az ad app federated-credential create --id " + shellQuote(h.ClientID) + " \\\n  --parameters " + shellQuote(parameters(row))
}

// Update is the az command that gives the federated credential row.Name the
// issuer, subject and audience of the row.
func (h Holder) Update(row TrustRow) string {
	if id, ok := h.identity(); ok {
		return id.write("update", row)
	}
	return "az ad app federated-credential update --id " + shellQuote(h.ClientID) + " --federated-credential-id " + shellQuote(row.Name) +
		" \\\n  --parameters " + shellQuote(parameters(row))
}

// Delete is the az command that removes a federated credential.
func (h Holder) Delete(name string) string {
	if id, ok := h.identity(); ok {
		return id.command("delete") + " \\\n  --name " + shellQuote(name) + " --yes"
	}
	return "az ad app federated-credential delete --id " + shellQuote(h.ClientID) + " --federated-credential-id " + shellQuote(name)
}

// List is the az command that lists the federated credentials.
func (h Holder) List() string {
	if id, ok := h.identity(); ok {
		return id.command("list") + " --output json"
	}
	return "az ad app federated-credential list --id " + shellQuote(h.ClientID) + " --output json"
}

// identity takes the resource id apart.
func (h Holder) identity() (identity, bool) {
	parts := strings.Split(h.ResourceID, "/") // "", subscriptions, ID, resourceGroups, GROUP, providers, …, NAME
	if len(parts) != 9 {
		return identity{}, false
	}
	return identity{subscription: shellQuote(parts[2]), group: shellQuote(parts[4]), name: shellQuote(parts[8])}, true
}

// identity names a managed identity; its fields are words of a shell.
type identity struct{ subscription, group, name string }

func (i identity) command(verb string) string {
	return "az identity federated-credential " + verb + " --subscription " + i.subscription + " \\\n  --resource-group " + i.group + " --identity-name " + i.name
}

func (i identity) write(verb string, row TrustRow) string {
	return i.command(verb) + " \\\n  --name " + shellQuote(row.Name) + " --audiences " + shellQuote(row.Audience) +
		" \\\n  --issuer " + shellQuote(row.Issuer) + " \\\n  --subject " + shellQuote(row.Subject)
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
