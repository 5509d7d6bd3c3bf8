package session

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/workload"
)

// Credential is what an application authenticates with instead of a service-account token:
// a secret, or a certificate with its private key.
type Credential struct {
	Secret          string `json:"secret,omitempty"`
	CertificateFile string `json:"certificateFile,omitempty"` // PEM, or PKCS#12 if there is a password
	Password        string `json:"password,omitempty"`        // of a PKCS#12 file
}

// environ returns the variables of the SDKs' EnvironmentCredential, which a platform sets
// from its secrets. Source: azure-sdk-for-go,
// sdk/azidentity/environment_credential.go; those for other languages read the same.
func (c Credential) environ() []string {
	var env []string
	for _, v := range [][2]string{
		{"AZURE_CLIENT_SECRET", c.Secret}, {"AZURE_CLIENT_CERTIFICATE_PATH", c.CertificateFile}, {"AZURE_CLIENT_CERTIFICATE_PASSWORD", c.Password},
	} {
		if v[1] != "" {
			env = append(env, v[0]+"="+v[1])
		}
	}
	return env
}

// prove writes the secret or certificate of an admitted workload's application.
func (l *Session) prove(ctx context.Context, w *Workload, id workload.TokenOptions) error {
	if !config.OfApplication(id.Credential) {
		return nil
	}
	credential := &Credential{}
	w.Env.Credential = credential
	if id.Credential == config.ClientSecret {
		var err error
		credential.Secret, err = l.emulator.ClientSecret(w.Env.TenantID, w.ClientID)
		return err
	}
	pair, err := l.emulator.ClientCertificate(ctx, w.Env.TenantID, w.ClientID)
	if err != nil {
		return err
	}
	var content []byte
	name := filepath.Base(filepath.Dir(w.Env.TokenFile)) // the workload's own
	extension := ".pem"
	if id.Credential == config.ClientCertificatePFX {
		extension, credential.Password = ".pfx", rand.Text()
		content, err = encodePFX(pair, credential.Password)
	} else {
		content, err = encodePEM(pair)
	}
	if err != nil {
		return fmt.Errorf("write the client certificate of %s: %w", w.ClientID, err)
	}
	credential.CertificateFile = filepath.Join(l.path("credentials"), name+extension)
	if err := errors.Join(os.MkdirAll(l.path("credentials"), 0o700), os.WriteFile(credential.CertificateFile, content, 0o600)); err != nil {
		return fmt.Errorf("write the client certificate of %s: %w", w.ClientID, err)
	}
	return nil
}

// encodePEM writes the certificates and the private key, as the SDKs read them.
func encodePEM(pair tls.Certificate) ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, err
	}
	var text []byte
	for _, der := range pair.Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return append(text, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...), nil
}

// encodePFX writes them as PKCS#12, in the old form that every SDK reads: azidentity
// knows neither AES nor a MAC other than SHA-1 (golang.org/x/crypto/pkcs12), and
// OpenSSL 3 no RC2.
func encodePFX(pair tls.Certificate, password string) ([]byte, error) {
	var chain []*x509.Certificate
	for _, der := range pair.Certificate[1:] {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	return pkcs12.LegacyDES.Encode(pair.PrivateKey, pair.Leaf, chain, password)
}
