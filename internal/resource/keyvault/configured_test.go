package keyvault_test

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
)

func TestConfiguredKeysAndCertificates(t *testing.T) {
	cert, ca, key := issued(t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for _, c := range []*x509.Certificate{cert, ca} {
		file = append(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	l := newLab(t, everything())
	configured := keyvault.Vault{
		Name: "mykeyvault", Tenant: tokentest.Tenant, Access: []keyvault.Access{{ClientID: "*", Permissions: []string{"*"}}},
		Keys: map[string]keyvault.Key{"Made": {Type: "EC"}, "given": {Type: "EC-HSM", Private: key, Operations: []string{"sign"}}},
		Certificates: map[string]keyvault.Certificate{
			"self": {Subject: "CN=self", DNSNames: []string{"self.example"}, Months: 2, ContentType: "application/x-pem-file"},
			"read": {File: file},
		},
	}
	if err := l.service.Put(configured); err != nil {
		t.Fatal(err)
	}
	made := l.must(t, "GET /keys/made"+v76, "", 200)
	given := l.must(t, "GET /keys/given"+v76, "", 200)
	if made.Key.Type != "EC" || given.Key.Type != "EC-HSM" || len(given.Key.Ops) != 1 {
		t.Errorf("%+v %+v", made.Key, given.Key)
	}
	if pair := keyPair(t, l.must(t, "GET /secrets/self"+v76, "", 200)); len(pair.Certificate) != 1 || pair.Leaf.Subject.CommonName != "self" {
		t.Errorf("%+v", pair.Leaf.Subject)
	}
	if pair := keyPair(t, l.must(t, "GET /secrets/read"+v76, "", 200)); len(pair.Certificate) != 2 {
		t.Errorf("%d certificates", len(pair.Certificate))
	}
	// Put once more, nothing is made again, and what was deleted stays so.
	l.must(t, "DELETE /keys/given"+v76, "", 200)
	if err := l.service.Put(configured); err != nil {
		t.Fatal(err)
	}
	if again := l.must(t, "GET /keys/made"+v76, "", 200); again.Key.X != made.Key.X {
		t.Error("another key was made")
	}
	l.must(t, "GET /keys/given"+v76, "", 404)
	if err := l.service.Update("mykeyvault", func(v *keyvault.Vault) error { v.Secrets["mysecret"] = "changed"; return nil }); err != nil {
		t.Fatal(err)
	}
	l.must(t, "GET /keys/made"+v76, "", 200)
	l.must(t, "GET /secrets/self"+v76, "", 200)
}

func TestReadKey(t *testing.T) {
	_, _, key := issued(t)
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(jose.JSONWebKey{Key: key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ name, file, problem string }{
		{"SEC 1", string(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS"})) + string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})), ""},
		{"a JWK", string(jwk), ""},
		{"a public JWK", string(public), "'d' is required"},
		{"half a JWK", string(jwk[:40]), "as a JWK"},
		{"nothing", "", "found none"},
		{"a broken block", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})), "read the block PRIVATE KEY"},
	} {
		read, err := keyvault.ReadKey([]byte(row.file))
		if row.problem == "" && (err != nil || !key.Equal(read)) || row.problem != "" && (err == nil || !strings.Contains(err.Error(), row.problem)) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}
