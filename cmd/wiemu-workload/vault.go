package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azsecrets"
	"software.sslmate.com/src/go-pkcs12"
)

// vaultURL is where a vault is: a name stands for one in the public cloud, a URL for itself.
func vaultURL(vault string) string {
	if strings.Contains(vault, "://") {
		return vault
	}
	return "https://" + vault + ".vault.azure.net"
}

func secret(vault, name string) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		client, err := azsecrets.NewClient(vaultURL(vault), credential, nil)
		if err != nil {
			return Answer{}, err
		}
		found, err := client.GetSecret(ctx, name, "", nil)
		return secretAnswer(found.Secret), err
	}
}

func setSecret(vault, name, value string) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		client, err := azsecrets.NewClient(vaultURL(vault), credential, nil)
		if err != nil {
			return Answer{}, err
		}
		made, err := client.SetSecret(ctx, name, azsecrets.SetSecretParameters{Value: &value}, nil)
		return secretAnswer(made.Secret), err
	}
}

func secretAnswer(s azsecrets.Secret) Answer {
	answer := Answer{}
	if s.Value != nil {
		answer.Value = *s.Value
	}
	if s.ID != nil {
		answer.Version = s.ID.Version()
	}
	return answer
}

func rotateKey(vault, name string) action {
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		client, err := azkeys.NewClient(vaultURL(vault), credential, nil)
		if err != nil {
			return Answer{}, err
		}
		made, err := client.RotateKey(ctx, name, nil)
		if err != nil {
			return Answer{}, err
		}
		return Answer{Version: made.Key.KID.Version()}, nil
	}
}

// unwrapKey has a data key that the vault's key wrapped when it was asked first, and unwraps it
// each time: with the version that wrapped it, or with the one that is then the latest.
func unwrapKey(vault, name string, latest bool) action {
	const algorithm = azkeys.EncryptionAlgorithmRSAOAEP256
	var wrapped []byte
	var version string
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		client, err := azkeys.NewClient(vaultURL(vault), credential, nil)
		if err != nil {
			return Answer{}, err
		}
		if wrapped == nil {
			dataKey := make([]byte, 32)
			if _, err := rand.Read(dataKey); err != nil {
				return Answer{}, err
			}
			done, err := client.WrapKey(ctx, name, "", azkeys.KeyOperationParameters{Algorithm: to.Ptr(algorithm), Value: dataKey}, nil)
			if err != nil {
				return Answer{}, err
			}
			wrapped, version = done.Result, done.KID.Version()
		}
		with := version
		if latest {
			with = ""
		}
		done, err := client.UnwrapKey(ctx, name, with, azkeys.KeyOperationParameters{Algorithm: to.Ptr(algorithm), Value: wrapped}, nil)
		if err != nil {
			return Answer{}, err
		}
		return Answer{Version: done.KID.Version()}, nil
	}
}

// certificate reads a certificate with its private key, as a server does, and uses it: one that
// has expired is an error. With keep it is read once.
func certificate(vault, name string, keep bool) action {
	read := secret(vault, name)
	var leaf *x509.Certificate
	var version string
	return func(ctx context.Context, credential azcore.TokenCredential) (Answer, error) {
		if leaf == nil || !keep {
			found, err := read(ctx, credential)
			if err != nil {
				return Answer{}, err
			}
			if leaf, err = parsePKCS12(found.Value); err != nil {
				return Answer{}, fmt.Errorf("read the secret of the certificate %s: %w", name, err)
			}
			version = found.Version
		}
		answer := Answer{Value: leaf.Subject.String(), Version: version, ExpiresOn: leaf.NotAfter.Unix()}
		if time.Now().After(leaf.NotAfter) { // the application's clock
			return Answer{}, fmt.Errorf("the certificate %s, version %s, has expired at %s", answer.Value, version, leaf.NotAfter.UTC().Format(time.RFC3339))
		}
		return answer, nil
	}
}

// parsePKCS12 returns the certificate of a secret, which has no password.
func parsePKCS12(value any) (*x509.Certificate, error) {
	text, _ := value.(string)
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("expected PKCS#12 in base64: %w", err)
	}
	_, leaf, _, err := pkcs12.DecodeChain(data, "")
	return leaf, err
}
