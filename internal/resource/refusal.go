package resource

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

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
	Revoked         Reason = "revoked"          // given out before the identity's sessions were revoked
)

// Refusal is why an access token was not accepted. Each resource answers in its own
// words; Error, Meaning and Remedy are for the journal.
type Refusal struct {
	Reason    Reason
	Check     string // the check that failed
	Expected  string
	Presented string
	Cause     error     // set when keys could not be had
	Undotted  bool      // what was sent has no dots at all, for which some resources have another message
	Since     time.Time // when tokens were revoked, if this one was

	// Lockstep says that programs run on the lab clock, so that a difference between the
	// clocks cannot be why an old token is sent.
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

// Evaluated is what resources say of a token that was revoked.
// Source of this and the claims: what Microsoft Graph answered in 2024, in the tests of
// azure-core for Java and .NET.
const Evaluated = "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp"

// Claims is what a client has to ask for so that its next token is not refused for the same
// reason: the claims parameter of a challenge, in base64. It is "" unless the token was
// revoked.
func (r *Refusal) Claims() string {
	if r.Reason != Revoked {
		return ""
	}
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"access_token":{"nbf":{"essential":true, "value":"%d"}}}`, r.Since.Unix()))
}

// Meaning returns what the refusal means for the caller.
func (r *Refusal) Meaning() string { return explanations()[r.Reason].meaning }

// Remedy returns what to change.
func (r *Refusal) Remedy() string {
	if r.Reason == Expired && r.Lockstep {
		return "Ask for a new token. The application lives on the lab clock, so this is not the clock: it keeps the token longer than the token lives. Keep it until shortly before its expires_on, or let the SDK's credential do that, and look for a cache of the application's own."
	}
	if first, _, _ := strings.Cut(r.Expected, audienceSeparator); r.Reason == WrongAudience && first != "" {
		return "Ask for a token with the scope " + strings.TrimSuffix(first, "/") + "/.default."
	}
	return explanations()[r.Reason].remedy
}

type explanation struct{ meaning, remedy string }

func explanations() map[Reason]explanation {
	return map[Reason]explanation{
		Missing: {
			"The request carried no Authorization header with a bearer token.",
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
		Revoked: {
			"The identity's sessions were revoked after this token had been given out, and the resource refuses it though it has not expired.",
			"Ask for a new token, with the claims of the challenge. SDKs do that by themselves if they say that they can (cp1, which Azure's clients declare); who keeps tokens has to drop this one on a 401.",
		},
		Expired: {
			"The token's validity is over on the lab clock.",
			"Ask for a new token. A client renews by its own clock: when only the lab's clock was moved, it keeps sending what it has cached.",
		},
	}
}
