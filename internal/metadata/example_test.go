package metadata_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/metadata"
)

// network answers for one issuer, without a network.
type network struct{}

func (network) RoundTrip(r *http.Request) (*http.Response, error) {
	body := `{"keys":[{"kty":"RSA","use":"sig","kid":"key-1","n":"` + strings.Repeat("A", 340) + `Aw","e":"AQAB"}]}`
	if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
		body = `{"issuer":"https://cluster.wiemu.test/","jwks_uri":"https://cluster.wiemu.test/keys","response_types_supported":["id_token"],
			"subject_types_supported":["public"],"id_token_signing_alg_values_supported":["RS256"]}`
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func ExampleSource_Key() {
	issuers := metadata.New(clock.Running(), metadata.Options{Transport: network{}})
	_, err := issuers.Key(context.Background(), "https://cluster.wiemu.test/", "key-2")
	fmt.Println(err)
	// Output: https://cluster.wiemu.test/: key "key-2": the issuer publishes no key with that id; it has key-1
}
