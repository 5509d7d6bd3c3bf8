package fault

import "github.com/wiemu/wiemu/internal/faultkind"

// trusts are faults of how Entra ID matches an assertion to a federated
// credential, and of the keys by which it verifies the assertion.
func trusts() []Kind {
	selects := []string{selectClient, selectIssuer, selectKid, selectResource, selectWorkload}
	return []Kind{
		{
			Name: faultkind.Propagation, Point: faultkind.AtTrust, Selects: selects,
			Summary: "a federated credential is not known yet for a while after it was added or changed",
			Description: "Entra ID replicates: a request soon after the change meets a server that does not know of it, and is refused with 700211 or 700213 (or 70025 if the identity had no credential before). " +
				"Credentials that wiemu.yaml lists have been there for long; the one that a workload needs is made with the workload. Source: Microsoft's documentation of workload identity federation (\"takes time to propagate\"); azure-workload-identity#1200.",
			Parameters: []Parameter{{Name: "delay", Type: TypeDuration, Default: "2m", Description: "how long a change stays unknown, in lab time"}},
			Example:    "federated-credential-propagation delay=5m",
		},
		{
			Name: faultkind.Intermittent700213, Point: faultkind.AtTrust, Selects: selects,
			Summary:     "now and then no federated credential matches the subject, though one does",
			Description: "The assertion is good and refused with 700213; the next attempt succeeds. KEDA saw 2.2 % of its exchanges fail so (kedacore/keda#8152). SDKs do not try again on a 401.",
			Example:     "intermittent-700213 --probability 0.022 --seed 7",
		},
		{
			Name: faultkind.StaleJWKS, Point: faultkind.AtKeyLookup, Selects: []string{selectIssuer},
			Summary:     "Entra ID keeps an issuer's key set longer than it should",
			Description: "The keys that were fetched once are used for a lifetime on the lab clock, and a key id that is not among them does not make Entra ID look again: after a rotation, good assertions are refused with 7000272 until the lifetime is over.",
			Parameters:  []Parameter{{Name: "lifetime", Type: TypeDuration, Default: "24h", Description: "how long fetched keys are used, in lab time"}},
			Example:     "stale-jwks --for issuer=local lifetime=24h",
		},
	}
}
