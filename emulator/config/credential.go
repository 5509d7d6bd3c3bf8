package config

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// The values of a workload's credential: how it authenticates to Entra ID.
const (
	Federated            = "federated"       // its service-account token
	ClientSecret         = "secret"          // a client secret of its application
	ClientCertificate    = "certificate"     // a client certificate of its application, as PEM
	ClientCertificatePFX = "certificate-pfx" // the same as PKCS#12, with a password
)

// CredentialKinds returns the values of a workload's credential.
func CredentialKinds() []string {
	return []string{Federated, ClientSecret, ClientCertificate, ClientCertificatePFX}
}

// OfApplication reports whether only an application can have a workload's credential.
func OfApplication(credential string) bool { return credential != "" && credential != Federated }

func (w Workload) checkCredential(p *problems, at string) {
	kinds := CredentialKinds()
	switch {
	case w.Credential != "" && !slices.Contains(kinds, w.Credential):
		p.add(at+".credential", "one of "+strings.Join(kinds, ", "), w.Credential, yamlfile.DidYouMean(w.Credential, kinds))
	case OfApplication(w.Credential) && (w.ManagedIdentity != "" || w.IdentityBinding != ""):
		p.add(at+".credential", "credential, managedIdentity or identityBinding", "two of them", "a managed identity has neither secrets nor certificates")
	}
}

// checkManagedIdentities refuses workloads with a secret or certificate of a managed
// identity. A client id that nothing names becomes an application.
func (c *Config) checkManagedIdentities(p *problems) {
	for n, w := range c.Workloads {
		if !OfApplication(w.Credential) {
			continue
		}
		for _, m := range c.Identities {
			if m.ClientID == w.ClientID && m.Tenant == w.Tenant {
				p.add(fmt.Sprintf("workloads[%d].credential", n), Federated+", or left out", w.Credential, m.Name+" is a managed identity, which has neither secrets nor certificates; if it is an app registration, list it under applications")
			}
		}
	}
}

// KeyPairs returns the certificates of the application whose files contain their private
// keys. The paths of files are relative to dir.
func (a Application) KeyPairs(dir string) ([]tls.Certificate, error) {
	var pairs []tls.Certificate
	for n, c := range a.Certificates {
		data, err := os.ReadFile(file.In(dir, c.File))
		if err == nil && !hasPrivateKey(data) {
			continue
		}
		var pair tls.Certificate
		if err == nil {
			pair, err = tls.X509KeyPair(data, data)
		}
		if err != nil {
			return nil, fmt.Errorf("certificates[%d].file of application %s: %s: %w", n, a.Name, c.File, err)
		}
		pairs = append(pairs, pair)
	}
	return pairs, nil
}

// hasPrivateKey reports whether a PEM file has a private key, encrypted or not.
func hasPrivateKey(data []byte) bool {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return true
		}
	}
	return false
}
