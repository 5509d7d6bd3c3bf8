package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
)

// checkHealth succeeds when a TLS handshake with the gateway does.
func checkHealth(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dialer := tls.Dialer{
		NetDialer: &net.Dialer{},
		// Only whether somebody answers is asked; nothing is sent.
		Config: &tls.Config{InsecureSkipVerify: true, ServerName: "login.microsoftonline.com"},
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the gateway at %s does not answer: %w", address, err)
	}
	return conn.Close()
}
