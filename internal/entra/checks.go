package entra

import (
	"context"
	"slices"

	"github.com/wiemu/wiemu/internal/entra/aadsts"
)

type check struct {
	name     string
	scope    scope // which requests it belongs to
	requires facts // what earlier checks must have found
	provides facts // what passing it establishes
	run      func(context.Context, *exchange) result
}

// result is what a check found; it failed if there is a refusal.
type result struct {
	expected, presented, note string
	refusal                   *aadsts.Error
}

type scope int

const (
	always          scope = iota
	onRequest             // not when an assertion alone is examined
	onClaimsRequest       // the client sent the claims parameter
	onInterruption        // a fault keeps the service from answering
	onLimited             // not when an assertion alone is examined, and there are limits
	onForeignCloud        // a login host of another cloud was asked
	onRegion              // a regional endpoint was asked
	onSecret              // the client sent a secret
	onAssertion           // the client sent an assertion
	onCertificate         // … which it signed itself
	onFederation          // … which an issuer signed
)

// facts are what earlier checks have established about a request.
type facts int

const (
	hasTenant   facts = 1 << iota
	hasClient         // the principal that asks
	hasSecret         // that was presented and belongs to the client
	hasToken          // the assertion, as a JWT
	hasHeader         // and its header can be followed
	hasClaims         // and its claims are of the right types
	hasIssuer         // and a federated credential names its issuer
	hasTrust          // and one matches it altogether
	hasKeys           // and the issuer's keys could be read
	hasKey            // and the one that is to verify it is there
	hasResource       // that is asked for
	hasKind           // of which both parts fit together
)

// checkList returns the checks in the order in which Entra ID makes them, as far as it is known
// (reconstructed from which error wins over which). To add a check, add a line.
//
// Trusting comes before fetching: only an issuer that a federated credential of
// the application names is ever contacted.
func (s *Service) checkList() []check {
	return []check{
		{"service available", onInterruption, 0, 0, checkInterruption},

		// the request
		{"HTTP method", onRequest, 0, 0, checkMethod},
		{"form", onRequest, 0, 0, checkForm},
		{"grant type", onRequest, 0, 0, checkGrant},
		{"tenant", always, 0, hasTenant, checkTenant},
		{"cloud", onForeignCloud, hasTenant, 0, checkCloud},
		{"throttling", onLimited, hasTenant, 0, checkThrottling},
		{"resource parameter", onRequest, 0, 0, checkScope},
		{"claims parameter", onClaimsRequest, 0, 0, checkClaimsRequest},

		// who asks
		{"client id", always, 0, 0, checkClientID},
		{"application", always, hasTenant, hasClient, checkApplication},
		{"application enabled", always, hasClient, 0, checkEnabled},
		{"request loop", onLimited, hasClient, 0, checkLoop},
		{"client credential", onRequest, 0, 0, checkCredential},
		{"confidential client", onRequest, hasClient, 0, checkConfidential},
		{"regional endpoint", onRegion, hasClient, 0, checkRegion},

		// with a secret
		{"secret allowed", onSecret, hasClient, 0, checkSecretAllowed},
		{"secret", onSecret, hasClient, hasSecret, checkSecret},
		{"secret in time", onSecret, hasSecret, 0, checkSecretTime},

		// with an assertion
		{"assertion type", onAssertion, 0, 0, checkAssertionType},
		{"assertion is a JWT", onAssertion, 0, hasToken, checkToken},
		{"header type", onAssertion, hasToken, 0, checkType},
		{"header members", onAssertion, hasToken, hasHeader, checkHeader},
		{"algorithm", onAssertion, hasToken, 0, checkAlgorithm},
		{"key named", onAssertion, hasToken, 0, checkKeyNamed},
		{"claims", onAssertion, hasToken, hasClaims, checkClaims},

		// that the client signed itself
		{"subject is the client", onCertificate, hasClaims, 0, checkOwnSubject},
		{"certificate registered", onCertificate, hasClient | hasHeader, hasKey, checkCertificate},
		{"certificate in time", onCertificate, hasKey, 0, checkCertificateTime},
		{"signature", onCertificate, hasKey, 0, checkOwnSignature},
		{"audience is the token endpoint", onCertificate, hasTenant | hasClaims, 0, checkOwnAudience},
		{"valid now", onCertificate, hasClaims, 0, checkTime},

		// that an issuer signed
		{"federated credentials exist", onFederation, hasClient, 0, checkTrusts},
		{"not a token of Entra ID", onFederation, hasClient | hasClaims, 0, checkNotEntraToken},
		{"issuer", onFederation, hasClient | hasClaims, hasIssuer, checkIssuer},
		{"subject", onFederation, hasIssuer, 0, checkSubject},
		{"audience", onFederation, hasIssuer, hasTrust, checkAudience},
		{"lifetime", onFederation, hasClaims, 0, checkLifetime},
		{"valid now", onFederation, hasClaims, 0, checkTime},
		{"issuer's metadata", onFederation, hasIssuer, hasKeys, checkMetadata},
		{"signing key published", onFederation, hasKeys | hasHeader, hasKey, checkKey},
		{"key fits the algorithm", onFederation, hasKey, hasKind, checkKeyKind},
		{"signature", onFederation, hasKind, 0, checkSignature},

		// what is asked for
		{"resource", onRequest, hasTenant, hasResource, checkResource},
		{"role assigned", onRequest, hasResource | hasClient, 0, checkAssigned},
	}
}

// isMismatch reports whether a code says that no federated credential matched,
// so that the nearest one is worth showing.
func isMismatch(code int) bool {
	return slices.Contains([]int{700211, 700212, 700213, 7002138}, code)
}
