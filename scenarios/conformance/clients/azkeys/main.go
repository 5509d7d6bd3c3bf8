// Command azkeys is a client of the conformance table: what azkeys does with keys, each
// operation once.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/wiemu/wiemu/scenarios/conformance/clients/internal/round"
)

func main() {
	credential := round.Must(azidentity.NewDefaultAzureCredential(nil))
	p := &program{round.Must(azkeys.NewClient("https://mykeyvault.vault.azure.net", credential, nil))}
	if len(os.Args) > 2 && os.Args[1] == "watch" {
		p.watch(os.Args[2])
	}
	round.Play([]round.Operation{
		{Name: "create", Do: p.create}, {Name: "lists", Do: p.lists}, {Name: "encrypt", Do: p.encrypt}, {Name: "sign", Do: p.sign},
		{Name: "rotate", Do: p.rotate}, {Name: "policy", Do: p.policy}, {Name: "backup", Do: p.backup}, {Name: "gone", Do: p.gone},
		{Name: "delete", Do: p.remove},
	})
}

type program struct{ *azkeys.Client }

func (p *program) create(ctx context.Context) {
	for name, kind := range map[string]azkeys.KeyType{"go-rsa": azkeys.KeyTypeRSA, "go-ec": azkeys.KeyTypeEC} {
		key := round.Must(p.CreateKey(ctx, name, azkeys.CreateKeyParameters{Kty: &kind}, nil)).Key
		round.Want(*key.Kty == kind && key.KID.Name() == name, *key.Kty, " ", *key.KID)
	}
}

func (p *program) lists(ctx context.Context) {
	found := 0
	for pager := p.NewListKeyPropertiesPager(nil); pager.More(); {
		found += len(round.Must(pager.NextPage(ctx)).Value)
	}
	round.Want(found >= 2, found)
}

func (p *program) encrypt(ctx context.Context) {
	plain := []byte("0123456789abcdef")
	sealed := round.Must(p.WrapKey(ctx, "go-rsa", "", oaep(plain), nil))
	opened := round.Must(p.UnwrapKey(ctx, "go-rsa", sealed.KID.Version(), oaep(sealed.Result), nil))
	round.Want(bytes.Equal(opened.Result, plain), opened.Result)
}

func oaep(value []byte) azkeys.KeyOperationParameters {
	return azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: value}
}

func (p *program) sign(ctx context.Context) {
	digest := sha256.Sum256([]byte("x"))
	for name, algorithm := range map[string]azkeys.SignatureAlgorithm{"go-rsa": azkeys.SignatureAlgorithmPS256, "go-ec": azkeys.SignatureAlgorithmES256} {
		signed := round.Must(p.Sign(ctx, name, "", azkeys.SignParameters{Algorithm: &algorithm, Value: digest[:]}, nil))
		verified := round.Must(p.Verify(ctx, name, "", azkeys.VerifyParameters{Algorithm: &algorithm, Digest: digest[:], Signature: signed.Result}, nil))
		round.Want(*verified.Value, algorithm)
	}
}

func (p *program) rotate(ctx context.Context) {
	before := round.Must(p.GetKey(ctx, "go-rsa", "", nil)).Key.KID.Version()
	after := round.Must(p.RotateKey(ctx, "go-rsa", nil)).Key.KID.Version()
	round.Want(after != before, after)
}

func (p *program) policy(ctx context.Context) {
	set := round.Must(p.UpdateKeyRotationPolicy(ctx, "go-rsa", azkeys.KeyRotationPolicy{
		Attributes:      &azkeys.KeyRotationPolicyAttributes{ExpiryTime: to.Ptr("P90D")},
		LifetimeActions: []*azkeys.LifetimeAction{{Action: &azkeys.LifetimeActionType{Type: to.Ptr(azkeys.KeyRotationPolicyActionRotate)}, Trigger: &azkeys.LifetimeActionTrigger{TimeAfterCreate: to.Ptr("P30D")}}},
	}, nil))
	round.Equal(*set.Attributes.ExpiryTime, "P90D")
}

func (p *program) backup(ctx context.Context) {
	blob := round.Must(p.BackupKey(ctx, "go-ec", nil))
	p.purge(ctx, "go-ec")
	round.Must(p.RestoreKey(ctx, azkeys.RestoreKeyParameters{KeyBackup: blob.Value}, nil))
}

func (p *program) purge(ctx context.Context, name string) {
	round.Must(p.DeleteKey(ctx, name, nil))
	round.Must(p.PurgeDeletedKey(ctx, name, nil))
}

func (p *program) gone(ctx context.Context) {
	_, err := p.GetKey(ctx, "go-none", "", nil)
	round.RefusedAs("KeyNotFound", err)
}

func (p *program) remove(ctx context.Context) {
	p.purge(ctx, "go-rsa")
	p.purge(ctx, "go-ec")
}

// watch wraps a new data key every so often, as a service does that encrypts what it stores, and
// first unwraps the one before with the version of the key that wrapped it.
func (p *program) watch(seconds string) {
	var kept azkeys.KeyOperationResult
	var plain []byte
	round.Watch(seconds, func(ctx context.Context, line map[string]any) {
		if plain != nil { // not the first time
			opened := round.Must(p.UnwrapKey(ctx, "wrapping", kept.KID.Version(), oaep(kept.Result), nil))
			round.Want(bytes.Equal(opened.Result, plain), "unwrapped ", opened.Result, ", wrapped ", plain)
		}
		key := make([]byte, 32)
		_, _ = rand.Read(key)
		kept, plain = round.Must(p.WrapKey(ctx, "wrapping", "", oaep(key), nil)).KeyOperationResult, key
		line["version"] = kept.KID.Version()
	})
}
