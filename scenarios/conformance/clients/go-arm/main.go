// Command go-arm is a client of the conformance table: what the Azure SDK for Go does in Resource
// Manager, each operation once. Its argument is identities (armmsi), roles (armauthorization) or
// deployments (armresources).
package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

const (
	subscription = "0a1b2c3d-0000-4000-8000-000000000001" // of trust.yaml
	everywhere   = "/subscriptions/" + subscription
	vault        = everywhere + "/resourceGroups/wiemu/providers/Microsoft.KeyVault/vaults/mykeyvault"
	secretValue  = "the secret of wiemu"
)

func main() {
	p := &program{}
	round.Do("credential", func(context.Context) { p.connect() })
	rounds := map[string][]round.Operation{"identities": p.identityOperations(), "roles": p.roleOperations(), "deployments": p.deploymentOperations()}
	round.Play(rounds[os.Args[1]])
}

// program is what all rounds share.
type program struct {
	groups      *armresources.ResourceGroupsClient
	templates   *armresources.DeploymentsClient
	identities  *armmsi.UserAssignedIdentitiesClient
	credentials *armmsi.FederatedIdentityCredentialsClient
	assignments *armauthorization.RoleAssignmentsClient
	definitions *armauthorization.RoleDefinitionsClient

	issuer, subject string // of this very service account
	web             armmsi.Identity
	reader          string // id of the role that reads secrets
	custom          string // id of the role that is defined
}

func (p *program) connect() {
	credential := round.Must(azidentity.NewDefaultAzureCredential(nil))
	resources := round.Must(armresources.NewClientFactory(subscription, credential, nil))
	p.groups, p.templates = resources.NewResourceGroupsClient(), resources.NewDeploymentsClient()
	msi := round.Must(armmsi.NewClientFactory(subscription, credential, nil))
	p.identities, p.credentials = msi.NewUserAssignedIdentitiesClient(), msi.NewFederatedIdentityCredentialsClient()
	authorization := round.Must(armauthorization.NewClientFactory(subscription, credential, nil))
	p.assignments, p.definitions = authorization.NewRoleAssignmentsClient(), authorization.NewRoleDefinitionsClient()
	var mine struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
	}
	round.ReadClaims(string(round.Must(os.ReadFile(os.Getenv("AZURE_FEDERATED_TOKEN_FILE")))), &mine)
	p.issuer, p.subject = mine.Issuer, mine.Subject
}

// all are the pages of a list, one after the other.
func all[T any](ctx context.Context, pager *runtime.Pager[T]) (pages []T) {
	for pager.More() {
		pages = append(pages, round.Must(pager.NextPage(ctx)))
	}
	return pages
}

func (p *program) group(ctx context.Context, name string) {
	made := round.Must(p.groups.CreateOrUpdate(ctx, name, armresources.ResourceGroup{Location: to.Ptr("westeurope")}, nil))
	round.Equal(*made.Properties.ProvisioningState, "Succeeded")
}

func (p *program) identity(ctx context.Context, group, name string, tags map[string]*string) armmsi.Identity {
	return round.Must(p.identities.CreateOrUpdate(ctx, group, name, armmsi.Identity{Location: to.Ptr("westeurope"), Tags: tags}, nil)).Identity
}

func (p *program) trust(ctx context.Context, group, identity, name, subject string) (armmsi.FederatedIdentityCredential, error) {
	made, err := p.credentials.CreateOrUpdate(ctx, group, identity, name, armmsi.FederatedIdentityCredential{Properties: &armmsi.FederatedIdentityCredentialProperties{
		Issuer: &p.issuer, Subject: &subject, Audiences: []*string{to.Ptr("api://AzureADTokenExchange")},
	}}, nil)
	return made.FederatedIdentityCredential, err
}

// as is a credential by which this service account is the identity that was made.
func (p *program) as(clientID string) *azidentity.WorkloadIdentityCredential {
	return round.Must(azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientID: clientID}))
}

// trusted expects that this service account gets tokens of the identity that was made.
func (p *program) trusted(ctx context.Context) {
	var got struct {
		ObjectID string `json:"oid"`
	}
	round.ReadClaims(round.Must(p.as(*p.web.Properties.ClientID).GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://management.azure.com/.default"}})).Token, &got)
	round.Equal(got.ObjectID, *p.web.Properties.PrincipalID)
}

func (p *program) untrusted(ctx context.Context, why string) {
	_, err := p.as(*p.web.Properties.ClientID).GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://management.azure.com/.default"}})
	if err == nil || !strings.Contains(err.Error(), why+":") {
		panic(fmt.Sprintf("expected %s, found %v", why, err))
	}
}

// secret reads the secret as an identity.
func (p *program) secret(ctx context.Context, clientID string) (string, error) {
	client := round.Must(azsecrets.NewClient("https://mykeyvault.vault.azure.net", p.as(clientID), nil))
	got, err := client.GetSecret(ctx, "mysecret", "", nil)
	if err != nil {
		return "", err
	}
	return *got.Value, nil
}

func (p *program) honoured(ctx context.Context) {
	round.Equal(round.Must(p.secret(ctx, *p.web.Properties.ClientID)), secretValue)
}

func (p *program) forbidden(ctx context.Context) {
	_, err := p.secret(ctx, *p.web.Properties.ClientID)
	round.RefusedAs("Forbidden", err)
}

func (p *program) destroy(ctx context.Context, group string) {
	round.Must(round.Must(p.groups.BeginDelete(ctx, group, nil)).PollUntilDone(ctx, nil))
	round.Equal(round.Must(p.groups.CheckExistence(ctx, group, nil)).Success, false)
}
