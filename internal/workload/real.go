package workload

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
	"unicode"

	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/tenants"
)

// The formats that change something in Azure, by name. A client id does not say whether it is
// that of an app registration or of a managed identity; the directory does, which the az
// script and Terraform ask: the service principal of a managed identity has its resource id
// among its alternative names. The Radix CLI tells them apart in the same way. Bicep cannot,
// so that its file has the lines for app registrations as a comment.
//
//go:embed templates
var templates embed.FS

// credential is a row as the templates see it.
type credential struct {
	TrustRow
	Title  string // what it is for
	Symbol string // its name in Bicep and Terraform
	After  string // Symbol of the identity's credential before: Azure refuses to write two at once
}

func writeReal(w io.Writer, rows []TrustRow, format string) error {
	var issuers, clientIDs []string
	for _, row := range rows {
		if !slices.Contains(issuers, row.Issuer) {
			issuers = append(issuers, row.Issuer)
		}
		if !slices.Contains(clientIDs, row.ClientID) {
			clientIDs = append(clientIDs, row.ClientID)
		}
		if err := representable(row); err != nil {
			return err
		}
	}
	if len(issuers) == 0 {
		return fmt.Errorf("trust: format %s needs workloads with a client id and the URL of the cluster's issuer; give it with --issuer (Radix console: Cluster Issuer URLs)", format)
	}
	for _, issuer := range issuers {
		if err := RealIssuer(issuer); err != nil {
			return fmt.Errorf("trust: %w", err)
		}
	}
	var credentials []credential
	previous := map[string]string{}
	for _, row := range rows {
		c := credential{row, oneLine(strings.Join(row.UsedBy, ", ") + " (client id " + row.ClientID + ")"), symbol("credential", row.Name+"_"+row.ClientID), previous[row.ClientID]}
		previous[row.ClientID] = c.Symbol
		credentials = append(credentials, c)
	}
	// Parsed here, so that programs which write no trust do not link package text/template.
	parsed, err := template.New(format+".tmpl").Funcs(template.FuncMap{
		"sh": shellQuote, "bicep": bicepQuote, "hcl": hclQuote, "symbol": symbol, "indent": strings.NewReplacer("\n", "\n  ").Replace,
	}).ParseFS(templates, "templates/"+format+".tmpl")
	if err != nil {
		return err
	}
	return parsed.Execute(w, map[string]any{"Remarks": remarks(rows, issuers), "ClientIDs": clientIDs, "Credentials": credentials})
}

// remarks are what people trip over.
func remarks(rows []TrustRow, issuers []string) []string {
	all := []string{
		"Federated credentials, printed by wiemu trust. Issuer, subject and audience are compared",
		"to the letter, case and trailing slash included; a change takes up to a minute to work.",
	}
	remark := func(format string, args ...any) { all = append(all, oneLine(fmt.Sprintf(format, args...))) }
	for _, issuer := range issuers {
		with := strings.HasSuffix(issuer, "/")
		switch isAKS := strings.Contains(issuer, ".oic.prod-aks.azure.com"); {
		case isAKS && !with:
			remark("CHECK: %s has no trailing slash, but issuers of AKS end in one.", issuer)
		case with:
			remark("Issuer %s, with its trailing slash.", issuer)
		default:
			remark("Issuer %s, without a trailing slash: compare with the iss claim of a token.", issuer)
		}
	}
	counted := map[string]int{}
	for _, row := range rows {
		if counted[row.ClientID]++; counted[row.ClientID] == tenants.MaxFederatedCredentials+1 {
			remark("CHECK: client id %s needs more than %d credentials, the most that Entra ID allows.", row.ClientID, tenants.MaxFederatedCredentials)
		}
	}
	return all
}

// oneLine makes text the rest of a comment of one line.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}

// CreateManaged returns the az command for the managed identity whose resource id the script has found.
func (c credential) CreateManaged() string {
	return identity{subscription: `"$(echo "$id" | cut -d/ -f3)"`, group: `"$(echo "$id" | cut -d/ -f5)"`, name: `"${id##*/}"`}.write("create", c.TrustRow)
}

// CreateApplication returns the az command for an app registration.
func (c credential) CreateApplication() string {
	return Holder{ClientID: c.ClientID}.Create(c.TrustRow)
}

// symbol makes a name of Bicep and Terraform from text, a different one for each:
// _ is doubled, so that - can be _.
func symbol(prefix, text string) string {
	return prefix + "_" + strings.NewReplacer("_", "__", "-", "_").Replace(text)
}

func bicepQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "${", `\${`).Replace(text) + "'"
}

// hclQuote makes a string literal of Terraform's language.
func hclQuote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "${", "$${", "%{", "%%{").Replace(text) + `"`
}

// Holder is an identity with federated credentials in real Azure: a managed identity if it has
// a resource id, else an app registration.
type Holder struct {
	ClientID   string
	ResourceID string // /subscriptions/…/userAssignedIdentities/NAME
}

// Create returns the az command that creates a federated credential.
func (h Holder) Create(row TrustRow) string {
	if id, ok := h.identity(); ok {
		return id.write("create", row)
	}
	return "az ad app federated-credential create --id " + shellQuote(h.ClientID) + " \\\n  --parameters " + shellQuote(parameters(row))
}

// Update returns the az command that gives the federated credential row.Name the
// issuer, subject and audience of the row.
func (h Holder) Update(row TrustRow) string {
	if id, ok := h.identity(); ok {
		return id.write("update", row)
	}
	return "az ad app federated-credential update --id " + shellQuote(h.ClientID) + " --federated-credential-id " + shellQuote(row.Name) +
		" \\\n  --parameters " + shellQuote(parameters(row))
}

// Delete returns the az command that removes a federated credential.
func (h Holder) Delete(name string) string {
	if id, ok := h.identity(); ok {
		return id.command("delete") + " \\\n  --name " + shellQuote(name) + " --yes"
	}
	return "az ad app federated-credential delete --id " + shellQuote(h.ClientID) + " --federated-credential-id " + shellQuote(name)
}

// List returns the az command that lists the federated credentials.
func (h Holder) List() string {
	if id, ok := h.identity(); ok {
		return id.command("list") + " --output json"
	}
	return "az ad app federated-credential list --id " + shellQuote(h.ClientID) + " --output json"
}

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

var plainInShell = lazyregexp.New(`^[A-Za-z0-9_@%+:,./-]+$`)

// shellQuote makes text one word of a POSIX shell.
func shellQuote(text string) string {
	if plainInShell().MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
