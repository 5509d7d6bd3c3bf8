package workload

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/wiemu/wiemu/emulator/directory"
)

// A printer writes lines of a language with its comments.
type printer struct {
	b       *strings.Builder
	comment string
}

func (p printer) line(format string, args ...any) { fmt.Fprintf(p.b, format+"\n", args...) }

// remark writes a comment of one line, whatever is in it.
func (p printer) remark(format string, args ...any) {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, fmt.Sprintf(format, args...))
	p.line("%s %s", p.comment, text)
}

// remarks says, at the head of the output, what people trip over.
func (p printer) remarks(rows []TrustRow, issuers []string) {
	p.remark("Federated credentials, printed by wiemu trust. Issuer, subject and audience are compared")
	p.remark("to the letter, case and trailing slash included; a change takes up to a minute to work.")
	for _, issuer := range issuers {
		with := strings.HasSuffix(issuer, "/")
		isAKS := strings.Contains(issuer, ".oic.prod-aks.azure.com")
		switch {
		case isAKS && !with:
			p.remark("CHECK: %s has no trailing slash, but issuers of AKS end in one.", issuer)
		case with:
			p.remark("Issuer %s, with its trailing slash.", issuer)
		default:
			p.remark("Issuer %s, without a trailing slash: compare with the iss claim of a token.", issuer)
		}
	}
	counted := map[string]int{}
	for _, row := range rows {
		if counted[row.ClientID]++; counted[row.ClientID] == directory.MaxFederatedCredentials+1 {
			p.remark("CHECK: client id %s needs more than %d credentials, the most that Entra ID allows.", row.ClientID, directory.MaxFederatedCredentials)
		}
	}
}

// title says what a row is for.
func (p printer) title(row TrustRow) {
	p.line("")
	p.remark("%s (client id %s)", strings.Join(row.UsedBy, ", "), row.ClientID)
}

// clientIDs lists the identities of the rows, each once, in their order.
func clientIDs(rows []TrustRow) []string {
	var ids []string
	for _, row := range rows {
		if !slices.Contains(ids, row.ClientID) {
			ids = append(ids, row.ClientID)
		}
	}
	return ids
}

// symbol makes a name of Bicep and Terraform from text, a different one for each:
// _ is doubled, so that - can be _.
func symbol(prefix, text string) string {
	return prefix + "_" + strings.NewReplacer("_", "__", "-", "_").Replace(text)
}

// credentialSymbol is the symbol of a row. Names are unique per client id only.
func credentialSymbol(row TrustRow) string {
	return symbol("credential", row.Name+"_"+row.ClientID)
}
