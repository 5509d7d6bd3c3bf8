package fault

import (
	"math/rand/v2"
	"strconv"
)

// awkward are changes that are right and come at the worst of times. A client
// that does what it should does not notice them.
func awkward() []Kind {
	return []Kind{
		{
			Name: IssuerKeyRotated, Point: AtMinted, Selects: []string{selectIssuer},
			Summary: "a cluster's keys change right after it has minted a token",
			Description: "As they should: the next key is published first, and signs when it has been in the key set for a while; the one before it stays. " +
				"A key that retired more than 25 hours ago, longer than Entra ID takes any token, leaves the key set. A hit publishes a key or, if one has waited long enough, lets it sign.",
			Parameters: []Parameter{{Name: "ahead", Type: TypeDuration, Default: "1h", Description: "how long a key is published before it signs, in lab time; Entra ID may remember the keys for an hour"}},
			Example:    "issuer-key-rotated --for issuer=local --every 3",
		},
		{
			Name: TokenRenewedEarly, Point: AtEarlyRenewal, Selects: []string{selectWorkload},
			Summary:     "the kubelet renews a token long before it has to",
			Description: "As a kubelet does that was started again and has forgotten its tokens: the file changes under a program that has just read it. The token before it is good until it expires.",
			Parameters:  []Parameter{{Name: "after", Type: TypeDuration, Default: "10m", Description: "how old the token is when it is renewed, in lab time"}},
			Example:     "token-renewed-early --every 2 after=5m",
		},
		{
			Name: EntraKeyRotated, Point: AtGranted, Selects: []string{selectClient, selectIssuer, selectKid, selectResource, selectWorkload},
			Summary:     "Entra ID's key changes right after it has signed a token",
			Description: "The next token is signed with another key, and the old key stays in the key set for 25 hours: whoever verifies tokens has to look for keys that it does not know.",
			Example:     "entra-key-rotated --every 3",
		},
	}
}

// The names of the awkward changes.
const (
	IssuerKeyRotated  = "issuer-key-rotated"
	TokenRenewedEarly = "token-renewed-early"
	EntraKeyRotated   = "entra-key-rotated"
)

// Chaos is what makes a lab as nasty as the real thing can be, as Pebble is for
// clients of ACME: a little throttling, failures, delays and lost connections,
// key sets in another order, keys and tokens that change at awkward moments. A
// client that retries as the SDKs do by default, honours Retry-After and reads its
// token file for every exchange survives it. All of it follows from the seed; 0
// is no chaos.
//
// (Numbers that are strings, expires_in, are what the v1 endpoint and IMDS write
// in every lab.)
func Chaos(seed uint64) []Fault {
	if seed == 0 {
		return nil
	}
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // it is to be the same again
	// At most two of the kinds that fail hit one service, each at most once in four
	// calls: of the four attempts that azcore makes by default one gets through.
	now := func(every int) Limits { return Limits{Nth: 1 + random.IntN(every), Every: every} }
	between := func(least, most int) int { return least + random.IntN(most-least+1) }
	of := func(values ...string) string { return values[random.IntN(len(values))] }
	return []Fault{
		{Name: Throttled, Parameters: Settings{"retry-after": "1s"}, For: Selector{Resource: PartEntra}, When: now(between(4, 7))},
		{Name: ConnectionReset, Parameters: Settings{"stage": of("before", "after")}, For: Selector{Resource: PartEntra}, When: now(between(5, 9))},
		{Name: Throttled, Parameters: Settings{"retry-after": "1s"}, For: Selector{Resource: "keyvault"}, When: now(between(5, 9))},
		{Name: ServerError, Parameters: Settings{"status": of("500", "502", "503", "504")}, For: Selector{Resource: "keyvault"}, When: now(between(4, 7))},
		{Name: Slow, Parameters: Settings{"latency": strconv.Itoa(between(20, 200)) + "ms"}, When: now(between(2, 5))},
		{Name: JWKSSlow, Parameters: Settings{"latency": strconv.Itoa(between(20, 200)) + "ms"}, When: now(between(2, 4))},
		{Name: JWKSShuffled, When: now(between(1, 2))},
		{Name: IssuerKeyRotated, When: now(between(1, 3))},
		{Name: TokenRenewedEarly, Parameters: Settings{"after": strconv.Itoa(between(2, 30)) + "m"}, When: now(between(1, 3))},
		{Name: EntraKeyRotated, When: now(between(1, 4))},
	}
}
