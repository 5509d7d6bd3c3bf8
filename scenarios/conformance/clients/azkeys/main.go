// Command azkeys is a client of the conformance table: what azkeys does with keys, each
// operation once.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"
)

func main() {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	exitOn("credential", err)
	client, err := azkeys.NewClient("https://mykeyvault.vault.azure.net", credential, nil)
	exitOn("client", err)
	if len(os.Args) > 2 && os.Args[1] == "watch" {
		every, err := time.ParseDuration(os.Args[2] + "s")
		exitOn("watch", err)
		watch(client, every)
	}
	for _, operation := range []struct {
		name string
		do   func(context.Context, *azkeys.Client) error
	}{
		{"create", create}, {"lists", lists}, {"encrypt", encrypt}, {"sign", sign}, {"rotate", rotate}, {"policy", policy}, {"backup", backup}, {"gone", gone}, {"delete", remove},
	} {
		exitOn(operation.name, operation.do(context.Background(), client))
		fmt.Println(operation.name, "ok")
	}
	fmt.Println("round done")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func exitOn(name string, err error) {
	if err != nil {
		fmt.Println(name, "failed", strings.Join(strings.Fields(err.Error()), " "))
		os.Exit(1)
	}
}

func create(ctx context.Context, c *azkeys.Client) error {
	for name, kind := range map[string]azkeys.KeyType{"go-rsa": azkeys.KeyTypeRSA, "go-ec": azkeys.KeyTypeEC} {
		key, err := c.CreateKey(ctx, name, azkeys.CreateKeyParameters{Kty: &kind}, nil)
		if err != nil {
			return err
		}
		if *key.Key.Kty != kind || key.Key.KID.Name() != name {
			return fmt.Errorf("found %s %s", *key.Key.Kty, *key.Key.KID)
		}
	}
	return nil
}

func lists(ctx context.Context, c *azkeys.Client) error {
	found := 0
	for pager := c.NewListKeyPropertiesPager(nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			return err
		}
		found += len(page.Value)
	}
	if found < 2 {
		return fmt.Errorf("found %d keys", found)
	}
	return nil
}

func encrypt(ctx context.Context, c *azkeys.Client) error {
	plain := []byte("0123456789abcdef")
	sealed, err := c.WrapKey(ctx, "go-rsa", "", azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: plain}, nil)
	if err != nil {
		return err
	}
	opened, err := c.UnwrapKey(ctx, "go-rsa", sealed.KID.Version(), azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: sealed.Result}, nil)
	if err == nil && !bytes.Equal(opened.Result, plain) {
		err = fmt.Errorf("found %q", opened.Result)
	}
	return err
}

func sign(ctx context.Context, c *azkeys.Client) error {
	digest := sha256.Sum256([]byte("x"))
	for name, algorithm := range map[string]azkeys.SignatureAlgorithm{"go-rsa": azkeys.SignatureAlgorithmPS256, "go-ec": azkeys.SignatureAlgorithmES256} {
		signed, err := c.Sign(ctx, name, "", azkeys.SignParameters{Algorithm: &algorithm, Value: digest[:]}, nil)
		if err != nil {
			return err
		}
		verified, err := c.Verify(ctx, name, "", azkeys.VerifyParameters{Algorithm: &algorithm, Digest: digest[:], Signature: signed.Result}, nil)
		if err != nil {
			return err
		}
		if !*verified.Value {
			return fmt.Errorf("%s: the signature is not good", algorithm)
		}
	}
	return nil
}

func rotate(ctx context.Context, c *azkeys.Client) error {
	before, err := c.GetKey(ctx, "go-rsa", "", nil)
	if err != nil {
		return err
	}
	after, err := c.RotateKey(ctx, "go-rsa", nil)
	if err == nil && after.Key.KID.Version() == before.Key.KID.Version() {
		err = errors.New("the version is the same")
	}
	return err
}

func policy(ctx context.Context, c *azkeys.Client) error {
	set, err := c.UpdateKeyRotationPolicy(ctx, "go-rsa", azkeys.KeyRotationPolicy{
		Attributes:      &azkeys.KeyRotationPolicyAttributes{ExpiryTime: to.Ptr("P90D")},
		LifetimeActions: []*azkeys.LifetimeAction{{Action: &azkeys.LifetimeActionType{Type: to.Ptr(azkeys.KeyRotationPolicyActionRotate)}, Trigger: &azkeys.LifetimeActionTrigger{TimeAfterCreate: to.Ptr("P30D")}}},
	}, nil)
	if err == nil && *set.Attributes.ExpiryTime != "P90D" {
		err = fmt.Errorf("found %s", *set.Attributes.ExpiryTime)
	}
	return err
}

func backup(ctx context.Context, c *azkeys.Client) error {
	blob, err := c.BackupKey(ctx, "go-ec", nil)
	if err != nil {
		return err
	}
	if _, err := c.DeleteKey(ctx, "go-ec", nil); err != nil {
		return err
	}
	if _, err := c.PurgeDeletedKey(ctx, "go-ec", nil); err != nil {
		return err
	}
	_, err = c.RestoreKey(ctx, azkeys.RestoreKeyParameters{KeyBackup: blob.Value}, nil)
	return err
}

func gone(ctx context.Context, c *azkeys.Client) error {
	_, err := c.GetKey(ctx, "go-none", "", nil)
	var refused *azcore.ResponseError
	if !errors.As(err, &refused) || refused.ErrorCode != "KeyNotFound" {
		return fmt.Errorf("expected KeyNotFound, found %w", err)
	}
	return nil
}

func remove(ctx context.Context, c *azkeys.Client) error {
	for _, name := range []string{"go-rsa", "go-ec"} {
		if _, err := c.DeleteKey(ctx, name, nil); err != nil {
			return err
		}
		if _, err := c.PurgeDeletedKey(ctx, name, nil); err != nil {
			return err
		}
	}
	return nil
}

// watch wraps a new data key every so often, as a service does that encrypts what it stores, and
// first unwraps the one before with the version of the key that wrapped it.
func watch(client *azkeys.Client, every time.Duration) {
	var kept azkeys.KeyOperationResult
	var plain []byte
	lines := json.NewEncoder(os.Stdout)
	for {
		line := map[string]any{"ok": true}
		err := unwraps(client, kept, plain)
		if err == nil {
			plain = make([]byte, 32)
			_, _ = rand.Read(plain)
			kept, err = wraps(client, plain)
		}
		if err != nil {
			line = map[string]any{"ok": false, "error": err.Error()}
		} else {
			line["version"] = kept.KID.Version()
		}
		exitOn("watch", lines.Encode(line))
		time.Sleep(every)
	}
}

func wraps(client *azkeys.Client, plain []byte) (azkeys.KeyOperationResult, error) {
	wrapped, err := client.WrapKey(context.Background(), "wrapping", "", azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: plain}, nil)
	return wrapped.KeyOperationResult, err
}

func unwraps(client *azkeys.Client, wrapped azkeys.KeyOperationResult, plain []byte) error {
	if plain == nil { // the first time
		return nil
	}
	opened, err := client.UnwrapKey(context.Background(), "wrapping", wrapped.KID.Version(), azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: wrapped.Result}, nil)
	if err == nil && !bytes.Equal(opened.Result, plain) {
		err = fmt.Errorf("unwrapped %x, wrapped %x", opened.Result, plain)
	}
	return err
}
