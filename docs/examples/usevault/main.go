// Command usevault uses a key vault as any Azure program does: a secret, a key and a
// certificate. It knows nothing of wiemu.
package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
)

const vault = "https://shop-vault.vault.azure.net"

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return err
	}
	secrets, err := azsecrets.NewClient(vault, credential, nil)
	if err != nil {
		return err
	}
	keys, err := azkeys.NewClient(vault, credential, nil)
	if err != nil {
		return err
	}

	password, err := secrets.GetSecret(ctx, "db-password", "", nil)
	if err != nil {
		return err
	}
	fmt.Println("secret:", *password.Value)

	// A data key is wrapped by a key that never leaves the vault.
	wrapped, err := keys.WrapKey(ctx, "wrapping", "", azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: []byte("a data key")}, nil)
	if err != nil {
		return err
	}
	opened, err := keys.UnwrapKey(ctx, "wrapping", wrapped.KID.Version(), azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: wrapped.Result}, nil)
	if err != nil {
		return err
	}
	fmt.Println("unwrapped:", string(opened.Result))

	digest := sha256.Sum256([]byte("an order"))
	signed, err := keys.Sign(ctx, "signing", "", azkeys.SignParameters{Algorithm: to.Ptr(azkeys.SignatureAlgorithmES256), Value: digest[:]}, nil)
	if err != nil {
		return err
	}
	fmt.Println("signature:", base64.RawURLEncoding.EncodeToString(signed.Result)[:8]+"…")

	// The secret of a certificate is the certificate with its private key.
	text, err := secrets.GetSecret(ctx, "web", "", nil)
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair([]byte(*text.Value), []byte(*text.Value))
	if err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return err
	}
	block, _ := pem.Decode([]byte(*text.Value))
	fmt.Printf("certificate: %s with its %s, until %s\n", cert.Subject, block.Type, cert.NotAfter.Format("2006-01-02"))
	return nil
}
