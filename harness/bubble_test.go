package harness_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/workload"
)

// A whole lab in a bubble, with real Azure SDKs in it: 26 hours in milliseconds.
func TestAzureSDKsLiveThroughADayInABubble(t *testing.T) {
	pool, err := keys()
	if err != nil {
		t.Fatal(err)
	}
	ahead, err := pool.Lease().Bounded(t.Context(), 2) // outside: a goroutine that makes keys would hold up the bubble
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		lab, err := harness.Start(t.Context(), harness.Options{Emulator: emulator.Options{InMemory: true, Keys: ahead}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := lab.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		w, err := lab.Workload(t.Context(), web, harness.Identity{})
		if err != nil {
			t.Fatal(err)
		}

		// From here on it is an application's own test, but for the Transport.
		options := azcore.ClientOptions{Transport: lab.Client()}
		credential, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: options, ClientID: w.Environment.ClientID, TenantID: w.Environment.TenantID, TokenFilePath: w.Environment.TokenFile,
		})
		if err != nil {
			t.Fatal(err)
		}
		vault, err := azsecrets.NewClient("https://mykeyvault.vault.azure.net/", credential, &azsecrets.ClientOptions{ClientOptions: options})
		if err != nil {
			t.Fatal(err)
		}
		for range 26 {
			if _, err := vault.GetSecret(t.Context(), "mysecret", "", nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}

		minted := map[string]journal.Event{} // by jti
		var presented []string               // assertions, by jti
		for _, e := range lab.Journal().Events() {
			switch {
			case e.Kind == journal.Mint:
				minted[e.JTI] = e
			case e.Kind == journal.Exchange && e.Outcome == journal.Granted:
				presented = append(presented, e.JTI)
				if left := minted[e.JTI].ExpiresAt.Sub(e.Time); left < 10*time.Minute || left > time.Hour {
					t.Errorf("exchange %s presents an assertion with %v left, want one of a file that rotates", e.ID, left)
				}
			case e.Kind == journal.Exchange, e.Kind == journal.Access && e.Outcome == journal.Denied && e.UTI != "":
				t.Errorf("event %s: %s", e.ID, e.Summary)
			}
		}
		// A managed identity's access token lives for a day, and is asked for anew
		// with what is in the file then. (azidentity: when half of its life is over.)
		if len(presented) != 2 || len(minted) < 26 || presented[0] == presented[1] {
			t.Errorf("of %d assertions %d were presented, %v: want an hourly one, and two exchanges with different ones", len(minted), len(presented), presented)
		}
	})
	t.Logf("26 hours took %v", time.Since(began))
}

func TestALabInMemoryOpensNoPorts(t *testing.T) {
	lab := newLab(t, harness.Options{Emulator: emulator.Options{InMemory: true}})
	e := lab.Emulator()
	for _, address := range []string{e.Address(), e.ProxyURL(), e.ControlURL(), e.ClusterURL("local"), e.IMDSAddress()} {
		if address != "" {
			t.Errorf("it has the address %s", address)
		}
	}
	for _, id := range []harness.Identity{{ManagedIdentity: "imds"}, {IdentityBinding: "ca-file"}} {
		_, err := lab.Workload(t.Context(), workload.Workload{Namespace: "n", ServiceAccount: "s", ClientID: clientID}, id)
		if err == nil || !strings.Contains(err.Error(), "in memory") {
			t.Errorf("%+v: %v, want a refusal that says why", id, err)
		}
	}
	resp, err := lab.Client().Get("https://login.microsoftonline.com/common/discovery/keys")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%v %v", resp, err)
	}
}
