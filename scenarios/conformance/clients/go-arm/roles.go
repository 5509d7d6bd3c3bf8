package main

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

const (
	rolesGroup   = "go-roles"
	assignmentID = "5d2f0a8e-6a0b-4f6e-9d3c-0c1b2a3d4e01"
	furtherID    = "5d2f0a8e-6a0b-4f6e-9d3c-0c1b2a3d4e02"
	definitionID = "5d2f0a8e-6a0b-4f6e-9d3c-0c1b2a3d4e03"
	otherID      = "5d2f0a8e-6a0b-4f6e-9d3c-0c1b2a3d4e04"
	readSecret   = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
)

// roleOperations are what armauthorization does with roles.
func (p *program) roleOperations() []round.Operation {
	return []round.Operation{
		{Name: "identity", Do: func(ctx context.Context) {
			p.group(ctx, rolesGroup)
			p.web = p.identity(ctx, rolesGroup, "web", nil)
			round.Must(p.trust(ctx, rolesGroup, "web", "cluster", p.subject))
		}},
		{Name: "builtin", Do: func(ctx context.Context) {
			pages := all(ctx, p.definitions.NewListPager(vault, &armauthorization.RoleDefinitionsClientListOptions{Filter: to.Ptr("roleName eq 'Key Vault Secrets User'")}))
			round.Equal(len(pages[0].Value), 1)
			p.reader = *pages[0].Value[0].ID
			round.Equal(*round.Must(p.definitions.GetByID(ctx, p.reader, nil)).Properties.RoleType, "BuiltInRole")
		}},
		{Name: "without-role", Do: p.forbidden},
		{Name: "assign", Do: func(ctx context.Context) {
			for range 2 { // it is the same one
				made := round.Must(p.assign(ctx, assignmentID, *p.web.Properties.PrincipalID, p.reader))
				round.Equal(*made.Properties.Scope, vault)
			}
			p.honoured(ctx)
		}},
		{Name: "get", Do: func(ctx context.Context) {
			found := round.Must(p.assignments.Get(ctx, vault, assignmentID, nil))
			round.Equal(*round.Must(p.assignments.GetByID(ctx, *found.ID, nil)).Properties.PrincipalID, *p.web.Properties.PrincipalID)
			_, err := p.assignments.Get(ctx, vault, furtherID, nil)
			round.RefusedAs("RoleAssignmentNotFound", err)
		}},
		{Name: "list", Do: p.listAssignments},
		{Name: "refused", Do: p.refusedAssignments},
		{Name: "unassign", Do: func(ctx context.Context) {
			for range 2 { // the second time it is 204
				round.Must(p.assignments.Delete(ctx, vault, assignmentID, nil))
			}
			p.forbidden(ctx)
		}},
		{Name: "define", Do: func(ctx context.Context) {
			p.custom = *round.Must(p.define(ctx, definitionID, "Go reads secrets", readSecret)).ID
			round.Must(p.assign(ctx, assignmentID, *p.web.Properties.PrincipalID, p.custom))
			p.honoured(ctx)
			_, err := p.define(ctx, otherID, "Go reads secrets", readSecret)
			round.RefusedAs("RoleDefinitionWithSameNameExists", err)
		}},
		{Name: "redefine", Do: func(ctx context.Context) {
			round.Must(p.define(ctx, definitionID, "Go writes secrets", "Microsoft.KeyVault/vaults/secrets/setSecret/action"))
			round.Equal(*round.Must(p.definitions.Get(ctx, everywhere, definitionID, nil)).Properties.RoleName, "Go writes secrets")
			p.forbidden(ctx)
		}},
		{Name: "undefine", Do: func(ctx context.Context) {
			_, err := p.definitions.Delete(ctx, everywhere, definitionID, nil)
			round.RefusedAs("RoleDefinitionHasAssignments", err)
			round.Must(p.assignments.Delete(ctx, vault, assignmentID, nil))
			round.Must(p.definitions.Delete(ctx, everywhere, definitionID, nil))
			_, err = p.definitions.Get(ctx, everywhere, definitionID, nil)
			round.RefusedAs("RoleDefinitionDoesNotExist", err)
		}},
	}
}

func (p *program) assign(ctx context.Context, name, principal, role string) (armauthorization.RoleAssignment, error) {
	made, err := p.assignments.Create(ctx, vault, name, armauthorization.RoleAssignmentCreateParameters{Properties: &armauthorization.RoleAssignmentProperties{
		PrincipalID: &principal, RoleDefinitionID: &role, PrincipalType: to.Ptr(armauthorization.PrincipalTypeServicePrincipal),
	}}, nil)
	return made.RoleAssignment, err
}

func (p *program) define(ctx context.Context, id, name, action string) (armauthorization.RoleDefinition, error) {
	made, err := p.definitions.CreateOrUpdate(ctx, everywhere, id, armauthorization.RoleDefinition{Properties: &armauthorization.RoleDefinitionProperties{
		RoleName: &name, RoleType: to.Ptr("CustomRole"), AssignableScopes: []*string{to.Ptr(everywhere)},
		Permissions: []*armauthorization.Permission{{DataActions: []*string{&action}}},
	}}, nil)
	return made.RoleDefinition, err
}

func (p *program) listAssignments(ctx context.Context) {
	mine := to.Ptr("principalId eq '" + *p.web.Properties.PrincipalID + "'")
	of := all(ctx, p.assignments.NewListForScopePager(vault, &armauthorization.RoleAssignmentsClientListForScopeOptions{Filter: mine}))
	round.Equal(len(of[0].Value), 1)
	in := all(ctx, p.assignments.NewListForSubscriptionPager(&armauthorization.RoleAssignmentsClientListForSubscriptionOptions{Filter: mine}))
	round.Equal(*in[0].Value[0].Name, assignmentID)
	above := all(ctx, p.assignments.NewListForScopePager(everywhere, &armauthorization.RoleAssignmentsClientListForScopeOptions{Filter: to.Ptr("atScope()")}))
	for _, a := range above[0].Value {
		round.Equal(*a.Name != assignmentID, true)
	}
}

func (p *program) refusedAssignments(ctx context.Context) {
	worker := p.identity(ctx, rolesGroup, "worker", nil)
	_, err := p.assign(ctx, furtherID, *p.web.Properties.PrincipalID, p.reader)
	round.RefusedAs("RoleAssignmentExists", err)
	_, err = p.assignments.Create(ctx, vault, furtherID, armauthorization.RoleAssignmentCreateParameters{Properties: &armauthorization.RoleAssignmentProperties{
		PrincipalID: p.web.Properties.ClientID, RoleDefinitionID: &p.reader, // the client id is nobody's object id
	}}, nil)
	round.RefusedAs("PrincipalNotFound", err)
	_, err = p.assign(ctx, assignmentID, *worker.Properties.PrincipalID, p.reader)
	round.RefusedAs("RoleAssignmentUpdateNotPermitted", err)
	_, err = p.assign(ctx, furtherID, *worker.Properties.PrincipalID, everywhere+"/providers/Microsoft.Authorization/roleDefinitions/"+otherID)
	round.RefusedAs("RoleDefinitionDoesNotExist", err)
}
