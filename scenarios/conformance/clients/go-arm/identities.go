package main

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/msi/armmsi"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

const msiGroup = "go-msi"

// identityOperations are what armmsi does with managed identities and their federated credentials.
func (p *program) identityOperations() []round.Operation {
	return []round.Operation{
		{Name: "create", Do: func(ctx context.Context) {
			p.group(ctx, msiGroup)
			p.web = p.identity(ctx, msiGroup, "web", map[string]*string{"team": to.Ptr("blue")})
			round.Equal(*p.web.Tags["team"], "blue")
		}},
		{Name: "create-again", Do: func(ctx context.Context) {
			again := p.identity(ctx, msiGroup, "web", map[string]*string{"team": to.Ptr("blue")})
			round.Equal(*again.Properties.ClientID, *p.web.Properties.ClientID)
		}},
		{Name: "get", Do: func(ctx context.Context) {
			round.Equal(*round.Must(p.identities.Get(ctx, msiGroup, "web", nil)).Properties.PrincipalID, *p.web.Properties.PrincipalID)
			_, err := p.identities.Get(ctx, msiGroup, "worker", nil)
			round.RefusedAs("ResourceNotFound", err)
		}},
		{Name: "list", Do: p.listIdentities},
		{Name: "update", Do: func(ctx context.Context) {
			changed := round.Must(p.identities.Update(ctx, msiGroup, "web", armmsi.IdentityUpdate{Tags: map[string]*string{"team": to.Ptr("red")}}, nil))
			round.Equal(*changed.Tags["team"], "red")
			round.Equal(*changed.Properties.ClientID, *p.web.Properties.ClientID)
		}},
		{Name: "untrusted", Do: func(ctx context.Context) { p.untrusted(ctx, "AADSTS70025") }},
		{Name: "trust", Do: func(ctx context.Context) {
			round.Equal(*round.Must(p.trust(ctx, msiGroup, "web", "cluster", p.subject)).Name, "cluster")
			round.Equal(*round.Must(p.credentials.Get(ctx, msiGroup, "web", "cluster", nil)).Properties.Subject, p.subject)
			p.trusted(ctx)
		}},
		{Name: "change", Do: func(ctx context.Context) {
			round.Must(p.trust(ctx, msiGroup, "web", "cluster", "system:serviceaccount:elsewhere:web-sa"))
			p.untrusted(ctx, "AADSTS700213")
			round.Must(p.trust(ctx, msiGroup, "web", "cluster", p.subject))
			p.trusted(ctx)
		}},
		{Name: "refused", Do: p.refusedTrust},
		{Name: "many", Do: p.manyCredentials},
		{Name: "untrust", Do: func(ctx context.Context) {
			for range 2 { // the second time it is 204
				round.Must(p.credentials.Delete(ctx, msiGroup, "web", "cluster", nil))
			}
			p.untrusted(ctx, "AADSTS700213")
		}},
		{Name: "delete", Do: func(ctx context.Context) {
			round.Must(p.identities.Delete(ctx, msiGroup, "worker", nil))
			_, err := p.identities.Get(ctx, msiGroup, "worker", nil)
			round.RefusedAs("ResourceNotFound", err)
		}},
		{Name: "destroy", Do: func(ctx context.Context) {
			p.destroy(ctx, msiGroup)
			_, err := p.identities.Get(ctx, msiGroup, "web", nil)
			round.RefusedAs("ResourceGroupNotFound", err)
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
	round.Equal(fmt.Sprint(names), "[web worker]")
	found := 0
	for _, page := range all(ctx, p.identities.NewListBySubscriptionPager(nil)) {
		for _, i := range page.Value {
			if *i.Name == "web" || *i.Name == "worker" {
				found++
			}
		}
	}
	round.Equal(found >= 2, true)
}

func (p *program) refusedTrust(ctx context.Context) {
	_, err := p.trust(ctx, msiGroup, "web", "again", p.subject)
	round.RefusedAs("Conflict", err)
	_, err = p.trust(ctx, msiGroup, "nobody", "cluster", p.subject)
	round.RefusedAs("ParentResourceNotFound", err)
	_, err = p.trust(ctx, msiGroup, "web", "a", p.subject)
	round.RefusedAs("BadRequest", err)
	_, err = p.credentials.Get(ctx, msiGroup, "web", "again", nil)
	round.RefusedAs("NotFound", err)
}

// manyCredentials makes as many as an identity may have, reads them in pages, and is refused one more.
func (p *program) manyCredentials(ctx context.Context) {
	further := func(n int) error {
		_, err := p.trust(ctx, msiGroup, "web", fmt.Sprintf("cluster-%d", n), fmt.Sprintf("system:serviceaccount:shop-%d:web-sa", n))
		return err
	}
	for n := 1; n < 20; n++ {
		round.Check(further(n))
	}
	found := 0
	for _, page := range all(ctx, p.credentials.NewListPager(msiGroup, "web", &armmsi.FederatedIdentityCredentialsClientListOptions{Top: to.Ptr[int32](7)})) {
		found += len(page.Value)
	}
	round.Equal(found, 20)
	round.RefusedAs("BadRequest", further(20))
}
