package fault

import "github.com/wiemu/wiemu/internal/faultkind"

// keys are faults of a cluster that changes the keys of its issuer. They hit when
// a key ring is rotated or needs a new key, and do nothing until then.
func keys() []Kind {
	selects := []string{selectIssuer}
	return []Kind{
		{
			Name: faultkind.SignBeforePublish, Point: faultkind.AtRotation, Selects: selects,
			Summary: "a new key signs before it is in the key set",
			Description: "The rotation takes a key that nobody has seen yet, and the key set follows later, as when the API servers have the new key and the JWKS is uploaded by hand. " +
				"New tokens are refused with 7000272, old ones are good. Clearing the fault publishes the key. Source: azure-workload-identity#1232, and its page on key rotation of self-managed clusters.",
			Parameters: []Parameter{{Name: "publish-after", Type: TypeDuration, Default: "10m", Description: "how long the key signs before it is published, in lab time; 0s: until the fault is cleared"}},
			Example:    "sign-before-publish --for issuer=local publish-after=30m",
		},
		{
			Name: faultkind.RetireEarly, Point: faultkind.AtRotation, Selects: selects,
			Summary: "a key leaves the key set while its tokens live",
			Description: "The key that stops signing is taken out of the JWKS at once, or soon. Its tokens are refused with 7000272 as soon as Entra ID reads the keys again, which is later than the cause. " +
				"Source: MicrosoftDocs/azure-docs#122497.",
			Parameters: []Parameter{{Name: "after", Type: TypeDuration, Default: "0s", Description: "how long the key stays after it signed last, in lab time"}},
			Example:    "retire-early --for issuer=local",
		},
		{
			Name: faultkind.KidReused, Point: faultkind.AtRotation, Selects: selects,
			Summary: "a new key has the key id of the one before it",
			Description: "As with a kid that is a fixed name instead of the key's hash. A verifier that remembers the old key under that id has no reason to look again: new tokens have a wrong signature until the copy has grown old, " +
				"and old tokens from then on. Kubernetes avoids it by deriving the kid from the key (pkg/serviceaccount/jwt.go); SPIRE and home-made issuers do not have to.",
			Example: "kid-reused --for issuer=local",
		},
		{
			Name: faultkind.ECKeys, Point: faultkind.AtNewKey, Selects: selects,
			Summary: "new keys are EC keys, and tokens are signed with ES256",
			Description: "From the issuer's next key on. kube-apiserver takes an EC key without a word, and TokenReview accepts its tokens; Entra ID refuses them with 5002738. " +
				"Source: entra-docs, workload-identity-federation-considerations (only RS256 is tested); that code was seen for another algorithm. wiemu.yaml's keyAlgorithm gives an issuer such keys from the start.",
			Example: "ec-keys --for issuer=local",
		},
	}
}
