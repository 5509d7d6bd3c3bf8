// Command msgraph is a client of the conformance table: it registers an application with
// msgraph-sdk-go, makes it trust the service account that it has itself, gives it a role and a
// password, and deletes it.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/google/uuid"
	abstractions "github.com/microsoft/kiota-abstractions-go"
	msgraph "github.com/microsoftgraph/msgraph-sdk-go"
	"github.com/microsoftgraph/msgraph-sdk-go/applications"
	"github.com/microsoftgraph/msgraph-sdk-go/models"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"
	"github.com/microsoftgraph/msgraph-sdk-go/serviceprincipals"
)

const (
	scope    = "https://graph.microsoft.com/.default"
	graphApp = "00000003-0000-0000-c000-000000000000"
	mailRead = "810c84a8-4a9e-49e6-bf7d-12d183f40d01"
)

func main() {
	p := &program{}
	for _, operation := range []struct {
		name string
		do   func(context.Context)
	}{
		{"token", p.token}, {"create", p.create}, {"get", p.get}, {"find", p.find}, {"change", p.change}, {"principal", p.principal},
		{"trust", p.trust}, {"trusted-twice", p.trustedTwice}, {"retrust", p.retrust}, {"exchange", p.exchange},
		{"role", p.role}, {"password", p.password}, {"owner", p.owner}, {"delete", p.delete}, {"restore", p.restore},
	} {
		run(operation.name, operation.do)
	}
	fmt.Println("round done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// run does one operation; the first that fails ends the program.
func run(name string, do func(context.Context)) {
	defer func() {
		if failure := recover(); failure != nil {
			fmt.Println(name, "failed", strings.Join(strings.Fields(fmt.Sprint(failure)), " "))
			os.Exit(1)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	do(ctx)
	fmt.Println(name, "ok")
}

type program struct {
	credential azcore.TokenCredential
	graph      *msgraph.GraphServiceClient

	app models.Applicationable      // that is registered
	sp  models.ServicePrincipalable // of the app
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

// refusedWith expects a refusal of Microsoft Graph with a code.
func refusedWith(code string, err error) {
	refused := (*odataerrors.ODataError)(nil)
	want(errors.As(err, &refused) && *refused.GetErrorEscaped().GetCode() == code, "expected ", code, ", found ", err)
}

type claims struct {
	Issuer  string   `json:"iss"`
	Subject string   `json:"sub"`
	Object  string   `json:"oid"`
	Roles   []string `json:"roles"`
}

func claimsOf(token string) (c claims) {
	check(json.Unmarshal(must(base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])), &c))
	return c
}

func accessToken(ctx context.Context, credential azcore.TokenCredential) claims {
	return claimsOf(must(credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})).Token)
}

// asTheApp is a token of the application that was registered.
func (p *program) asTheApp(ctx context.Context) claims {
	return accessToken(ctx, must(azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientID: *p.app.GetAppId()})))
}

func (p *program) token(ctx context.Context) {
	p.credential = must(azidentity.NewDefaultAzureCredential(nil))
	accessToken(ctx, p.credential)
	p.graph = must(msgraph.NewGraphServiceClientWithCredentials(p.credential, []string{scope}))
}

func (p *program) create(ctx context.Context) {
	wanted := models.NewApplication()
	wanted.SetDisplayName(to.Ptr("sdk"))
	wanted.SetSignInAudience(to.Ptr("AzureADMyOrg"))
	p.app = must(p.graph.Applications().Post(ctx, wanted, nil))
}

// at is the application, by its object id.
func (p *program) at() *applications.ApplicationItemRequestBuilder {
	return p.graph.Applications().ByApplicationId(*p.app.GetId())
}

func (p *program) get(ctx context.Context) {
	found := must(p.graph.ApplicationsWithAppId(p.app.GetAppId()).Get(ctx, nil))
	want(*found.GetId() == *p.app.GetId() && found.GetCreatedDateTime() != nil, found)
}

func (p *program) find(ctx context.Context) {
	headers := abstractions.NewRequestHeaders()
	headers.Add("ConsistencyLevel", "eventual")
	page := must(p.graph.Applications().Get(ctx, &applications.ApplicationsRequestBuilderGetRequestConfiguration{
		Headers: headers,
		QueryParameters: &applications.ApplicationsRequestBuilderGetQueryParameters{
			Filter: to.Ptr("startswith(displayName,'sdk')"), Select: []string{"id"}, Top: to.Ptr[int32](5), Count: to.Ptr(true),
		},
	}))
	want(len(page.GetValue()) == 1 && *page.GetValue()[0].GetId() == *p.app.GetId() && *page.GetOdataCount() == 1, page.GetValue())
}

func (p *program) change(ctx context.Context) {
	wanted := models.NewApplication()
	wanted.SetNotes(to.Ptr("by the SDK"))
	wanted.SetTags([]string{"one"})
	must(p.at().Patch(ctx, wanted, nil))
	changed := must(p.at().Get(ctx, nil))
	want(*changed.GetNotes() == "by the SDK" && slices.Equal(changed.GetTags(), []string{"one"}) && *changed.GetDisplayName() == "sdk", changed)
}

func (p *program) principal(ctx context.Context) {
	wanted := models.NewServicePrincipal()
	wanted.SetAppId(p.app.GetAppId())
	p.sp = must(p.graph.ServicePrincipals().Post(ctx, wanted, nil))
}

// credentialFor is a federated credential named cluster.
func credentialFor(subject string) models.FederatedIdentityCredentialable {
	assertion := claimsOf(string(must(os.ReadFile(os.Getenv("AZURE_FEDERATED_TOKEN_FILE")))))
	wanted := models.NewFederatedIdentityCredential()
	wanted.SetName(to.Ptr("cluster"))
	wanted.SetIssuer(&assertion.Issuer)
	wanted.SetSubject(to.Ptr(subject))
	if subject == "" {
		wanted.SetSubject(&assertion.Subject)
	}
	wanted.SetAudiences([]string{"api://AzureADTokenExchange"})
	return wanted
}

func (p *program) trust(ctx context.Context) {
	made := must(p.at().FederatedIdentityCredentials().Post(ctx, credentialFor(""), nil))
	listed := must(p.at().FederatedIdentityCredentials().Get(ctx, nil)).GetValue()
	want(len(listed) == 1 && *listed[0].GetId() == *made.GetId(), listed)
}

func (p *program) trustedTwice(ctx context.Context) {
	_, err := p.at().FederatedIdentityCredentials().Post(ctx, credentialFor("x"), nil)
	refusedWith("Request_MultipleObjectsWithSameKeyValue", err)
}

func (p *program) retrust(ctx context.Context) {
	wanted := models.NewFederatedIdentityCredential()
	wanted.SetDescription(to.Ptr("by the SDK"))
	cluster := p.at().FederatedIdentityCredentials().ByFederatedIdentityCredentialId("cluster")
	_, err := cluster.Patch(ctx, wanted, nil)
	check(err)
	changed := must(cluster.Get(ctx, nil))
	want(*changed.GetDescription() == "by the SDK" && *changed.GetName() == "cluster", changed)
}

func (p *program) exchange(ctx context.Context) {
	got := p.asTheApp(ctx)
	want(got.Object == *p.sp.GetId(), got)
}

func (p *program) role(ctx context.Context) {
	found := must(p.graph.ServicePrincipals().Get(ctx, &serviceprincipals.ServicePrincipalsRequestBuilderGetRequestConfiguration{
		QueryParameters: &serviceprincipals.ServicePrincipalsRequestBuilderGetQueryParameters{Filter: to.Ptr("appId eq '" + graphApp + "'")},
	})).GetValue()
	want(len(found) == 1, found)
	wanted := models.NewAppRoleAssignment()
	wanted.SetPrincipalId(to.Ptr(uuid.MustParse(*p.sp.GetId())))
	wanted.SetResourceId(to.Ptr(uuid.MustParse(*found[0].GetId())))
	wanted.SetAppRoleId(to.Ptr(uuid.MustParse(mailRead)))
	given := p.graph.ServicePrincipals().ByServicePrincipalId(*p.sp.GetId()).AppRoleAssignments()
	must(given.Post(ctx, wanted, nil))
	listed := must(given.Get(ctx, nil)).GetValue()
	want(len(listed) == 1 && listed[0].GetAppRoleId().String() == mailRead, listed)
	got := p.asTheApp(ctx)
	want(slices.Equal(got.Roles, []string{"Mail.Read"}), got)
}

func (p *program) password(ctx context.Context) {
	wanted := models.NewPasswordCredential()
	wanted.SetDisplayName(to.Ptr("ci"))
	body := applications.NewItemAddpasswordAddPasswordPostRequestBody()
	body.SetPasswordCredential(wanted)
	made := must(p.at().AddPassword().Post(ctx, body, nil))
	accessToken(ctx, must(azidentity.NewClientSecretCredential(os.Getenv("AZURE_TENANT_ID"), *p.app.GetAppId(), *made.GetSecretText(), nil)))
	remove := applications.NewItemRemovepasswordRemovePasswordPostRequestBody()
	remove.SetKeyId(made.GetKeyId())
	check(p.at().RemovePassword().Post(ctx, remove, nil))
	want(len(must(p.at().Get(ctx, nil)).GetPasswordCredentials()) == 0)
}

func (p *program) owner(ctx context.Context) {
	mine := accessToken(ctx, p.credential).Object
	reference := models.NewReferenceCreate()
	reference.SetOdataId(to.Ptr("https://graph.microsoft.com/v1.0/directoryObjects/" + mine))
	check(p.at().Owners().Ref().Post(ctx, reference, nil))
	owners := must(p.at().Owners().Get(ctx, nil)).GetValue()
	want(len(owners) == 1 && *owners[0].GetId() == mine, owners)
}

func (p *program) delete(ctx context.Context) {
	check(p.at().Delete(ctx, nil))
	_, err := p.at().Get(ctx, nil)
	refusedWith("Request_ResourceNotFound", err)
}

func (p *program) restore(ctx context.Context) {
	must(p.graph.Directory().DeletedItems().ByDirectoryObjectId(*p.app.GetId()).Restore().Post(ctx, nil))
	must(p.at().Get(ctx, nil))
	check(p.at().Delete(ctx, nil))
}
