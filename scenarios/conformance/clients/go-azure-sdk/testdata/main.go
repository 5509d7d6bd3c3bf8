// Command go-azure-sdk is a client of the conformance table: it creates, reads, updates and
// destroys what a workload needs to be trusted, by the SDK of Terraform's provider azurerm and in
// the provider's order of calls. What is created has to open a secret, and only that.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-azure-helpers/resourcemanager/commonids"
	"github.com/hashicorp/go-azure-sdk/resource-manager/authorization/2022-04-01/roleassignments"
	"github.com/hashicorp/go-azure-sdk/resource-manager/authorization/2022-05-01-preview/roledefinitions"
	"github.com/hashicorp/go-azure-sdk/resource-manager/managedidentity/2024-11-30/federatedidentitycredentials"
	"github.com/hashicorp/go-azure-sdk/sdk/auth"
	"github.com/hashicorp/go-azure-sdk/sdk/environments"
)

const (
	subscription = "0a1b2c3d-0000-4000-8000-000000000001" // of trust.yaml
	everywhere   = "/subscriptions/" + subscription
	vault        = everywhere + "/resourceGroups/wiemu/providers/Microsoft.KeyVault/vaults/mykeyvault"
	readSecret   = "Microsoft.KeyVault/vaults/secrets/getSecret/action"
)

// The ids, in the order in which Terraform creates them.
var (
	groupID      = commonids.NewResourceGroupID(subscription, "terraform")
	identityID   = commonids.NewUserAssignedIdentityID(subscription, "terraform", "web")
	credentialID = federatedidentitycredentials.NewFederatedIdentityCredentialID(subscription, "terraform", "web", "cluster")
	definitionID = roledefinitions.NewScopedRoleDefinitionID(everywhere, "8d9f7a51-5c3b-4d0e-9b7a-1f2e3d4c5b61")
	assignmentID = roleassignments.NewScopedRoleAssignmentID(vault, "8d9f7a51-5c3b-4d0e-9b7a-1f2e3d4c5b62")
	customID     = roleassignments.NewScopedRoleAssignmentID(vault, "8d9f7a51-5c3b-4d0e-9b7a-1f2e3d4c5b63")
)

func main() {
	p := &program{environment: environments.AzurePublic()}
	operations := p.pod
	if slices.Contains(os.Args, "pipeline") {
		operations = p.pipeline
	}
	for _, operation := range operations() {
		run(operation.name, operation.do)
	}
	fmt.Println("round done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

type operation struct {
	name string
	do   func(context.Context)
}

// pod are the operations of a program with a token file.
func (p *program) pod() []operation {
	assertion := string(must(os.ReadFile(os.Getenv("AZURE_FEDERATED_TOKEN_FILE"))))
	check(json.Unmarshal(must(base64.RawURLEncoding.DecodeString(strings.Split(assertion, ".")[1])), &p.claims))
	p.credentials = func(clientID string) auth.Credentials {
		return auth.Credentials{
			Environment: *p.environment, TenantID: os.Getenv("AZURE_TENANT_ID"), ClientID: clientID,
			EnableAuthenticationUsingOIDC: true, OIDCAssertionToken: assertion,
		}
	}
	return []operation{
		{"login", p.login}, {"group", p.group}, {"identity", p.identity}, {"credential", p.credential}, {"without-role", p.withoutRole},
		{"assignment", p.assignment}, {"honoured", p.honoured}, {"lists", p.lists}, {"import", p.imports}, {"refused", p.refused},
		{"update-group", p.updateGroup}, {"update-identity", p.updateIdentity}, {"update-credential", p.updateCredential}, {"update-assignment", p.updateAssignment},
		{"definition", p.definition}, {"update-definition", p.updateDefinition},
		{"destroy-roles", p.destroyRoles}, {"destroy-credential", p.destroyCredential}, {"destroy-identity", p.destroyIdentity}, {"destroy-group", p.destroyGroup},
	}
}

// run does one operation; the first that fails ends the program.
func run(name string, do func(context.Context)) {
	defer func() {
		if failure := recover(); failure != nil {
			fmt.Println(name, "failed", strings.Join(strings.Fields(fmt.Sprint(failure)), " "))
			os.Exit(1)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // pollers want a deadline
	defer cancel()
	do(ctx)
	fmt.Println(name, "ok")
}

type program struct {
	environment *environments.Environment
	credentials func(clientID string) auth.Credentials // that use_oidc of azurerm makes
	claims      struct {
		Issuer  string `json:"iss"`
		Subject string `json:"sub"`
	}
	terraform *provider

	clientID, principalID string // of the identity that is created
	user                  string // id of the role Key Vault Secrets User
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](v T, err error) T { check(err); return v }

func want(ok bool, found ...any) {
	if !ok {
		panic(fmt.Sprint(append([]any{"not as expected: "}, found...)...))
	}
}

// refusedWith expects a refusal whose text has a code.
func refusedWith(code string, err error) {
	want(err != nil && strings.Contains(err.Error(), code), "expected ", code, ", found ", err)
}

// authorizer gets tokens for an API, as use_oidc of azurerm does.
func (p *program) authorizer(ctx context.Context, api environments.Api, clientID string) auth.Authorizer {
	return must(auth.NewAuthorizerFromCredentials(ctx, p.credentials(clientID), api))
}

func (p *program) login(ctx context.Context) {
	api := p.environment.ResourceManager
	authorizer := p.authorizer(ctx, api, os.Getenv("AZURE_CLIENT_ID"))
	want(must(authorizer.Token(ctx, &http.Request{})).AccessToken != "", "no token")
	p.terraform = newProvider(api, authorizer)
}

func (p *program) group(ctx context.Context) {
	check(p.terraform.createGroup(ctx, groupID, map[string]string{"team": "blue"}))
	read := must(p.terraform.groups.Get(ctx, groupID)).Model
	want(read.Location == "westeurope" && (*read.Tags)["team"] == "blue", read)
}

func (p *program) identity(ctx context.Context) {
	check(p.terraform.createIdentity(ctx, identityID))
	read := must(p.terraform.identities.UserAssignedIdentitiesGet(ctx, identityID)).Model
	want(read.Properties != nil && read.Properties.ClientId != nil && read.Properties.PrincipalId != nil, read)
	p.clientID, p.principalID = *read.Properties.ClientId, *read.Properties.PrincipalId
}

func (p *program) credential(ctx context.Context) {
	check(p.terraform.createCredential(ctx, credentialID, p.claims.Issuer, p.claims.Subject))
	p.trusts(ctx, p.claims.Subject)
}

// trusts expects that the federated credential is as it was written.
func (p *program) trusts(ctx context.Context, subject string) {
	read := must(p.terraform.credentials.Get(ctx, credentialID)).Model.Properties
	want(read.Issuer == p.claims.Issuer && read.Subject == subject && slices.Equal(read.Audiences, []string{"api://AzureADTokenExchange"}), read)
}

// secret reads the secret as the identity that was created.
func (p *program) secret(ctx context.Context) (string, error) {
	token, err := p.authorizer(ctx, p.environment.KeyVault, p.clientID).Token(ctx, &http.Request{})
	if err != nil {
		return "", err
	}
	req := must(http.NewRequestWithContext(ctx, http.MethodGet, "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.4", nil))
	token.SetAuthHeader(req)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var answer struct {
		Value string
		Error struct{ Code string }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(answer.Error.Code)
	}
	return answer.Value, nil
}

func (p *program) forbidden(ctx context.Context) {
	_, err := p.secret(ctx)
	refusedWith("Forbidden", err)
}

func (p *program) withoutRole(ctx context.Context) { p.forbidden(ctx) }

func (p *program) assignment(ctx context.Context) {
	p.user = must(p.terraform.named(ctx, vault, "Key Vault Secrets User"))
	check(p.terraform.createAssignment(ctx, assignmentID, p.principalID, p.user))
	read := must(p.terraform.assignments.Get(ctx, assignmentID, roleassignments.DefaultGetOperationOptions())).Model.Properties
	want(read.PrincipalId == p.principalID && *read.Scope == vault && *read.PrincipalType == roleassignments.PrincipalTypeServicePrincipal, read)
	// For role_definition_name azurerm reads the role by the id that the assignment has.
	role := must(p.terraform.definitions.Get(ctx, *must(roledefinitions.ParseScopedRoleDefinitionID(read.RoleDefinitionId)))).Model
	want(*role.Properties.RoleName == "Key Vault Secrets User", role)
}

func (p *program) honoured(ctx context.Context) {
	got := must(p.secret(ctx))
	want(got == "the secret of wiemu", got)
}

func (p *program) lists(ctx context.Context) {
	all := must(p.terraform.identities.UserAssignedIdentitiesListByResourceGroupComplete(ctx, groupID)).Items
	want(len(all) == 1 && *all[0].Name == "web", all)
	trusted := must(p.terraform.credentials.ListComplete(ctx, identityID, federatedidentitycredentials.DefaultListOperationOptions())).Items
	want(len(trusted) == 1 && *trusted[0].Name == "cluster", trusted)
	filter := fmt.Sprintf("principalId eq '%s'", p.principalID)
	assigned := must(p.terraform.assignments.ListForScopeComplete(ctx, commonids.NewScopeID(vault), roleassignments.ListForScopeOperationOptions{Filter: &filter})).Items
	want(len(assigned) == 1 && *assigned[0].Id == assignmentID.ID(), assigned)
}

// imports creates everything once more: azurerm says that it is there.
func (p *program) imports(ctx context.Context) {
	for _, err := range []error{
		p.terraform.createGroup(ctx, groupID, nil),
		p.terraform.createIdentity(ctx, identityID),
		p.terraform.createCredential(ctx, credentialID, p.claims.Issuer, p.claims.Subject),
		p.terraform.createAssignment(ctx, assignmentID, p.principalID, p.user),
	} {
		want(errors.Is(err, errImport), err)
	}
}

func (p *program) refused(ctx context.Context) {
	again, nobody := credentialID, credentialID
	again.FederatedIdentityCredentialName, nobody.UserAssignedIdentityName = "again", "nobody"
	refusedWith("Issuer and subject combination already exists", p.terraform.createCredential(ctx, again, p.claims.Issuer, p.claims.Subject))
	refusedWith("ParentResourceNotFound", p.terraform.updateCredential(ctx, nobody, p.claims.Issuer, p.claims.Subject))
	refusedWith("RoleAssignmentExists", p.terraform.createAssignment(ctx, customID, p.principalID, p.user))
	refusedWith("PrincipalNotFound", p.terraform.createAssignment(ctx, customID, p.clientID, p.user))
	refusedWith("the Resource Group still contains Resources", p.terraform.deleteGroup(ctx, groupID))
}

func (p *program) updateGroup(ctx context.Context) {
	check(p.terraform.updateGroup(ctx, groupID, map[string]string{"team": "red"}))
	read := must(p.terraform.groups.Get(ctx, groupID)).Model
	want((*read.Tags)["team"] == "red", read)
}

func (p *program) updateIdentity(ctx context.Context) {
	check(p.terraform.updateIdentity(ctx, identityID, map[string]string{"team": "red"}))
	read := must(p.terraform.identities.UserAssignedIdentitiesGet(ctx, identityID)).Model
	want((*read.Tags)["team"] == "red" && *read.Properties.ClientId == p.clientID, read)
}

func (p *program) updateCredential(ctx context.Context) {
	const elsewhere = "system:serviceaccount:elsewhere:web-sa"
	check(p.terraform.updateCredential(ctx, credentialID, p.claims.Issuer, elsewhere))
	p.trusts(ctx, elsewhere)
	_, err := p.secret(ctx)
	refusedWith("AADSTS700213", err)
	check(p.terraform.updateCredential(ctx, credentialID, p.claims.Issuer, p.claims.Subject))
	p.honoured(ctx)
}

func (p *program) updateAssignment(ctx context.Context) {
	check(p.terraform.describeAssignment(ctx, assignmentID, "the web shop reads its secret"))
	read := must(p.terraform.assignments.Get(ctx, assignmentID, roleassignments.DefaultGetOperationOptions())).Model.Properties
	want(read.Description != nil && *read.Description == "the web shop reads its secret", "the description is not changed")
	p.honoured(ctx)
}

func (p *program) definition(ctx context.Context) {
	check(p.terraform.createDefinition(ctx, definitionID, "Terraform reads secrets", readSecret))
	want(errors.Is(p.terraform.createDefinition(ctx, definitionID, "Terraform reads secrets", readSecret), errImport), "created twice")
	role := must(p.terraform.definitions.Get(ctx, definitionID)).Model
	check(p.terraform.createAssignment(ctx, customID, p.principalID, *role.Id))
	must(p.terraform.assignments.Delete(ctx, assignmentID, roleassignments.DefaultDeleteOperationOptions()))
	p.honoured(ctx)
}

func (p *program) updateDefinition(ctx context.Context) {
	check(p.terraform.updateDefinition(ctx, definitionID, "Microsoft.KeyVault/vaults/secrets/setSecret/action"))
	p.forbidden(ctx)
	check(p.terraform.updateDefinition(ctx, definitionID, readSecret))
	p.honoured(ctx)
}

// destroyRoles destroys in the order of Terraform: what depends on something goes first.
func (p *program) destroyRoles(ctx context.Context) {
	must(p.terraform.assignments.Delete(ctx, customID, roleassignments.DefaultDeleteOperationOptions()))
	found, err := p.terraform.assignments.Get(ctx, customID, roleassignments.DefaultGetOperationOptions())
	check(absent(found.HttpResponse, err))
	check(p.terraform.deleteDefinition(ctx, definitionID))
	p.forbidden(ctx)
}

func (p *program) destroyCredential(ctx context.Context) {
	must(p.terraform.credentials.Delete(ctx, credentialID))
	found, err := p.terraform.credentials.Get(ctx, credentialID)
	check(absent(found.HttpResponse, err))
	_, err = p.secret(ctx)
	refusedWith("AADSTS70025", err)
}

func (p *program) destroyIdentity(ctx context.Context) {
	must(p.terraform.identities.UserAssignedIdentitiesDelete(ctx, identityID))
	found, err := p.terraform.identities.UserAssignedIdentitiesGet(ctx, identityID)
	check(absent(found.HttpResponse, err))
}

func (p *program) destroyGroup(ctx context.Context) {
	check(p.terraform.deleteGroup(ctx, groupID))
	found, err := p.terraform.groups.Get(ctx, groupID)
	check(absent(found.HttpResponse, err))
}
