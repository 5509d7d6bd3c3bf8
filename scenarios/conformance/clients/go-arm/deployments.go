package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

// trustTemplate makes an identity that trusts this very service account, and its role on the vault.
//
//go:embed trust.json
var trustTemplate []byte

const deployedGroup = "go-deployments"

// deploymentOperations are what armresources does with resource groups and deployments.
func (p *program) deploymentOperations() []round.Operation {
	return []round.Operation{
		{Name: "group", Do: p.groupItself},
		{Name: "validate", Do: func(ctx context.Context) {
			checked := round.Must(round.Must(p.templates.BeginValidate(ctx, deployedGroup, "main", p.deployment(p.subject), nil)).PollUntilDone(ctx, nil))
			round.Equal(*checked.Properties.ProvisioningState, armresources.ProvisioningStateSucceeded)
			round.Equal(round.Must(p.templates.CheckExistence(ctx, deployedGroup, "main", nil)).Success, false)
		}},
		{Name: "what-if", Do: func(ctx context.Context) {
			round.Equal(p.changes(ctx), "Create Create Unsupported") // the assignment's name is made of what is not known yet
		}},
		{Name: "deploy", Do: func(ctx context.Context) {
			p.deploy(ctx)
			p.honoured(ctx)
		}},
		{Name: "deploy-again", Do: func(ctx context.Context) {
			before := *p.web.Properties.ClientID
			p.deploy(ctx)
			round.Equal(*p.web.Properties.ClientID, before)
			round.Equal(p.changes(ctx), "NoChange NoChange NoChange")
		}},
		{Name: "get", Do: func(ctx context.Context) {
			round.Equal(*round.Must(p.templates.Get(ctx, deployedGroup, "main", nil)).Properties.ProvisioningState, armresources.ProvisioningStateSucceeded)
			_, err := p.templates.Get(ctx, deployedGroup, "other", nil)
			round.RefusedAs("DeploymentNotFound", err)
		}},
		{Name: "list", Do: func(ctx context.Context) {
			pages := all(ctx, p.templates.NewListByResourceGroupPager(deployedGroup, nil))
			round.Equal(*pages[0].Value[0].Name, "main")
		}},
		{Name: "export", Do: func(ctx context.Context) {
			exported := round.Must(p.templates.ExportTemplate(ctx, deployedGroup, "main", nil))
			round.Equal(exported.Template != nil, true)
		}},
		{Name: "circle", Do: func(ctx context.Context) {
			one := func(on string) map[string]any {
				return map[string]any{"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "one-" + on, "location": "westeurope", "dependsOn": []string{on}}
			}
			_, err := p.templates.BeginCreateOrUpdate(ctx, deployedGroup, "circle", armresources.Deployment{Properties: &armresources.DeploymentProperties{
				Mode:     to.Ptr(armresources.DeploymentModeIncremental),
				Template: map[string]any{"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "languageVersion": "2.0", "contentVersion": "1.0.0.0", "resources": map[string]any{"a": one("b"), "b": one("a")}},
			}}, nil)
			round.RefusedAs("InvalidTemplate", err)
		}},
		{Name: "forget", Do: func(ctx context.Context) {
			round.Must(round.Must(p.templates.BeginDelete(ctx, deployedGroup, "main", nil)).PollUntilDone(ctx, nil))
			round.Equal(round.Must(p.templates.CheckExistence(ctx, deployedGroup, "main", nil)).Success, false)
			p.honoured(ctx) // what it made stays
		}},
		{Name: "destroy", Do: func(ctx context.Context) {
			p.destroy(ctx, deployedGroup)
			p.untrusted(ctx, "AADSTS700016")
		}},
	}
}

func (p *program) groupItself(ctx context.Context) {
	p.group(ctx, deployedGroup)
	round.Equal(round.Must(p.groups.CheckExistence(ctx, deployedGroup, nil)).Success, true)
	tags := map[string]*string{"team": to.Ptr("red")}
	round.Equal(*round.Must(p.groups.Update(ctx, deployedGroup, armresources.ResourceGroupPatchable{Tags: tags}, nil)).Tags["team"], "red")
	found := false
	for _, page := range all(ctx, p.groups.NewListPager(nil)) {
		for _, g := range page.Value {
			found = found || *g.Name == deployedGroup
		}
	}
	round.Equal(found, true)
	_, err := p.groups.Get(ctx, "go-nothing", nil)
	round.RefusedAs("ResourceGroupNotFound", err)
}

func (p *program) properties(subject string) (template map[string]any, parameters map[string]any) {
	round.Check(json.Unmarshal(trustTemplate, &template))
	return template, map[string]any{"issuer": map[string]any{"value": p.issuer}, "subject": map[string]any{"value": subject}}
}

func (p *program) deployment(subject string) armresources.Deployment {
	template, parameters := p.properties(subject)
	return armresources.Deployment{Properties: &armresources.DeploymentProperties{Mode: to.Ptr(armresources.DeploymentModeIncremental), Template: template, Parameters: parameters}}
}

// deploy deploys the template; the identity that it makes is p.web.
func (p *program) deploy(ctx context.Context) {
	done := round.Must(round.Must(p.templates.BeginCreateOrUpdate(ctx, deployedGroup, "main", p.deployment(p.subject), nil)).PollUntilDone(ctx, nil))
	round.Equal(*done.Properties.ProvisioningState, armresources.ProvisioningStateSucceeded)
	p.web = round.Must(p.identities.Get(ctx, deployedGroup, "web", nil)).Identity
	outputs, _ := done.Properties.Outputs.(map[string]any)
	clientID, _ := outputs["clientId"].(map[string]any)
	round.Equal(fmt.Sprint(clientID["value"]), *p.web.Properties.ClientID)
}

// changes are what the template would change.
func (p *program) changes(ctx context.Context) (kinds string) {
	template, parameters := p.properties(p.subject)
	result := round.Must(round.Must(p.templates.BeginWhatIf(ctx, deployedGroup, "main", armresources.DeploymentWhatIf{Properties: &armresources.DeploymentWhatIfProperties{
		Mode: to.Ptr(armresources.DeploymentModeIncremental), Template: template, Parameters: parameters,
	}}, nil)).PollUntilDone(ctx, nil))
	for n, change := range result.Properties.Changes {
		if n > 0 {
			kinds += " "
		}
		kinds += string(*change.ChangeType)
	}
	return kinds
}
