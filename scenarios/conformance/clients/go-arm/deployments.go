package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
)

// trustTemplate makes an identity that trusts this very service account, and its role on the vault.
//
//go:embed trust.json
var trustTemplate []byte

const deployedGroup = "go-deployments"

// deploymentOperations are what armresources does with resource groups and deployments.
func (p *program) deploymentOperations() []operation {
	return []operation{
		{"group", p.groupItself},
		{"validate", func(ctx context.Context) {
			checked := must(must(p.templates.BeginValidate(ctx, deployedGroup, "main", p.deployment(p.subject), nil)).PollUntilDone(ctx, nil))
			want(*checked.Properties.ProvisioningState, armresources.ProvisioningStateSucceeded)
			want(must(p.templates.CheckExistence(ctx, deployedGroup, "main", nil)).Success, false)
		}},
		{"what-if", func(ctx context.Context) {
			want(p.changes(ctx), "Create Create Unsupported") // the assignment's name is made of what is not known yet
		}},
		{"deploy", func(ctx context.Context) {
			p.deploy(ctx)
			p.honoured(ctx)
		}},
		{"deploy-again", func(ctx context.Context) {
			before := *p.web.Properties.ClientID
			p.deploy(ctx)
			want(*p.web.Properties.ClientID, before)
			want(p.changes(ctx), "NoChange NoChange NoChange")
		}},
		{"get", func(ctx context.Context) {
			want(*must(p.templates.Get(ctx, deployedGroup, "main", nil)).Properties.ProvisioningState, armresources.ProvisioningStateSucceeded)
			_, err := p.templates.Get(ctx, deployedGroup, "other", nil)
			refusedAs("DeploymentNotFound", err)
		}},
		{"list", func(ctx context.Context) {
			pages := all(ctx, p.templates.NewListByResourceGroupPager(deployedGroup, nil))
			want(*pages[0].Value[0].Name, "main")
		}},
		{"export", func(ctx context.Context) {
			exported := must(p.templates.ExportTemplate(ctx, deployedGroup, "main", nil))
			want(exported.Template != nil, true)
		}},
		{"circle", func(ctx context.Context) {
			one := func(on string) map[string]any {
				return map[string]any{"type": "Microsoft.ManagedIdentity/userAssignedIdentities", "apiVersion": "2023-01-31", "name": "one-" + on, "location": "westeurope", "dependsOn": []string{on}}
			}
			_, err := p.templates.BeginCreateOrUpdate(ctx, deployedGroup, "circle", armresources.Deployment{Properties: &armresources.DeploymentProperties{
				Mode:     to.Ptr(armresources.DeploymentModeIncremental),
				Template: map[string]any{"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "languageVersion": "2.0", "contentVersion": "1.0.0.0", "resources": map[string]any{"a": one("b"), "b": one("a")}},
			}}, nil)
			refusedAs("InvalidTemplate", err)
		}},
		{"forget", func(ctx context.Context) {
			must(must(p.templates.BeginDelete(ctx, deployedGroup, "main", nil)).PollUntilDone(ctx, nil))
			want(must(p.templates.CheckExistence(ctx, deployedGroup, "main", nil)).Success, false)
			p.honoured(ctx) // what it made stays
		}},
		{"destroy", func(ctx context.Context) {
			p.destroy(ctx, deployedGroup)
			p.untrusted(ctx, "AADSTS700016")
		}},
	}
}

func (p *program) groupItself(ctx context.Context) {
	p.group(ctx, deployedGroup)
	want(must(p.groups.CheckExistence(ctx, deployedGroup, nil)).Success, true)
	tags := map[string]*string{"team": to.Ptr("red")}
	want(*must(p.groups.Update(ctx, deployedGroup, armresources.ResourceGroupPatchable{Tags: tags}, nil)).Tags["team"], "red")
	found := false
	for _, page := range all(ctx, p.groups.NewListPager(nil)) {
		for _, g := range page.Value {
			found = found || *g.Name == deployedGroup
		}
	}
	want(found, true)
	_, err := p.groups.Get(ctx, "go-nothing", nil)
	refusedAs("ResourceGroupNotFound", err)
}

func (p *program) properties(subject string) (template map[string]any, parameters map[string]any) {
	check(json.Unmarshal(trustTemplate, &template))
	return template, map[string]any{"issuer": map[string]any{"value": p.issuer}, "subject": map[string]any{"value": subject}}
}

func (p *program) deployment(subject string) armresources.Deployment {
	template, parameters := p.properties(subject)
	return armresources.Deployment{Properties: &armresources.DeploymentProperties{Mode: to.Ptr(armresources.DeploymentModeIncremental), Template: template, Parameters: parameters}}
}

// deploy deploys the template; the identity that it makes is p.web.
func (p *program) deploy(ctx context.Context) {
	done := must(must(p.templates.BeginCreateOrUpdate(ctx, deployedGroup, "main", p.deployment(p.subject), nil)).PollUntilDone(ctx, nil))
	want(*done.Properties.ProvisioningState, armresources.ProvisioningStateSucceeded)
	p.web = must(p.identities.Get(ctx, deployedGroup, "web", nil)).Identity
	outputs, _ := done.Properties.Outputs.(map[string]any)
	clientID, _ := outputs["clientId"].(map[string]any)
	want(fmt.Sprint(clientID["value"]), *p.web.Properties.ClientID)
}

// changes are what the template would change.
func (p *program) changes(ctx context.Context) (kinds string) {
	template, parameters := p.properties(p.subject)
	result := must(must(p.templates.BeginWhatIf(ctx, deployedGroup, "main", armresources.DeploymentWhatIf{Properties: &armresources.DeploymentWhatIfProperties{
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
