package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/go-azure-helpers/lang/pointer"
	"github.com/hashicorp/go-azure-helpers/lang/response"
	"github.com/hashicorp/go-azure-helpers/resourcemanager/commonids"
	"github.com/hashicorp/go-azure-sdk/resource-manager/authorization/2022-04-01/roleassignments"
	"github.com/hashicorp/go-azure-sdk/resource-manager/authorization/2022-05-01-preview/roledefinitions"
	"github.com/hashicorp/go-azure-sdk/resource-manager/managedidentity/2024-11-30/federatedidentitycredentials"
	"github.com/hashicorp/go-azure-sdk/resource-manager/managedidentity/2024-11-30/identities"
	"github.com/hashicorp/go-azure-sdk/resource-manager/resources/2023-07-01/resourcegroups"
	"github.com/hashicorp/go-azure-sdk/sdk/auth"
	"github.com/hashicorp/go-azure-sdk/sdk/environments"
)

// provider does what resources of azurerm do, by the same calls in the same order. Where azurerm
// waits between two calls, it does not: what azurerm waits for is there at once.
// Source: hashicorp/terraform-provider-azurerm, internal/services/resource/resource_group_resource.go,
// managedidentity/user_assigned_identity_resource.go and federated_identity_credential_resource.go,
// authorization/role_definition_resource.go and role_assignment_resource.go.
type provider struct {
	groups      *resourcegroups.ResourceGroupsClient
	identities  *identities.IdentitiesClient
	credentials *federatedidentitycredentials.FederatedIdentityCredentialsClient
	definitions *roledefinitions.RoleDefinitionsClient
	assignments *roleassignments.RoleAssignmentsClient
}

func newProvider(api environments.Api, authorizer auth.Authorizer) *provider {
	p := &provider{
		must(resourcegroups.NewResourceGroupsClientWithBaseURI(api)),
		must(identities.NewIdentitiesClientWithBaseURI(api)),
		must(federatedidentitycredentials.NewFederatedIdentityCredentialsClientWithBaseURI(api)),
		must(roledefinitions.NewRoleDefinitionsClientWithBaseURI(api)),
		must(roleassignments.NewRoleAssignmentsClientWithBaseURI(api)),
	}
	p.groups.Client.SetAuthorizer(authorizer)
	p.identities.Client.SetAuthorizer(authorizer)
	p.credentials.Client.SetAuthorizer(authorizer)
	p.definitions.Client.SetAuthorizer(authorizer)
	p.assignments.Client.SetAuthorizer(authorizer)
	return p
}

// errImport says that a resource is there before it is created.
var errImport = errors.New("to be managed via Terraform this resource needs to be imported into the State")

// absent is how azurerm looks before it creates: the service has to answer with 404.
func absent(resp *http.Response, err error) error {
	switch {
	case response.WasNotFound(resp):
		return nil
	case err != nil:
		return err
	}
	return errImport
}

// settled asks as often as azurerm does until it believes that something was created or deleted.
func settled(times int, get func() error) error {
	for range times {
		if err := get(); err != nil {
			return err
		}
	}
	return nil
}

func (p *provider) createGroup(ctx context.Context, id commonids.ResourceGroupId, tags map[string]string) error {
	found, err := p.groups.Get(ctx, id)
	if err = absent(found.HttpResponse, err); err != nil {
		return err
	}
	if _, err = p.groups.CreateOrUpdate(ctx, id, resourcegroups.ResourceGroup{Location: "westeurope", Tags: &tags}); err != nil {
		return err
	}
	return settled(3, func() error { _, err := p.groups.Get(ctx, id); return err })
}

func (p *provider) updateGroup(ctx context.Context, id commonids.ResourceGroupId, tags map[string]string) error {
	_, err := p.groups.Update(ctx, id, resourcegroups.ResourceGroupPatchable{Tags: &tags})
	return err
}

// deleteGroup does not delete a group with something in it: prevent_deletion_if_contains_resources.
func (p *provider) deleteGroup(ctx context.Context, id commonids.ResourceGroupId) error {
	inside, err := p.groups.ResourcesListByResourceGroupComplete(ctx, id, resourcegroups.ResourcesListByResourceGroupOperationOptions{
		Expand: pointer.To("provisioningState"), Top: pointer.To[int64](10),
	})
	switch {
	case err != nil:
		return err
	case len(inside.Items) > 0:
		return fmt.Errorf("the Resource Group still contains Resources: %s", *inside.Items[0].Id)
	}
	deleted, err := p.groups.Delete(ctx, id, resourcegroups.DefaultDeleteOperationOptions())
	if err != nil {
		return err
	}
	return deleted.Poller.PollUntilDone(ctx)
}

func (p *provider) createIdentity(ctx context.Context, id commonids.UserAssignedIdentityId) error {
	found, err := p.identities.UserAssignedIdentitiesGet(ctx, id)
	if err = absent(found.HttpResponse, err); err != nil {
		return err
	}
	_, err = p.identities.UserAssignedIdentitiesCreateOrUpdate(ctx, id, identities.Identity{
		Location: "westeurope", Tags: &map[string]string{},
		Properties: &identities.UserAssignedIdentityProperties{IsolationScope: pointer.To(identities.IsolationScopeNone)},
	})
	if err != nil {
		return err
	}
	return settled(3, func() error { _, err := p.identities.UserAssignedIdentitiesGet(ctx, id); return err })
}

func (p *provider) updateIdentity(ctx context.Context, id commonids.UserAssignedIdentityId, tags map[string]string) error {
	_, err := p.identities.UserAssignedIdentitiesUpdate(ctx, id, identities.IdentityUpdate{Tags: &tags, Properties: &identities.UserAssignedIdentityProperties{}})
	return err
}

func (p *provider) createCredential(ctx context.Context, id federatedidentitycredentials.FederatedIdentityCredentialId, issuer, subject string) error {
	found, err := p.credentials.Get(ctx, id)
	if err = absent(found.HttpResponse, err); err != nil {
		return err
	}
	return p.updateCredential(ctx, id, issuer, subject)
}

func (p *provider) updateCredential(ctx context.Context, id federatedidentitycredentials.FederatedIdentityCredentialId, issuer, subject string) error {
	_, err := p.credentials.CreateOrUpdate(ctx, id, federatedidentitycredentials.FederatedIdentityCredential{
		Properties: &federatedidentitycredentials.FederatedIdentityCredentialProperties{Issuer: issuer, Subject: subject, Audiences: []string{"api://AzureADTokenExchange"}},
	})
	return err
}

func (p *provider) createDefinition(ctx context.Context, id roledefinitions.ScopedRoleDefinitionId, name string, dataActions ...string) error {
	found, err := p.definitions.Get(ctx, id)
	if err = absent(found.HttpResponse, err); err != nil {
		return err
	}
	_, err = p.definitions.CreateOrUpdate(ctx, id, roledefinitions.RoleDefinition{Properties: &roledefinitions.RoleDefinitionProperties{
		RoleName: &name, Description: pointer.To(""), Type: pointer.To("CustomRole"), AssignableScopes: &[]string{id.Scope},
		Permissions: &[]roledefinitions.Permission{{Actions: &[]string{}, NotActions: &[]string{}, DataActions: &dataActions, NotDataActions: &[]string{}}},
	}})
	if err != nil {
		return err
	}
	read, err := p.definitions.Get(ctx, id)
	if err == nil && (read.Model == nil || read.Model.Id == nil) {
		err = errors.New("cannot read Role Definition ID")
	}
	return err
}

// updateDefinition waits as azurerm does: the answer has to have another time of creation than
// of this update.
func (p *provider) updateDefinition(ctx context.Context, id roledefinitions.ScopedRoleDefinitionId, dataActions ...string) error {
	existing, err := p.definitions.Get(ctx, id)
	if err != nil {
		return err
	}
	wanted := existing.Model.Properties
	wanted.Permissions = &[]roledefinitions.Permission{{Actions: &[]string{}, NotActions: &[]string{}, DataActions: &dataActions, NotDataActions: &[]string{}}}
	updated, err := p.definitions.CreateOrUpdate(ctx, id, roledefinitions.RoleDefinition{Properties: wanted})
	if err != nil {
		return err
	}
	at := must(time.Parse(time.RFC3339, *updated.Model.Properties.UpdatedOn))
	return settled(12, func() error {
		read, err := p.definitions.Get(ctx, id)
		if err != nil {
			return err
		}
		created, changed := must(time.Parse(time.RFC3339, *read.Model.Properties.CreatedOn)), must(time.Parse(time.RFC3339, *read.Model.Properties.UpdatedOn))
		if created.Equal(at) || at.After(changed) {
			return fmt.Errorf("azurerm goes on waiting: created %s, updated %s, asked at %s", created, changed, at)
		}
		return nil
	})
}

func (p *provider) deleteDefinition(ctx context.Context, id roledefinitions.ScopedRoleDefinitionId) error {
	if _, err := p.definitions.Delete(ctx, id); err != nil {
		return err
	}
	return settled(20, func() error {
		found, err := p.definitions.Get(ctx, id)
		return absent(found.HttpResponse, err)
	})
}

// named returns the id of the only role with a name, as role_definition_name.
func (p *provider) named(ctx context.Context, scope, role string) (string, error) {
	found, err := p.definitions.List(ctx, commonids.NewScopeID(scope), roledefinitions.ListOperationOptions{Filter: pointer.To(fmt.Sprintf("roleName eq '%s'", role))})
	if err != nil {
		return "", err
	}
	if found.Model == nil || len(*found.Model) != 1 {
		return "", fmt.Errorf("could not find role %q", role)
	}
	return *(*found.Model)[0].Id, nil
}

func (p *provider) createAssignment(ctx context.Context, id roleassignments.ScopedRoleAssignmentId, principal, role string) error {
	found, err := p.assignments.Get(ctx, id, roleassignments.DefaultGetOperationOptions())
	if err = absent(found.HttpResponse, err); err != nil {
		return err
	}
	made, err := p.assignments.Create(ctx, id, roleassignments.RoleAssignmentCreateParameters{Properties: roleassignments.RoleAssignmentProperties{
		RoleDefinitionId: role, PrincipalId: principal, Description: pointer.To(""),
	}})
	if err != nil {
		return err
	}
	if made.Model == nil || made.Model.Id == nil {
		return errors.New("creation of Role Assignment did not return an id value")
	}
	return settled(5, func() error {
		_, err := p.assignments.Get(ctx, id, roleassignments.DefaultGetOperationOptions())
		return err
	})
}

// describeAssignment sends back all that it has read, with another description.
func (p *provider) describeAssignment(ctx context.Context, id roleassignments.ScopedRoleAssignmentId, description string) error {
	existing, err := p.assignments.Get(ctx, id, roleassignments.DefaultGetOperationOptions())
	if err != nil {
		return err
	}
	wanted := *existing.Model.Properties
	wanted.Description = &description
	_, err = p.assignments.Create(ctx, id, roleassignments.RoleAssignmentCreateParameters{Properties: wanted})
	return err
}
