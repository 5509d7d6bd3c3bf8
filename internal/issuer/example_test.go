package issuer_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/keyring"
)

// newIssuer makes the issuer of the examples, at a fixed time.
func newIssuer() (*issuer.Issuer, func()) {
	lab := clock.Stopped(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC))
	pool, err := keyring.OpenPool("", keyring.PoolOptions{})
	if err != nil {
		log.Fatal(err)
	}
	keys, err := keyring.New(context.Background(), lab, pool, keyring.Options{Name: "radix-dev", Identify: issuer.KeyID})
	if err != nil {
		log.Fatal(err)
	}
	cluster, err := issuer.New("https://radix-dev.oic.wiemu.test/tenant/cluster/", keys, lab, issuer.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return cluster, func() {
		keys.Close()
		_ = pool.Close()
	}
}

// A token is asked for as a kubelet asks for it. Its claims come out in
// Kubernetes' order; only the jti differs from one run to the next.
func ExampleIssuer_Mint() {
	cluster, done := newIssuer()
	defer done()
	cluster.PutServiceAccount("my-radix-app-dev", "web-sa", nil)

	token, err := cluster.Mint(context.Background(), issuer.TokenRequest{
		Namespace: "my-radix-app-dev", ServiceAccount: "web-sa",
		Audiences: []string{"api://AzureADTokenExchange"}, ExpirationSeconds: 600,
	})
	if err != nil {
		log.Fatal(err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token.Raw, ".")[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.ReplaceAll(strings.Replace(string(payload), token.ID, "…", 1), ",", ",\n"))
	// Output:
	// {"aud":["api://AzureADTokenExchange"],
	// "exp":1795428600,
	// "iat":1795428000,
	// "iss":"https://radix-dev.oic.wiemu.test/tenant/cluster/",
	// "jti":"…",
	// "kubernetes.io":{"namespace":"my-radix-app-dev",
	// "serviceaccount":{"name":"web-sa",
	// "uid":"405fa1aa-d61b-4bee-ade8-de0769cef703"}},
	// "nbf":1795428000,
	// "sub":"system:serviceaccount:my-radix-app-dev:web-sa"}
}

// What Kubernetes would refuse is refused with its own status.
func ExampleStatus() {
	cluster, done := newIssuer()
	defer done()
	cluster.PutServiceAccount("my-radix-app-dev", "web-sa", nil)

	_, err := cluster.Mint(context.Background(), issuer.TokenRequest{
		Namespace: "my-radix-app-dev", ServiceAccount: "web-sa", ExpirationSeconds: 599,
	})
	var status *issuer.Status
	if errors.As(err, &status) {
		fmt.Println(status.Code, status.Reason)
		fmt.Println(status.Details.Causes[0].Field, status.Details.Causes[0].Message)
	}
	// Output:
	// 422 Invalid
	// spec.expirationSeconds Invalid value: 599: may not specify a duration less than 10 minutes
}

// The discovery document is where the issuer's URL says.
func ExampleIssuer_Discovery() {
	cluster, done := newIssuer()
	defer done()

	answer := httptest.NewRecorder()
	cluster.Discovery().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, cluster.URL()+".well-known/openid-configuration", nil))
	fmt.Println(answer.Header().Get("Cache-Control"))
	fmt.Println(strings.ReplaceAll(answer.Body.String(), ",", ",\n"))
	// Output:
	// public, max-age=3600
	// {"issuer":"https://radix-dev.oic.wiemu.test/tenant/cluster/",
	// "jwks_uri":"https://radix-dev.oic.wiemu.test/tenant/cluster/openid/v1/jwks",
	// "response_types_supported":["id_token"],
	// "subject_types_supported":["public"],
	// "id_token_signing_alg_values_supported":["RS256"]}
}

// A cluster says whose token it was given, until it no longer is.
func ExampleIssuer_Review() {
	cluster, done := newIssuer()
	defer done()
	cluster.PutServiceAccount("my-radix-app-dev", "web-sa", nil)
	token, err := cluster.Mint(context.Background(), issuer.TokenRequest{Namespace: "my-radix-app-dev", ServiceAccount: "web-sa"})
	if err != nil {
		log.Fatal(err)
	}

	fmt.Println(cluster.Review(token.Raw, nil).User.Username)
	cluster.RemoveServiceAccount("my-radix-app-dev", "web-sa")
	fmt.Println(cluster.Review(token.Raw, nil).Error)
	// Output:
	// system:serviceaccount:my-radix-app-dev:web-sa
	// [invalid bearer token, serviceaccounts "web-sa" not found]
}
