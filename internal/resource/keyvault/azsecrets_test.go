package keyvault_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
)

// credential gives out tokens for the scope that the client read from the
// challenge.
type credential struct {
	t      *testing.T
	tokens *tokentest.Service
	scopes []string
	tenant string
}

func (c *credential) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.scopes, c.tenant = o.Scopes, o.TenantID
	if !slices.Equal(o.Scopes, []string{"https://vault.azure.net/.default"}) {
		return azcore.AccessToken{}, fmt.Errorf("unexpected scopes %v", o.Scopes)
	}
	// The client looks at ExpiresOn by the machine's clock.
	return azcore.AccessToken{Token: c.tokens.Mint(c.t, "https://vault.azure.net", nil), ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// transport reaches the handler over TLS, by the vault's own name.
func transport(t *testing.T, l *lab) azcore.ClientOptions {
	t.Helper()
	server := httptest.NewTLSServer(l.handler)
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the test server has a certificate for another name
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
	return azcore.ClientOptions{Transport: &http.Client{Transport: transport}}
}

// client is an unmodified azsecrets client.
func client(t *testing.T, l *lab, vault string) (*azsecrets.Client, *credential) {
	t.Helper()
	who := &credential{t: t, tokens: l.tokens}
	c, err := azsecrets.NewClient("https://"+vault+".vault.azure.net", who, &azsecrets.ClientOptions{ClientOptions: transport(t, l)})
	if err != nil {
		t.Fatal(err)
	}
	return c, who
}

func TestAzsecretsReadsASecret(t *testing.T) {
	l := newLab(t, everything())
	c, who := client(t, l, "mykeyvault")
	got, err := c.GetSecret(t.Context(), "mysecret", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if *got.Value != "hello" || !*got.Attributes.Enabled || !got.Attributes.Created.Equal(tokentest.Start()) {
		t.Errorf("%s %+v", *got.Value, got.Attributes)
	}
	if who.tenant != tokentest.Tenant {
		t.Errorf("the challenge named tenant %q", who.tenant)
	}
	events := l.journal.Events()
	if len(events) != 2 {
		t.Fatalf("%d events", len(events))
	}
	first, second := events[0], events[1]
	if first.Outcome != journal.Denied || first.Status != 401 || first.UTI != "" || first.Detail["challenge"] != "true" {
		t.Errorf("the challenge: %+v", first)
	}
	if second.Outcome != journal.Granted || second.UTI != tokentest.UTI || second.ClientID != tokentest.ClientID ||
		second.ObjectID != tokentest.ObjectID || second.Resource != "key vault mykeyvault" || second.Status != 200 ||
		second.Detail["action"] != "Microsoft.KeyVault/vaults/secrets/getSecret/action" || len(second.Checks) < 10 {
		t.Errorf("the access: %+v", second)
	}
}

func TestAzsecretsLifeOfASecret(t *testing.T) {
	l := newLab(t, everything())
	c, _ := client(t, l, "mykeyvault")
	ctx := t.Context()
	value, kind := "first", "text/plain"
	expires := l.clock.Now().Add(24 * time.Hour)
	first, err := c.SetSecret(ctx, "Db-Password", azsecrets.SetSecretParameters{
		Value: &value, ContentType: &kind, Tags: map[string]*string{"team": &kind},
		SecretAttributes: &azsecrets.SecretAttributes{Expires: &expires},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first.ID.Name() != "Db-Password" || len(first.ID.Version()) != 32 || *first.ContentType != kind || *first.Tags["team"] != kind || !first.Attributes.Expires.Equal(expires) {
		t.Errorf("%+v", first.Secret)
	}
	value = "second"
	if _, err := c.SetSecret(ctx, "db-password", azsecrets.SetSecretParameters{Value: &value}, nil); err != nil {
		t.Fatal(err)
	}
	latest, err := c.GetSecret(ctx, "DB-PASSWORD", "", nil)
	if err != nil || *latest.Value != "second" {
		t.Fatalf("%v, %v", latest.Value, err)
	}
	if latest.ID.Name() != "Db-Password" {
		t.Errorf("the id keeps the spelling of the first, found %s", latest.ID.Name())
	}
	old, err := c.GetSecret(ctx, "db-password", first.ID.Version(), nil)
	if err != nil || *old.Value != "first" {
		t.Fatalf("%v, %v", old.Value, err)
	}
	enabled := false
	changed, err := c.UpdateSecretProperties(ctx, "db-password", latest.ID.Version(), azsecrets.UpdateSecretPropertiesParameters{
		SecretAttributes: &azsecrets.SecretAttributes{Enabled: &enabled},
	}, nil)
	if err != nil || *changed.Attributes.Enabled || changed.Value != nil {
		t.Fatalf("%+v, %v", changed, err)
	}
	expect(t, 403, "Forbidden", second(c.GetSecret(ctx, "db-password", "", nil)))
	enabled = true
	if _, err := c.UpdateSecretProperties(ctx, "db-password", "", azsecrets.UpdateSecretPropertiesParameters{SecretAttributes: &azsecrets.SecretAttributes{Enabled: &enabled}}, nil); err != nil {
		t.Fatal(err)
	}

	deleted, err := c.DeleteSecret(ctx, "db-password", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !deleted.DeletedDate.Equal(l.clock.Now()) || deleted.ScheduledPurgeDate.Sub(*deleted.DeletedDate) != 90*24*time.Hour || deleted.RecoveryID == nil {
		t.Errorf("%+v", deleted.DeletedSecret)
	}
	expect(t, 404, "SecretNotFound", second(c.GetSecret(ctx, "db-password", "", nil)))
	expect(t, 409, "Conflict", second(c.SetSecret(ctx, "db-password", azsecrets.SetSecretParameters{Value: &value}, nil)))
	if _, err := c.GetDeletedSecret(ctx, "db-password", nil); err != nil {
		t.Error(err)
	}
	if _, err := c.RecoverDeletedSecret(ctx, "db-password", nil); err != nil {
		t.Fatal(err)
	}
	if back, err := c.GetSecret(ctx, "db-password", first.ID.Version(), nil); err != nil || *back.Value != "first" {
		t.Errorf("recovered without its old versions: %v", err)
	}
	if _, err := c.DeleteSecret(ctx, "db-password", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PurgeDeletedSecret(ctx, "db-password", nil); err != nil {
		t.Fatal(err)
	}
	expect(t, 404, "SecretNotFound", second(c.GetDeletedSecret(ctx, "db-password", nil)))
	value = "third"
	fresh, err := c.SetSecret(ctx, "db-password", azsecrets.SetSecretParameters{Value: &value}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if fresh.ID.Version() == first.ID.Version() {
		t.Error("a new secret has the version id of a purged one")
	}
}

func TestAzsecretsTheBinIsEmptiedAfterNinetyDays(t *testing.T) {
	l := newLab(t, everything())
	c, _ := client(t, l, "mykeyvault")
	if _, err := c.DeleteSecret(t.Context(), "mysecret", nil); err != nil {
		t.Fatal(err)
	}
	if err := l.clock.Advance(t.Context(), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	c, _ = client(t, l, "mykeyvault") // with a token of today
	expect(t, 404, "SecretNotFound", second(c.GetDeletedSecret(t.Context(), "mysecret", nil)))
	value := "again"
	if _, err := c.SetSecret(t.Context(), "mysecret", azsecrets.SetSecretParameters{Value: &value}, nil); err != nil {
		t.Error(err)
	}
}

func TestAzsecretsLists(t *testing.T) {
	l := newLab(t, everything())
	c, _ := client(t, l, "mykeyvault")
	ctx := t.Context()
	for i := range 60 {
		value := "v"
		if _, err := c.SetSecret(ctx, fmt.Sprintf("secret-%02d", i), azsecrets.SetSecretParameters{Value: &value}, nil); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	pages := 0
	for pager := c.NewListSecretPropertiesPager(nil); pager.More(); pages++ {
		page, err := pager.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Value {
			names = append(names, item.ID.Name())
		}
	}
	if len(names) != 61 || pages != 3 || !slices.IsSorted(names) {
		t.Errorf("%d names on %d pages: %v", len(names), pages, names)
	}
	for range 30 {
		value := "v"
		if _, err := c.SetSecret(ctx, "many", azsecrets.SetSecretParameters{Value: &value}, nil); err != nil {
			t.Fatal(err)
		}
	}
	versions := map[string]bool{}
	for pager := c.NewListSecretPropertiesVersionsPager("many", nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Value {
			versions[item.ID.Version()] = true
		}
	}
	if len(versions) != 30 {
		t.Errorf("%d versions", len(versions))
	}
	for pager := c.NewListSecretPropertiesVersionsPager("nothing", nil); pager.More(); {
		if page, err := pager.NextPage(ctx); err != nil || len(page.Value) != 0 {
			t.Errorf("a secret that does not exist has no versions: %v, %v", page.Value, err)
		}
	}
	for i := range 40 {
		if _, err := c.DeleteSecret(ctx, fmt.Sprintf("secret-%02d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	gone := 0
	for pager := c.NewListDeletedSecretPropertiesPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		gone += len(page.Value)
	}
	if gone != 40 {
		t.Errorf("%d deleted", gone)
	}
}

func TestAzsecretsWithoutPermission(t *testing.T) {
	l := newLab(t, "list")
	c, _ := client(t, l, "mykeyvault")
	err := second(c.GetSecret(t.Context(), "mysecret", "", nil))
	expect(t, 403, "Forbidden", err)
	e := l.last()
	if e.Error != "ForbiddenByPolicy" || e.Remedy == "" || e.UTI != tokentest.UTI || e.Checks[len(e.Checks)-1].Presented != "list" {
		t.Errorf("%+v", e)
	}
	expect(t, 404, "VaultNotFound", func() error {
		c, _ := client(t, l, "elsewhere")
		return second(c.GetSecret(t.Context(), "mysecret", "", nil))
	}())
}

func second[T any](_ T, err error) error { return err }

func expect(t *testing.T, status int, code string, err error) {
	t.Helper()
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode != status || answer.ErrorCode != code {
		t.Errorf("expected %d %s, found %v", status, code, err)
	}
}
