package main

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"
)

const msiGroup = "go-msi"

// identityOperations are what armmsi does with managed identities and their federated credentials.
func (p *program) identityOperations() []operation {
	return []operation{
		{"create", func(ctx context.Context) {
			p.group(ctx, msiGroup)
			p.web = p.identity(ctx, msiGroup, "web", map[string]*string{"team": to.Ptr("blue")})
			want(*p.web.Tags["team"], "blue")
		}},
		{"create-again", func(ctx context.Context) {
			again := p.identity(ctx, msiGroup, "web", map[string]*string{"team": to.Ptr("blue")})
			want(*again.Properties.ClientID, *p.web.Properties.ClientID)
		}},
		{"get", func(ctx context.Context) {
			want(*must(p.identities.Get(ctx, msiGroup, "web", nil)).Properties.PrincipalID, *p.web.Properties.PrincipalID)
			_, err := p.identities.Get(ctx, msiGroup, "worker", nil)
			refusedAs("ResourceNotFound", err)
		}},
		{"list", p.listIdentities},
		{"update", func(ctx context.Context) {
			changed := must(p.identities.Update(ctx, msiGroup, "web", armmsi.IdentityUpdate{Tags: map[string]*string{"team": to.Ptr("red")}}, nil))
			want(*changed.Tags["team"], "red")
			want(*changed.Properties.ClientID, *p.web.Properties.ClientID)
		}},
		{"untrusted", func(ctx context.Context) { p.untrusted(ctx, "AADSTS70025") }},
		{"trust", func(ctx context.Context) {
			want(*must(p.trust(ctx, msiGroup, "web", "cluster", p.subject)).Name, "cluster")
			want(*must(p.credentials.Get(ctx, msiGroup, "web", "cluster", nil)).Properties.Subject, p.subject)
			p.trusted(ctx)
		}},
		{"change", func(ctx context.Context) {
			must(p.trust(ctx, msiGroup, "web", "cluster", "system:serviceaccount:elsewhere:web-sa"))
			p.untrusted(ctx, "AADSTS700213")
			must(p.trust(ctx, msiGroup, "web", "cluster", p.subject))
			p.trusted(ctx)
		}},
		{"refused", p.refusedTrust},
		{"many", p.manyCredentials},
		{"untrust", func(ctx context.Context) {
			for range 2 { // the second time it is 204
				must(p.credentials.Delete(ctx, msiGroup, "web", "cluster", nil))
			}
			p.untrusted(ctx, "AADSTS700213")
		}},
		{"delete", func(ctx context.Context) {
			must(p.identities.Delete(ctx, msiGroup, "worker", nil))
			_, err := p.identities.Get(ctx, msiGroup, "worker", nil)
			refusedAs("ResourceNotFound", err)
		}},
		{"destroy", func(ctx context.Context) {
			p.destroy(ctx, msiGroup)
			_, err := p.identities.Get(ctx, msiGroup, "web", nil)
			refusedAs("ResourceGroupNotFound", err)
		}},
	}
}

func (p *program) listIdentities(ctx context.Context) {
	p.identity(ctx, msiGroup, "worker", nil)
	var names []string
	for _, page := range all(ctx, p.identities.NewListByResourceGroupPager(msiGroup, nil)) {
		for _, i := range page.Value {
			names = append(names, *i.Name)
		}
	}
	want(fmt.Sprint(names), "[web worker]")
	found := 0
	for _, page := range all(ctx, p.identities.NewListBySubscriptionPager(nil)) {
		for _, i := range page.Value {
			if *i.Name == "web" || *i.Name == "worker" {
				found++
			}
		}
	}
	want(found >= 2, true)
}

func (p *program) refusedTrust(ctx context.Context) {
	_, err := p.trust(ctx, msiGroup, "web", "again", p.subject)
	refusedAs("Conflict", err)
	_, err = p.trust(ctx, msiGroup, "nobody", "cluster", p.subject)
	refusedAs("ParentResourceNotFound", err)
	_, err = p.trust(ctx, msiGroup, "web", "a", p.subject)
	refusedAs("BadRequest", err)
	_, err = p.credentials.Get(ctx, msiGroup, "web", "again", nil)
	refusedAs("NotFound", err)
}

// manyCredentials makes as many as an identity may have, reads them in pages, and is refused one more.
func (p *program) manyCredentials(ctx context.Context) {
	further := func(n int) error {
		_, err := p.trust(ctx, msiGroup, "web", fmt.Sprintf("cluster-%d", n), fmt.Sprintf("system:serviceaccount:shop-%d:web-sa", n))
		return err
	}
	for n := 1; n < 20; n++ {
		check(further(n))
	}
	found := 0
	for _, page := range all(ctx, p.credentials.NewListPager(msiGroup, "web", &armmsi.FederatedIdentityCredentialsClientListOptions{Top: to.Ptr[int32](7)})) {
		found += len(page.Value)
	}
	want(found, 20)
	refusedAs("BadRequest", further(20))
}
