package main

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
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
func (p *program) roleOperations() []operation {
	return []operation{
		{"identity", func(ctx context.Context) {
			p.group(ctx, rolesGroup)
			p.web = p.identity(ctx, rolesGroup, "web", nil)
			must(p.trust(ctx, rolesGroup, "web", "cluster", p.subject))
		}},
		{"builtin", func(ctx context.Context) {
			pages := all(ctx, p.definitions.NewListPager(vault, &armauthorization.RoleDefinitionsClientListOptions{Filter: to.Ptr("roleName eq 'Key Vault Secrets User'")}))
			want(len(pages[0].Value), 1)
			p.reader = *pages[0].Value[0].ID
			want(*must(p.definitions.GetByID(ctx, p.reader, nil)).Properties.RoleType, "BuiltInRole")
		}},
		{"without-role", p.forbidden},
		{"assign", func(ctx context.Context) {
			for range 2 { // it is the same one
				made := must(p.assign(ctx, assignmentID, *p.web.Properties.PrincipalID, p.reader))
				want(*made.Properties.Scope, vault)
			}
			p.honoured(ctx)
		}},
		{"get", func(ctx context.Context) {
			found := must(p.assignments.Get(ctx, vault, assignmentID, nil))
			want(*must(p.assignments.GetByID(ctx, *found.ID, nil)).Properties.PrincipalID, *p.web.Properties.PrincipalID)
			_, err := p.assignments.Get(ctx, vault, furtherID, nil)
			refusedAs("RoleAssignmentNotFound", err)
		}},
		{"list", p.listAssignments},
		{"refused", p.refusedAssignments},
		{"unassign", func(ctx context.Context) {
			for range 2 { // the second time it is 204
				must(p.assignments.Delete(ctx, vault, assignmentID, nil))
			}
			p.forbidden(ctx)
		}},
		{"define", func(ctx context.Context) {
			p.custom = *must(p.define(ctx, definitionID, "Go reads secrets", readSecret)).ID
			must(p.assign(ctx, assignmentID, *p.web.Properties.PrincipalID, p.custom))
			p.honoured(ctx)
			_, err := p.define(ctx, otherID, "Go reads secrets", readSecret)
			refusedAs("RoleDefinitionWithSameNameExists", err)
		}},
		{"redefine", func(ctx context.Context) {
			must(p.define(ctx, definitionID, "Go writes secrets", "Microsoft.KeyVault/vaults/secrets/setSecret/action"))
			want(*must(p.definitions.Get(ctx, everywhere, definitionID, nil)).Properties.RoleName, "Go writes secrets")
			p.forbidden(ctx)
		}},
		{"undefine", func(ctx context.Context) {
			_, err := p.definitions.Delete(ctx, everywhere, definitionID, nil)
			refusedAs("RoleDefinitionHasAssignments", err)
			must(p.assignments.Delete(ctx, vault, assignmentID, nil))
			must(p.definitions.Delete(ctx, everywhere, definitionID, nil))
			_, err = p.definitions.Get(ctx, everywhere, definitionID, nil)
			refusedAs("RoleDefinitionDoesNotExist", err)
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
	want(len(of[0].Value), 1)
	in := all(ctx, p.assignments.NewListForSubscriptionPager(&armauthorization.RoleAssignmentsClientListForSubscriptionOptions{Filter: mine}))
	want(*in[0].Value[0].Name, assignmentID)
	above := all(ctx, p.assignments.NewListForScopePager(everywhere, &armauthorization.RoleAssignmentsClientListForScopeOptions{Filter: to.Ptr("atScope()")}))
	for _, a := range above[0].Value {
		want(*a.Name != assignmentID, true)
	}
}

func (p *program) refusedAssignments(ctx context.Context) {
	worker := p.identity(ctx, rolesGroup, "worker", nil)
	_, err := p.assign(ctx, furtherID, *p.web.Properties.PrincipalID, p.reader)
	refusedAs("RoleAssignmentExists", err)
	_, err = p.assignments.Create(ctx, vault, furtherID, armauthorization.RoleAssignmentCreateParameters{Properties: &armauthorization.RoleAssignmentProperties{
		PrincipalID: p.web.Properties.ClientID, RoleDefinitionID: &p.reader, // the client id is nobody's object id
	}}, nil)
	refusedAs("PrincipalNotFound", err)
	_, err = p.assign(ctx, assignmentID, *worker.Properties.PrincipalID, p.reader)
	refusedAs("RoleAssignmentUpdateNotPermitted", err)
	_, err = p.assign(ctx, furtherID, *worker.Properties.PrincipalID, everywhere+"/providers/Microsoft.Authorization/roleDefinitions/"+otherID)
	refusedAs("RoleDefinitionDoesNotExist", err)
}
