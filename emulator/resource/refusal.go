package resource

import "fmt"

// Reason says which check of an access token failed.
type Reason string

// The reasons, in the order in which the checks are made.
const (
	Missing         Reason = "no token"         // there is no bearer token
	Malformed       Reason = "malformed"        // not a JWS in compact form with claims in JSON
	WrongType       Reason = "not access token" // something else that is a JWT, as a service-account token
	WrongAlgorithm  Reason = "algorithm"        // not RS256
	WrongTenant     Reason = "tenant"           // of another tenant than the resource's, or of none that is known
	WrongIssuer     Reason = "issuer"           // not the token service of the tenant
	WrongAudience   Reason = "audience"         // made for another resource
	KeysUnreachable Reason = "keys unreachable" // the tenant's key set could not be fetched
	UnknownKey      Reason = "unknown key"      // signed with a key that is not in the tenant's key set
	BadSignature    Reason = "signature"        // changed, or signed by somebody else
	NotYetValid     Reason = "not yet valid"    // nbf is in the future by more than the skew
	Expired         Reason = "expired"          // exp is in the past by more than the skew
)

// Refusal is why an access token was not accepted. A resource answers it in its
// own words; Error, Meaning and Remedy are for the journal.
type Refusal struct {
	Reason    Reason
	Check     string // the check that failed
	Expected  string
	Presented string
	Cause     error // set when keys could not be had
	Undotted  bool  // what was sent has no dots at all, which some resources tell apart

	// Lockstep reports whether programs live on the lab clock, so that the clock is
	// not why one sends an old token.
	Lockstep bool
}

// Error says what was expected and presented.
func (r *Refusal) Error() string {
	switch {
	case r.Reason == Missing:
		return "the request has no bearer token"
	case r.Cause != nil:
		return fmt.Sprintf("access token refused: %s: %v", r.Check, r.Cause)
	default:
		return fmt.Sprintf("access token refused: %s: expected %s, presented %s", r.Check, r.Expected, r.Presented)
	}
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Cause }

// Meaning says what the refusal says about the caller.
func (r *Refusal) Meaning() string { return advice()[r.Reason].meaning }

// Remedy says what to change.
func (r *Refusal) Remedy() string {
	if r.Reason == Expired && r.Lockstep {
		return "Ask for a new token. The application lives on the lab clock, so this is not the clock: it keeps the token longer than the token lives. Keep it until shortly before its expires_on, or let the SDK's credential do that, and look for a cache of the application's own."
	}
	return advice()[r.Reason].remedy
}

type counsel struct{ meaning, remedy string }

func advice() map[Reason]counsel {
	return map[Reason]counsel{
		Missing: {
			"The request carried no Authorization header with a bearer token. Clients of Key Vault send their first request like that on purpose, to be told where to get a token.",
			"Nothing, when a request with a token follows. Otherwise send Authorization: Bearer and an access token for this resource.",
		},
		Malformed: {
			"What was sent as a bearer token is not a signed JWT.",
			"Send the access_token of the token endpoint's answer, whole and without quotes.",
		},
		WrongType: {
			"The token is a JWT but not an access token of Entra ID. A service-account token is a credential for the token endpoint, not for a resource.",
			"Exchange the service-account token at the token endpoint and send the access_token of its answer.",
		},
		WrongAlgorithm: {
			"Entra ID signs access tokens with RS256 and resources accept nothing else.",
			"Send the access token as the token endpoint gave it.",
		},
		WrongTenant: {
			"The token was given out by another tenant than the one that the resource belongs to.",
			"Ask for the token in the resource's tenant: check AZURE_TENANT_ID, or the tenant of the resource.",
		},
		WrongIssuer: {
			"The issuer in the token is not the token service of its tenant.",
			"Ask the token endpoint of the tenant for a new token.",
		},
		WrongAudience: {
			"The token was made for another resource; a token opens only the resource that it was asked for.",
			"Ask for a token with this resource's scope.",
		},
		KeysUnreachable: {
			"The tenant's signing keys could not be fetched, so nothing can be verified.",
			"See the discovery event before this one for what went wrong.",
		},
		UnknownKey: {
			"The token is signed with a key that the tenant does not publish, or not any more.",
			"Ask for a new token; when a key was rotated, publish the new one before it signs and keep the old one as long as its tokens live.",
		},
		BadSignature: {
			"The signature does not belong to the content: the token was changed, or signed by somebody else.",
			"Send the access token as the token endpoint gave it.",
		},
		NotYetValid: {
			"The token's validity begins in the future of the lab clock.",
			"Compare the clocks: the token was made by a clock that is ahead.",
		},
		Expired: {
			"The token's validity is over on the lab clock.",
			"Ask for a new token. A client renews by its own clock: when only the lab's clock was moved, it keeps sending what it has cached.",
		},
	}
}
