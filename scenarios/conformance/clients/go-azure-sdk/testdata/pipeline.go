package main

import (
	"context"
	"net/http"
	"os"

	"github.com/hashicorp/go-azure-helpers/resourcemanager/commonids"
	"github.com/hashicorp/go-azure-sdk/sdk/auth"
)

// pipeline are the operations of a program in a pipeline: it asks for its token by
// ARM_OIDC_REQUEST_URL and ARM_OIDC_REQUEST_TOKEN, for a service connection if there is one, as
// azurerm decides.
// Source: hashicorp/terraform-provider-azurerm, internal/provider/provider.go.
func (p *program) pipeline() []operation {
	p.credentials = func(clientID string) auth.Credentials {
		connection := os.Getenv("ARM_ADO_PIPELINE_SERVICE_CONNECTION_ID")
		return auth.Credentials{
			Environment: *p.environment, TenantID: os.Getenv("ARM_TENANT_ID"), ClientID: clientID,
			OIDCTokenRequestURL: os.Getenv("ARM_OIDC_REQUEST_URL"), OIDCTokenRequestToken: os.Getenv("ARM_OIDC_REQUEST_TOKEN"),
			ADOPipelineServiceConnectionID:           connection,
			EnableAuthenticationUsingADOPipelineOIDC: connection != "",
			EnableAuthenticationUsingGitHubOIDC:      connection == "",
		}
	}
	group := commonids.NewResourceGroupID(os.Getenv("ARM_SUBSCRIPTION_ID"), "pipeline")
	p.clientID = os.Getenv("ARM_CLIENT_ID")
	return []operation{
		{"login", func(ctx context.Context) {
			authorizer := p.authorizer(ctx, p.environment.ResourceManager, p.clientID)
			want(must(authorizer.Token(ctx, &http.Request{})).AccessToken != "", "no token")
			p.terraform = newProvider(p.environment.ResourceManager, authorizer)
		}},
		{"group", func(ctx context.Context) {
			check(p.terraform.createGroup(ctx, group, map[string]string{"by": "pipeline"}))
		}},
		{"secret", func(ctx context.Context) { p.honoured(ctx) }},
		{"destroy-group", func(ctx context.Context) { check(p.terraform.deleteGroup(ctx, group)) }},
	}
}
