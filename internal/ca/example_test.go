package ca_test

import (
	"crypto/tls"
	"fmt"
	"log"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/ca"
)

// A CA in memory certifies the names it was made for and those below a suffix.
func ExampleOpen() {
	authority, err := ca.Open("", clock.Running(), ca.Options{
		Names: []string{"login.microsoftonline.com", ".vault.azure.net"},
	})
	if err != nil {
		log.Fatal(err)
	}
	config := &tls.Config{GetCertificate: authority.GetCertificate}
	_ = config // of a server
	for _, host := range []string{"login.microsoftonline.com", "mykeyvault.vault.azure.net", "example.com"} {
		fmt.Println(host, authority.Permits(host))
	}
	// Output:
	// login.microsoftonline.com true
	// mykeyvault.vault.azure.net true
	// example.com false
}

// A process learns from its environment whom to trust; what the caller said of
// that is replaced, and Java's options are added to.
func ExampleBundle_Environ() {
	bundle := ca.Bundle{Root: "/run/ca.pem", Roots: "/run/ca.pem", TrustStore: "/run/truststore.p12", NoRoots: "/run/none"}
	for _, variable := range bundle.Environ([]string{"LANG=C", "SSL_CERT_FILE=/mine.pem", "JAVA_TOOL_OPTIONS=-Xmx1g"}) {
		fmt.Println(variable)
	}
	// Output:
	// LANG=C
	// SSL_CERT_FILE=/run/ca.pem
	// SSL_CERT_DIR=/run/none
	// CURL_CA_BUNDLE=/run/ca.pem
	// REQUESTS_CA_BUNDLE=/run/ca.pem
	// NODE_EXTRA_CA_CERTS=/run/ca.pem
	// DENO_CERT=/run/ca.pem
	// PGSSLROOTCERT=/run/ca.pem
	// GIT_SSL_CAINFO=/run/ca.pem
	// JAVA_TOOL_OPTIONS=-Xmx1g -Djavax.net.ssl.trustStore=/run/truststore.p12 -Djavax.net.ssl.trustStorePassword=changeit -Djavax.net.ssl.trustStoreType=PKCS12
}
