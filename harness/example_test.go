package harness_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
)

// signIn is code that is tested: it asks for an access token and returns how that went.
func signIn(client *http.Client, pod *harness.Pod) string {
	assertion, err := os.ReadFile(pod.TokenFile)
	if err != nil {
		return err.Error()
	}
	resp, err := client.PostForm(pod.AuthorityHost+pod.TenantID+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {pod.ClientID}, "scope": {"https://graph.microsoft.com/.default"},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {string(assertion)},
	})
	if err != nil {
		return err.Error()
	}
	return resp.Status
}

// Other tests have a *testing.T instead of Try.
func ExampleNew() {
	err := harness.Try(func(t harness.TB) {
		lab := harness.New(t)
		web := lab.Workload("shop/web-sa")
		fmt.Println(signIn(lab.HTTPClient(), web))
	})
	fmt.Println(err)
	// Output:
	// 200 OK
	// <nil>
}

// The cluster gets another key, and Entra ID learns of it in time.
func ExampleKeys_Rotate() {
	err := harness.Try(func(t harness.TB) {
		lab := harness.New(t)
		web := lab.Workload("shop/web-sa")
		fmt.Println(signIn(lab.HTTPClient(), web))
		lab.Issuer().Rotate()
		web.Refresh() // with a token of the new key
		fmt.Println(signIn(lab.HTTPClient(), web))
		lab.Clock().Advance(2 * time.Minute) // Entra ID looks for keys once a minute
		fmt.Println(signIn(lab.HTTPClient(), web))
	})
	fmt.Println(err)
	// Output:
	// 200 OK
	// 401 Unauthorized
	// 200 OK
	// <nil>
}

// Somebody changes the trust, and puts it right again.
func ExampleEntra_Change() {
	err := harness.Try(func(t harness.TB) {
		lab := harness.New(t)
		web := lab.Workload("shop/web-sa")
		lab.Entra().Change(web.ClientID, directory.FederatedCredential{Subject: "system:serviceaccount:shop:web"})
		fmt.Println(signIn(lab.HTTPClient(), web))
		fmt.Println(lab.Journal().Await(journal.Event{Kind: journal.Exchange, Outcome: journal.Denied}).Code)
		lab.Entra().Change(web.ClientID, directory.FederatedCredential{Subject: "system:serviceaccount:shop:web-sa"})
		fmt.Println(signIn(lab.HTTPClient(), web))
	})
	fmt.Println(err)
	// Output:
	// 401 Unauthorized
	// 700213
	// 200 OK
	// <nil>
}

// Every second request is throttled, until that is over.
func ExampleLab_Inject() {
	err := harness.Try(func(t harness.TB) {
		lab := harness.New(t)
		web := lab.Workload("shop/web-sa")
		throttled := lab.Inject("throttled,for.resource=entra,when.every=2")
		for range 3 {
			fmt.Println(signIn(lab.HTTPClient(), web))
		}
		fmt.Println(throttled.Hits(), "hits")
		throttled.Clear()
		fmt.Println(signIn(lab.HTTPClient(), web))
	})
	fmt.Println(err)
	// Output:
	// 429 Too Many Requests
	// 200 OK
	// 429 Too Many Requests
	// 2 hits
	// 200 OK
	// <nil>
}

// What a test says that waits for something else than what has happened.
func ExampleJournal_Await() {
	err := harness.Try(func(t harness.TB) {
		t.Setenv("WIEMU_STATE_DIR", t.TempDir()) // for the report of this failure
		lab := harness.New(t, harness.WithStart(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)))
		web := lab.Workload("shop/web-sa")
		lab.Entra().Disable(web.ClientID)
		signIn(lab.HTTPClient(), web)
		lab.Journal().Await(journal.Event{Kind: journal.Exchange, Outcome: journal.Granted}, 0)
	})
	missing, _, _ := strings.Cut(err.Error(), "what the lab says:")
	fmt.Println(missing)
	// Output:
	// journal: none of 5 events is the awaited one: context deadline exceeded
	// expected an event with
	//       kind     exchange
	//       outcome  granted
	// found 5 others; the nearest are
	//   event 5 at 2026-01-15 08:00:00: ✗ exchange denied: web-sa: AADSTS7000112: Application '645e7411-b1ff-5289-8337-45297c263ed1'(web-sa) is disabled.
	//       outcome  expected granted, found denied
	//   event 4 at 2026-01-15 08:00:00: ✓ directory ok: web-sa has disabled set to true
	//       kind     expected exchange, found directory
	//       outcome  expected granted, found ok
	//   event 3 at 2026-01-15 08:00:00: ✓ projection ok: token file of shop/web-sa written: first token
	//       kind     expected exchange, found projection
	//       outcome  expected granted, found ok
}
