// Package serviceconnection is what Azure DevOps gives a task of a pipeline that names a service
// connection with workload identity federation: the endpoint that it asks for the connection's
// token, and the claims of the token if the issuer is Azure DevOps. Who signs it is up to packages
// issuer and entra, and who trusts it to the directory.
package serviceconnection

import (
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
)

// Is reports whether a workload is a task with a service connection.
func Is(c config.ServiceConnection) bool { return c != config.ServiceConnection{} }

// OfEntra reports whether Entra ID makes the tokens of a connection, and not Azure DevOps.
func OfEntra(c config.ServiceConnection) bool { return Is(c) && !strings.HasPrefix(c.Issuer, issuers) }

// issuers is followed by an organization's id. Source: see package config.
const issuers = "https://vstoken.dev.azure.com/"

// How long before its time of issue a token of Azure DevOps is valid, and how long after it.
// Source: the token of claims.
const (
	validBefore = 10 * time.Minute
	lifetime    = 5 * time.Minute
)

// claims are those of a token of Azure DevOps, in its order.
// Source: a token of a service connection that is printed in Teleport's RFD 211 (2025-04).
type claims struct {
	ID        string `json:"jti"`
	Subject   string `json:"sub"`
	Audience  string `json:"aud"`
	Issuer    string `json:"iss"`
	NotBefore int64  `json:"nbf"`
	Expiry    int64  `json:"exp"`
	IssuedAt  int64  `json:"iat"`
}
