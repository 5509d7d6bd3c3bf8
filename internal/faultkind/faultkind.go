// Package faultkind names the kinds of fault and the points at which they hit. What a
// kind does is described in emulator/fault, and done by the package that asks for it.
package faultkind

// The points at which a call can go wrong. Each kind of fault hits at one of them.
const (
	AtRotation     = "rotation"      // another key of a ring is about to sign
	AtNewKey       = "new key"       // a key ring is about to take a new key
	AtMint         = "mint"          // a cluster is about to sign a service-account token
	AtRenewal      = "renewal"       // a kubelet is about to renew the token in a file
	AtTokenFile    = "token file"    // a token file is about to be laid out
	AtPodStart     = "pod start"     // a workload's program is about to be given its environment
	AtArrival      = "arrival"       // a request of a client has arrived, at Entra ID or a resource
	AtRequest      = "request"       // a request of a client is about to be answered
	AtTrust        = "trust"         // Entra ID is about to look for the federated credential of an assertion
	AtToken        = "token"         // Entra ID is about to make an access token
	AtKeyLookup    = "keys"          // Entra ID looks for the key of an assertion
	AtDiscovery    = "discovery"     // an issuer's discovery document is fetched
	AtJWKS         = "jwks"          // an issuer's key set is fetched
	AtMinted       = "minted"        // a cluster has signed a service-account token
	AtEarlyRenewal = "early renewal" // a kubelet has fetched a token and is about to decide when to renew it
	AtGranted      = "granted"       // Entra ID has signed an access token
	AtNetwork      = "network rules" // a resource decides whether a client's network may reach it
	AtAccess       = "access"        // a resource is about to let a caller in
	AtSQLLogin     = "SQL login"     // a SQL server decides on a login
	AtSQLRedirect  = "SQL redirect"  // a SQL server has let a client in, and may send it elsewhere
	AtSQLSession   = "SQL session"   // an open session of a SQL server is about to answer a request

	AtPostgresSession = "PostgreSQL session" // an open session of a PostgreSQL server is sent something
	AtRedisCommand    = "Redis command"      // a connection of a cache that has logged in is about to answer a command
	AtCredentialWrite = "credential write"   // Resource Manager is about to write a federated credential
	AtPrincipalLookup = "principal lookup"   // Resource Manager looks for the principal of a role assignment
	AtWrite           = "write"              // Resource Manager or Microsoft Graph has done a write, and is about to answer
	AtObjectLookup    = "object lookup"      // Microsoft Graph looks for an application, a service principal or a federated credential
)

// Faults of what Entra ID and the resources answer.
const (
	Throttled        = "throttled"
	ServerError      = "server-error"
	Slow             = "slow"
	ConnectionReset  = "connection-reset"
	Truncated        = "truncated"
	Malformed        = "malformed"
	WrongContentType = "wrong-content-type"
)

// Correct rotations of keys and tokens at a bad moment.
const (
	IssuerKeyRotated  = "issuer-key-rotated"
	TokenRenewedEarly = "token-renewed-early"
	EntraKeyRotated   = "entra-key-rotated"
)

// Faults of an issuer's discovery document and key set, as Entra ID fetches them.
const (
	DiscoveryUnreachable = "discovery-unreachable"
	DiscoverySlow        = "discovery-slow"
	DiscoveryMalformed   = "discovery-malformed"
	DiscoveryWrongIssuer = "discovery-wrong-issuer"
	JWKSUnreachable      = "jwks-unreachable"
	JWKSSlow             = "jwks-slow"
	JWKSMalformed        = "jwks-malformed"
	JWKSWrongIssuer      = "jwks-wrong-issuer"
	JWKSShuffled         = "jwks-shuffled"
)

// Faults of a workload's token file, of the tokens in it, and of its environment.
const (
	WebhookNotInjecting        = "webhook-not-injecting"
	ExpiredServiceAccountToken = "expired-service-account-token"
	EarlyServiceAccountToken   = "not-yet-valid-service-account-token"
	TokenNotRotated            = "token-not-rotated"
	TokenFileDeletedDuringSwap = "token-file-deleted-during-swap"
	TokenFileMissing           = "token-file-missing"
	TokenFileEmpty             = "token-file-empty"
	TokenFileTruncated         = "token-file-truncated"
	TokenFileUnreadable        = "token-file-unreadable"
	SubPathMount               = "subpath-mount"
)

// Faults of a cluster that rotates the keys of its issuer.
const (
	SignBeforePublish = "sign-before-publish"
	RetireEarly       = "retire-early"
	KidReused         = "kid-reused"
	ECKeys            = "ec-keys"
)

// Faults of the access tokens that Entra ID issues.
const (
	ExpiredToken     = "expired-token"
	NotYetValidToken = "not-yet-valid-token"
	ExpiresInString  = "expires-in-string"
)

// Faults of how Entra ID matches and verifies an assertion.
const (
	Propagation        = "federated-credential-propagation"
	Intermittent700213 = "intermittent-700213"
	StaleJWKS          = "stale-jwks"
)

// Faults of what identities may do.
const (
	AssignmentDelayed = "assignment-delayed"
	NetworkRules      = "network-rules"
	SessionsRevoked   = "sessions-revoked"
)

// Faults of what creates identities, credentials and roles.
const (
	ConcurrentWrites       = "concurrent-writes"
	PrincipalNotReplicated = "principal-not-replicated"
	ObjectNotReplicated    = "object-not-replicated"
	WriteLostReply         = "write-lost-reply"
)

// Faults of SQL servers.
const (
	SQLError        = "sql-error"
	SQLRedirect     = "sql-redirect"
	SQLSessionEnded = "sql-session-ended"
)

// PostgresSessionEnded is a fault of PostgreSQL servers.
const PostgresSessionEnded = "postgres-session-ended"

// Faults of Redis.
const (
	RedisMoved           = "redis-moved"
	RedisConnectionEnded = "redis-connection-ended"
)
