package keyvault

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource"
)

// The formats of a certificate's secret.
const (
	contentPEM = "application/x-pem-file"
	contentPFX = "application/x-pkcs12"
)

// policy says how a certificate is made and renewed, in Key Vault's JSON.
type policy struct {
	Key        policyKey        `json:"key_props"`
	Secret     policySecret     `json:"secret_props"`
	X509       policyX509       `json:"x509_props"`
	Actions    []policyAction   `json:"lifetime_actions"`
	Issuer     policyIssuer     `json:"issuer"`
	Attributes certPolicyStatus `json:"attributes"`
}

type policyKey struct {
	Exportable *bool  `json:"exportable,omitempty"`
	Type       string `json:"kty,omitempty"`
	Size       int    `json:"key_size,omitempty"`
	Curve      string `json:"crv,omitempty"`
	Reuse      *bool  `json:"reuse_key,omitempty"`
}

type policySecret struct {
	ContentType string `json:"contentType,omitempty"`
}

type policyX509 struct {
	Subject     string             `json:"subject,omitempty"`
	Names       policyNames        `json:"sans"`
	ExtendedUse []string           `json:"ekus,omitempty"`
	Use         []string           `json:"key_usage,omitempty"`
	Months      int                `json:"validity_months,omitempty"`
	Basic       *policyConstraints `json:"basic_constraints,omitempty"`
}

type policyNames struct {
	DNS       []string `json:"dns_names,omitempty"`
	Emails    []string `json:"emails,omitempty"`
	UPNs      []string `json:"upns,omitempty"`
	URIs      []string `json:"uris,omitempty"`
	Addresses []string `json:"ipAddresses,omitempty"`
}

type policyConstraints struct {
	CA bool `json:"ca"`
}

type policyAction struct {
	Trigger struct {
		Percentage int `json:"lifetime_percentage,omitempty"`
		Days       int `json:"days_before_expiry,omitempty"`
	} `json:"trigger"`
	Action struct {
		Type string `json:"action_type"`
	} `json:"action"`
}

type policyIssuer struct {
	Name         string `json:"name"`
	Type         string `json:"cty,omitempty"`
	Transparency *bool  `json:"cert_transparency,omitempty"`
}

type certPolicyStatus struct {
	Enabled          *bool `json:"enabled"`
	created, updated time.Time
}

// MarshalJSON writes the dates as seconds.
func (s certPolicyStatus) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Enabled bool  `json:"enabled"`
		Created int64 `json:"created"`
		Updated int64 `json:"updated"`
	}{s.Enabled == nil || *s.Enabled, s.created.Unix(), s.updated.Unix()})
}

// policyOut is a policy as it is sent.
type policyOut struct {
	ID string `json:"id"`
	policy
}

func (p policy) out(id string) policyOut { return policyOut{id, p} }

// with returns the policy with what is sent in its place.
func (p policy) with(sent policy) policy {
	p.Key, p.Secret = cmp.Or(sent.Key, p.Key), cmp.Or(sent.Secret, p.Secret)
	if sent.X509.Subject != "" || sent.X509.Names.any() {
		p.X509.Subject, p.X509.Names = sent.X509.Subject, sent.X509.Names
	}
	if sent.X509.ExtendedUse != nil {
		p.X509.ExtendedUse = sent.X509.ExtendedUse
	}
	if sent.X509.Use != nil {
		p.X509.Use = sent.X509.Use
	}
	p.X509.Months, p.X509.Basic = cmp.Or(sent.X509.Months, p.X509.Months), cmp.Or(sent.X509.Basic, p.X509.Basic)
	if sent.Actions != nil {
		p.Actions = sent.Actions
	}
	if sent.Issuer.Name != "" {
		p.Issuer = sent.Issuer
	}
	p.Attributes.Enabled = cmp.Or(sent.Attributes.Enabled, p.Attributes.Enabled)
	return p
}

func (n policyNames) any() bool {
	return len(n.DNS)+len(n.Emails)+len(n.UPNs)+len(n.URIs)+len(n.Addresses) > 0
}

// completed fills in what Key Vault does, and refuses what cannot be made. Seen:
// azure-sdk-for-js recordings, 2022; limits from the REST reference.
func (p policy) completed(created time.Time) (policy, *resource.Failure) {
	p.Key.Type = cmp.Or(p.Key.Type, "RSA")
	if strings.HasPrefix(p.Key.Type, "RSA") && p.Key.Size == 0 {
		p.Key.Size = 2048
	}
	if strings.HasPrefix(p.Key.Type, "EC") && p.Key.Curve == "" {
		p.Key.Curve = map[int]string{0: "P-256", 256: "P-256", 384: "P-384", 521: "P-521"}[p.Key.Size]
	}
	p.Key.Exportable, p.Key.Reuse = cmp.Or(p.Key.Exportable, new(true)), cmp.Or(p.Key.Reuse, new(false))
	p.Secret.ContentType = cmp.Or(p.Secret.ContentType, contentPFX)
	if p.X509.ExtendedUse == nil {
		p.X509.ExtendedUse = []string{"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}
	}
	if p.X509.Use == nil {
		p.X509.Use = []string{"digitalSignature", "keyEncipherment"}
	}
	p.X509.Months = cmp.Or(p.X509.Months, 12)
	p.X509.Basic = cmp.Or(p.X509.Basic, &policyConstraints{})
	if p.Actions == nil {
		var renew policyAction
		renew.Trigger.Percentage, renew.Action.Type = 80, "AutoRenew"
		if p.Issuer.Name != "Self" {
			renew.Action.Type = "EmailContacts"
		}
		p.Actions = []policyAction{renew}
	}
	if p.Attributes.created.IsZero() {
		p.Attributes.created, p.Attributes.updated = created, created
	}
	return p, p.check()
}

func (p policy) check() *resource.Failure {
	if _, failed := newKeyKind(p.Key.Type, p.Key.Size, p.Key.Curve, 0); failed != nil {
		return failed
	}
	if p.Secret.ContentType != contentPEM && p.Secret.ContentType != contentPFX {
		return badParameter("The 'contentType' of 'secret_props' is '%s'; expected %s or %s.", p.Secret.ContentType, contentPFX, contentPEM)
	}
	if p.Issuer.Name == "" {
		return badParameter("Property 'issuer' is required.\r\n")
	}
	if p.X509.Subject == "" && !p.X509.Names.any() {
		return badParameter("A certificate has a 'subject' or subject alternative names ('sans').")
	}
	if len(p.X509.Names.UPNs) > 0 {
		return notEmulated("subject alternative names that are user principal names (upns)", "Use dns_names or emails.")
	}
	if p.X509.Months < 1 || p.X509.Months > 1200 {
		return badParameter("'validity_months' is %d; expected 1 to 1200.", p.X509.Months)
	}
	for _, use := range p.X509.Use {
		if _, ok := keyUses()[use]; !ok {
			return badParameter("'key_usage' has '%s'; expected %s.", use, strings.Join(slices.Sorted(maps.Keys(keyUses())), ", "))
		}
	}
	for _, a := range p.Actions {
		switch {
		case a.Action.Type != "AutoRenew" && a.Action.Type != "EmailContacts":
			return badParameter("The action '%s' of 'lifetime_actions' is not known; expected AutoRenew or EmailContacts.", a.Action.Type)
		case (a.Trigger.Percentage == 0) == (a.Trigger.Days == 0):
			return badParameter("A trigger of 'lifetime_actions' has one of lifetime_percentage and days_before_expiry.")
		case a.Trigger.Percentage < 0 || a.Trigger.Percentage > 99:
			return badParameter("'lifetime_percentage' is %d; expected 1 to 99.", a.Trigger.Percentage)
		case a.Trigger.Days < 0 || a.Trigger.Days > p.X509.Months*27:
			return badParameter("'days_before_expiry' is %d; expected 1 to %d for %d months.", a.Trigger.Days, p.X509.Months*27, p.X509.Months)
		}
	}
	_, failed := p.template()
	return failed
}

// renewal returns when a version is renewed by itself; ok is false if never.
func (n *certVersion) renewal() (at time.Time, ok bool) {
	p := n.of.policy
	if p.Issuer.Name != "Self" || n.notBefore == nil || n.expires == nil {
		return time.Time{}, false
	}
	from, until := time.Unix(*n.notBefore, 0).UTC(), time.Unix(*n.expires, 0).UTC()
	for _, a := range p.Actions {
		switch {
		case a.Action.Type != "AutoRenew":
		case a.Trigger.Days > 0:
			return until.AddDate(0, 0, -a.Trigger.Days), true
		default:
			return from.Add(until.Sub(from) / 100 * time.Duration(a.Trigger.Percentage)), true
		}
	}
	return time.Time{}, false
}
