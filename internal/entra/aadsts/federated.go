package aadsts

import (
	"fmt"
	"time"
)

// NoFederatedCredentials refuses a token for an application that trusts nobody.
// name is the application's display name.
func NoFederatedCredentials(name string) *Error { return refuse(70025, "name", name) }

// NoMatchingIssuer refuses a token whose issuer no federated credential names.
func NoMatchingIssuer(issuer string) *Error { return refuse(700211, "issuer", issuer) }

// NoMatchingSubject refuses a token whose subject no federated credential with
// its issuer names.
func NoMatchingSubject(subject string) *Error { return refuse(700213, "subject", subject) }

// SubjectDiffersInCase refuses a token whose subject is right but for case.
func SubjectDiffersInCase(subject string) *Error { return refuse(7002138, "subject", subject) }

// NoMatchingAudience refuses a token whose audience no federated credential with
// its issuer and subject names.
func NoMatchingAudience(audience string) *Error { return refuse(700212, "audience", audience) }

// OwnToken refuses a token of Entra ID as an assertion.
func OwnToken() *Error { return refuse(700222) }

// OwnTokenNotOfManagedIdentity refuses a token of Entra ID whose subject is no
// managed identity.
func OwnTokenNotOfManagedIdentity() *Error { return refuse(700226) }

// OwnTokenOfOtherTenant refuses a token of Entra ID for another tenant.
func OwnTokenOfOtherTenant(issuer string) *Error { return refuse(700236, "issuer", issuer) }

// LifetimeTooLong refuses a token that is valid for more than 25 hours.
func LifetimeTooLong(issued, expires time.Time) *Error {
	return refuse(70023, "issued", fmt.Sprint(issued.Unix()), "expires", fmt.Sprint(expires.Unix()))
}

// NotInTime refuses a token that has expired or is not valid yet. A zero time
// stands for a claim that the token lacks.
func NotInTime(now, from, expires time.Time) *Error {
	e := refuse(700024, "now", instant(now), "from", instant(orEpoch(from)), "expires", instant(orEpoch(expires)))
	switch {
	case expires.IsZero():
		e.Meaning = "The token has no exp claim, so it counts as expired since 1970."
		e.Remedy = "Have the issuer put exp into its tokens. Those of a Kubernetes Secret (type kubernetes.io/service-account-token) have none: use a projected token."
	case now.Before(from):
		e.Meaning = "The token is not valid yet. Five minutes of difference between the clocks are allowed."
		e.Remedy = "Compare the clocks: the one that wrote nbf, the issuer's, is ahead of Entra ID's."
	}
	return e
}

// OwnAssertionNotInTime refuses, with the same code, an assertion that the client
// signed itself.
func OwnAssertionNotInTime(now, from, expires time.Time) *Error {
	e := NotInTime(now, from, expires)
	switch {
	case expires.IsZero():
		e.Meaning = "The assertion that the client signed has no exp claim."
		e.Remedy = "Put exp into it: a few minutes from now, ten at most."
	case now.Before(from):
		e.Meaning = "The assertion that the client signed is not valid yet. Five minutes of difference between the clocks are allowed."
		e.Remedy = "Compare the client's clock with the lab's: nbf was written by one that is ahead."
	default:
		e.Meaning = "The assertion that the client signed has expired. Five minutes of difference between the clocks are allowed."
		e.Remedy = "Sign a new assertion for each request, with an exp a few minutes from now: one that is kept goes on being sent after its end (a callback must sign anew each time it is called). If it was just made, the client's clock is behind the lab's."
	}
	return e
}

func orEpoch(t time.Time) time.Time {
	if t.IsZero() {
		return time.Unix(0, 0)
	}
	return t
}

// MetadataUnreachable refuses a token whose issuer's metadata cannot be used.
func MetadataUnreachable() *Error { return refuse(501661) }

// KeyNotPublished refuses a token whose kid the issuer's key set lacks. key is
// the kid, or its bytes in hexadecimal if it is a SHA-1 thumbprint.
func KeyNotPublished(key, issuer string) *Error { return refuse(7000272, "key", key, "issuer", issuer) }
