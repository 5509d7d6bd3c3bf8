package fault

import "github.com/wiemu/wiemu/internal/faultkind"

// roles are faults of what identities may do to resources.
func roles() []Kind {
	return []Kind{
		{
			Name: faultkind.AssignmentDelayed, Point: faultkind.AtAccess, Selects: []string{selectClient, selectResource},
			Summary: "a role assignment is not seen yet for a while after it was made",
			Description: "Resources keep what they know of role assignments, so that a program that starts soon after its role was assigned is refused as if it had none, with 403; the same request succeeds later. " +
				"The assignments of wiemu.yaml count as made when the lab started. Source: azure-docs, role-based-access-control/troubleshooting.md (\"up to 10 minutes\").",
			Parameters: []Parameter{{Name: "delay", Type: TypeDuration, Default: "5m", Description: "how long an assignment stays unseen, in lab time"}},
			Example:    "assignment-delayed --for resource=keyvault delay=10m",
		},
		{
			Name: faultkind.SessionsRevoked, Point: faultkind.AtAccess, Selects: []string{selectClient, selectResource},
			Summary: "the sessions of an identity are revoked just as a resource is about to let it in",
			Description: "The resource answers 401 with the challenge of continuous access evaluation (error=\"insufficient_claims\" and claims), and every resource refuses the tokens that were given out to the identity before. " +
				"A client that understands the challenge comes back with a new token and is let in. Without a count, every token is refused at its first use, and clients give up. In Azure, Microsoft Graph alone does this to applications today; see wiemu revoke.",
			Example: "sessions-revoked --for resource=graph --count 1",
		},
		{
			Name: faultkind.NetworkRules, Point: faultkind.AtNetwork, Selects: []string{selectClient, selectResource},
			Summary: "a resource's network rules do not let the client in",
			Description: "A storage account answers 403 AuthorizationFailure, whatever the token and the roles of its identity. An application sees 403 as without a role (AuthorizationPermissionMismatch), with another code. " +
				"Resources that check no network rules are not hit. Source: microsoft/AzureStorageExplorer#3681.",
			Example: "network-rules --for resource=storage --count 1",
		},
	}
}
