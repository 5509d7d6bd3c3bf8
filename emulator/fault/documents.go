package fault

import "github.com/wiemu/wiemu/internal/faultkind"

// documents are faults of an issuer's discovery document and key set as Entra ID
// fetches them.
func documents() []Kind {
	selects := []string{selectIssuer}
	var kinds []Kind
	for _, d := range []struct{ point, what, unreachable, slow, malformed string }{
		{faultkind.AtDiscovery, "an issuer's discovery document", faultkind.DiscoveryUnreachable, faultkind.DiscoverySlow, faultkind.DiscoveryMalformed},
		{faultkind.AtJWKS, "an issuer's key set", faultkind.JWKSUnreachable, faultkind.JWKSSlow, faultkind.JWKSMalformed},
	} {
		kinds = append(kinds,
			Kind{
				Name: d.unreachable, Point: d.point, Selects: selects,
				Summary:     d.what + " cannot be fetched",
				Description: "The connection fails, or the server answers with an error status. While Entra ID remembers the keys, nothing is seen; after that, or for a new key, assertions are refused with 501661.",
				Parameters:  []Parameter{{Name: "status", Type: TypeNumber, Default: "0", Description: "the HTTP status of the answer; 0: the connection is refused"}},
				Example:     d.unreachable + " --for issuer=local status=503",
			},
			Kind{
				Name: d.slow, Point: d.point, Selects: selects,
				Summary:     d.what + " comes late",
				Description: "It is delayed by machine time, not lab time. Entra ID gives up after ten seconds, as for a document that cannot be fetched.",
				Parameters:  []Parameter{{Name: "latency", Type: TypeDuration, Most: "1m30s", Default: "2s", Description: "how late, in machine time"}},
				Example:     d.slow + " latency=12s",
			},
			Kind{
				Name: d.malformed, Point: d.point, Selects: selects,
				Summary:     d.what + " is not valid JSON",
				Description: "It ends in the middle, as a file that was not uploaded completely.",
				Example:     d.malformed + " --for issuer=local",
			},
		)
	}
	return append(kinds,
		Kind{
			Name: faultkind.DiscoveryWrongIssuer, Point: faultkind.AtDiscovery, Selects: selects,
			Summary:     "the discovery document names another issuer",
			Description: "As after a migration, or with a slash too many: OpenID Connect Discovery 1.0 §4.3 wants the issuer in the document to be the one that was asked, character by character.",
			Parameters:  []Parameter{{Name: "issuer", Type: TypeText, Default: "", Description: "the issuer in the document; if empty, the issuer with its final slash added or taken away"}},
			Example:     "discovery-wrong-issuer --for issuer=local issuer=https://elsewhere.example/",
		},
		Kind{
			Name: faultkind.JWKSWrongIssuer, Point: faultkind.AtJWKS, Selects: selects,
			Summary:     "the key set is another issuer's",
			Description: "None of its keys has the id of one that the issuer signs with, as when the wrong file was uploaded; assertions are refused because their key is not published.",
			Example:     "jwks-wrong-issuer --for issuer=local",
		},
		Kind{
			Name: faultkind.JWKSShuffled, Point: faultkind.AtJWKS, Selects: selects,
			Summary:     "the keys are in another order in the key set",
			Description: "The order means nothing (RFC 7517 §5), so a relying party must go by the key id.",
			Example:     "jwks-shuffled",
		},
	)
}
