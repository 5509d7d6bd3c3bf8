// Package config is the file wiemu.yaml: what exists in a lab besides its
// workloads' own files. It decodes strictly, fills in what was left out and
// checks what refers to what; it starts nothing.
package config

import (
	"errors"
	"time"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/yamlfile"
)

// The header that a wiemu.yaml may carry.
const (
	APIVersion = "wiemu.dev/v1"
	Kind       = "Configuration"
)

// What client ids become that nothing describes: see Config.NewIdentities.
const (
	NewManagedIdentity = "managed-identity"
	NewApplication     = "application"
)

// Config is a wiemu.yaml. The zero value, completed, is a lab with one tenant,
// one issuer and the vault of the Radix documentation.
type Config struct {
	// APIVersion is wiemu.dev/v1.
	APIVersion string `yaml:"apiVersion,omitempty" json:"apiVersion,omitempty" jsonschema:"enum=wiemu.dev/v1"`
	// Kind is Configuration.
	Kind string `yaml:"kind,omitempty" json:"kind,omitempty" jsonschema:"enum=Configuration"`
	// Listen holds the addresses of the doors; a door left out takes a free port on loopback.
	Listen Listen `yaml:"listen,omitempty" json:"listen,omitzero"`
	// Cloud is the Azure cloud: its hosts, issuers and audiences. Left out: AzureCloud, the public one.
	Cloud string `yaml:"cloud,omitempty" json:"cloud,omitempty" jsonschema:"enum=AzureCloud,enum=AzureUSGovernment,enum=AzureChinaCloud"`
	// Tenants are the directories. The first is the default of everything that names none. Left out: one tenant.
	Tenants []Tenant `yaml:"tenants,omitempty" json:"tenants,omitempty"`
	// Issuers are the clusters' token issuers. The first is the default of everything that names none. Left out: one issuer that wiemu hosts, named "local".
	Issuers []Issuer `yaml:"issuers,omitempty" json:"issuers,omitempty"`
	// Applications are app registrations, each with its service principal.
	Applications []Application `yaml:"applications,omitempty" json:"applications,omitempty"`
	// Identities are user-assigned managed identities. A client id that a workload uses and nothing here names becomes one; see newIdentities.
	Identities []Identity `yaml:"identities,omitempty" json:"identities,omitempty"`
	// NewIdentities is what a client id becomes that a workload uses and nothing here names: managed-identity, whose access tokens live for 24 hours, or application, whose access tokens live for one. Left out: managed-identity.
	NewIdentities string `yaml:"newIdentities,omitempty" json:"newIdentities,omitempty" jsonschema:"enum=managed-identity,enum=application"`
	// Vaults are key vaults with their secrets. Left out: vault mykeyvault with secret mysecret.
	Vaults []Vault `yaml:"vaults,omitempty" json:"vaults,omitempty"`
	// Subscriptions are the Azure subscriptions that Azure CLI finds when it logs in. Left out: none.
	Subscriptions []Subscription `yaml:"subscriptions,omitempty" json:"subscriptions,omitempty"`
	// Workloads are service accounts and the client id that each uses, for workloads that no radixconfig.yaml describes.
	Workloads []Workload `yaml:"workloads,omitempty" json:"workloads,omitempty"`
	// ManagedIdentity is about the machines of workloads that use a managed identity.
	ManagedIdentity ManagedIdentity `yaml:"managedIdentity,omitempty" json:"managedIdentity,omitzero"`
	// IdentityBindings say who may use which managed identity through the identity-binding proxy. An identity that none names lets in the workloads with its client id.
	IdentityBindings []IdentityBinding `yaml:"identityBindings,omitempty" json:"identityBindings,omitempty"`
	// Webhook is about the pods of a cluster, which wiemu-server changes as azure-workload-identity's webhook does.
	Webhook Webhook `yaml:"webhook,omitempty" json:"webhook,omitzero"`
	// Limits are how much Entra ID puts up with in a minute of lab time. Left out: everything.
	Limits Limits `yaml:"limits,omitempty" json:"limits,omitzero"`
	// Faults are what goes wrong on purpose from the start; wiemu fault list shows what there is.
	Faults []fault.Fault `yaml:"faults,omitempty" json:"faults,omitempty"`
	// Chaos is a seed from which faults follow that make the lab as nasty as the real thing can be. Left out: none.
	Chaos uint64 `yaml:"chaos,omitempty" json:"chaos,omitempty"`
	// AllowHosts are hosts outside that the proxy lets through: exact names, or .example.com for all below one.
	AllowHosts []string `yaml:"allowHosts,omitempty" json:"allowHosts,omitempty"`
}

// Listen holds the doors' addresses, each host:port.
type Listen struct {
	// Gateway is the TLS door that answers for Entra ID, the resources and the issuers.
	Gateway string `yaml:"gateway,omitempty" json:"gateway,omitempty" jsonschema:"example=127.0.0.1:8443"`
	// Proxy is the HTTP proxy that leads applications to the gateway.
	Proxy string `yaml:"proxy,omitempty" json:"proxy,omitempty" jsonschema:"example=127.0.0.1:3128"`
	// Cluster is the door with the Kubernetes paths TokenRequest and TokenReview.
	Cluster string `yaml:"cluster,omitempty" json:"cluster,omitempty"`
	// Control is the door that steers the lab; it asks for a bearer token.
	Control string `yaml:"control,omitempty" json:"control,omitempty"`
}

// Tenant is a directory.
type Tenant struct {
	// ID is the tenant's GUID.
	ID string `yaml:"id" json:"id" jsonschema:"format=uuid"`
	// Name is the display name.
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
	// Domains are the verified domains, by which the tenant can be named in URLs.
	Domains []string `yaml:"domains,omitempty" json:"domains,omitempty"`
}

// Issuer is a cluster's token issuer.
type Issuer struct {
	// Name is how the rest of this file and the command line call the issuer.
	Name string `yaml:"name" json:"name"`
	// URL is what tokens carry as iss, to the letter; a trailing slash counts. Left out: an AKS-like URL below oic.wiemu.test.
	URL string `yaml:"url,omitempty" json:"url,omitempty" jsonschema:"format=uri"`
	// External says that the issuer is not ours: its keys are fetched over the network and wiemu mints nothing for it.
	External bool `yaml:"external,omitempty" json:"external,omitempty"`
	// Server is where an external issuer is reached instead of at its URL, such as https://127.0.0.1:6443 for a cluster's API server.
	Server string `yaml:"server,omitempty" json:"server,omitempty" jsonschema:"format=uri"`
	// CA is a PEM file, looked up from the folder of this file, with the roots that an external issuer's certificate is checked against. Left out: the system's.
	CA string `yaml:"ca,omitempty" json:"ca,omitempty"`
	// BearerTokenFile holds the token that an external issuer wants to see, as an API server does, which answers strangers with 403. It is sent to the server, else to the host of the URL, and nowhere else.
	BearerTokenFile string `yaml:"bearerTokenFile,omitempty" json:"bearerTokenFile,omitempty"`
	// CacheLifetime is how long Entra ID remembers the issuer's keys, in lab time. Left out: 1h.
	CacheLifetime time.Duration `yaml:"cacheLifetime,omitempty" json:"cacheLifetime,omitempty" jsonschema:"type=string,example=24h"`
	// RefetchAfter is how long Entra ID waits, in lab time, before it reads the issuer's keys again because of a kid that it does not know. Left out: 1m.
	RefetchAfter time.Duration `yaml:"refetchAfter,omitempty" json:"refetchAfter,omitempty" jsonschema:"type=string,example=10m"`
	// KeyAlgorithm is what the issuer's keys sign with. Left out: RS256, the only one that Entra ID accepts.
	KeyAlgorithm string `yaml:"keyAlgorithm,omitempty" json:"keyAlgorithm,omitempty" jsonschema:"enum=RS256,enum=ES256"`
	// MaxTokenLifetime is the longest lifetime a token gets. Left out: 24h, as on AKS.
	MaxTokenLifetime time.Duration `yaml:"maxTokenLifetime,omitempty" json:"maxTokenLifetime,omitempty" jsonschema:"type=string,example=24h"`
	// RotateKeysEvery is how often another key starts to sign. Left out: only on demand.
	RotateKeysEvery time.Duration `yaml:"rotateKeysEvery,omitempty" json:"rotateKeysEvery,omitempty" jsonschema:"type=string,example=168h"`
	// PublishKeysAhead is how long a key is published before it signs.
	PublishKeysAhead time.Duration `yaml:"publishKeysAhead,omitempty" json:"publishKeysAhead,omitempty" jsonschema:"type=string,example=24h"`
	// RemoveKeysAfter is how long a key stays published after it signed last. Left out: until it is removed on demand, or is the oldest of a hundred and no token lives that long.
	RemoveKeysAfter time.Duration `yaml:"removeKeysAfter,omitempty" json:"removeKeysAfter,omitempty" jsonschema:"type=string,example=24h"`
}

// Application is an app registration with its service principal.
type Application struct {
	Principal `yaml:",inline"`
	// OtherTenants are the ids or domains of further tenants in which a multi-tenant application has a service principal.
	OtherTenants []string `yaml:"otherTenants,omitempty" json:"otherTenants,omitempty"`
	// NoServicePrincipal says that it is registered only, so that no token is given out.
	NoServicePrincipal bool `yaml:"noServicePrincipal,omitempty" json:"noServicePrincipal,omitempty"`
	// IdentifierURIs are the application ID URIs by which tokens for this application are asked for.
	IdentifierURIs []string `yaml:"identifierUris,omitempty" json:"identifierUris,omitempty"`
	// AccessTokenVersion is the version of tokens for this application: requestedAccessTokenVersion in its manifest.
	AccessTokenVersion int `yaml:"accessTokenVersion,omitempty" json:"accessTokenVersion,omitempty" jsonschema:"enum=1,enum=2"`
	// AppRoleAssignmentRequired says that only those with an app role get tokens for this application.
	AppRoleAssignmentRequired bool `yaml:"appRoleAssignmentRequired,omitempty" json:"appRoleAssignmentRequired,omitempty"`
	// PublicClient says that the application is a public client, which has no credentials: allowPublicClient in its manifest.
	PublicClient bool `yaml:"publicClient,omitempty" json:"publicClient,omitempty"`
	// Secrets are the client secrets.
	Secrets []Secret `yaml:"secrets,omitempty" json:"secrets,omitempty"`
	// Certificates are the client certificates.
	Certificates []Certificate `yaml:"certificates,omitempty" json:"certificates,omitempty"`
}

// Identity is a user-assigned managed identity.
type Identity struct {
	Principal `yaml:",inline"`
	// ResourceID is the identity's Azure resource id. Left out: made from its name.
	ResourceID string `yaml:"resourceId,omitempty" json:"resourceId,omitempty"`
}

// Principal is what an application and a managed identity have in common.
type Principal struct {
	// Name is the display name.
	Name string `yaml:"name" json:"name"`
	// ClientID is the GUID that clients send as client_id.
	ClientID string `yaml:"clientId" json:"clientId" jsonschema:"format=uuid"`
	// ObjectID is the service principal's object id. Left out: derived from the client id.
	ObjectID string `yaml:"objectId,omitempty" json:"objectId,omitempty" jsonschema:"format=uuid"`
	// Tenant is the id or a domain of the tenant. Left out: the first tenant.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
	// Disabled says that the service principal may not sign in.
	Disabled bool `yaml:"disabled,omitempty" json:"disabled,omitempty"`
	// TokenLifetime is the lifetime of its access tokens. Left out: 1h for an application, 24h for a managed identity.
	TokenLifetime time.Duration `yaml:"tokenLifetime,omitempty" json:"tokenLifetime,omitempty" jsonschema:"type=string,example=10m"`
	// Roles are the application permissions that it was granted, such as Organization.Read.All: the roles claim of its tokens for Microsoft Graph and for applications of the tenant. Left out: none, and Microsoft Graph refuses it.
	Roles []string `yaml:"roles,omitempty" json:"roles,omitempty" jsonschema:"example=Application.Read.All"`
	// FederatedCredentials are the assertions that are trusted. Left out: those that the workloads with this client id need; an empty list: none.
	FederatedCredentials *[]FederatedCredential `yaml:"federatedCredentials,omitempty" json:"federatedCredentials,omitempty"`
}

// FederatedCredential trusts the assertions of one issuer for one subject and audience.
type FederatedCredential struct {
	// Name is the credential's name.
	Name string `yaml:"name" json:"name"`
	// Issuer is the name of an issuer of this file, or an issuer URL to the letter.
	Issuer string `yaml:"issuer,omitempty" json:"issuer,omitempty"`
	// Subject is the service account: system:serviceaccount:NAMESPACE:NAME.
	Subject string `yaml:"subject,omitempty" json:"subject,omitempty"`
	// ClaimsMatchingExpression makes it a flexible credential, which has no subject. Only applications have them, and only for GitHub Actions, GitLab and HCP Terraform.
	ClaimsMatchingExpression *ClaimsMatchingExpression `yaml:"claimsMatchingExpression,omitempty" json:"claimsMatchingExpression,omitempty"`
	// Audience is what the assertion is for. Left out: api://AzureADTokenExchange.
	Audience string `yaml:"audience,omitempty" json:"audience,omitempty"`
}

// Secret is a client secret.
type Secret struct {
	// Value is what clients send as client_secret.
	Value string `yaml:"value" json:"value"`
	// Expires is when it ends. Left out: never.
	Expires time.Time `yaml:"expires,omitempty" json:"expires,omitzero"`
}

// Certificate is a client certificate.
type Certificate struct {
	// File is a PEM file with the certificate first, looked up from the folder of this file. With its private key behind it, workloads with credential: certificate use it.
	File string `yaml:"file" json:"file"`
}

// Vault is a key vault.
type Vault struct {
	// Name is the first label of the vault's host NAME.vault.azure.net.
	Name string `yaml:"name" json:"name"`
	// Tenant is the id or a domain of the tenant. Left out: the first tenant.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
	// Secrets are the secrets' values by name.
	Secrets map[string]string `yaml:"secrets,omitempty" json:"secrets,omitempty"`
	// Access says who may do what. Left out: every identity of the tenant may do everything.
	Access []Access `yaml:"access,omitempty" json:"access,omitempty"`
}

// Access lets an identity into a vault.
type Access struct {
	// Identity is the name or client id of an application or managed identity, or the name of a workload whose client id none of them has; "*" is each of the tenant.
	Identity string `yaml:"identity" json:"identity"`
	// Permissions are what it may do with secrets.
	Permissions []string `yaml:"permissions" json:"permissions" jsonschema:"enum=get,enum=list,enum=set,enum=delete,enum=recover,enum=purge"`
}

// Workload is a service account and the client id that it uses.
type Workload struct {
	// Name is how the command line calls the workload. Left out: the service account's name.
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
	// Namespace is the Kubernetes namespace.
	Namespace string `yaml:"namespace" json:"namespace"`
	// ServiceAccount is the Kubernetes service account.
	ServiceAccount string `yaml:"serviceAccount" json:"serviceAccount"`
	// ClientID is the client id of an application or managed identity.
	ClientID string `yaml:"clientId" json:"clientId" jsonschema:"format=uuid"`
	// Tenant is the id or a domain of the tenant. Left out: the first tenant.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
	// Issuer is the name of an issuer that wiemu hosts. Left out: the first.
	Issuer string `yaml:"issuer,omitempty" json:"issuer,omitempty"`
	// Audience is what its token is for. Left out: api://AzureADTokenExchange.
	Audience string `yaml:"audience,omitempty" json:"audience,omitempty"`
	// TokenLifetime is what the projected volume asks for. Left out: 1h.
	TokenLifetime time.Duration `yaml:"tokenLifetime,omitempty" json:"tokenLifetime,omitempty" jsonschema:"type=string,example=1h"`
	// Credential is with what it proves who it is: its service-account token (federated), or a secret or certificate of its application, which the lab makes if the application has none. Defaults to federated.
	Credential string `yaml:"credential,omitempty" json:"credential,omitempty" jsonschema:"enum=federated,enum=secret,enum=certificate,enum=certificate-pfx"`
	// ManagedIdentity is how its machine hands out tokens of managed identities. Left out: it is a pod, which has none.
	ManagedIdentity string `yaml:"managedIdentity,omitempty" json:"managedIdentity,omitempty" jsonschema:"enum=imds,enum=app-service,enum=sidecar"`
	// IdentityBinding says that it goes through its cluster's identity-binding proxy, and how it is told the proxy's CA. Left out: it does not.
	IdentityBinding string `yaml:"identityBinding,omitempty" json:"identityBinding,omitempty" jsonschema:"enum=ca-file,enum=ca-data"`
}

// Parse returns the configuration in a file, checked but not completed; file is
// the name that errors use. The error is a yamlfile.Problems that names every
// line at fault.
func Parse(file string, data []byte) (Config, error) {
	node, err := yamlfile.Parse(file, data)
	if err != nil {
		return Config{}, err
	}
	var c Config
	if err := yamlfile.DecodeNode(file, node, &c).Err(); err != nil {
		return Config{}, err
	}
	var wrong yamlfile.Problems
	if _, err := c.Complete(file); err != nil && !errors.As(err, &wrong) {
		return Config{}, err
	}
	for i := range wrong {
		wrong[i] = wrong[i].At(node)
	}
	wrong.Sort()
	return c, wrong.Err()
}
