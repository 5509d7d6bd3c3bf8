package workload

import (
	"crypto/sha1" // names, not secrets
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/tenants"
)

// TrustRow is one federated credential that has to exist: what the Radix console
// shows under "Azure Federated Credentials Configuration".
type TrustRow struct {
	ClientID       string   `json:"clientId"`
	Name           string   `json:"name"` // a suggestion, unique per client id
	Issuer         string   `json:"issuer"`
	Subject        string   `json:"subject"`
	Audience       string   `json:"audience"`
	Namespace      string   `json:"namespace"`
	ServiceAccount string   `json:"serviceAccount"`
	Application    string   `json:"application,omitempty"`
	Environment    string   `json:"environment,omitempty"`
	Component      string   `json:"component,omitempty"`
	Role           Role     `json:"role,omitempty"`
	UsedBy         []string `json:"usedBy"` // every workload that the credential serves
}

// Trust returns the federated credentials that the workloads need so that each of the issuers is
// trusted: several while an application moves from one cluster to another. The audience is that of
// the cloud, TokenExchange of package cloud. Jobs of GitHub Actions and service connections
// of Azure DevOps have an issuer of their own instead. Workloads without a client id need none; those that
// share identity and subject share a credential, as Entra ID demands.
func Trust(workloads []Workload, issuers []string, audience string) []TrustRow {
	type key struct{ clientID, issuer, subject string }
	type name struct{ clientID, name string }
	type use struct {
		row int
		by  string
	}
	rows := []TrustRow{}
	at, named, used := map[key]int{}, map[name]bool{}, map[use]bool{}
	for _, w := range workloads {
		from := issuers
		if own := w.OwnIssuer(); own != "" {
			from = []string{own}
		}
		for i, issuer := range from {
			if w.ClientID == "" {
				continue
			}
			row := TrustRow{
				ClientID: w.ClientID, Name: w.CredentialName(), Issuer: issuer, Subject: w.Subject(), Audience: audience,
				Namespace: w.Namespace, ServiceAccount: w.ServiceAccount,
				Application: w.Application, Environment: w.Environment, Component: w.Component, Role: w.Role, UsedBy: []string{w.String()},
			}
			if i > 0 {
				row.Name = Marked(row.Name, issuer)
			}
			k := key{row.ClientID, row.Issuer, row.Subject}
			n, there := at[k]
			if !there {
				if named[name{row.ClientID, row.Name}] {
					row.Name = Marked(row.Name, row.Issuer+" "+row.Subject)
				}
				n = len(rows)
				at[k], named[name{row.ClientID, row.Name}] = n, true
				rows = append(rows, row)
			} else if !used[use{n, w.String()}] {
				rows[n].UsedBy = append(rows[n].UsedBy, w.String())
			}
			used[use{n, w.String()}] = true
		}
	}
	return rows
}

// Marked returns a credential's name for another issuer (or another subject), with the suffix
// by which the Radix CLI tells issuers apart:
// cmd/validateWorkloadIdentity.go, generateFederatedCredentialName.
func Marked(name, of string) string {
	sum := sha1.Sum([]byte(strings.ToLower(of)))
	mark := "_" + hex.EncodeToString(sum[:])[:10]
	return name[:min(len(name), tenants.MaxCredentialName-len(mark))] + mark
}

// TrustFormats are the formats that WriteTrust knows.
func TrustFormats() []string { return []string{"table", "json", "azcli", "bicep", "terraform"} }

// WriteTrust writes the rows in one of TrustFormats. azcli, bicep and terraform
// say how to create the credentials in real Azure: they need the https URLs of
// real issuers, and refuse those of a lab.
func WriteTrust(w io.Writer, rows []TrustRow, format string) error {
	switch format {
	case "table":
		return writeTable(w, rows)
	case "json":
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		return encoder.Encode(rows)
	case "azcli", "bicep", "terraform":
		return writeReal(w, rows, format)
	}
	return fmt.Errorf("trust: format %q: expected one of %s", format, strings.Join(TrustFormats(), ", "))
}

func writeTable(w io.Writer, rows []TrustRow) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ENVIRONMENT\tCOMPONENT\tCLIENT ID\tNAMESPACE\tSERVICE ACCOUNT\tSUBJECT\tAUDIENCE\tNAME\tISSUER")
	for _, r := range rows {
		cells := []string{r.Environment, r.Component, r.ClientID, r.Namespace, r.ServiceAccount, r.Subject, r.Audience, r.Name, r.Issuer}
		for i, cell := range cells {
			if cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}

// RealIssuer returns an error if a URL cannot be that of a cluster's issuer for the real Entra ID.
func RealIssuer(issuer string) error {
	const fix = "give the cluster's issuer URL with --issuer, to the letter (Radix console: Cluster Issuer URLs)"
	u, err := url.Parse(issuer)
	host := ""
	if err == nil {
		host = strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	}
	switch {
	case issuer == "":
		return fmt.Errorf("expected the URL of a real issuer, found none; %s", fix)
	case err != nil || u.Scheme != "https" || host == "" || u.User != nil:
		return fmt.Errorf("issuer %q: expected an https URL; %s", issuer, fix)
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#"):
		return fmt.Errorf("issuer %q: expected a URL without query and fragment; %s", issuer, fix)
	case strings.ContainsFunc(issuer, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return fmt.Errorf("issuer %q: expected a URL without white space; %s", issuer, fix)
	case host == "wiemu.test" || strings.HasSuffix(host, ".wiemu.test"):
		return fmt.Errorf("issuer %q exists in this lab only, and real Azure must not trust its name; %s", issuer, fix)
	case host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasPrefix(host, "127.") || host == "::1":
		return fmt.Errorf("issuer %q: Entra ID cannot reach this machine; %s", issuer, fix)
	}
	return nil
}

// representable refuses names that Kubernetes does not allow, before they reach a script.
func representable(row TrustRow) error {
	for what, name := range map[string]string{"namespace": row.Namespace, "service account": row.ServiceAccount} {
		if strings.HasPrefix(row.Subject, azwi.SubjectPrefix) && !nameForm().MatchString(strings.ReplaceAll(name, ".", "-")) {
			return fmt.Errorf("trust: %s %q: expected %s", what, name, nameRule)
		}
	}
	if _, err := ParseClientID(row.ClientID); err != nil {
		return fmt.Errorf("trust: %s: %w", row.Subject, err)
	}
	return nil
}
