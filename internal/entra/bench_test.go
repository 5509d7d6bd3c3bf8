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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/entra"
	"github.com/wiemu/wiemu/internal/tenants"
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

// rsaPair is what an exchange cannot do without: one signature and one
// verification.
func rsaPair(b *testing.B) func() {
	key, digest := clusterKey(), sha256.Sum256([]byte("x"))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	must(b, err)
	return func() {
		_, _ = rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
			b.Fatal(err)
		}
	}
}

func (l *lab) exchange(b testing.TB) func() {
	request := l.exchangeRequest()
	return func() {
		if _, refusal := l.service.Exchange(b.Context(), request); refusal != nil {
			b.Fatal(refusal)
		}
	}
}

// inTurn runs two things one after the other until the benchmark has enough, so
// that both meet the same load of the machine, and reports the medians and by
// how much the second takes longer.
func inTurn(b *testing.B, nameOfFirst string, first func(), nameOfSecond string, second func()) {
	timed := func(f func()) float64 {
		begin := time.Now() // machine time is what is measured
		f()
		return float64(time.Since(begin))
	}
	var one, two []float64
	for b.Loop() {
		one, two = append(one, timed(first)), append(two, timed(second))
	}
	slices.Sort(one)
	slices.Sort(two)
	medianOne, medianTwo := one[len(one)/2], two[len(two)/2]
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(medianOne, "ns/"+nameOfFirst)
	b.ReportMetric(medianTwo, "ns/"+nameOfSecond)
	b.ReportMetric(medianTwo/medianOne, "ratio")
}

// BenchmarkRSA is crypto/rsa alone.
func BenchmarkRSA(b *testing.B) {
	pair := rsaPair(b)
	for b.Loop() {
		pair()
	}
}

// BenchmarkRSAInParallel is crypto/rsa alone on every processor: what .ci/bench
// holds the rate of a server against.
func BenchmarkRSAInParallel(b *testing.B) {
	b.RunParallel(func(pb *testing.PB) {
		pair := rsaPair(b)
		for pb.Next() {
			pair()
		}
	})
}

// BenchmarkExchangeAgainstRSA shows what an exchange costs beyond its RSA.
func BenchmarkExchangeAgainstRSA(b *testing.B) {
	inTurn(b, "rsa", rsaPair(b), "exchange", newLab(b).exchange(b))
}

// BenchmarkExchange is a federated exchange with the issuer's keys remembered.
func BenchmarkExchange(b *testing.B) {
	exchange := newLab(b).exchange(b)
	b.ReportAllocs()
	for b.Loop() {
		exchange()
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
	few, many := newLab(b), newLab(b)
	crowd(b, many.directory, 100_000)
	inTurn(b, "exchange-of-1", few.exchange(b), "exchange-of-100000", many.exchange(b))
}

// crowd fills the directory with applications of 20 credentials each.
func crowd(b testing.TB, d *tenants.Directory, n int) {
	for made := 1; made < n; {
		p := directory.Principal{Kind: directory.Application, ClientID: uuid.NewSHA1(uuid.NameSpaceDNS, fmt.Append(nil, made)).String()}
		for range tenants.MaxFederatedCredentials {
			p.FederatedCredentials = append(p.FederatedCredentials, directory.FederatedCredential{
				Name: fmt.Sprint("fic-", made), Issuer: issuerURL, Subject: fmt.Sprint("system:serviceaccount:crowd:sa-", made), Audience: audience,
			})
			made++
		}
		must(b, d.Put(tenantID, p))
	}
}
