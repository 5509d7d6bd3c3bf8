// Package discovery makes the documents by which clients find Entra ID and verify
// its tokens: the OpenID configuration and the keys of a tenant, its login hosts
// and the realm of a user. Their members stand in Entra ID's order.
package discovery

import (
	"bytes"
	"crypto/rsa"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"strings"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/keyring"
)

// Tenant is the tenant that a document is about.
type Tenant struct {
	cloud.Cloud
	Host string // that was asked: the endpoints are there
	Path string // first segment of the endpoints: the tenant's id, or common and its like
	ID   string // in the issuer: the tenant's id, or a placeholder
}

// PlainHost is a host with its port as addresses spell it: in lower case, without
// a final dot and without the port that https has anyway.
func PlainHost(hostport string) string {
	host := strings.TrimSuffix(strings.ToLower(hostport), ":443")
	if name, port, err := net.SplitHostPort(host); err == nil && !strings.Contains(name, ":") {
		return strings.TrimSuffix(name, ".") + ":" + port
	}
	return strings.TrimSuffix(host, ".")
}

// The OpenID configurations of the v1 and the v2 endpoints. v2 was recorded 2025-02 by
// Azure/kubelogin. The members of v1 are those of documents quoted in public; their order
// follows v2, since no recording is at hand.
//
//go:embed openid-v1.json openid-v2.json
var configurations embed.FS

// Configuration is the OpenID configuration of a tenant, of the v1 or the v2 endpoints.
func Configuration(t Tenant, version int) any {
	issuer := t.IssuerV2(t.ID)
	if version == 1 {
		issuer = t.IssuerV1(t.ID)
	}
	text, err := configurations.ReadFile(fmt.Sprintf("openid-v%d.json", version))
	if err != nil {
		panic(err) // it is part of the program
	}
	if t.Path != t.ID { // the region is one tenant's
		text = bytes.Replace(text, []byte(`"tenant_region_scope": "{region}",`), nil, 1)
	}
	return json.RawMessage(strings.NewReplacer(
		"{base}", "https://"+t.Host+"/"+t.Path, "{host}", t.Host, "{issuer}", issuer, "{region}", t.RegionScope,
		"{instance}", t.Instance, "{aadgraph}", t.AADGraph, "{graph}", t.Graph, "{rbac}", t.RBAC,
	).Replace(string(text)))
}

// webKey is an entry of the JWKS, in Entra ID's order. The v2 key set has
// cloud_instance_name and issuer, the v1 key set has not.
type webKey struct {
	Type          string   `json:"kty"`
	Use           string   `json:"use"`
	ID            string   `json:"kid"`
	X5T           string   `json:"x5t"`
	Modulus       string   `json:"n"`
	Exponent      string   `json:"e"`
	Chain         []string `json:"x5c"`
	CloudInstance string   `json:"cloud_instance_name,omitempty"`
	Issuer        string   `json:"issuer,omitempty"`
}

// Keys is the JWKS of a tenant, of the v1 or the v2 endpoints. All tenants have
// the same keys.
func Keys(t Tenant, published []keyring.Key, version int) any {
	keys := []webKey{}
	for _, k := range published {
		public := k.Private.Public().(*rsa.PublicKey)
		key := webKey{
			Type: "RSA", Use: "sig", ID: k.ID, X5T: k.ID,
			Modulus:  base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
			Exponent: base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
			Chain:    []string{base64.StdEncoding.EncodeToString(k.Certificate)},
		}
		if version == 2 {
			key.CloudInstance, key.Issuer = t.Instance, t.IssuerV2(t.ID)
		}
		keys = append(keys, key)
	}
	return struct {
		Keys []webKey `json:"keys"`
	}{keys}
}
