package inventory_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/inventory"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/roles"
)

const (
	tenant = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"
	first  = "b96d264b-7053-4465-a4a7-32be5b0fec49"
	second = "c96d264b-7053-4465-a4a7-32be5b0fec49"
	object = "41c5c42c-868a-5155-83e3-42b177d2a12e"
)

func stateOf(principals ...directory.Principal) inventory.State {
	return inventory.State{
		Config:  "apiVersion: " + config.APIVersion + "\nkind: " + config.Kind + "\n",
		Tenants: []directory.Tenant{{ID: tenant, DisplayName: "contoso", Principals: principals}},
	}
}

func exported(t *testing.T, s inventory.State) inventory.Written {
	t.Helper()
	written, err := inventory.Export(s, "Exported.")
	if err != nil {
		t.Fatal(err)
	}
	return written
}

// Entra ID has no rule against two applications of one name.
func TestExportOfEqualNames(t *testing.T) {
	s := stateOf(
		directory.Principal{Kind: directory.Application, ClientID: first, DisplayName: "shop", NoServicePrincipal: true},
		directory.Principal{Kind: directory.ManagedIdentity, ClientID: second, DisplayName: "shop", ObjectID: object, Location: "westeurope"},
	)
	reader, _ := roles.Named("Reader")
	s.Assignments = []roles.Assignment{{Tenant: tenant, PrincipalID: strings.ToUpper(object), Role: reader.ID, Scope: "/subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590"}}
	written := exported(t, s)
	c, err := config.Parse("wiemu.yaml", []byte(written.YAML))
	if err != nil {
		t.Fatal(err)
	}
	if got := []string{c.Applications[0].Name, c.Identities[0].Name}; !slices.Equal(got, []string{"shop", "shop (" + second + ")"}) {
		t.Errorf("the names are %q", got)
	}
	if a := c.Roles.Assignments; len(a) != 1 || a[0].Identity != second {
		t.Errorf("the role is of %v, expected it to be of %s", a, second)
	}
	for _, want := range []string{"client id " + second + ": its name shop, which another has, too", "shop (" + second + "): its location"} {
		if !slices.ContainsFunc(written.Left, func(l string) bool { return strings.HasPrefix(l, want) }) {
			t.Errorf("%q lacks %q", written.Left, want)
		}
	}
}

// wiemu.yaml has no start of secrets, and certificates are valid as long as they say themselves.
func TestExportNamesTimesThatItDoesNotHave(t *testing.T) {
	start, end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	der := certificate(t, start, end)
	p := directory.Principal{
		Kind: directory.Application, ClientID: first, DisplayName: "daemon",
		Secrets: []directory.Secret{{Value: "a"}, {Value: "b", Start: start, End: end}},
		Certificates: []directory.Certificate{
			{ID: "11111111-aaaa-4bbb-8ccc-222222222222", DER: der, Start: start, End: end},
			{ID: "21111111-aaaa-4bbb-8ccc-222222222222", DER: der, Start: start, End: end.AddDate(0, -6, 0)},
			{ID: "31111111-aaaa-4bbb-8ccc-222222222222", DER: der, Start: start.AddDate(0, 6, 0), End: end},
		},
	}
	written := exported(t, stateOf(p))
	left := strings.Join(written.Left, "\n")
	for _, want := range []string{
		"daemon: that secret 2 is not valid before 2026-01-01T00:00:00Z",
		"daemon: that certificate 21111111-aaaa-4bbb-8ccc-222222222222 is valid from 2026-01-01T00:00:00Z to 2026-07-01T00:00:00Z",
		"daemon: that certificate 31111111-aaaa-4bbb-8ccc-222222222222 is valid from 2026-07-01T00:00:00Z to 2027-01-01T00:00:00Z",
	} {
		if !strings.Contains(left, want) {
			t.Errorf("%s\nlacks %q", left, want)
		}
	}
	if strings.Contains(left, "secret 1") || strings.Contains(left, "certificate 1") {
		t.Errorf("%s\nnames what the file has", left)
	}
}

func certificate(t *testing.T, start, end time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "daemon"}, NotBefore: start, NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// What is taken out of a URL is said once, and the server is exported without it.
func TestPasswordsOfEngines(t *testing.T) {
	c, err := config.Parse("wiemu.yaml", []byte(`
postgresServers: [{name: shop, url: "postgres://admin:hunter22@127.0.0.1:5432/shop"}]
redis: [{name: basket, url: "redis://:hunter22@127.0.0.1:6379"}]
`))
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New(t.Context(), c, lab.Options{StateDir: t.TempDir(), Clock: clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s, err := inventory.Of(l)
	if err != nil {
		t.Fatal(err)
	}
	written := exported(t, s)
	for _, of := range []string{"PostgreSQL server shop: the password", "cache basket: the password"} {
		said := slices.DeleteFunc(slices.Clone(written.Left), func(l string) bool { return !strings.HasPrefix(l, of) })
		if len(said) != 1 {
			t.Errorf("%q begins %d sentences, expected 1: %q", of, len(said), written.Left)
		}
	}
	for _, want := range []string{"url: postgres://admin@127.0.0.1:5432/shop", "url: redis://127.0.0.1:6379"} {
		if !strings.Contains(written.YAML, want) {
			t.Errorf("%s\nlacks %s", written.YAML, want)
		}
	}
	if strings.Contains(s.Config+written.YAML, "hunter22") {
		t.Error("a password is written")
	}
}
