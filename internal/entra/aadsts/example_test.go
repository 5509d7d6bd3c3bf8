package aadsts_test

import (
	"fmt"

	"github.com/wiemu/wiemu/internal/entra/aadsts"
)

func ExampleLookup() {
	entry, _ := aadsts.Lookup(700213)
	fmt.Println(entry.OAuth, entry.Status)
	fmt.Println(entry.Meaning)
	// Output:
	// invalid_client 401
	// The issuer is trusted, but not for this subject, which says namespace and service account.
}
