package controlapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/controlapi"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/tenants"
)

const (
	tenant   = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"
	clientID = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	issuer   = "https://local.oic.wiemu.test/t/u/"
)

// openDirectory returns a client of the control API of a lab with one application.
func openDirectory(t *testing.T, in string) (*control.Client, *tenants.Directory, *journals.Journal) {
	t.Helper()
	l := newLab(t, config.Config{Cloud: in, Tenants: []config.Tenant{{ID: tenant, Domains: []string{"contoso.example"}}}, Applications: []config.Application{{Principal: config.Principal{
		ClientID: clientID, Name: "shop", FederatedCredentials: &[]config.FederatedCredential{{Name: "web", Issuer: issuer, Subject: "system:serviceaccount:shop:web-sa"}},
	}}}})
	server := controlapi.New(l, controlapi.Endpoints{}, "secret")
	return controlapi.InMemory("secret", server), l.Directory(), l.Journal()
}

func TestTheDirectoryIsChanged(t *testing.T) {
	yes := true
	for name, row := range map[string]struct {
		change  control.DirectoryChange
		summary string
		becomes func(*directory.Principal) bool
	}{
		"disabled": {
			control.DirectoryChange{Identity: "shop", Disabled: &yes}, "shop has disabled set to true",
			func(p *directory.Principal) bool { return p.Disabled },
		},
		"deleted, by client id in another case": {
			control.DirectoryChange{Tenant: "contoso.example", Identity: strings.ToUpper(clientID), Deleted: true}, "shop is deleted",
			func(p *directory.Principal) bool { return p == nil },
		},
		"a credential's subject": {
			control.DirectoryChange{Identity: clientID, FederatedCredential: &directory.FederatedCredential{Subject: "another"}}, "shop has a federated credential changed",
			func(p *directory.Principal) bool {
				f := p.FederatedCredentials[0]
				return f.Subject == "another" && f.Issuer == issuer && f.Audience == cloud.Public().TokenExchange
			},
		},
		"a credential more": {
			control.DirectoryChange{Identity: "shop", AddFederatedCredential: &directory.FederatedCredential{Name: "api", Issuer: issuer, Subject: "s"}}, "shop has federated credential api added",
			func(p *directory.Principal) bool {
				return len(p.FederatedCredentials) == 2 && p.FederatedCredentials[1].Audience == cloud.Public().TokenExchange
			},
		},
		"a credential more, in the cloud of the US government": {
			control.DirectoryChange{Identity: "shop", AddFederatedCredential: &directory.FederatedCredential{Name: "api", Issuer: issuer, Subject: "s"}}, "shop has federated credential api added",
			func(p *directory.Principal) bool {
				return len(p.FederatedCredentials) == 2 && p.FederatedCredentials[1].Audience == "api://AzureADTokenExchangeUSGov"
			},
		},
		"a credential less": {
			control.DirectoryChange{Identity: "shop", RemoveFederatedCredential: "web"}, "shop has federated credential web removed",
			func(p *directory.Principal) bool { return len(p.FederatedCredentials) == 0 },
		},
	} {
		in := ""
		if strings.HasSuffix(name, "US government") {
			in = "AzureUSGovernment"
		}
		c, d, j := openDirectory(t, in)
		changed, err := c.ChangeDirectory(t.Context(), row.change)
		if err != nil || changed != (control.Changed{Tenant: tenant, ClientID: clientID, Summary: row.summary}) {
			t.Errorf("%s: %+v, %v", name, changed, err)
			continue
		}
		if p, _ := d.Principal(tenant, clientID); !row.becomes(p) {
			t.Errorf("%s: it is %+v", name, p)
		}
		if events := j.Events(); len(events) != 1 || events[0].Kind != journal.Directory || events[0].Summary != row.summary {
			t.Errorf("%s: %+v", name, events)
		}
	}
}

func TestTheDirectoryStaysAsItIs(t *testing.T) {
	yes := true
	for want, change := range map[string]control.DirectoryChange{
		`no tenant has an identity "nobody" any more`:                    {Identity: "nobody", Deleted: true},
		`tenant "elsewhere": expected the id or a domain`:                {Tenant: "elsewhere", Identity: "shop", Deleted: true},
		"expected exactly one of":                                        {Identity: "shop"},
		"disabled, deleted and revoked, found 2":                         {Identity: "shop", Disabled: &yes, Deleted: true},
		`federated credential: expected one of web, found "api"`:         {Identity: "shop", RemoveFederatedCredential: "api"},
		`federatedCredentials[1].issuer: expected an https URL`:          {Identity: "shop", AddFederatedCredential: &directory.FederatedCredential{Name: "api", Issuer: "local", Subject: "s"}},
		`federated credential: expected one of web, found "another one"`: {Identity: "shop", FederatedCredential: &directory.FederatedCredential{Name: "another one", Subject: "s"}},
	} {
		c, d, j := openDirectory(t, "")
		before := d.Snapshot()
		if _, err := c.ChangeDirectory(t.Context(), change); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if after := d.Snapshot(); len(after[0].Principals) != 1 || len(after[0].Principals[0].FederatedCredentials) != len(before[0].Principals[0].FederatedCredentials) || after[0].Principals[0].Disabled {
			t.Errorf("%s: the directory has changed: %+v", want, after)
		}
		if len(j.Events()) > 0 {
			t.Errorf("%s: it was written down", want)
		}
	}
}

func TestProgramsOutsideAreWrittenDown(t *testing.T) {
	c, _, j := openDirectory(t, "")
	e, err := c.Record(t.Context(), journal.Event{Kind: journal.Run, Outcome: journal.OK, Summary: "web was started", Workload: "shop/web-sa"})
	if err != nil || e.ID != "1" || e.Time.IsZero() || len(j.Events()) != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	for _, e := range []journal.Event{{Kind: journal.Exchange, Summary: "granted"}, {Kind: journal.Run}} {
		if _, err := c.Record(t.Context(), e); err == nil || !strings.Contains(err.Error(), "expected kind run and a summary") {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

func TestToSettleChangesNothing(t *testing.T) {
	c, _, j := openDirectory(t, "")
	before, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	after, err := c.Settle(t.Context())
	if err != nil || !after.Now.Equal(before.Now) || len(j.Events()) > 0 {
		t.Errorf("%v, %v; %+v", after.Now, err, j.Events())
	}
}

func TestControlAPIInMemory(t *testing.T) {
	c, _, _ := openDirectory(t, "")
	c.Token = "another"
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "needs the bearer token") {
		t.Error(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := c.Status(ended); err == nil {
		t.Error("a request that has ended was answered")
	}
	c.Token = "secret"
	if err := c.Do(t.Context(), http.MethodGet, "/v1/nothing", nil, nil); err == nil {
		t.Error("a path that there is not was answered")
	}
}
