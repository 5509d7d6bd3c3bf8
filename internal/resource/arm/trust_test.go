package arm_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/authorization/armauthorization/v2"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/resources/armresources"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/keyring/keyringtest"
	"github.com/wiemu/wiemu/internal/lab"
)

// clients are the official clients for Go, as terraform.
type clients struct {
	groups      *armresources.ResourceGroupsClient
	resources   *armresources.Client
	providers   *armresources.ProvidersClient
	identities  *armmsi.UserAssignedIdentitiesClient
	credentials *armmsi.FederatedIdentityCredentialsClient
	assignments *armauthorization.RoleAssignmentsClient
	definitions *armauthorization.RoleDefinitionsClient
}

func (w *world) clients() clients {
	w.t.Helper()
	msi, err := armmsi.NewClientFactory(subscription, w.terraform(), w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	auth, err := armauthorization.NewClientFactory(subscription, w.terraform(), w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	res, err := armresources.NewClientFactory(subscription, w.terraform(), w.options())
	if err != nil {
		w.t.Fatal(err)
	}
	return clients{
		res.NewResourceGroupsClient(), res.NewClient(), res.NewProvidersClient(), msi.NewUserAssignedIdentitiesClient(), msi.NewFederatedIdentityCredentialsClient(),
		auth.NewRoleAssignmentsClient(), auth.NewRoleDefinitionsClient(),
	}
}

// apply makes what a workload needs: group, identity, trust and role. It is idempotent.
func (w *world) apply(c clients) armmsi.Identity {
	w.t.Helper()
	ctx := w.t.Context()
	if _, err := c.groups.CreateOrUpdate(ctx, "shop", armresources.ResourceGroup{Location: to.Ptr("westeurope")}, nil); err != nil {
		w.t.Fatal(err)
	}
	made, err := c.identities.CreateOrUpdate(ctx, "shop", "web", armmsi.Identity{Location: to.Ptr("westeurope")}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = c.credentials.CreateOrUpdate(ctx, "shop", "web", "aks", armmsi.FederatedIdentityCredential{Properties: &armmsi.FederatedIdentityCredentialProperties{
		Issuer: to.Ptr(w.Issuers()[0].URL()), Subject: to.Ptr("system:serviceaccount:shop:web-sa"), Audiences: []*string{to.Ptr("api://AzureADTokenExchange")},
	}}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = c.assignments.Create(ctx, w.vault(), *made.Properties.PrincipalID, armauthorization.RoleAssignmentCreateParameters{Properties: &armauthorization.RoleAssignmentProperties{
		PrincipalID: made.Properties.PrincipalID, RoleDefinitionID: to.Ptr("/subscriptions/" + subscription + "/providers/Microsoft.Authorization/roleDefinitions/" + secretsUser),
	}}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return made.Identity
}

func (w *world) vault() string {
	at, err := w.Scope("orders")
	if err != nil {
		w.t.Fatal(err)
	}
	return at.ID
}

func (w *world) read(clientID string) (string, error) {
	return w.secret("orders", "password", w.workload(clientID, "shop", "web-sa"))
}

func (w *world) secret(vault, name string, who azcore.TokenCredential) (string, error) {
	c, err := azsecrets.NewClient("https://"+vault+".vault.azure.net", who, &azsecrets.ClientOptions{ClientOptions: w.client()})
	if err != nil {
		w.t.Fatal(err)
	}
	got, err := c.GetSecret(w.t.Context(), name, "", nil)
	if err != nil {
		return "", err
	}
	return *got.Value, nil
}

// What the official clients make opens the vault for the workload at once; what they delete
// does not any more.
func TestTheWholeTrust(t *testing.T) {
	w := newWorld(t, lab.Options{})
	c, ctx := w.clients(), t.Context()
	first := w.apply(c)
	if again := w.apply(c); *again.Properties.ClientID != *first.Properties.ClientID {
		t.Errorf("applied again, the client id is %s, not %s", *again.Properties.ClientID, *first.Properties.ClientID)
	}
	if got, err := w.read(*first.Properties.ClientID); err != nil || got != "hunter2" {
		t.Fatalf("%q, %v", got, err)
	}
	held, err := w.workload(*first.Properties.ClientID, "shop", "web-sa").GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}})
	if err != nil {
		t.Fatal(err)
	}

	listed := c.assignments.NewListForScopePager(w.vault(), &armauthorization.RoleAssignmentsClientListForScopeOptions{Filter: to.Ptr("atScope() and assignedTo('" + *first.Properties.PrincipalID + "')")})
	page, err := listed.NextPage(ctx)
	if err != nil || len(page.Value) != 1 || *page.Value[0].Name != *first.Properties.PrincipalID {
		t.Errorf("%+v, %v", page, err)
	}
	found, err := c.resources.NewListByResourceGroupPager("shop", nil).NextPage(ctx)
	if err != nil || len(found.Value) != 1 || *found.Value[0].Name != "web" {
		t.Errorf("%+v, %v", found, err)
	}

	if _, err := c.credentials.Delete(ctx, "shop", "web", "aks", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.read(*first.Properties.ClientID); err == nil {
		t.Error("without a federated credential, the workload gets a token")
	}
	deleting, err := c.groups.BeginDelete(ctx, "shop", nil)
	if err == nil {
		_, err = deleting.PollUntilDone(ctx, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.groups.Get(ctx, "shop", nil); !refusedWith(err, "ResourceGroupNotFound") {
		t.Errorf("after it was deleted: %v", err)
	}
	if status := w.get("https://orders.vault.azure.net/secrets/password?api-version=7.4", held.Token); status != 200 {
		t.Errorf("the token that was given out is answered with %d", status)
	}

	second := w.apply(c)
	if *second.Properties.ClientID == *first.Properties.ClientID || *second.Properties.PrincipalID == *first.Properties.PrincipalID {
		t.Errorf("made again, it has the ids of before: %+v", second.Properties)
	}
	if _, err := w.read(*first.Properties.ClientID); err == nil {
		t.Error("with the client id of before, the workload gets a token")
	}
	if got, err := w.read(*second.Properties.ClientID); err != nil || got != "hunter2" {
		t.Errorf("%q, %v", got, err)
	}
}

// A custom role permits what it says.
func TestACustomRole(t *testing.T) {
	w := newWorld(t, lab.Options{})
	c, ctx := w.clients(), t.Context()
	w.withIdentity()
	const id = "55555555-5555-4555-8555-555555555555"
	role := armauthorization.RoleDefinition{Properties: &armauthorization.RoleDefinitionProperties{
		RoleName: to.Ptr("Trust Editor"), RoleType: to.Ptr("CustomRole"), AssignableScopes: []*string{to.Ptr("/subscriptions/" + subscription)},
		Permissions: []*armauthorization.Permission{{Actions: []*string{to.Ptr("Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/*")}}},
	}}
	made, err := c.definitions.CreateOrUpdate(ctx, "/subscriptions/"+subscription, id, role, nil)
	if err != nil || *made.Properties.RoleType != "CustomRole" {
		t.Fatalf("%+v, %v", made, err)
	}
	editor := w.as("nobody", nobody, tenantID)
	write := "PUT " + identities + "/web/federatedIdentityCredentials/one" + v2024
	if got := w.ask(editor, write, trust("https://issuer.example/", "s")); got.status != 403 {
		t.Fatalf("without the role: %d %s", got.status, got.body)
	}
	if _, err := c.assignments.Create(ctx, group, id, armauthorization.RoleAssignmentCreateParameters{Properties: &armauthorization.RoleAssignmentProperties{
		PrincipalID: to.Ptr(w.object(nobody)), RoleDefinitionID: made.ID, PrincipalType: to.Ptr(armauthorization.PrincipalTypeServicePrincipal),
	}}, nil); err != nil {
		t.Fatal(err)
	}
	if got := w.ask(editor, write, trust("https://issuer.example/", "s")); got.status != 201 {
		t.Errorf("with the role: %d %s", got.status, got.body)
	}
	if got := w.ask(editor, "DELETE "+identities+"/web"+v2024, ""); got.status != 403 {
		t.Errorf("with a role for credentials, the identity: %d %s", got.status, got.body)
	}
	if _, err := c.definitions.Delete(ctx, "/subscriptions/"+subscription, id, nil); !refusedWith(err, "RoleDefinitionHasAssignments") {
		t.Errorf("a role that is assigned: %v", err)
	}
	if _, err := c.assignments.Delete(ctx, group, id, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.definitions.Delete(ctx, "/subscriptions/"+subscription, id, nil); err != nil {
		t.Error(err)
	}
}

// What is changed keeps the time at which it was made, by which Terraform tells whether it is
// changed already; of an assignment only the description can be.
func TestAChangeKeepsWhenItWasMade(t *testing.T) {
	w := newWorld(t, lab.Options{})
	c, ctx := w.clients(), t.Context()
	w.withIdentity()
	const id, everywhere = "66666666-6666-4666-8666-666666666666", "/subscriptions/" + subscription
	role := armauthorization.RoleDefinition{Properties: &armauthorization.RoleDefinitionProperties{
		RoleName: to.Ptr("Group Reader"), RoleType: to.Ptr("CustomRole"), AssignableScopes: []*string{to.Ptr(everywhere)},
		Permissions: []*armauthorization.Permission{{Actions: []*string{to.Ptr("Microsoft.Resources/subscriptions/resourceGroups/read")}}},
	}}
	made, err := c.definitions.CreateOrUpdate(ctx, everywhere, id, role, nil)
	if err != nil {
		t.Fatal(err)
	}
	wanted := armauthorization.RoleAssignmentCreateParameters{Properties: &armauthorization.RoleAssignmentProperties{
		PrincipalID: to.Ptr(w.object(nobody)), RoleDefinitionID: made.ID, PrincipalType: to.Ptr(armauthorization.PrincipalTypeServicePrincipal), Description: to.Ptr("before"),
	}}
	if _, err := c.assignments.Create(ctx, group, id, wanted, nil); err != nil {
		t.Fatal(err)
	}
	times := func(request string) []string {
		got := w.do("GET "+request+id+v2022, "")
		return []string{got.member(t, "properties", "createdOn"), got.member(t, "properties", "updatedOn")}
	}
	roleBefore, assignmentBefore := times(everywhere+definitions), times(group+assignments)
	if roleBefore[0] != roleBefore[1] || assignmentBefore[0] != assignmentBefore[1] {
		t.Fatalf("made and changed at %q and %q", roleBefore, assignmentBefore)
	}
	if err := w.Clock().Advance(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}

	role.Properties.RoleName, wanted.Properties.Description = to.Ptr("Groups Reader"), to.Ptr("after")
	if _, err := c.definitions.CreateOrUpdate(ctx, everywhere, id, role, nil); err != nil {
		t.Fatal(err)
	}
	changed, err := c.assignments.Create(ctx, group, id, wanted, nil)
	if err != nil || *changed.Properties.Description != "after" {
		t.Fatalf("%+v, %v", changed.Properties, err)
	}
	for what, row := range map[string]struct{ before, after []string }{"the role": {roleBefore, times(everywhere + definitions)}, "the assignment": {assignmentBefore, times(group + assignments)}} {
		if row.after[0] != row.before[0] || row.after[1] <= row.before[1] {
			t.Errorf("%s was made and changed at %q, and before at %q", what, row.after, row.before)
		}
	}
	if got := w.ask(w.as("nobody", nobody, tenantID), "GET "+v2022, ""); got.status != 200 {
		t.Errorf("a reader of the group gets %d %s", got.status, got.body)
	}
	wanted.Properties.RoleDefinitionID = to.Ptr(everywhere + "/providers/Microsoft.Authorization/roleDefinitions/" + secretsUser)
	if _, err := c.assignments.Create(ctx, group, id, wanted, nil); !refusedWith(err, "RoleAssignmentUpdateNotPermitted") {
		t.Errorf("another role: %v", err)
	}
}

// The client id in place of the object id is taken if the type of the principal stands beside
// it, and opens nothing.
func TestTheClientIDIsNotAPrincipal(t *testing.T) {
	w := newWorld(t, lab.Options{})
	c := w.clients()
	made := w.apply(c)
	if _, err := c.assignments.Delete(t.Context(), w.vault(), *made.Properties.PrincipalID, nil); err != nil {
		t.Fatal(err)
	}
	w.do("PUT "+w.vault()+assignments+nobody+v2022, `{"properties": {"roleDefinitionId": "`+secretsUser+`", "principalId": "`+*made.Properties.ClientID+`", "principalType": "ServicePrincipal"}}`)
	if _, err := w.read(*made.Properties.ClientID); !refusedWith(err, "Forbidden") {
		t.Errorf("the client id has the role: %v", err)
	}
}

// What was made is there after a restart.
func TestWhatIsMadeIsKept(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, lab.Options{StateDir: dir, Keep: true})
	made := w.apply(w.clients())
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	w = newWorld(t, lab.Options{StateDir: dir, Keep: true})
	c := w.clients()
	if g, err := c.groups.Get(t.Context(), "shop", nil); err != nil || *g.Location != "westeurope" {
		t.Errorf("%+v, %v", g, err)
	}
	if again := w.apply(c); *again.Properties.ClientID != *made.Properties.ClientID {
		t.Errorf("the client id is %s, not %s", *again.Properties.ClientID, *made.Properties.ClientID)
	}
	if got, err := w.read(*made.Properties.ClientID); err != nil || got != "hunter2" {
		t.Errorf("%q, %v", got, err)
	}
}

// What a tool asks before it makes anything.
func TestProviders(t *testing.T) {
	w := newWorld(t, lab.Options{})
	c := w.clients()
	p, err := c.providers.Register(t.Context(), "Microsoft.ManagedIdentity", nil)
	if err != nil || *p.RegistrationState != "Registered" || len(p.ResourceTypes) != 2 {
		t.Errorf("%+v, %v", p, err)
	}
	n := 0
	for pager := c.providers.NewListPager(nil); pager.More(); {
		page, err := pager.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Value)
	}
	if n < 60 {
		t.Errorf("%d providers", n)
	}
}

// With the wiemu.yaml of docs/trust-as-code.md, the workload that may create makes what another
// one needs.
func TestThePage(t *testing.T) {
	file := filepath.Join("..", "..", "..", "docs", "trust-as-code.md")
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	c, err := config.Parse(file, []byte(block))
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(t.Context(), c, lab.Options{Keys: keyringtest.Keys(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w, ci := &world{l, t}, l.Config().Workloads[0]
	deploy := w.workload(ci.ClientID, ci.Namespace, ci.ServiceAccount)
	at := "/subscriptions/" + l.Config().Subscriptions[0].ID + "/resourceGroups/"
	do := func(request, body string) answer {
		a := w.ask(deploy, request, body)
		if a.status != 201 {
			t.Fatalf("%s: %d %s", request, a.status, a.body)
		}
		return a
	}
	do("PUT "+at+"shop"+groups2022, `{"location": "westeurope"}`)
	made := do("PUT "+at+"shop/"+identities+"/web"+v2024, `{"location": "westeurope"}`)
	do("PUT "+at+"shop/"+identities+"/web/federatedIdentityCredentials/cluster"+v2024, trust(l.Issuers()[0].URL(), "system:serviceaccount:shop:web-sa"))
	do("PUT "+at+"wiemu/providers/Microsoft.KeyVault/vaults/mykeyvault"+assignments+nobody+v2022, `{"properties": {"roleDefinitionId": "`+secretsUser+`", "principalId": "`+made.member(t, "properties", "principalId")+`"}}`)
	if got, err := w.secret("mykeyvault", "mysecret", w.workload(made.member(t, "properties", "clientId"), "shop", "web-sa")); err != nil || got != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := w.secret("mykeyvault", "mysecret", deploy); !refusedWith(err, "Forbidden") {
		t.Errorf("who may create reads the secret: %v", err)
	}
}
