// Package directory describes who exists in a lab: tenants, app registrations and managed
// identities with their service principals, and the credentials and federated trusts that
// they have.
package directory

import "time"

// Tenant is an Entra ID tenant with its principals.
type Tenant struct {
	ID          string      `json:"id"`                    // GUID
	DisplayName string      `json:"displayName,omitempty"` // defaults to the first domain, or else to ID
	Domains     []string    `json:"domains,omitempty"`     // verified DNS names; the first is the default one
	Principals  []Principal `json:"principals,omitempty"`  // who exists in it
}

// Kind is the kind of a principal. It decides how long its access tokens are valid and
// which credentials it may have.
type Kind string

// The kinds of principal that can get a token without a user.
const (
	Application     Kind = "application"     // an app registration with its service principal
	ManagedIdentity Kind = "managedIdentity" // a user-assigned managed identity
)

// The lifetimes of access tokens of principals without a TokenLifetime.
// Seen: expires_in 3599 for app registrations, 86399 for managed identities.
const (
	ApplicationLifetime     = time.Hour
	ManagedIdentityLifetime = 24 * time.Hour
)

// Principal is an app registration together with its service principal, or a
// user-assigned managed identity.
type Principal struct {
	Kind        Kind   `json:"kind"`
	ClientID    string `json:"clientId"`              // GUID; appId in Graph; unique in its tenant
	ObjectID    string `json:"objectId"`              // of the service principal, the oid claim; defaults to one derived from tenant and client id
	DisplayName string `json:"displayName,omitempty"` // defaults to the client id
	Disabled    bool   `json:"disabled,omitempty"`    // accountEnabled is false: it gets no token

	ApplicationObjectID string   `json:"applicationObjectId,omitempty"` // of the app registration; defaults to a derived one; empty for a managed identity
	ResourceID          string   `json:"resourceId,omitempty"`          // Azure resource id of a managed identity, the xms_mirid claim
	IdentifierURIs      []string `json:"identifierUris,omitempty"`      // names under which others ask for tokens for it; unique in the tenant, case ignored
	AppRoles            []string `json:"appRoles,omitempty"`            // application permissions granted to it: the roles claim of its tokens

	Location  string            `json:"location,omitempty"` // Azure region of a managed identity, such as westeurope
	Tags      map[string]string `json:"tags,omitempty"`     // of a managed identity, in Azure Resource Manager
	CreatedAt time.Time         `json:"createdAt,omitzero"` // in lab time; if zero, it has always been there
	OwnTrust  bool              `json:"ownTrust,omitempty"` // its federated credentials are those that it was given by code: none is added because a workload uses it

	IsolationScope string `json:"isolationScope,omitempty"` // of a managed identity: Regional; if empty, None. It restricts nothing here

	TokenLifetime      time.Duration `json:"tokenLifetime,omitempty"`             // of access tokens issued to it, in JSON as nanoseconds; if 0, see Lifetime
	AssignmentRequired bool          `json:"appRoleAssignmentRequired,omitempty"` // a client needs an app role to get a token for it
	NoServicePrincipal bool          `json:"noServicePrincipal,omitempty"`        // it is only registered: it gets no token
	PublicClient       bool          `json:"publicClient,omitempty"`              // it has no credentials, so it gets no token without a user
	AccessTokenVersion int           `json:"accessTokenVersion,omitempty"`        // of tokens for it as a resource: 0 and 1 are v1, 2 is v2

	TokensValidFrom     time.Time `json:"tokensValidFrom,omitzero"`     // access tokens that were given out before are revoked; if zero, none is
	EverywhereValidFrom time.Time `json:"everywhereValidFrom,omitzero"` // those before are refused by resources that do not evaluate access continuously, too; if zero, none is

	FederatedCredentials []FederatedCredential `json:"federatedCredentials,omitempty"` // at most 20
	Secrets              []Secret              `json:"secrets,omitempty"`              // applications only
	Certificates         []Certificate         `json:"certificates,omitempty"`         // applications only

	Graph *GraphObject `json:"graph,omitempty"` // what Microsoft Graph was told of it; nil for nothing
}

// Lifetime returns how long an access token issued to the principal is valid.
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

// FederatedCredential is the trust in one subject of one issuer or, if it is a flexible one,
// in the subjects that an expression matches. Issuer, Subject and Audience must be the same
// as the assertion's, including case and a trailing slash.
type FederatedCredential struct {
	ID          string `json:"id"` // GUID; defaults to one derived from the principal and Name
	Name        string `json:"name"`
	Issuer      string `json:"issuer"`
	Subject     string `json:"subject,omitempty"`
	Audience    string `json:"audience"` // exactly one; in the public cloud usually api://AzureADTokenExchange
	Description string `json:"description,omitempty"`

	ClaimsMatching string `json:"claimsMatchingExpression,omitempty"` // instead of Subject; an expression of a flexible federated credential
}

// Trusted returns the subject, or the expression of a flexible credential.
func (c *FederatedCredential) Trusted() string {
	if c.ClaimsMatching != "" {
		return c.ClaimsMatching
	}
	return c.Subject
}

// Secret is a client secret. Its value is never shown.
type Secret struct {
	ID          string    `json:"id"` // GUID, keyId in Graph; defaults to one derived from the principal and the position
	DisplayName string    `json:"displayName,omitempty"`
	Value       string    `json:"value"`
	Start       time.Time `json:"start,omitzero"` // if zero, it is valid from the start
	End         time.Time `json:"end,omitzero"`   // if zero, it does not expire

	OfServicePrincipal bool `json:"ofServicePrincipal,omitempty"` // it was given to the service principal, not to the app registration
}

// ValidAt reports whether the secret may be used at t.
func (s Secret) ValidAt(t time.Time) bool { return within(t, s.Start, s.End) }

// Certificate is the public half of a key an application signs its own
// assertions with.
type Certificate struct {
	ID    string    `json:"id"`             // GUID, keyId in Graph; defaults to one derived from the principal and the position
	DER   []byte    `json:"der"`            // X.509
	Start time.Time `json:"start,omitzero"` // defaults to that of the certificate
	End   time.Time `json:"end,omitzero"`   // defaults to that of the certificate

	DisplayName        string `json:"displayName,omitempty"`        // defaults to the subject of the certificate
	OfServicePrincipal bool   `json:"ofServicePrincipal,omitempty"` // it was given to the service principal, not to the app registration
}

// ValidAt reports whether the certificate may be used at t.
func (c Certificate) ValidAt(t time.Time) bool { return within(t, c.Start, c.End) }

func within(t, start, end time.Time) bool {
	return !t.Before(start) && (end.IsZero() || t.Before(end))
}
