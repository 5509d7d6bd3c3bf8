package graph

import (
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/resource"
)

// The audience of proofs, Azure AD Graph, and how long they are valid at most.
// Source: microsoft-graph-docs-contrib, concepts/application-rollkey-prooftoken.md, which since 2023
// names Microsoft Graph's id: both are taken.
const (
	proofAudience = "00000002-0000-0000-c000-000000000000"
	proofLifetime = 10 * time.Minute
)

// proven refuses a proof that is not signed by the key of a certificate of p that is valid now.
func (c *call) proven(p *directory.Principal, proof string) *resource.Failure {
	why := c.unprovenBecause(p, proof)
	if c.Check("proof", "a JWT that a key of "+p.DisplayName+" signed", map[bool]string{true: "one", false: why}[why == ""], why == "") {
		return nil
	}
	return unproven(why)
}

// unprovenBecause says what is wrong with a proof; "" if it is good.
func (c *call) unprovenBecause(p *directory.Principal, proof string) string {
	if proof == "" {
		return "there is none"
	}
	signed, err := jwt.ParseSigned(proof, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.RS384, jose.RS512})
	if err != nil {
		return "it is no JWT signed with RSA"
	}
	now, claims := c.kit.Clock.Now(), jwt.Claims{}
	if !slices.ContainsFunc(p.Certificates, func(own directory.Certificate) bool { return own.ValidAt(now) && signedBy(signed, own, &claims) }) {
		return "no certificate of the application that is valid now has the key that signed it"
	}
	id := p.ObjectID
	if c.ofApplication() {
		id = p.ApplicationObjectID
	}
	switch {
	case !slices.ContainsFunc(claims.Audience, func(aud string) bool { return aud == proofAudience || aud == c.kit.Resource.AppID }):
		return "its audience is " + strings.Join(claims.Audience, ", ")
	case claims.Issuer != id:
		return "its issuer is " + claims.Issuer + ", and not the object id " + id
	case claims.NotBefore == nil || claims.Expiry == nil:
		return "it has no nbf or no exp"
	case claims.NotBefore.Time().After(now.Add(5 * time.Minute)):
		return "it is not valid yet"
	case !claims.Expiry.Time().After(now):
		return "it has expired"
	case claims.Expiry.Time().Sub(claims.NotBefore.Time()) > proofLifetime:
		return "it is valid for more than ten minutes"
	}
	return ""
}

func signedBy(token *jwt.JSONWebToken, own directory.Certificate, claims *jwt.Claims) bool {
	parsed, err := x509.ParseCertificate(own.DER)
	if err != nil {
		return false
	}
	public, ok := parsed.PublicKey.(*rsa.PublicKey)
	return ok && token.Claims(public, claims) == nil
}
