package keyvault_test

import (
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/metadata"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
)

// A vault sends a client without a token to the token service.
func Example() {
	clk := clock.Stopped(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	tokens := resource.NewValidator(clk, metadata.New(clk, metadata.Options{}), resource.Options{})
	vaults, err := keyvault.New(resource.Kit{Resource: keyvault.Description(), Tokens: tokens, Clock: clk}, []keyvault.Vault{{
		Name:    "mykeyvault",
		Tenant:  "11111111-1111-4111-8111-111111111111",
		Access:  []keyvault.Access{{ClientID: "*", Permissions: []string{"get", "list"}}},
		Secrets: map[string]string{"mysecret": "hello"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	vaults.Handler().ServeHTTP(w, httptest.NewRequest("GET", "https://mykeyvault.vault.azure.net/secrets/mysecret?api-version=7.6", nil))
	fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	// Output:
	// 401 Bearer authorization="https://login.microsoftonline.com/11111111-1111-4111-8111-111111111111", resource="https://vault.azure.net"
}
