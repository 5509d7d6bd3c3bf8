package directory

import (
	"slices"
	"time"
)

// Tenant is one Entra ID directory: who is known in it.
type Tenant struct {
	ID          string      `json:"id"`                    // GUID
	DisplayName string      `json:"displayName,omitempty"` // "": the first domain, else the id
	Domains     []string    `json:"domains,omitempty"`     // verified DNS names; the first is the default one
	Principals  []Principal `json:"principals,omitempty"`  // empty in what [Directory.Tenant] returns
}

// Kind says what a principal is, which decides its token lifetime and which
// credentials it may have.
type Kind string

// The kinds of principal that can ask for a token without a user.
const (
	Application     Kind = "application"     // an app registration with its service principal
	ManagedIdentity Kind = "managedIdentity" // a user-assigned managed identity
)

// The lifetimes of access tokens for those who did not set one.
// Seen: expires_in 3599 for app registrations, 86399 for managed identities.
const (
	ApplicationLifetime     = time.Hour
	ManagedIdentityLifetime = 24 * time.Hour
)

// Principal is an app registration together with its service principal, or a
// user-assigned managed identity. What a [Directory] returns is shared: never
// modify it, use [Directory.Update].
type Principal struct {
	Kind        Kind   `json:"kind"`
	ClientID    string `json:"clientId"`              // GUID; appId in Graph; unique in its tenant
	ObjectID    string `json:"objectId"`              // of the service principal, the oid claim; "": derived from tenant and client id
	DisplayName string `json:"displayName,omitempty"` // "": the client id
	Disabled    bool   `json:"disabled,omitempty"`    // accountEnabled false: no token is given out

	ApplicationObjectID string   `json:"applicationObjectId,omitempty"` // of the app registration; "": derived; always "" for a managed identity
	ResourceID          string   `json:"resourceId,omitempty"`          // Azure resource id of a managed identity, the xms_mirid claim
	IdentifierURIs      []string `json:"identifierUris,omitempty"`      // names under which others ask for tokens for it; unique in the tenant, case ignored
	AppRoles            []string `json:"appRoles,omitempty"`            // application permissions granted to it: the roles claim of its tokens

	TokenLifetime      time.Duration `json:"tokenLifetime,omitempty"`             // of access tokens given to it, in JSON as nanoseconds; 0: see Lifetime
	AssignmentRequired bool          `json:"appRoleAssignmentRequired,omitempty"` // who asks for a token for it needs an app role
	NoServicePrincipal bool          `json:"noServicePrincipal,omitempty"`        // it is registered only: no token is given out
	PublicClient       bool          `json:"publicClient,omitempty"`              // it has no credentials, so it gets no token without a user
	AccessTokenVersion int           `json:"accessTokenVersion,omitempty"`        // of tokens for it as a resource: 0 and 1 are v1, 2 is v2

	FederatedCredentials []FederatedCredential `json:"federatedCredentials,omitempty"` // at most MaxFederatedCredentials
	Secrets              []Secret              `json:"secrets,omitempty"`              // applications only
	Certificates         []Certificate         `json:"certificates,omitempty"`         // applications only
}

// Lifetime is how long an access token given to the principal is valid.
func (p *Principal) Lifetime() time.Duration {
	switch {
	case p.TokenLifetime > 0:
		return p.TokenLifetime
	case p.Kind == ManagedIdentity:
		return ManagedIdentityLifetime
	default:
		return ApplicationLifetime
	}
}

// FederatedCredential is the trust in one subject of one issuer, or, if it is a
// flexible one, in those that an expression matches. All three of
// Issuer, Subject and Audience match exactly and case-sensitively; a trailing
// slash counts.
type FederatedCredential struct {
	ID          string `json:"id"` // GUID; "": derived from the principal and Name
	Name        string `json:"name"`
	Issuer      string `json:"issuer"`
	Subject     string `json:"subject,omitempty"`
	Audience    string `json:"audience"` // exactly one; usually DefaultAudience
	Description string `json:"description,omitempty"`

	ClaimsMatching string `json:"claimsMatchingExpression,omitempty"` // instead of Subject; see ParseExpression
}

// Trusted is the subject, or the expression of a flexible credential.
func (c *FederatedCredential) Trusted() string {
	if c.ClaimsMatching != "" {
		return c.ClaimsMatching
	}
	return c.Subject
}

// DefaultAudience is what a federated credential expects in the aud claim unless
// its owner chose something else.
const DefaultAudience = "api://AzureADTokenExchange"

// Secret is a client secret. Its value is compared, never shown.
type Secret struct {
	ID          string    `json:"id"` // GUID, keyId in Graph; "": derived from the principal and the position
	DisplayName string    `json:"displayName,omitempty"`
	Value       string    `json:"value"`
	Start       time.Time `json:"start,omitzero"` // zero: always
	End         time.Time `json:"end,omitzero"`   // zero: never
}

// ValidAt reports whether the secret may be used at t.
func (s Secret) ValidAt(t time.Time) bool { return within(t, s.Start, s.End) }

// Certificate is the public half of a key an application signs its own
// assertions with.
type Certificate struct {
	ID    string    `json:"id"`             // GUID, keyId in Graph; "": derived from the principal and the position
	DER   []byte    `json:"der"`            // X.509
	Start time.Time `json:"start,omitzero"` // zero: as the certificate says
	End   time.Time `json:"end,omitzero"`   // zero: as the certificate says
}

// ValidAt reports whether the certificate may be used at t.
func (c Certificate) ValidAt(t time.Time) bool { return within(t, c.Start, c.End) }

func within(t, start, end time.Time) bool {
	return !t.Before(start) && (end.IsZero() || t.Before(end))
}

// clone shares nothing that anybody could modify.
func (p Principal) clone() Principal {
	p.IdentifierURIs = slices.Clone(p.IdentifierURIs)
	p.AppRoles = slices.Clone(p.AppRoles)
	p.FederatedCredentials = slices.Clone(p.FederatedCredentials)
	p.Secrets = slices.Clone(p.Secrets)
	p.Certificates = slices.Clone(p.Certificates)
	for i, c := range p.Certificates {
		p.Certificates[i].DER = slices.Clone(c.DER)
	}
	return p
}
