package entra

import (
	"context"

	"github.com/wiemu/wiemu/emulator/entra/aadsts"
)

// Host is an Azure resource that vouches for the managed identities assigned to
// it, such as a virtual machine with its metadata service.
type Host struct {
	Service    string // which vouches, for the journal: "IMDS"
	Workload   string // what runs there, for the journal
	ResourceID string // Azure's, the xms_az_rid claim; "": none
}

// ExchangeForHost gives a managed identity an access token for what runs on an
// Azure host. Azure itself proves who asks, so the application presents no
// credential; everything else is checked and written down as in Exchange.
// Resource is as in the v1 endpoint.
func (s *Service) ExchangeForHost(ctx context.Context, r Request, h Host) (Token, *aadsts.Error) {
	r.Version, r.GrantType, r.host = 1, clientCredentials, &h
	return s.Exchange(ctx, r)
}

// The tokens of AKS's identity bindings are for the cluster's proxy, which an
// application has to be told to use.
// Source: azidentity's TROUBLESHOOTING.md; package tokenproxy.
const (
	identityBindingAudience = "api://AKSIdentityBinding"
	identityBindingHint     = "The token is for AKS's identity-binding proxy, and the application sent it to Entra ID itself: " +
		"use WorkloadIdentityCredential and switch its proxy on (EnableAzureProxy in Go, enableAzureProxy in JavaScript, enable_azure_proxy in Python); DefaultAzureCredential never uses it."
)
