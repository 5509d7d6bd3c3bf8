// Package harness gives a Go test a Microsoft Entra ID, the token issuer of a Kubernetes
// cluster and key vaults. [New] starts such a lab and closes it when the test ends:
//
//	lab := harness.New(t)
//	web := lab.Workload("shop/web-sa")
//	credential := azure.Credential(t, lab, web) // package azure below this one
//
// A workload is a pod: it has a token file that rotates, and a managed identity that
// trusts it. Code under test reaches the lab by [Lab.HTTPClient], and drivers of databases and
// caches by [Lab.Dial]; programs that the test starts need [WithListeners] and [Pod.Environ].
//
// Then change what the test is about, and ask what happened:
//
//	lab.Vault("keys").Set("name", "x")  // also Storage, SQL, Postgres and Redis
//	lab.Issuer().Rotate()               // the cluster signs with a new key
//	lab.Clock().Advance(25 * time.Hour) // token files rotate, tokens expire
//	lab.Entra().Disable(web.ClientID)   // see Entra for all that owners can do
//	lab.Inject("throttled,for.resource=keyvault,when.count=2")
//	lab.Journal().Await(journal.Event{Kind: journal.Exchange, Code: 7000112})
//
// Methods do not return errors: what cannot be done fails the test, and a test that fails
// logs why the lab refused its last request.
//
// In a [testing/synctest] bubble the lab lives on the bubble's time, so that code which
// uses an Azure SDK is tested with days between two lines, in milliseconds:
//
//	synctest.Test(t, func(t *testing.T) {
//		lab := harness.New(t)
//		credential := azure.Credential(t, lab, lab.Workload("shop/web-sa"))
//		_, err := credential.GetToken(t.Context(), scope)
//		time.Sleep(25 * time.Hour) // the token file rotates, and the access token expires
//		_, err = credential.GetToken(t.Context(), scope)
//	})
//
// docs/go-tests.md has a table of what can be tested, and the conventions.
package harness
