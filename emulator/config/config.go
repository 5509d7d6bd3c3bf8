// Package config reads and writes wiemu.yaml, which says what exists in a lab besides the
// workloads' own files. It decodes strictly, fills in defaults and checks references.
package config

import (
	"errors"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/roles"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// The header that a wiemu.yaml may carry.
const (
	APIVersion = "wiemu.dev/v1"
	Kind       = "Configuration"
)

// The values of Config.NewIdentities.
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
	// Listen holds the addresses of the listeners. Default: a free port on loopback for each, and none for streams.
	Listen Listen `yaml:"listen,omitempty" json:"listen,omitzero"`
	// Cloud is the Azure cloud: its hosts, issuers and audiences. Default: AzureCloud, the public one.
	Cloud string `yaml:"cloud,omitempty" json:"cloud,omitempty" jsonschema:"enum=AzureCloud,enum=AzureUSGovernment,enum=AzureChinaCloud"`
	// Tenants are the directories. The first is the default of everything that names none. Default: one tenant.
	Tenants []Tenant `yaml:"tenants,omitempty" json:"tenants,omitempty"`
	// Issuers are the clusters' token issuers. The first is the default of everything that names none. Default: one issuer that wiemu hosts, named "local".
	Issuers []Issuer `yaml:"issuers,omitempty" json:"issuers,omitempty"`
	// Applications are app registrations, each with its service principal.
	Applications []Application `yaml:"applications,omitempty" json:"applications,omitempty"`
	// Identities are user-assigned managed identities. A client id that a workload uses and nothing here names becomes one; see newIdentities.
	Identities []Identity `yaml:"identities,omitempty" json:"identities,omitempty"`
	// NewIdentities is what a client id becomes that a workload uses and nothing here names: managed-identity, whose access tokens live for 24 hours, or application, whose access tokens live for one. Default: managed-identity.
	NewIdentities string `yaml:"newIdentities,omitempty" json:"newIdentities,omitempty" jsonschema:"enum=managed-identity,enum=application"`
	// Vaults are key vaults with their secrets, keys and certificates. Default: vault mykeyvault with secret mysecret.
	Vaults vaultList `yaml:"vaults,omitempty" json:"vaults,omitzero"`
	// Roles are assignments of Azure roles on subscriptions and resource groups, and when a change is seen.
	Roles Roles `yaml:"roles,omitempty" json:"roles,omitzero"`
	// Subscriptions are the Azure subscriptions that Azure CLI finds when it logs in. Default: none.
	Subscriptions []Subscription `yaml:"subscriptions,omitempty" json:"subscriptions,omitempty"`
	// Resources are the sections of further protected resources.
	Resources resourceSections `yaml:",inline" json:"resources,omitempty" jsonschema:"-"`
	// Workloads are service accounts and the client id that each uses, for workloads that no radixconfig.yaml describes.
	Workloads []Workload `yaml:"workloads,omitempty" json:"workloads,omitempty"`
	// ManagedIdentity is about the machines of workloads that use a managed identity.
	ManagedIdentity ManagedIdentity `yaml:"managedIdentity,omitempty" json:"managedIdentity,omitzero"`
	// IdentityBindings say who may use which managed identity through the identity-binding proxy. An identity that none names lets in the workloads with its client id.
	IdentityBindings []IdentityBinding `yaml:"identityBindings,omitempty" json:"identityBindings,omitempty"`
	// Webhook is about the pods of a cluster, which wiemu-server changes as azure-workload-identity's webhook does.
	Webhook Webhook `yaml:"webhook,omitempty" json:"webhook,omitzero"`
	// Limits are how much Entra ID puts up with in a minute of lab time. Default: everything.
	Limits Limits `yaml:"limits,omitempty" json:"limits,omitzero"`
	// Faults are what goes wrong on purpose from the start; wiemu fault list shows what there is.
	Faults []fault.Fault `yaml:"faults,omitempty" json:"faults,omitempty"`
	// Chaos is the seed of many faults at a low rate, which a correct client survives. Default: none.
	Chaos uint64 `yaml:"chaos,omitempty" json:"chaos,omitempty"`
	// AllowHosts are hosts outside that the proxy lets through: exact names, or .example.com for all below one.
	AllowHosts []string `yaml:"allowHosts,omitempty" json:"allowHosts,omitempty"`
}

// Lists that mean something else when they are empty than when they are left out, so that
// they are written even then.
type (
	vaultList        []Vault
	accessList       []Access
	accessPolicyList []AccessPolicy
)

// IsZero implements yaml.IsZeroer.
func (l vaultList) IsZero() bool { return l == nil }

// IsZero implements yaml.IsZeroer.
func (l accessList) IsZero() bool { return l == nil }

// IsZero implements yaml.IsZeroer.
func (l accessPolicyList) IsZero() bool { return l == nil }

// Listen holds the addresses of the listeners, each host:port but for that of streams.
type Listen struct {
	// Gateway is the TLS listener that answers for Entra ID, the resources and the issuers.
	Gateway string `yaml:"gateway,omitempty" json:"gateway,omitempty" jsonschema:"example=127.0.0.1:8443"`
	// Proxy is the HTTP proxy that leads applications to the gateway.
	Proxy string `yaml:"proxy,omitempty" json:"proxy,omitempty" jsonschema:"example=127.0.0.1:3128"`
	// Streams is the IP address on which the ports of databases are opened, such as 6380 of Azure Cache for Redis: for clients whose names lead there, as in containers. If it is not set, only the proxy, and programs whose connections wiemu leads to the lab, reach them.
	Streams string `yaml:"streams,omitempty" json:"streams,omitempty" jsonschema:"example=0.0.0.0"`
	// Cluster is the listener with the Kubernetes paths TokenRequest and TokenReview.
	Cluster string `yaml:"cluster,omitempty" json:"cluster,omitempty"`
	// Control is the listener of the control API; it requires a bearer token.
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
	// URL is what tokens carry as iss, to the letter; a trailing slash counts. Default: an AKS-like URL below oic.wiemu.test.
	URL string `yaml:"url,omitempty" json:"url,omitempty" jsonschema:"format=uri"`
	// External says that the issuer is not ours: its keys are fetched over the network and wiemu mints nothing for it.
	External bool `yaml:"external,omitempty" json:"external,omitempty"`
	// Server is where an external issuer is reached instead of at its URL, such as https://127.0.0.1:6443 for a cluster's API server.
	Server string `yaml:"server,omitempty" json:"server,omitempty" jsonschema:"format=uri"`
	// CA is a PEM file, looked up from the folder of this file, with the roots that an external issuer's certificate is checked against. Default: the system's.
	CA string `yaml:"ca,omitempty" json:"ca,omitempty"`
	// BearerTokenFile holds the bearer token for an external issuer that requires one, such as an API server, which answers anonymous requests with 403. It is sent to the server, else to the host of the URL, and nowhere else.
	BearerTokenFile string `yaml:"bearerTokenFile,omitempty" json:"bearerTokenFile,omitempty"`
	// CacheLifetime is how long Entra ID remembers the issuer's keys, in lab time. Default: 1h.
	CacheLifetime time.Duration `yaml:"cacheLifetime,omitempty" json:"cacheLifetime,omitempty" jsonschema:"type=string,example=24h"`
	// RefetchAfter is how long Entra ID waits, in lab time, before it reads the issuer's keys again because of a kid that it does not know. Default: 1m.
	RefetchAfter time.Duration `yaml:"refetchAfter,omitempty" json:"refetchAfter,omitempty" jsonschema:"type=string,example=10m"`
	// KeyAlgorithm is what the issuer's keys sign with. Default: RS256, the only one that Entra ID accepts.
	KeyAlgorithm string `yaml:"keyAlgorithm,omitempty" json:"keyAlgorithm,omitempty" jsonschema:"enum=RS256,enum=ES256"`
	// MaxTokenLifetime is the longest lifetime a token gets. Default: 24h, as on AKS.
	MaxTokenLifetime time.Duration `yaml:"maxTokenLifetime,omitempty" json:"maxTokenLifetime,omitempty" jsonschema:"type=string,example=24h"`
	// RotateKeysEvery is how often another key starts to sign. Default: only on demand.
	RotateKeysEvery time.Duration `yaml:"rotateKeysEvery,omitempty" json:"rotateKeysEvery,omitempty" jsonschema:"type=string,example=168h"`
	// PublishKeysAhead is how long a key is published before it signs.
	PublishKeysAhead time.Duration `yaml:"publishKeysAhead,omitempty" json:"publishKeysAhead,omitempty" jsonschema:"type=string,example=24h"`
	// RemoveKeysAfter is how long a key stays published after it signed last. Default: until it is removed on demand; of more than a hundred keys the oldest goes once its tokens have expired.
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
	// ResourceID is the identity's Azure resource id. Default: made from its name.
	ResourceID string `yaml:"resourceId,omitempty" json:"resourceId,omitempty"`
}

// Principal is what an application and a managed identity have in common.
type Principal struct {
	// Name is the display name.
	Name string `yaml:"name" json:"name"`
	// ClientID is the GUID that clients send as client_id.
	ClientID string `yaml:"clientId" json:"clientId" jsonschema:"format=uuid"`
	// ObjectID is the service principal's object id. Default: derived from the client id.
	ObjectID string `yaml:"objectId,omitempty" json:"objectId,omitempty" jsonschema:"format=uuid"`
	// Tenant is the id or a domain of the tenant. Default: the first tenant.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
	// Disabled says that the service principal may not sign in.
	Disabled bool `yaml:"disabled,omitempty" json:"disabled,omitempty"`
	// TokenLifetime is the lifetime of its access tokens. Default: 1h for an application, 24h for a managed identity.
	TokenLifetime time.Duration `yaml:"tokenLifetime,omitempty" json:"tokenLifetime,omitempty" jsonschema:"type=string,example=10m"`
	// Roles are the application permissions that it was granted, such as Organization.Read.All: the roles claim of its tokens for Microsoft Graph and for applications of the tenant. Default: none, and Microsoft Graph refuses it.
	Roles []string `yaml:"roles,omitempty" json:"roles,omitempty" jsonschema:"example=Application.Read.All"`
	// FederatedCredentials are the assertions that are trusted. Default: those that the workloads with this client id need; an empty list: none.
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
	// Audience is what the assertion is for. Default: api://AzureADTokenExchange.
	Audience string `yaml:"audience,omitempty" json:"audience,omitempty"`
}

// ClaimsMatchingExpression says what a flexible federated credential trusts.
type ClaimsMatchingExpression struct {
	// Value is the expression, such as claims['sub'] matches 'repo:contoso/*'.
	Value string `yaml:"value" json:"value"`
	// LanguageVersion is 1.
	LanguageVersion int `yaml:"languageVersion,omitempty" json:"languageVersion,omitempty" jsonschema:"enum=1"`
}

// Limits are counts in a minute of lab time; 0 is no limit.
type Limits struct {
	// Requests of a tenant beyond this number are answered with 429, AADSTS90055 and Retry-After.
	Requests int `yaml:"requests,omitempty" json:"requests,omitempty" jsonschema:"minimum=0"`
	// SameRequest is the number of equal requests (client, resource and credential) beyond which a client is told that it loops: AADSTS50196.
	SameRequest int `yaml:"sameRequest,omitempty" json:"sameRequest,omitempty" jsonschema:"minimum=0"`
}

// Secret is a client secret.
type Secret struct {
	// Value is what clients send as client_secret.
	Value string `yaml:"value" json:"value"`
	// Expires is when it ends. Default: never.
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
	// Tenant is the id or a domain of the tenant. Default: the first tenant.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
	// Secrets are the secrets' values by name.
	Secrets map[string]string `yaml:"secrets,omitempty" json:"secrets,omitempty"`
	// Keys are the keys by name, such as orders: {} for an RSA key that the lab makes.
	Keys map[string]VaultKey `yaml:"keys,omitempty" json:"keys,omitempty"`
	// Certificates are the certificates by name, each with its key and secret, such as web: {subject: CN=web.example.com} for one that the lab makes and renews.
	Certificates map[string]VaultCertificate `yaml:"certificates,omitempty" json:"certificates,omitempty"`
	// Access says who may do what, by roles or by permissions on secrets. Default: every identity of the tenant may do everything, unless there are accessPolicies; an empty list lets nobody in.
	Access accessList `yaml:"access,omitempty" json:"access,omitzero" yamlfile:"notnull"`
	// AccessPolicies say who may do what by permissions on secrets, keys and certificates. A vault has one permission model: with them, no entry of access has roles.
	AccessPolicies accessPolicyList `yaml:"accessPolicies,omitempty" json:"accessPolicies,omitzero" yamlfile:"notnull"`
}

// VaultKey is a key of a vault.
type VaultKey struct {
	// File is a file with the private key: PEM (PKCS#8, PKCS#1 or SEC 1) or a JWK, looked up from the folder of this file. Default: the lab makes one.
	File string `yaml:"file,omitempty" json:"file,omitempty"`
	// Type is RSA, EC, RSA-HSM or EC-HSM. Default: RSA, or what the file has.
	Type string `yaml:"type,omitempty" json:"type,omitempty" jsonschema:"enum=RSA,enum=EC,enum=RSA-HSM,enum=EC-HSM"`
	// Size is the bits of an RSA key that the lab makes. Default: 2048.
	Size int `yaml:"size,omitempty" json:"size,omitempty" jsonschema:"enum=2048,enum=3072,enum=4096"`
	// Curve is that of an EC key that the lab makes. Default: P-256.
	Curve string `yaml:"curve,omitempty" json:"curve,omitempty" jsonschema:"enum=P-256,enum=P-384,enum=P-521"`
	// Operations are the key_ops. Default: all of its type.
	Operations []string `yaml:"operations,omitempty" json:"operations,omitempty" jsonschema:"enum=encrypt,enum=decrypt,enum=sign,enum=verify,enum=wrapKey,enum=unwrapKey"`
}

// VaultCertificate is a certificate of a vault.
type VaultCertificate struct {
	// File is a file with certificate, chain and private key: PEM (with a PKCS#8 key) or PKCS#12, looked up from the folder of this file. Default: the lab makes a certificate that signs itself.
	File string `yaml:"file,omitempty" json:"file,omitempty"`
	// Password is that of a PKCS#12 file. Default: none.
	Password string `yaml:"password,omitempty" json:"password,omitempty"`
	// Subject is the X.500 name of one that the lab makes. Default: CN= and its name.
	Subject string `yaml:"subject,omitempty" json:"subject,omitempty"`
	// DNSNames are the subject alternative names of one that the lab makes.
	DNSNames []string `yaml:"dnsNames,omitempty" json:"dnsNames,omitempty"`
	// ValidityMonths is how long one that the lab makes is valid; it is renewed after 80 %. Default: 12.
	ValidityMonths int `yaml:"validityMonths,omitempty" json:"validityMonths,omitempty"`
	// ContentType is the format of its secret. Default: application/x-pkcs12, or that of the file.
	ContentType string `yaml:"contentType,omitempty" json:"contentType,omitempty" jsonschema:"enum=application/x-pkcs12,enum=application/x-pem-file"`
}

// Access lets an identity into a vault. It has roles or permissions.
type Access struct {
	_ roles.NotEmulated

	// Identity is the name or client id of an application or managed identity, or the name of a workload of this file whose client id none of them has; a component of a radixconfig.yaml is named by its client id. "*" stands for every identity of the tenant.
	Identity string `yaml:"identity" json:"identity"`
	// Roles are Azure roles by name, such as Key Vault Secrets User, or by id: the permission model of Azure role-based access control.
	Roles []string `yaml:"roles,omitempty" json:"roles,omitempty" jsonschema:"example=Key Vault Secrets User"`
	// Permissions are what it may do with secrets by an access policy; "*" is everything, with keys and certificates, too.
	Permissions []string `yaml:"permissions,omitempty" json:"permissions,omitempty" jsonschema:"enum=get,enum=list,enum=set,enum=delete,enum=recover,enum=backup,enum=restore,enum=purge,enum=*"`
}

// AccessPolicy is an access policy of a vault.
type AccessPolicy struct {
	// Identity is the name or client id of an application or managed identity, or the name of a workload of this file whose client id none of them has; a component of a radixconfig.yaml is named by its client id. "*" stands for every identity of the tenant.
	Identity string `yaml:"identity" json:"identity"`
	// Secrets are what it may do with secrets: get, list, set, delete, recover, backup, restore, purge, or "*".
	Secrets []string `yaml:"secrets,omitempty" json:"secrets,omitempty"`
	// Keys are what it may do with keys, such as get, sign, wrapKey, or "*".
	Keys []string `yaml:"keys,omitempty" json:"keys,omitempty"`
	// Certificates are what it may do with certificates, such as get, import, or "*".
	Certificates []string `yaml:"certificates,omitempty" json:"certificates,omitempty"`
}

// Roles are Azure roles that no resource of this file assigns, and when a change is seen.
type Roles struct {
	_ roles.NotEmulated

	// Delay is how long, in lab time, it takes until a role assignment that is made or removed at run time takes effect. Default: at once. Those of this file are in effect from the start.
	Delay time.Duration `yaml:"delay,omitempty" json:"delay,omitempty" jsonschema:"type=string,example=5m"`
	// Assignments are roles on subscriptions, resource groups and anything else that has a resource id.
	Assignments []RoleAssignment `yaml:"assignments,omitempty" json:"assignments,omitempty"`
	// Definitions are custom roles, which access and assignments name as they do built-in ones.
	Definitions []RoleDefinition `yaml:"definitions,omitempty" json:"definitions,omitempty"`
}

// RoleDefinition is a custom role, with what the JSON of az role definition create has.
type RoleDefinition struct {
	// Name is what access and assignments call the role.
	Name string `yaml:"name" json:"name"`
	// ID is the GUID of the role. Default: it is made from the name.
	ID string `yaml:"id,omitempty" json:"id,omitempty" jsonschema:"format=uuid"`
	// Description says what the role is for.
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	// Actions are what it permits of the management of resources, such as Microsoft.Storage/storageAccounts/read. * stands for any text.
	Actions []string `yaml:"actions,omitempty" json:"actions,omitempty"`
	// NotActions are those of actions that it does not permit.
	NotActions []string `yaml:"notActions,omitempty" json:"notActions,omitempty"`
	// DataActions are what it permits with the data in resources, such as Microsoft.KeyVault/vaults/secrets/getSecret/action. * stands for any text.
	DataActions []string `yaml:"dataActions,omitempty" json:"dataActions,omitempty"`
	// NotDataActions are those of dataActions that it does not permit.
	NotDataActions []string `yaml:"notDataActions,omitempty" json:"notDataActions,omitempty"`
	// AssignableScopes are the resource ids on which, or below which, it can be assigned. Default: it can be assigned everywhere.
	AssignableScopes []string `yaml:"assignableScopes,omitempty" json:"assignableScopes,omitempty"`
}

// RoleAssignment gives roles to an identity on a scope and everything below it.
type RoleAssignment struct {
	_ roles.NotEmulated

	// Identity is the name or client id of an application or managed identity, or the name of a workload of this file whose client id none of them has; a component of a radixconfig.yaml is named by its client id. "*" stands for every identity of the tenant.
	Identity string `yaml:"identity" json:"identity"`
	// Tenant is the id or a domain of the identity's tenant. Default: the first tenant.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
	// Roles are Azure roles by name, such as Contributor, or by id.
	Roles []string `yaml:"roles" json:"roles" jsonschema:"example=Contributor"`
	// Scope is a resource id, such as /subscriptions/ID/resourceGroups/NAME. Default: everything in the tenant.
	Scope string `yaml:"scope,omitempty" json:"scope,omitempty" jsonschema:"example=/subscriptions/ID/resourceGroups/NAME"`
}

// Workload is a service account and the client id that it uses.
type Workload struct {
	// Name is how the command line calls the workload. Default: the name of the service account, of the repository or of the service connection.
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
	// Namespace is the Kubernetes namespace. A job of GitHub Actions or a task of Azure Pipelines has none.
	Namespace string `yaml:"namespace,omitempty" json:"namespace,omitempty"`
	// ServiceAccount is the Kubernetes service account. A job of GitHub Actions or a task of Azure Pipelines has none.
	ServiceAccount string `yaml:"serviceAccount,omitempty" json:"serviceAccount,omitempty"`
	// GitHubJob says that it is a job of GitHub Actions instead of a pod: it asks for its token, as the job would. Default: it is a pod.
	GitHubJob GitHubJob `yaml:"githubJob,omitempty" json:"githubJob,omitzero"`
	// ServiceConnection says that it is a task of Azure Pipelines with a service connection instead of a pod: it asks for the connection's token, as the task would. Default: it is a pod.
	ServiceConnection ServiceConnection `yaml:"serviceConnection,omitempty" json:"serviceConnection,omitzero"`
	// ClientID is the client id of an application or managed identity.
	ClientID string `yaml:"clientId" json:"clientId" jsonschema:"format=uuid"`
	// Tenant is the id or a domain of the tenant. Default: the first tenant.
	Tenant string `yaml:"tenant,omitempty" json:"tenant,omitempty"`
	// Issuer is the name of an issuer that wiemu hosts. Default: the first; of a job of GitHub Actions that at https://token.actions.githubusercontent.com, which is added if it is missing, named github. Of a service connection serviceConnection.issuer says it.
	Issuer string `yaml:"issuer,omitempty" json:"issuer,omitempty"`
	// Audience is what its token is for. Default: api://AzureADTokenExchange.
	Audience string `yaml:"audience,omitempty" json:"audience,omitempty"`
	// TokenLifetime is what the projected volume asks for. Default: 1h.
	TokenLifetime time.Duration `yaml:"tokenLifetime,omitempty" json:"tokenLifetime,omitempty" jsonschema:"type=string,example=1h"`
	// Credential is with what it proves who it is: its service-account token (federated), or a secret or certificate of its application, which the lab makes if the application has none. Defaults to federated.
	Credential string `yaml:"credential,omitempty" json:"credential,omitempty" jsonschema:"enum=federated,enum=secret,enum=certificate,enum=certificate-pfx"`
	// ManagedIdentity is how its machine hands out tokens of managed identities. Default: it is a pod, which has none.
	ManagedIdentity string `yaml:"managedIdentity,omitempty" json:"managedIdentity,omitempty" jsonschema:"enum=imds,enum=app-service,enum=sidecar"`
	// IdentityBinding says that it goes through its cluster's identity-binding proxy, and how it is told the proxy's CA. Default: it does not.
	IdentityBinding string `yaml:"identityBinding,omitempty" json:"identityBinding,omitempty" jsonschema:"enum=ca-file,enum=ca-data"`
}

// Parse returns the configuration in a file, checked but not completed; file is
// the name that errors use. The error is a yamlfile.Problems that names every
// line at fault.
func Parse(file string, data []byte) (Config, error) {
	node, err := yamlfile.ParseUpTo(yamlfile.MaxConfiguration, file, data)
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

// YAML returns c as a file that [Parse] reads.
func (c Config) YAML() ([]byte, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("write a wiemu.yaml: %w", err)
	}
	return text, nil
}
