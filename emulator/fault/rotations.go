package fault

import "github.com/wiemu/wiemu/internal/faultkind"

// rotations are correct rotations of keys and tokens at a bad moment. A client
// that does what it should does not notice them.
func rotations() []Kind {
	return []Kind{
		{
			Name: faultkind.IssuerKeyRotated, Point: faultkind.AtMinted, Selects: []string{selectIssuer},
			Summary: "a cluster's keys change right after it has minted a token",
			Description: "As they should: the next key is published first, and signs when it has been in the key set for a while; the one before it stays. " +
				"A key that retired more than 25 hours ago, longer than Entra ID takes any token, leaves the key set. A hit publishes a key or, if one has waited long enough, lets it sign.",
			Parameters: []Parameter{{Name: "ahead", Type: TypeDuration, Default: "1h", Description: "how long a key is published before it signs, in lab time; Entra ID may remember the keys for an hour"}},
			Example:    "issuer-key-rotated --for issuer=local --every 3",
		},
		{
			Name: faultkind.TokenRenewedEarly, Point: faultkind.AtEarlyRenewal, Selects: []string{selectWorkload},
			Summary:     "the kubelet renews a token long before it has to",
			Description: "As a kubelet does that was started again and has forgotten its tokens: the file changes under a program that has just read it. The token before it is good until it expires.",
			Parameters:  []Parameter{{Name: "after", Type: TypeDuration, Default: "10m", Description: "how old the token is when it is renewed, in lab time"}},
			Example:     "token-renewed-early --every 2 after=5m",
		},
		{
			Name: faultkind.EntraKeyRotated, Point: faultkind.AtGranted, Selects: []string{selectClient, selectIssuer, selectKid, selectResource, selectWorkload},
			Summary:     "Entra ID's key changes right after it has signed a token",
			Description: "The next token is signed with another key, and the old key stays in the key set for 25 hours: whoever verifies tokens has to look for keys that it does not know.",
			Example:     "entra-key-rotated --every 3",
		},
	}
}
