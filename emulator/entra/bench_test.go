package entra_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/entra"
)

// exchangeRequest is a federated request as the handler would make it.
func (l *lab) exchangeRequest() entra.Request {
	a := l.federated()
	return entra.Request{
		Tenant: tenantID, GrantType: "client_credentials", ClientID: identityID, Scope: "https://vault.azure.net/.default openid offline_access profile",
		Assertion: compact(a.jose, a.claims, a.key), AssertionType: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		Claims: `{"access_token":{"xms_cc":{"values":["CP1"]}}}`,
	}
}

// BenchmarkRSA is what an exchange cannot do without: one signature and one
// verification. Compare BenchmarkExchange with it.
func BenchmarkRSA(b *testing.B) {
	key, digest := clusterKey(), sha256.Sum256([]byte("x"))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	must(b, err)
	for b.Loop() {
		_, _ = rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkExchange is a federated exchange with the issuer's keys remembered.
func BenchmarkExchange(b *testing.B) {
	l := newLab(b)
	request := l.exchangeRequest()
	b.ReportAllocs()
	for b.Loop() {
		if _, refusal := l.service.Exchange(b.Context(), request); refusal != nil {
			b.Fatal(refusal)
		}
	}
}

// BenchmarkHandler adds HTTP, without a network.
func BenchmarkHandler(b *testing.B) {
	l := newLab(b)
	r := l.exchangeRequest()
	body := url.Values{
		"grant_type": {r.GrantType}, "client_id": {r.ClientID}, "scope": {r.Scope}, "client_assertion": {r.Assertion},
		"client_assertion_type": {r.AssertionType}, "claims": {r.Claims}, "client_info": {"1"},
	}.Encode()
	b.ReportAllocs()
	for b.Loop() {
		request := httptest.NewRequest(http.MethodPost, "/"+tenantID+"/oauth2/v2.0/token", strings.NewReader(body))
		request.Header["Content-Type"] = []string{"application/x-www-form-urlencoded; charset=utf-8"}
		w := discard{header: http.Header{}}
		l.handler.ServeHTTP(&w, request)
		if w.status != http.StatusOK {
			b.Fatal(w.status)
		}
	}
}

type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }

// BenchmarkFederatedCredentials: an exchange costs the same whether the
// directory has one federated credential or a hundred thousand.
func BenchmarkFederatedCredentials(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := newLab(b)
			crowd(b, l.directory, n)
			request := l.exchangeRequest()
			for b.Loop() {
				if _, refusal := l.service.Exchange(b.Context(), request); refusal != nil {
					b.Fatal(refusal)
				}
			}
		})
	}
}

// crowd fills the directory with applications of 20 credentials each.
func crowd(b testing.TB, d *directory.Directory, n int) {
	for made := 1; made < n; {
		p := directory.Principal{Kind: directory.Application, ClientID: uuid.NewSHA1(uuid.NameSpaceDNS, fmt.Append(nil, made)).String()}
		for range directory.MaxFederatedCredentials {
			p.FederatedCredentials = append(p.FederatedCredentials, directory.FederatedCredential{
				Name: fmt.Sprint("fic-", made), Issuer: issuerURL, Subject: fmt.Sprint("system:serviceaccount:crowd:sa-", made), Audience: audience,
			})
			made++
		}
		must(b, d.Put(tenantID, p))
	}
}
