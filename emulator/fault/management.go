package fault

import "github.com/wiemu/wiemu/internal/faultkind"

// management are faults of what creates identities, credentials and roles.
func management() []Kind {
	return []Kind{
		{
			Name: faultkind.ConcurrentWrites, Point: faultkind.AtCredentialWrite, Selects: []string{selectClient, selectResource},
			Summary: "a write of a federated credential takes as long as in Azure, so that another one meets it",
			Description: "Azure refuses to write two federated credentials of one managed identity at once, with 409 ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity. Here a write is over before the next request arrives, so code that writes them side by side passes; with this fault it is refused as in Azure. " +
				"Code that writes one after the other only gets slower. Source: crossplane-contrib/provider-upjet-azure#689.",
			Parameters: []Parameter{{Name: "latency", Type: TypeDuration, Default: "300ms", Description: "how long a write takes, in real time; one that a template makes takes until those beside it have come"}},
			Example:    "concurrent-writes latency=1s",
		},
		{
			Name: faultkind.PrincipalNotReplicated, Point: faultkind.AtPrincipalLookup, Selects: []string{selectClient, selectResource},
			Summary: "whoever assigns a role does not find a principal that was made a moment ago",
			Description: "Resource Manager looks for the principal of a role assignment in a copy of the directory, which a new managed identity or application reaches after a while: until then it answers 400 PrincipalNotFound, unless the assignment says the principalType. " +
				"Principals of wiemu.yaml have been there for long. Source: azure-docs, role-based-access-control/troubleshooting.md (\"Assigning a role to a new principal sometimes fails\").",
			Parameters: []Parameter{{Name: "delay", Type: TypeDuration, Default: "30s", Description: "how long a new principal is not found, in lab time"}},
			Example:    "principal-not-replicated delay=2m",
		},
		{
			Name: faultkind.ObjectNotReplicated, Point: faultkind.AtObjectLookup, Selects: []string{selectClient, selectResource},
			Summary: "Microsoft Graph does not find an object that was made a moment ago",
			Description: "Microsoft Graph answers from copies of the directory, which a new application, service principal or federated credential reaches after a while: until then a request for it, or for anything below it, is answered with 404 Request_ResourceNotFound, and lists are without it. The token service knows it at once. " +
				"Code that creates an application and goes on at once has to try again. Objects of wiemu.yaml have been there for long. Source: hashicorp/terraform-provider-azuread, internal/services/applications/applications.go, which asks again for this reason; microsoftgraph/microsoft-graph-docs-contrib#1547.",
			Parameters: []Parameter{{Name: "delay", Type: TypeDuration, Default: "30s", Description: "how long a new object is not found, in lab time"}},
			Example:    "object-not-replicated delay=2m",
		},
		{
			Name: faultkind.WriteLostReply, Point: faultkind.AtWrite, Selects: []string{selectClient, selectResource},
			Summary: "what was asked for is created, changed or deleted, and the connection breaks before the answer",
			Description: "Resource Manager (PUT, PATCH, DELETE) and Microsoft Graph (POST, PATCH, PUT, DELETE) do the write, and the client sees ECONNRESET (over HTTP/2 a reset stream). SDKs send the request again. Is that the same request? A PUT of Resource Manager with the same name and body is, and a DELETE answers 204 then. " +
				"A role assignment with a new name each time is not: 409 RoleAssignmentExists. Nor is a POST of Graph: a second application of the same name is created, a federated credential is refused with 409, and a DELETE is answered with 404. Look for what there is before trying again, or write a federated credential by its name. Writes that are refused are answered as ever, and so are a $batch of Graph and getByIds. Chaos does not include it, because a client that does not look would not survive it.",
			Example: "write-lost-reply --for resource=graph --count 1",
		},
	}
}
