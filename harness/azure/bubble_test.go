package azure_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/azure"
)

// reader is an application that keeps one client, as a server does.
func reader(t *testing.T, lab *harness.Lab, pod *harness.Pod) (read func() error) {
	t.Helper()
	client, err := azsecrets.NewClient(lab.Vault("mykeyvault").URL, azure.Credential(t, lab, pod), &azsecrets.ClientOptions{ClientOptions: azure.ClientOptions(lab)})
	if err != nil {
		t.Fatal(err)
	}
	return func() error {
		_, err := client.GetSecret(t.Context(), "mysecret", "", nil)
		return err
	}
}

// A whole lab in a bubble, with real Azure SDKs in it: 26 hours in milliseconds.
func TestAzureSDKsLiveThroughADayInABubble(t *testing.T) {
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		lab := harness.New(t)
		read := reader(t, lab, lab.Workload("shop/web-sa"))
		for range 26 {
			if err := read(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		lab.Journal().Never(journal.Event{Outcome: journal.Denied})
	})
	t.Logf("26 hours took %v", time.Since(began))
}

// What a client presents on such a day is what is in the file then.
func TestAssertionsOfADayInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lab := harness.New(t)
		read := reader(t, lab, lab.Workload("shop/web-sa"))
		for range 26 {
			if err := read(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}

		minted := map[string]journal.Event{} // by jti
		for _, e := range lab.Journal().All(journal.Event{Kind: journal.Mint}) {
			minted[e.JTI] = e
		}
		presented := lab.Journal().All(journal.Event{Kind: journal.Exchange, Outcome: journal.Granted})
		for _, e := range presented {
			if left := minted[e.JTI].ExpiresAt.Sub(e.Time); left < 10*time.Minute || left > time.Hour {
				t.Errorf("exchange %s presents an assertion with %v left, want one of a file that rotates", e.ID, left)
			}
		}
		// A managed identity's access token lives for a day, and is asked for anew
		// with what is in the file then. (azidentity: when half of its life is over.)
		if len(presented) != 2 || len(minted) < 26 || presented[0].JTI == presented[1].JTI {
			t.Errorf("%d assertions were minted and %d presented: want an hourly one, and two exchanges with different ones", len(minted), len(presented))
		}
	})
}
