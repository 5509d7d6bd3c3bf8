package azure_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/azure"
)

func TestACredentialIsGrantedATokenInEveryCloud(t *testing.T) {
	t.Parallel()
	for name, scope := range map[string]string{
		"AzureCloud":        "https://vault.azure.net/.default",
		"AzureUSGovernment": "https://vault.usgovcloudapi.net/.default",
		"AzureChinaCloud":   "https://vault.azure.cn/.default",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lab := harness.New(t, harness.WithConfig(config.Config{Cloud: name}))
			web := lab.Workload("shop/web-sa")
			token, err := azure.Credential(t, lab, web).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{scope}})
			if err != nil || token.Token == "" {
				t.Fatalf("%q %v", token.Token, err)
			}
			e := lab.Journal().Await(journal.Event{Kind: journal.Exchange, Outcome: journal.Granted, ClientID: web.ClientID, Subject: "system:serviceaccount:shop:web-sa"})
			if e.ExpiresAt == nil {
				t.Error("the exchange does not tell when the assertion expires")
			}
		})
	}
}

// Stepping the lab's clock moves no SDK's: what starts anew reads the file of then.
func TestATokenFileRotatesOverADay(t *testing.T) {
	t.Parallel()
	lab := harness.New(t, harness.WithStart(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)))
	web := lab.Workload("shop/web-sa")
	jtis := map[string]bool{}
	for range 25 {
		if err := reader(t, lab, web)(); err != nil {
			t.Fatal(err)
		}
		exchanges := lab.Journal().All(journal.Event{Kind: journal.Exchange, Outcome: journal.Granted})
		jtis[exchanges[len(exchanges)-1].JTI] = true
		lab.Clock().Advance(time.Hour)
	}
	if len(jtis) != 25 {
		t.Errorf("in 25 hours %d assertions were presented, want another one every hour", len(jtis))
	}
	lab.Journal().Never(journal.Event{Outcome: journal.Denied})
}

func TestAFaultIsRetriedAsTheSDKDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // where Retry-After costs no time
		lab := harness.New(t)
		read := reader(t, lab, lab.Workload("shop/web-sa"))
		throttled := lab.Inject("throttled,retry-after=30s,for.resource=keyvault,when.count=2")
		began := time.Now()
		if err := read(); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); throttled.Hits() != 2 || waited < time.Minute {
			t.Errorf("%d hits, %v", throttled.Hits(), waited)
		}
		lab.Inject("server-error,for.resource=keyvault") // for good
		if err := read(); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("a vault that is out of order: %v", err)
		}
	})
}

func TestARefusalHasItsCode(t *testing.T) {
	t.Parallel()
	lab := harness.New(t)
	web := lab.Workload("shop/web-sa")
	stranger := lab.Workload("test/web-sa", harness.As(web.ClientID))
	err := reader(t, lab, stranger)()
	failed := (*azidentity.AuthenticationFailedError)(nil)
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "AADSTS700213") {
		t.Fatalf("%v, want an AuthenticationFailedError with AADSTS700213", err)
	}
	e := lab.Journal().Await(journal.Event{
		Kind: journal.Exchange, Outcome: journal.Denied, Code: 700213, Workload: "test/web-sa",
		Nearest: &journal.Nearest{Differences: []journal.Difference{{Field: "subject", Kind: "namespace"}}},
	})
	if why := lab.Journal().Explain(); !strings.Contains(why, "subject differs (namespace)") || !strings.Contains(why, e.TraceID) {
		t.Errorf("it is explained by\n%s", why)
	}
}

func TestCodeThatIsConfiguredByItsEnvironment(t *testing.T) {
	lab := harness.New(t)
	lab.Workload("shop/web-sa").Setenv()
	credential, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: azure.ClientOptions(lab)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // wall time: no other credential of the chain is to be tried for long
	defer cancel()
	if _, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{"https://vault.azure.net/.default"}}); err != nil {
		t.Error(err)
	}
}

// Each test has keys, times and trusts of its own, however many run at once.
func TestParallelLabsKnowNothingOfEachOther(t *testing.T) {
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			lab := harness.New(t)
			web := lab.Workload("shop/web-sa")
			if err := reader(t, lab, web)(); err != nil {
				t.Fatal(err)
			}
			lab.Issuer().Rotate()
			lab.Clock().Advance(24 * time.Hour)
			lab.Entra().Disable(web.ClientID)
			if err := reader(t, lab, web)(); err == nil || !strings.Contains(err.Error(), "AADSTS7000112") {
				t.Errorf("%v, want AADSTS7000112", err)
			}
			if n := len(lab.Journal().All(journal.Event{Kind: journal.Exchange})); n != 2 {
				t.Errorf("%d exchanges, want this test's two", n)
			}
		})
	}
}

func TestACredentialThatCannotBeMadeFailsTheTest(t *testing.T) {
	t.Setenv("WIEMU_STATE_DIR", t.TempDir())
	t.Setenv("AZURE_CLIENT_ID", "") // set again when the test ends
	if err := os.Unsetenv("AZURE_CLIENT_ID"); err != nil {
		t.Fatal(err)
	}
	err := harness.Try(func(t harness.TB) {
		lab := harness.New(t)
		azure.Credential(t, lab, lab.Workload("shop/nobody", harness.As("")))
	})
	if err == nil || !strings.Contains(err.Error(), "credential of shop/nobody: no client ID specified") {
		t.Error(err)
	}
}
