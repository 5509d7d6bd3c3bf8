package entra

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/azwi"
)

// Nearest returns the federated credential that comes closest to a token with this
// issuer, subject and audience: the one with the fewest fields that differ, and
// of those the one that takes the fewest edits. It is nil if there is none, and
// has no differences if one matches.
func Nearest(credentials []directory.FederatedCredential, issuer, subject, audience string) *journal.Nearest {
	var best *directory.FederatedCredential
	var bestScore int
	for i := range credentials {
		c := &credentials[i]
		score := 0
		for _, pair := range [][2]string{{c.Issuer, issuer}, {c.Subject, subject}, {c.Audience, audience}} {
			if pair[0] != pair[1] {
				score += 10_000 + editDistance(pair[0], pair[1])
			}
		}
		if best == nil || score < bestScore {
			best, bestScore = c, score
		}
	}
	if best == nil {
		return nil
	}
	n := &journal.Nearest{Credential: best.Name}
	for _, d := range []struct {
		field, expected, presented string
		explain                    func(expected, presented string) []reason
	}{
		{"issuer", best.Issuer, issuer, explainIssuer},
		{"subject", best.Subject, subject, explainSubject},
		{"audience", best.Audience, audience, explainAudience},
	} {
		if d.expected == d.presented {
			continue
		}
		for _, why := range d.explain(d.expected, d.presented) {
			n.Differences = append(n.Differences, journal.Difference{Field: d.field, Expected: d.expected, Presented: d.presented, Kind: why.kind, Fix: why.fix})
		}
	}
	return n
}

// reason says in which way two values differ and what to change.
type reason struct{ kind, fix string }

func explainIssuer(expected, presented string) []reason {
	want, _ := url.Parse(expected)
	have, err := url.Parse(presented)
	setTo := fmt.Sprintf("set the credential's issuer to %s", presented)
	switch {
	case strings.TrimSpace(presented) != presented:
		return []reason{{"white space", "the token's iss has white space around it; Entra ID accepts no such token. Mend the issuer"}}
	case presented == expected+"/":
		return []reason{{"trailing slash", fmt.Sprintf("%s, with the slash at the end: the cluster writes one", setTo)}}
	case presented+"/" == expected:
		return []reason{{"trailing slash", fmt.Sprintf("%s, without the slash at the end: the issuer writes none", setTo)}}
	case strings.EqualFold(expected, presented):
		return []reason{{"case", setTo + ": upper and lower case count"}}
	case strings.EqualFold(strings.TrimSuffix(expected, "/"), strings.TrimSuffix(presented, "/")):
		return []reason{{"trailing slash", setTo + ": the slash at the end counts, and so do upper and lower case"}}
	case err == nil && have.Scheme != "https":
		return []reason{{"other", "the token's issuer is no https address, so its metadata cannot be fetched; give the cluster a --service-account-issuer that is"}}
	case err == nil && want != nil && want.Host == azureDevOpsHost && strings.HasSuffix(presented, "/v2.0"):
		return []reason{{"other", fmt.Sprintf("the token is of a service connection with the Entra issuer, the credential trusts that of Azure DevOps, which ends on 2027-07-01: the connection was converted, or made anew. Add a federated credential with issuer %s and the token's subject, as the connection shows them", presented)}}
	case err == nil && want != nil && have.Host == azureDevOpsHost && strings.HasSuffix(expected, "/v2.0"):
		return []reason{{"other", fmt.Sprintf("the token is of a service connection with the issuer of Azure DevOps, the credential trusts that of Entra ID: the connection is not converted. Convert it, or add a federated credential with issuer %s until 2027-07-01", presented)}}
	case err == nil && want != nil && !strings.EqualFold(have.Host, want.Host):
		return []reason{{"host", fmt.Sprintf("the token comes from %s, the credential trusts %s: another cluster%s. Add a second federated credential with issuer %s (during a migration keep the first)",
			have.Host, want.Host, typingError(want.Host, have.Host), presented)}}
	default:
		return []reason{{"other", fmt.Sprintf("the token comes from another issuer on the same host%s. Add a second federated credential with issuer %s, or run the workload on the cluster that is trusted", typingError(expected, presented), presented)}}
	}
}

// azureDevOpsHost has the issuers of Azure DevOps, one for each organization. Source, of the end, too:
// learn.microsoft.com, azure/devops/pipelines/release/convert-service-connections.
const azureDevOpsHost = "vstoken.dev.azure.com"

func explainSubject(expected, presented string) []reason {
	setTo := fmt.Sprintf("set the credential's subject to %s", presented)
	if strings.EqualFold(expected, presented) {
		return []reason{{"case", setTo + ": upper and lower case count since August 2024"}}
	}
	wantNamespace, wantAccount, wantOK := azwi.ParseSubject(expected)
	haveNamespace, haveAccount, haveOK := azwi.ParseSubject(presented)
	switch {
	case haveOK && !wantOK:
		return []reason{{"other", setTo + ": the subject of a Kubernetes service account is system:serviceaccount:NAMESPACE:NAME"}}
	case !haveOK && wantOK:
		return []reason{{"other", "the token is no service account's; send the content of AZURE_FEDERATED_TOKEN_FILE"}}
	case !haveOK:
		return []reason{{"other", setTo + typingError(expected, presented)}}
	}
	var found []reason
	if wantNamespace != haveNamespace {
		found = append(found, reason{"namespace", fmt.Sprintf("the token is of namespace %s, the credential trusts %s%s: %s, or run the workload in namespace %s",
			haveNamespace, wantNamespace, typingError(wantNamespace, haveNamespace), setTo, wantNamespace)})
	}
	if wantAccount != haveAccount {
		found = append(found, reason{"service account", fmt.Sprintf("the token is of service account %s, the credential trusts %s%s: %s, or run the workload as service account %s",
			haveAccount, wantAccount, typingError(wantAccount, haveAccount), setTo, wantAccount)})
	}
	return found
}

func explainAudience(expected, presented string) []reason {
	want, have := bareAudience(expected), bareAudience(presented)
	askFor := fmt.Sprintf("ask for a token with audience %s", expected)
	switch {
	case strings.EqualFold(expected, presented):
		return []reason{{"case", askFor + ": upper and lower case count"}}
	case strings.TrimSuffix(expected, "/") == strings.TrimSuffix(presented, "/"):
		return []reason{{"trailing slash", askFor + ": a slash at the end counts"}}
	case want == have:
		return []reason{{"audience form", askFor + ", written exactly so"}}
	case strings.HasPrefix(have, want) || strings.HasPrefix(want, have):
		return []reason{{"audience form", fmt.Sprintf("%s: %s is another cloud's", askFor, presented)}}
	case presented == "api://AKSIdentityBinding":
		return []reason{{"audience form", "the token is for the identity binding proxy of AKS: switch the proxy on in the credential (EnableAzureProxy)"}}
	case strings.Contains(presented, "kubernetes.default.svc") || strings.HasPrefix(presented, "https://") && strings.HasPrefix(expected, "api://"):
		return []reason{{"audience form", "the token is meant for somebody else, probably the API server: send the content of AZURE_FEDERATED_TOKEN_FILE, not of /var/run/secrets/kubernetes.io/serviceaccount/token"}}
	default:
		return []reason{{"other", fmt.Sprintf("%s%s, or set the credential's audience to %s", askFor, typingError(expected, presented), presented)}}
	}
}

// bareAudience is an audience without what people add to it or leave out.
func bareAudience(s string) string {
	return strings.Trim(strings.TrimPrefix(strings.ToLower(s), "api://"), "/")
}

// typingError says so when two names are so alike that one is probably meant to
// be the other.
func typingError(expected, presented string) string {
	n := editDistance(expected, presented)
	if n > 2 || 3*n > len(expected) {
		return ""
	}
	if n == 1 {
		return " (one character differs: a typing error?)"
	}
	return fmt.Sprintf(" (%d characters differ: a typing error?)", n)
}

// editDistance counts the insertions, deletions and replacements between two
// strings (Levenshtein), looking at no more than their first bytes: what is
// presented has any length.
func editDistance(a, b string) int {
	const most = 200
	a, b = a[:min(len(a), most)], b[:min(len(b), most)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// maxSearch bounds the search for the application that was probably meant.
const maxSearch = 2000 // principals

// trustedElsewhere looks for another application of the tenant whose federated
// credential matches the assertion altogether: then AZURE_CLIENT_ID is wrong.
func (x *exchange) trustedElsewhere() string {
	others := x.service.config.Directory.Principals(x.tenant.ID)
	for _, p := range others[:min(len(others), maxSearch)] {
		for i := range p.FederatedCredentials {
			c := &p.FederatedCredentials[i]
			if p != x.principal && c.Issuer == x.assertion.Issuer && c.Subject == x.assertion.Subject && c.Audience == x.assertion.Audience.String() {
				return fmt.Sprintf("The federated credential %s of %s matches this token: set AZURE_CLIENT_ID to %s if that is who is meant.", c.Name, kindNote(p), p.ClientID)
			}
		}
	}
	return ""
}
