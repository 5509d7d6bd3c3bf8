package tenants_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/tenants"
)

const (
	tenantID = "11111111-1111-4111-8111-111111111111"
	otherID  = "22222222-2222-4222-8222-222222222222"
	webID    = "aaaaaaaa-0000-4000-8000-000000000001"
	apiID    = "aaaaaaaa-0000-4000-8000-000000000002"
	issuer   = "https://radix.oic.wiemu.test/t/u/"
)

func TestLookups(t *testing.T) {
	d := sample(t)
	if _, ok := d.Tenant(strings.ToUpper(tenantID)); !ok {
		t.Error("a tenant is found by its id in any case")
	}
	if got, ok := d.Tenant("CONTOSO.example"); !ok || got.ID != tenantID || got.Principals != nil {
		t.Errorf("a tenant is found by its domain, without principals: %+v, %v", got, ok)
	}
	if _, ok := d.Tenant("unknown.example"); ok {
		t.Error("an unknown domain is found")
	}
	web, ok := d.Principal("contoso.example", strings.ToUpper(webID))
	if !ok || web.DisplayName != "web" {
		t.Fatalf("Principal: %+v, %v", web, ok)
	}
	if _, ok := d.Principal(otherID, webID); ok {
		t.Error("a principal of another tenant is found")
	}
	if where, p, ok := d.PrincipalElsewhere(webID); !ok || where != tenantID || p != web {
		t.Errorf("PrincipalElsewhere: %s, %v, %v", where, p, ok)
	}
	if p, ok := d.PrincipalByObjectID(tenantID, web.ObjectID); !ok || p != web {
		t.Error("not found by object id")
	}
	api, _ := d.Principal(tenantID, apiID)
	if p, ok := d.ApplicationByObjectID(tenantID, api.ApplicationObjectID); !ok || p != api {
		t.Error("not found by application object id")
	}
	if p, ok := d.ResourceByURI(tenantID, "API://Orders"); !ok || p != api {
		t.Error("not found by identifier URI")
	}
	if p, ok := d.ResourceByURI(tenantID, apiID); !ok || p != api {
		t.Error("not found as a resource by client id")
	}
	if all := d.Issuers(); slices.Contains(all, strings.TrimSuffix(issuer, "/")) || !slices.Contains(all, issuer) {
		t.Error("an issuer is known exactly as written")
	}
	if got := d.Principals(tenantID); len(got) != 2 || got[0] != web || got[1] != api {
		t.Errorf("Principals: %v", got)
	}
}

func TestDefaults(t *testing.T) {
	d := sample(t)
	web, _ := d.Principal(tenantID, webID)
	api, _ := d.Principal(tenantID, apiID)
	if web.Lifetime() != 24*time.Hour || api.Lifetime() != time.Hour {
		t.Errorf("lifetimes %v and %v", web.Lifetime(), api.Lifetime())
	}
	if web.ObjectID == "" || web.ObjectID == web.ClientID || web.ApplicationObjectID != "" {
		t.Errorf("ids of a managed identity: %+v", web)
	}
	if api.ApplicationObjectID == api.ObjectID {
		t.Error("an app registration and its service principal are two objects")
	}
	again, _ := sample(t).Principal(tenantID, webID)
	if !reflect.DeepEqual(again, web) {
		t.Error("derived ids differ between two directories of one configuration")
	}
}

func TestChanges(t *testing.T) {
	d := sample(t)
	before, _ := d.Principal(tenantID, webID)
	err := d.Update(tenantID, webID, func(p *directory.Principal) error {
		p.Disabled = true
		p.FederatedCredentials[0].Issuer = "https://new.example"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	after, _ := d.Principal(tenantID, webID)
	if before.Disabled || before.FederatedCredentials[0].Issuer != issuer || !after.Disabled {
		t.Errorf("an update shows in what was returned before, or not at all")
	}
	if !slices.Equal(d.Issuers(), []string{"https://new.example"}) {
		t.Errorf("issuers after the update: %v", d.Issuers())
	}
	if got := d.Principals(tenantID); got[0] != after {
		t.Error("an updated principal keeps its place")
	}
	refuse := errors.New("no")
	if err := d.Update(tenantID, webID, func(p *directory.Principal) error { p.Disabled = false; return refuse }); !errors.Is(err, refuse) {
		t.Errorf("Update hides the error of its change: %v", err)
	}
	if p, _ := d.Principal(tenantID, webID); p != after {
		t.Error("a failed update changed something")
	}
	if err := d.Remove("contoso.example", apiID); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.ResourceByURI(tenantID, "api://orders"); ok {
		t.Error("a removed application is still a resource")
	}
	if err := d.Put(tenantID, directory.Principal{Kind: directory.Application, ClientID: apiID, IdentifierURIs: []string{"api://orders"}}); err != nil {
		t.Error(err)
	}
	for what, err := range map[string]error{
		"remove from an unknown tenant": d.Remove(strings.Replace(tenantID, "1", "9", 1), webID),
		"remove an unknown application": d.Remove(tenantID, strings.Replace(webID, "a", "b", 1)),
		"put into an unknown tenant":    d.Put("x", directory.Principal{}),
	} {
		if !errors.Is(err, tenants.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestSnapshotRoundTrip(t *testing.T) {
	first := sample(t).Snapshot()
	data, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	var read []directory.Tenant
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	d, err := tenants.New(read...)
	if err != nil {
		t.Fatal(err)
	}
	if second := d.Snapshot(); !reflect.DeepEqual(first, second) {
		t.Errorf("was  %+v\nread %+v", first, second)
	}
	first[0].Principals[0].FederatedCredentials[0].Subject = "changed"
	first[0].Domains[0] = "changed"
	if d.Snapshot()[0].Domains[0] == "changed" {
		t.Error("a snapshot shares memory with the directory")
	}
}

func TestRefusals(t *testing.T) {
	trust := func(change func(*directory.FederatedCredential)) func(*directory.Principal) {
		return func(p *directory.Principal) { change(&p.FederatedCredentials[0]) }
	}
	long := strings.Repeat("å", tenants.MaxCredentialField+1)
	for _, row := range []struct {
		name   string
		change func(*directory.Principal)
		reason error
		text   string // part of the message
	}{
		{"no kind", func(p *directory.Principal) { p.Kind = "" }, tenants.ErrInvalid, `kind: expected "application" or "managedIdentity", found ""`},
		{"client id no GUID", func(p *directory.Principal) { p.ClientID = "web" }, tenants.ErrInvalid, `clientId: expected a GUID`},
		{"client id all zero", func(p *directory.Principal) { p.ClientID = "00000000-0000-0000-0000-000000000000" }, tenants.ErrInvalid, `not all zero`},
		{"21 federated credentials", func(p *directory.Principal) { p.FederatedCredentials = trusts(21) }, tenants.ErrLimit, "expected at most 20, found 21"},
		{"name too short", trust(func(c *directory.FederatedCredential) { c.Name = "ab" }), tenants.ErrInvalid, `federatedCredentials[0].name: expected 3 to 120`},
		{"name too long", trust(func(c *directory.FederatedCredential) { c.Name = strings.Repeat("a", 121) }), tenants.ErrInvalid, "name"},
		{"name with a space", trust(func(c *directory.FederatedCredential) { c.Name = "my trust" }), tenants.ErrInvalid, `found "my trust"`},
		{"name beginning with a dash", trust(func(c *directory.FederatedCredential) { c.Name = "-abc" }), tenants.ErrInvalid, "name"},
		{"name of a hash", trust(func(c *directory.FederatedCredential) { c.Name = "9RDKujzWPR0=" }), tenants.ErrInvalid, "digits, - or _"},
		{"name of an application with a dot", func(p *directory.Principal) {
			p.Kind, p.FederatedCredentials[0].Name = directory.Application, "shop.web"
		}, tenants.ErrInvalid, "federatedCredentials[0].name: expected 3 to 120 letters, digits, -, _ or ="},
		{"issuer over http", trust(func(c *directory.FederatedCredential) { c.Issuer = "http://x.example" }), tenants.ErrInvalid, "https URL"},
		{"issuer with white space", trust(func(c *directory.FederatedCredential) { c.Issuer = issuer + " " }), tenants.ErrInvalid, "issuer"},
		{"issuer empty", trust(func(c *directory.FederatedCredential) { c.Issuer = "" }), tenants.ErrInvalid, "issuer"},
		{"subject too long", trust(func(c *directory.FederatedCredential) { c.Subject = long }), tenants.ErrInvalid, "subject: expected at most 600 characters, found 601"},
		{"subject with a newline", trust(func(c *directory.FederatedCredential) { c.Subject += "\n" }), tenants.ErrInvalid, "white space"},
		{"no audience", trust(func(c *directory.FederatedCredential) { c.Audience = "" }), tenants.ErrInvalid, "audience: expected a value"},
		{"description too long", trust(func(c *directory.FederatedCredential) { c.Description = long }), tenants.ErrInvalid, "description"},
		{"same issuer and subject twice", func(p *directory.Principal) {
			second := p.FederatedCredentials[0]
			second.Name, second.ID, second.Audience = "another", "", "api://another"
			p.FederatedCredentials = append(p.FederatedCredentials, second)
		}, tenants.ErrDuplicate, "federatedCredentials[1].subject"},
		{"same name twice", func(p *directory.Principal) {
			p.FederatedCredentials = trusts(2)
			p.FederatedCredentials[1].Name = strings.ToUpper(p.FederatedCredentials[0].Name)
		}, tenants.ErrDuplicate, "federatedCredentials[1].name"},
		{"secret of a managed identity", func(p *directory.Principal) { p.Secrets = []directory.Secret{{Value: "hunter2"}} }, tenants.ErrInvalid, "make it an application"},
		{"certificate that is none", func(p *directory.Principal) {
			p.Kind, p.Certificates = directory.Application, []directory.Certificate{{DER: []byte("x")}}
		}, tenants.ErrInvalid, "certificates[0].der"},
		{"a time that JSON cannot hold", func(p *directory.Principal) {
			p.Kind, p.Secrets = directory.Application, []directory.Secret{{Value: "hunter2", End: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}
		}, tenants.ErrInvalid, "secrets[0].end: expected a time in the years 1 to 9999"},
		{"identifier URI of another", func(p *directory.Principal) {
			p.Kind, p.IdentifierURIs = directory.Application, []string{"api://ORDERS"}
		}, tenants.ErrDuplicate, apiID},
		{"object id of another", func(p *directory.Principal) { p.ObjectID = "bbbbbbbb-0000-4000-8000-000000000002" }, tenants.ErrDuplicate, "objectId"},
		{"token lifetime of two days", func(p *directory.Principal) { p.TokenLifetime = 48 * time.Hour }, tenants.ErrInvalid, "tokenLifetime"},
		{"token version 3", func(p *directory.Principal) { p.AccessTokenVersion = 3 }, tenants.ErrInvalid, "accessTokenVersion"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := sample(t)
			before := d.Snapshot()
			web, _ := d.Principal(tenantID, webID)
			p := *web
			p.FederatedCredentials = append([]directory.FederatedCredential(nil), web.FederatedCredentials...)
			row.change(&p)
			err := d.Put(tenantID, p)
			if !errors.Is(err, row.reason) || !strings.Contains(err.Error(), row.text) || !strings.Contains(err.Error(), tenantID) {
				t.Errorf("expected %v with %q, found %v", row.reason, row.text, err)
			}
			var typed *tenants.Error
			if !errors.As(err, &typed) || typed.Field == "" || typed.Tenant != tenantID {
				t.Errorf("no *Error with field and tenant: %v", err)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("a secret is in an error")
			}
			if !reflect.DeepEqual(d.Snapshot(), before) {
				t.Error("a refused change changed something")
			}
		})
	}
}

func TestTenantsThatAreRefused(t *testing.T) {
	for _, row := range []struct {
		name    string
		tenants []directory.Tenant
	}{
		{"id no GUID", []directory.Tenant{{ID: "contoso"}}},
		{"same id twice", []directory.Tenant{{ID: tenantID}, {ID: strings.ToUpper(tenantID)}}},
		{"same domain twice", []directory.Tenant{{ID: tenantID, Domains: []string{"a.example"}}, {ID: otherID, Domains: []string{"A.example"}}}},
		{"domain with a slash", []directory.Tenant{{ID: tenantID, Domains: []string{"a/b.example"}}}},
		{"same client id twice", []directory.Tenant{{ID: tenantID, Principals: []directory.Principal{
			{Kind: directory.Application, ClientID: webID}, {Kind: directory.Application, ClientID: strings.ToUpper(webID)},
		}}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, err := tenants.New(row.tenants...)
			var typed *tenants.Error
			if d != nil || !errors.As(err, &typed) {
				t.Errorf("accepted, or no *Error: %v", err)
			}
		})
	}
}

func TestNewReportsEverythingAtOnce(t *testing.T) {
	_, err := tenants.New(directory.Tenant{ID: tenantID, Principals: []directory.Principal{
		{Kind: directory.Application, ClientID: "one"},
		{Kind: directory.Application, ClientID: "two"},
	}})
	if err == nil || !strings.Contains(err.Error(), `"one"`) || !strings.Contains(err.Error(), `"two"`) {
		t.Errorf("expected both client ids, found %v", err)
	}
}

func TestCertificateDates(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: start, NotAfter: start.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	d, err := tenants.New(directory.Tenant{ID: tenantID, Principals: []directory.Principal{{
		Kind: directory.Application, ClientID: apiID, Certificates: []directory.Certificate{{DER: der}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	p, _ := d.Principal(tenantID, apiID)
	c := p.Certificates[0]
	if c.ID == "" || c.ValidAt(start.Add(-time.Second)) || !c.ValidAt(start) || c.ValidAt(start.AddDate(1, 0, 0)) {
		t.Errorf("%v to %v", c.Start, c.End)
	}
	forever := directory.Secret{Value: "x"}
	if !forever.ValidAt(start) {
		t.Error("a secret without dates is always valid")
	}
}

func TestReadersDuringChanges(t *testing.T) {
	d := sample(t)
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 4 {
		writers.Go(func() {
			for i := range 50 {
				id := fmt.Sprintf("cccccccc-0000-4000-8000-%06d%06d", w, i)
				if err := d.Put(tenantID, directory.Principal{Kind: directory.ManagedIdentity, ClientID: id, FederatedCredentials: trusts(3)}); err != nil {
					t.Error(err)
				}
				if err := d.Remove(tenantID, id); err != nil {
					t.Error(err)
				}
			}
		})
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if p, ok := d.Principal(tenantID, webID); !ok || p.DisplayName != "web" {
					t.Error("lost")
				}
				for _, p := range d.Principals(tenantID) {
					_ = p.ClientID
				}
				d.Snapshot()
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if got := d.Issuers(); len(got) != 1 {
		t.Errorf("issuers left: %v", got)
	}
}

// FuzzFederatedCredential looks for a credential that is accepted although it
// breaks a rule, or that makes the check fall over.
func FuzzFederatedCredential(f *testing.F) {
	f.Add("dev-web", issuer, "system:serviceaccount:a-dev:web-sa", cloud.Public().TokenExchange)
	f.Add("", "://", "\x00", strings.Repeat("x", 700))
	f.Fuzz(func(t *testing.T, name, issuer, subject, audience string) {
		_, err := tenants.New(directory.Tenant{ID: tenantID, Principals: []directory.Principal{{
			Kind: directory.ManagedIdentity, ClientID: webID,
			FederatedCredentials: []directory.FederatedCredential{{Name: name, Issuer: issuer, Subject: subject, Audience: audience}},
		}}})
		if err == nil && (len(name) < 3 || len(name) > 120 || !strings.HasPrefix(strings.ToLower(issuer), "https://") || subject == "" || audience == "" || len(subject) > 4*600) {
			t.Errorf("accepted: %q %q %q %q", name, issuer, subject, audience)
		}
	})
}

func Example() {
	d, err := tenants.New(directory.Tenant{
		ID:      tenantID,
		Domains: []string{"contoso.example"},
		Principals: []directory.Principal{{
			Kind:     directory.ManagedIdentity,
			ClientID: webID,
			FederatedCredentials: []directory.FederatedCredential{{
				Name:     "radix-dev-web",
				Issuer:   issuer,
				Subject:  "system:serviceaccount:my-radix-app-dev:web-sa",
				Audience: cloud.Public().TokenExchange,
			}},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	web, _ := d.Principal("contoso.example", webID)
	fmt.Println(web.Kind, web.Lifetime(), web.FederatedCredentials[0].Subject)
	err = d.Update(tenantID, webID, func(p *directory.Principal) error {
		p.FederatedCredentials[0].Name = "my trust"
		return nil
	})
	fmt.Println(err)
	// Output:
	// managedIdentity 24h0m0s system:serviceaccount:my-radix-app-dev:web-sa
	// directory: tenant 11111111-1111-4111-8111-111111111111: application aaaaaaaa-0000-4000-8000-000000000001: federatedCredentials[0].name: expected 3 to 120 letters, digits, - or _, the first a letter or digit, found "my trust"
}

func sample(t *testing.T) *tenants.Directory {
	t.Helper()
	d, err := tenants.New(
		directory.Tenant{ID: tenantID, DisplayName: "Contoso", Domains: []string{"Contoso.example"}, Principals: []directory.Principal{
			{Kind: directory.ManagedIdentity, ClientID: strings.ToUpper(webID), DisplayName: "web", FederatedCredentials: trusts(1)},
			{Kind: directory.Application, ClientID: apiID, ObjectID: "bbbbbbbb-0000-4000-8000-000000000002", DisplayName: "orders",
				IdentifierURIs: []string{"api://orders"}, Secrets: []directory.Secret{{Value: "s", Start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}},
		}},
		directory.Tenant{ID: otherID},
	)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func trusts(n int) []directory.FederatedCredential {
	all := make([]directory.FederatedCredential, n)
	for i := range all {
		all[i] = directory.FederatedCredential{
			Name: fmt.Sprintf("trust-%d", i), Issuer: issuer, Subject: fmt.Sprintf("system:serviceaccount:app-dev:web%d-sa", i), Audience: cloud.Public().TokenExchange,
		}
	}
	return all
}

// What is deleted and made again under one name has new ids, and each lab has the same ones.
func TestNewClientID(t *testing.T) {
	ids := func() (made []string) {
		d, err := tenants.New(directory.Tenant{ID: tenantID})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			id := d.NewClientID(tenantID, "managed identity", "/subscriptions/s/one")
			if err := d.Put(tenantID, directory.Principal{Kind: directory.ManagedIdentity, ClientID: id, ResourceID: "/subscriptions/s/One"}); err != nil {
				t.Fatal(err)
			}
			p, ok := d.ManagedIdentity(tenantID, "/SUBSCRIPTIONS/s/one")
			if !ok || p.ClientID != id {
				t.Fatalf("found %+v, expected the identity with client id %s", p, id)
			}
			made = append(made, id, p.ObjectID)
			if err := d.Remove(tenantID, id); err != nil {
				t.Fatal(err)
			}
			if p, ok := d.ManagedIdentity(tenantID, "/subscriptions/s/one"); ok {
				t.Fatalf("found %+v, which is deleted", p)
			}
		}
		return made
	}
	first := ids()
	if distinct := slices.Compact(slices.Sorted(slices.Values(first))); len(distinct) != len(first) {
		t.Errorf("expected ids of their own, found %v", first)
	}
	if again := ids(); !slices.Equal(first, again) {
		t.Errorf("another lab has %v, not %v", again, first)
	}
}
