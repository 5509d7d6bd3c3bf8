package arm_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/tenants"
)

// populated is a lab with so many identities in the group shop, of so many federated credentials each.
func populated(b *testing.B, many, credentials int, opts lab.Options) *world {
	b.Helper()
	w := newWorld(b, opts)
	w.do("PUT "+groups2022, `{"location": "westeurope"}`)
	for n := range many {
		p := directory.Principal{
			Kind: directory.ManagedIdentity, ClientID: tenants.StableID("bench", fmt.Sprint(n)), ObjectID: tenants.StableID("bench object", fmt.Sprint(n)),
			DisplayName: fmt.Sprintf("web%d", n), ResourceID: fmt.Sprintf("%s/%s/web%d", group, identities, n), Location: "westeurope", OwnTrust: true, CreatedAt: w.Clock().Now(),
		}
		for k := range credentials {
			p.FederatedCredentials = append(p.FederatedCredentials, directory.FederatedCredential{Name: fmt.Sprintf("credential%d", k), Issuer: "https://issuer.example/", Subject: fmt.Sprintf("system:serviceaccount:shop:web%d-%d", n, k), Audience: "api://AzureADTokenExchange"})
		}
		if err := w.Directory().Put(tenantID, p); err != nil {
			b.Fatal(err)
		}
	}
	return w
}

// sender sends requests as terraform with one token.
func (w *world) sender() func(method, url, body string) []byte {
	token := w.token(w.terraform(), "https://management.azure.com/.default")
	return func(method, url, body string) []byte {
		r, err := http.NewRequest(method, url, strings.NewReader(body))
		if err != nil {
			w.t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := w.Transport().RoundTrip(r)
		if err != nil {
			w.t.Fatal(err)
		}
		defer res.Body.Close()
		data, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode >= 300 {
			w.t.Fatalf("%s %s: %d %s %v", method, url, res.StatusCode, data, err)
		}
		return data
	}
}

const at = "https://management.azure.com"

// A PUT of a federated credential with -state, on disk when it is answered.
func BenchmarkPutCredential(b *testing.B) {
	for _, n := range []int{10, 300, 10_000} {
		b.Run(fmt.Sprintf("%d identities", n), func(b *testing.B) {
			opts := lab.Options{}
			w := populated(b, n, 10, opts)
			_ = w.Close()
			opts.StateDir, opts.Keep = b.TempDir(), true
			w = populated(b, n, 10, opts)
			send := w.sender()
			k := 0
			for b.Loop() {
				k++
				send("PUT", fmt.Sprintf("%s%s/%s/web%d/federatedIdentityCredentials/benched%s", at, group, identities, k%n, v2024), trust("https://issuer.example/", fmt.Sprint("s", k)))
			}
		})
	}
}

// Lists of 10,000 identities with 20 federated credentials each, in pages.
func BenchmarkLists(b *testing.B) {
	w := populated(b, 10_000, 20, lab.Options{})
	send := w.sender()
	for name, first := range map[string]string{
		"identities":                  group + "/" + identities + v2024,
		"identities of subscription":  inTenant + "/" + identities + v2024,
		"resources":                   inTenant + "/resources?api-version=2021-04-01",
		"resources of a group":        group + "/resources?api-version=2021-04-01",
		"credentials of one identity": group + "/" + identities + "/web77/federatedIdentityCredentials" + v2024,
	} {
		b.Run(name, func(b *testing.B) {
			items := 0
			for b.Loop() {
				for url := at + first; url != ""; {
					var page struct {
						Value []json.RawMessage
						Next  string `json:"nextLink"`
					}
					data := send("GET", url, "")
					b.StopTimer()
					if err := json.Unmarshal(data, &page); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
					items += len(page.Value)
					url = page.Next
				}
			}
			b.ReportMetric(float64(items)/b.Elapsed().Seconds(), "items/s")
		})
	}
}
