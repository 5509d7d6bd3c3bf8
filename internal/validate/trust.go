package validate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/entra/aadsts"
	"github.com/wiemu/wiemu/internal/workload"
)

// trust returns the federated credential that matches the workload's tokens of an issuer, or
// the finding that says what to create or change.
func (c *check) trust(w Workload, h *Holder, issuer string) (credential string, _ *Finding) {
	row := workload.Trust([]workload.Workload{w.Workload}, []string{issuer}, c.audience)[0]
	row.Audience = cmp.Or(w.Audience, row.Audience)
	same := func(f directory.FederatedCredential) bool { return f.Issuer == row.Issuer && f.Subject == row.Subject }
	if at := slices.IndexFunc(h.Credentials, same); at >= 0 {
		f := h.Credentials[at]
		if f.Audience == row.Audience {
			return f.Name, nil
		}
		return "", c.wrongAudience(h, f, row)
	}
	finding := c.missing(h, row)
	key := trust{w.ClientID, row.Issuer, row.Subject}
	if by := c.by[key]; by != "" {
		finding.Credential, finding.Differences, finding.Fix = "", nil, "what mends "+by+" mends this, too"
		return "", finding
	}
	c.by[key] = w.String()
	near := c.nearest(h, row)
	if near != nil && finding.Kind != SecondIssuer {
		finding.Credential, finding.Differences = near.Credential, near.Differences
	}
	if near != nil && isSlip(near) {
		row.Name = near.Credential
		c.mended[h] = append(c.mended[h], row.Name)
		finding.Fix, finding.Command = c.change(h, row)
		return "", finding
	}
	for c.taken(h, row.Name) {
		row.Name = workload.Marked(row.Name, row.Issuer+" "+row.Subject)
	}
	c.planned[h] = append(c.planned[h], row.Name)
	finding.Fix = "create the federated credential " + row.Name
	if c.real {
		finding.Command = h.azure().Create(row)
	} else {
		finding.Fix = fmt.Sprintf("add to its federatedCredentials in wiemu.yaml: {name: %s, issuer: %q, subject: %q, audience: %q}", row.Name, row.Issuer, row.Subject, row.Audience)
	}
	return "", finding
}

// wrongAudience returns the finding for a federated credential with another audience. Entra
// ID would refuse a second one with the same issuer and subject.
func (c *check) wrongAudience(h *Holder, f directory.FederatedCredential, row workload.TrustRow) *Finding {
	finding := &Finding{
		Severity: Error, Kind: Audience, Code: aadsts.NoMatchingAudience("").Code, Credential: f.Name,
		Text: fmt.Sprintf("the federated credential %s of %s is for audience %s, the token is for %s", f.Name, h, f.Audience, row.Audience),
	}
	if near := entra.Nearest([]directory.FederatedCredential{f}, row.Issuer, row.Subject, row.Audience); near != nil {
		finding.Differences = near.Differences
	}
	if row.Audience == c.audience {
		row.Name = f.Name
		finding.Fix, finding.Command = c.change(h, row)
	}
	return finding
}

func (c *check) change(h *Holder, row workload.TrustRow) (fix, command string) {
	if place := h.Places[strings.ToLower(row.Name)]; place != "" {
		return fmt.Sprintf("in %s, write issuer %q, subject %q and audience %q", place, row.Issuer, row.Subject, row.Audience), ""
	}
	if c.real {
		return "change the federated credential " + row.Name, h.azure().Update(row)
	}
	return "change it in wiemu.yaml: " + fmt.Sprintf("{name: %s, issuer: %q, subject: %q, audience: %q}", row.Name, row.Issuer, row.Subject, row.Audience), ""
}

// missing returns the finding with the error that Entra ID would return.
func (c *check) missing(h *Holder, row workload.TrustRow) *Finding {
	f := &Finding{Severity: Error}
	byIssuer := func(f directory.FederatedCredential) bool { return f.Issuer == row.Issuer }
	elsewhere := slices.IndexFunc(h.Credentials, func(f directory.FederatedCredential) bool {
		return f.Subject == row.Subject && f.Audience == row.Audience && slices.Contains(c.issuers, f.Issuer)
	})
	switch {
	case len(h.Credentials) == 0:
		f.Kind, f.Code = Untrusted, aadsts.NoFederatedCredentials("").Code
		f.Text = fmt.Sprintf("%s has no federated credential: it trusts nobody (issuer %s)", h, row.Issuer)
	case elsewhere >= 0:
		f.Kind, f.Code = SecondIssuer, aadsts.NoMatchingIssuer("").Code
		if slices.ContainsFunc(h.Credentials, byIssuer) {
			f.Code = aadsts.NoMatchingSubject("").Code
		}
		f.Text = fmt.Sprintf("%s trusts %s of %s, but not of the other issuer, %s: on that cluster it gets no token", h, row.Subject, h.Credentials[elsewhere].Issuer, row.Issuer)
	case !slices.ContainsFunc(h.Credentials, byIssuer):
		f.Kind, f.Code = Issuer, aadsts.NoMatchingIssuer("").Code
		f.Text = fmt.Sprintf("no federated credential of %s trusts the issuer %s", h, row.Issuer)
	default:
		f.Kind, f.Code = Subject, aadsts.NoMatchingSubject("").Code
		if slices.ContainsFunc(h.Credentials, func(f directory.FederatedCredential) bool {
			return byIssuer(f) && strings.EqualFold(f.Subject, row.Subject)
		}) {
			f.Code = aadsts.SubjectDiffersInCase("").Code
		}
		f.Text = fmt.Sprintf("no federated credential of %s trusts %s of %s", h, row.Subject, row.Issuer)
	}
	return f
}

// nearest returns the federated credential that was probably meant for the row: one that no
// workload uses, with a similar subject, or a similar issuer and part of the subject.
func (c *check) nearest(h *Holder, row workload.TrustRow) *journal.Nearest {
	var candidates []directory.FederatedCredential
	for _, f := range c.unused(h) {
		if !slices.Contains(c.mended[h], f.Name) && (alike(f.Subject, row.Subject) || alike(f.Issuer, row.Issuer) && shareAPart(f.Subject, row)) {
			candidates = append(candidates, f)
		}
	}
	return entra.Nearest(candidates, row.Issuer, row.Subject, row.Audience)
}

// shareAPart reports whether a subject has the row's namespace or service account.
func shareAPart(subject string, row workload.TrustRow) bool {
	parts := strings.Split(subject, ":") // system:serviceaccount:NAMESPACE:NAME
	return len(parts) == 4 && (alike(parts[2], row.Namespace) || alike(parts[3], row.ServiceAccount))
}

// alike compares without regard to case and trailing slashes.
func alike(a, b string) bool {
	return strings.EqualFold(strings.TrimRight(a, "/"), strings.TrimRight(b, "/"))
}

// isSlip reports whether a credential is a misspelling of what is expected. It can be
// changed safely then, as it matches no real workload.
func isSlip(near *journal.Nearest) bool {
	return !slices.ContainsFunc(near.Differences, func(d journal.Difference) bool {
		return d.Field != "audience" && !alike(d.Expected, d.Presented)
	})
}

func (c *check) unused(h *Holder) []directory.FederatedCredential {
	var found []directory.FederatedCredential
	for _, f := range h.Credentials {
		if !c.needs(h, f) {
			found = append(found, f)
		}
	}
	return found
}

// needs reports whether a workload uses a federated credential. Who uses one of an identity that
// has no client id yet does not know it.
func (c *check) needs(h *Holder, f directory.FederatedCredential) bool {
	if h.ClientID != "" {
		return c.needed[trust{h.ClientID, f.Issuer, f.Subject}]
	}
	for t := range c.needed {
		if t.issuer == f.Issuer && t.subject == f.Subject {
			return true
		}
	}
	return false
}

func (c *check) taken(h *Holder, name string) bool {
	same := func(other string) bool { return strings.EqualFold(other, name) }
	return slices.ContainsFunc(c.planned[h], same) ||
		slices.ContainsFunc(h.Credentials, func(f directory.FederatedCredential) bool { return same(f.Name) }) ||
		slices.ContainsFunc(h.Expressions, func(x Expression) bool { return same(x.Name) })
}
