//go:build darwin || windows

//go:debug x509usefallbackroots=1

package main

import (
	"crypto/x509"
	"fmt"
	"os"
)

// Go asks the operating system for root certificates on macOS and Windows and
// passes SSL_CERT_FILE over, which it reads everywhere else. Here it is read too:
// this program has to meet the emulator on every machine.
// Source: crypto/x509, root_darwin.go and root_windows.go.
func init() {
	file := os.Getenv("SSL_CERT_FILE")
	if file == "" {
		return
	}
	roots := x509.NewCertPool()
	if text, err := os.ReadFile(file); err != nil || !roots.AppendCertsFromPEM(text) {
		fmt.Fprintf(os.Stderr, "wiemu-workload: SSL_CERT_FILE %s: expected certificates in PEM\n", file)
		return
	}
	x509.SetFallbackRoots(roots)
}
