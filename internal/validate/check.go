package validate

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/serviceconnection"
	"github.com/wiemu/wiemu/internal/tenants"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Options configure a check.
type Options struct {
	// Issuers are the URLs of the clusters' issuers, to the letter: two during a
	// migration. Required for a real directory; a wiemu.yaml has its own.
	Issuers []string

	// Environment is the Radix environment to check. If empty, all are checked. Federated
	// credentials that the others need still count as used.
	Environment string
}

// Check compares the trust that workloads need with the trust that the directory has. Its
// error is about the issuers, not about the workloads.
func Check(workloads []Workload, d *Directory, o Options) (Report, error) {
	in, _ := cloud.Named(d.config.Cloud) // Complete has checked it; what az exports names none
	c := check{directory: d, audience: in.TokenExchange, needed: map[trust]bool{}, planned: map[*Holder][]string{}, mended: map[*Holder][]string{}, by: map[trust]string{}}
	for _, issuer := range o.Issuers {
		if !slices.Contains(c.issuers, issuer) {
			c.issuers = append(c.issuers, issuer)
		}
	}
	if len(c.issuers) == 0 {
		c.issuers = d.Issuers
	}
	if len(c.issuers) == 0 {
		return Report{}, errors.New("a real directory does not say which cluster runs the workloads; give the URL of its issuer with --issuer, to the letter (Radix console: Cluster Issuer URLs; AKS: az aks show --query oidcIssuerProfile.issuerUrl)")
	}
	c.real = true
	for _, issuer := range c.issuers {
		err := workload.RealIssuer(issuer)
		if err != nil && !d.Lab {
			return Report{}, err
		}
		c.real = c.real && err == nil
	}
	for _, w := range workloads {
		for _, issuer := range c.issuersOf(w) {
			c.needed[trust{w.ClientID, issuer, w.Subject()}] = true
		}
	}
	r := Report{Workloads: []Verdict{}, Identities: []Identity{}}
	for _, w := range workloads {
		if o.Environment == "" || w.Environment == o.Environment {
			r.Workloads = append(r.Workloads, c.workload(w))
		}
	}
	for _, h := range d.Holders {
		if (h.Place != "" || h.Places != nil) && !slices.Contains(c.holders, h) {
			c.holders = append(c.holders, h)
		}
	}
	r.Identities = append(r.Identities, c.identities()...)
	if d.plan != nil {
		r.Trusts, r.Identities = d.Trusts, append(r.Identities, d.plan.findings...)
	}
	r.count()
	return r, nil
}

func (r *Report) count() {
	count := func(findings []Finding) {
		for _, f := range findings {
			if f.Severity == Error {
				r.Errors++
			} else {
				r.Warnings++
			}
		}
	}
	for _, v := range r.Workloads {
		count(v.Findings)
	}
	for _, i := range r.Identities {
		count(i.Findings)
	}
}

type check struct {
	directory *Directory
	issuers   []string
	audience  string // of tokens for the cloud's Entra ID
	real      bool   // az commands about the issuers make sense

	needed  map[trust]bool
	holders []*Holder            // of the workloads that were looked at
	planned map[*Holder][]string // names of federated credentials to create
	mended  map[*Holder][]string // names of those to change
	by      map[trust]string     // workload with the finding that has the command
}

type trust struct{ clientID, issuer, subject string }

func (c *check) issuersOf(w Workload) []string {
	switch own := w.OwnIssuer(); {
	case serviceconnection.Is(w.ServiceConnection):
		return []string{own}
	case own != "":
		return w.Issuers // whatever the cluster's is
	}
	if len(w.Issuers) > 0 && slices.Equal(c.issuers, c.directory.Issuers) {
		return w.Issuers
	}
	return c.issuers
}

func (c *check) workload(w Workload) Verdict {
	v := Verdict{
		Name: w.String(), Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, ClientID: w.ClientID, Subject: w.Subject(),
		Place: w.Place, Trusted: []Trusted{}, Findings: append([]Finding{}, w.Findings...),
	}
	if w.ClientID == "" {
		return v
	}
	h := c.directory.Find(w.ClientID, w.Tenant)
	if h == nil {
		if !c.madeByPlan(w, &v) {
			v.Findings = append(v.Findings, c.unknown(w))
		}
		return v
	}
	if !slices.Contains(c.holders, h) {
		c.holders = append(c.holders, h)
	}
	v.Findings = append(v.Findings, c.account(w, h)...)
	if !h.Known {
		v.Findings = append(v.Findings, c.notKnown(h))
		return v
	}
	for _, issuer := range c.issuersOf(w) {
		credential, f := c.trust(w, h, issuer)
		if f == nil {
			v.Trusted = append(v.Trusted, Trusted{issuer, credential})
			continue
		}
		if later := h.later(w.Subject()); later != nil {
			f = later
		}
		v.Findings = append(v.Findings, *f)
	}
	return v
}

// unknown returns the finding for a client id that the directory does not have. A lab creates
// identities that its file does not describe.
func (c *check) unknown(w Workload) Finding {
	f := Finding{Severity: Error, Kind: UnknownClient, Code: unknownClient, Text: "the directory has no application or managed identity with client id " + w.ClientID}
	var ids []string
	for _, h := range c.directory.Holders {
		ids = append(ids, h.ClientID)
		if slices.Contains(h.ObjectIDs, w.ClientID) {
			f.Text += ": it is the object id of " + h.String()
			f.Fix = "write its client id, " + h.ClientID
		}
	}
	f.Fix = cmp.Or(f.Fix, yamlfile.DidYouMean(w.ClientID, ids))
	if h := c.deleted(w.ClientID); h != nil {
		f.Kind, f.Text, f.Fix = Deleted, "the plan deletes "+h.String()+", whose client id it uses", "keep the identity, or give the workload another one first"
		return f
	}
	switch {
	case c.directory.Lab:
		f.Severity, f.Code, f.Fix = Warning, 0, cmp.Or(f.Fix, "a lab makes it, so nothing was checked; describe it in wiemu.yaml with the federatedCredentials that it has in Azure")
	case f.Fix == "":
		f.Fix = "mend the client id, or export this identity, too; this command says whether it exists"
		f.Command = "az ad sp show --id " + w.ClientID
	}
	return f
}

// deleted is the identity with a client id that a plan deletes or replaces; nil if it does not.
func (c *check) deleted(clientID string) *Holder {
	for _, h := range c.directory.deleted {
		if strings.EqualFold(h.ClientID, clientID) {
			return h
		}
	}
	return nil
}

// The codes with which a workload would fail.
var (
	unknownClient  = aadsts.UnknownApplication("", "").Code
	disabledClient = aadsts.DisabledApplication("", "").Code
)

func (c *check) account(w Workload, h *Holder) []Finding {
	var found []Finding
	tenant := c.directory.tenant(w.Tenant)
	if _, err := uuid.Parse(tenant); err == nil && h.Tenant != "" && tenant != h.Tenant { // a domain that no file explains may be right
		found = append(found, Finding{
			Severity: Error, Kind: WrongTenant, Code: unknownClient, Text: fmt.Sprintf("it asks tenant %s, but %s is of tenant %s", w.Tenant, h, h.Tenant),
			Fix: "write " + h.Tenant + " where the tenant is named: the annotation " + azwi.TenantIDAnnotation + " or AZURE_TENANT_ID",
		})
	}
	if h.Disabled {
		f := Finding{Severity: Error, Kind: Disabled, Code: disabledClient, Text: h.String() + " is disabled", Fix: "enable its service principal, if it was not disabled for a reason"}
		if c.directory.Lab {
			f.Fix = "take disabled: true out of wiemu.yaml"
		} else {
			f.Command = "az ad sp update --id " + h.ClientID + " --set accountEnabled=true"
		}
		found = append(found, f)
	}
	return found
}

// expressions returns findings for flexible federated credentials that were meant for a
// cluster.
func (c *check) expressions(h *Holder) []Finding {
	var found []Finding
	for _, x := range h.Expressions {
		if flexibleIssuer(x.Issuer) || !slices.Contains(c.issuers, x.Issuer) && !strings.Contains(x.Value, azwi.SubjectPrefix) {
			continue
		}
		f := Finding{
			Severity: Error, Kind: Flexible, Credential: x.Name,
			Text: fmt.Sprintf("the flexible federated credential %s (%s) matches no token of a cluster: Entra ID takes expressions for the issuers of GitHub, GitLab and Terraform Cloud only", x.Name, x.Value),
			Fix:  "remove it; each service account needs a federated credential of its own",
		}
		if !c.directory.Lab {
			f.Command = h.azure().Delete(x.Name)
		}
		found = append(found, f)
	}
	return found
}

// flexibleIssuer reports whether Entra ID takes expressions for an issuer.
// Source: entra-docs, docs/workload-id/workload-identities-flexible-federated-identity-credentials.md.
func flexibleIssuer(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && slices.Contains([]string{"token.actions.githubusercontent.com", "gitlab.com", "app.terraform.io"}, strings.ToLower(u.Hostname()))
}

// notKnown returns the finding that the files do not show what the identity trusts.
func (c *check) notKnown(h *Holder) Finding {
	if c.directory.Lab {
		return Finding{Severity: Warning, Kind: NotExported, Text: "wiemu.yaml lists no federatedCredentials for " + h.String() + ": a lab makes those that are needed, so nothing was checked",
			Fix: "list what there is in Azure below federatedCredentials"}
	}
	return Finding{
		Severity: Error, Kind: NotExported, Text: "the export says nothing of the federated credentials of " + h.String(), Fix: "export them into a file of this name",
		Command: h.azure().List() + " > " + h.ClientID + ".json",
	}
}

func (h *Holder) azure() workload.Holder {
	return workload.Holder{ClientID: h.ClientID, ResourceID: h.ResourceID}
}

// String names the holder for messages.
func (h *Holder) String() string {
	what := cmp.Or(h.kind, "application")
	if h.ResourceID != "" {
		what = "managed identity"
	}
	return strings.TrimSpace(what + " " + cmp.Or(h.Name, h.ClientID))
}

// identities returns the findings about identities: unused federated credentials, and the
// limit of their number.
func (c *check) identities() []Identity {
	var all []Identity
	for _, h := range c.holders {
		i := Identity{ClientID: h.ClientID, Name: h.Name, Findings: c.expressions(h)}
		have, more := len(h.Credentials)+len(h.Expressions), len(c.planned[h])
		switch {
		case have+more > tenants.MaxFederatedCredentials && more > 0:
			i.Findings = append(i.Findings, Finding{
				Severity: Error, Kind: Limit, Text: fmt.Sprintf("%s has %d federated credentials and needs %d more: Entra ID allows %d", h, have, more, tenants.MaxFederatedCredentials),
				Fix: "remove what nobody uses, or give some workloads an identity of their own",
			})
		case have >= tenants.MaxFederatedCredentials:
			i.Findings = append(i.Findings, Finding{
				Severity: Warning, Kind: Limit, Text: fmt.Sprintf("%s has %d federated credentials, as many as Entra ID allows: another cluster or workload would have no room", h, have),
				Fix: "remove what nobody uses, or give some workloads an identity of their own",
			})
		}
		for _, f := range c.unused(h) {
			if !strings.HasPrefix(f.Subject, azwi.SubjectPrefix) || slices.Contains(c.mended[h], f.Name) {
				continue
			}
			orphan := Finding{
				Severity: Warning, Kind: Orphan, Credential: f.Name,
				Text: fmt.Sprintf("nobody here uses the federated credential %s of %s, which trusts %s of %s", f.Name, h, f.Subject, f.Issuer),
				Fix:  "remove it, unless something uses it that these files do not describe",
			}
			if !slices.Contains(c.issuers, f.Issuer) {
				orphan.Text += ", an issuer that --issuer does not name"
			}
			if place := h.Places[strings.ToLower(f.Name)]; place != "" {
				orphan.Text += " (" + place + ")"
			} else if !c.directory.Lab {
				orphan.Command = h.azure().Delete(f.Name)
			}
			i.Findings = append(i.Findings, orphan)
		}
		if len(i.Findings) > 0 {
			all = append(all, i)
		}
	}
	return all
}
