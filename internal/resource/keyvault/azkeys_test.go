package keyvault_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/azkeys"

	"github.com/wiemu/wiemu/internal/resource/internal/tokentest"
)

func keyClient(t *testing.T, l *lab) *azkeys.Client {
	t.Helper()
	c, err := azkeys.NewClient("https://mykeyvault.vault.azure.net", &credential{t: t, tokens: l.tokens}, &azkeys.ClientOptions{ClientOptions: transport(t, l)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAzkeysLifeOfAKey(t *testing.T) {
	l := newLab(t, everything())
	c, ctx := keyClient(t, l), t.Context()
	first, err := c.CreateKey(ctx, "Sops", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeRSA), Tags: map[string]*string{"team": to.Ptr("blue")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if first.Key.KID.Name() != "Sops" || len(first.Key.KID.Version()) != 32 || len(first.Key.N) != 256 || !bytes.Equal(first.Key.E, []byte{1, 0, 1}) || first.Key.D != nil ||
		len(first.Key.KeyOps) != 6 || !first.Attributes.Created.Equal(tokentest.Start()) || *first.Tags["team"] != "blue" {
		t.Errorf("%+v %+v", first.Key, first.Attributes)
	}
	second_, err := c.RotateKey(ctx, "sops", nil)
	if err != nil {
		t.Fatal(err)
	}
	if second_.Key.KID.Version() == first.Key.KID.Version() || bytes.Equal(second_.Key.N, first.Key.N) || *second_.Tags["team"] != "blue" {
		t.Errorf("a rotated key is a new version with a new key: %v", second_.Key.KID)
	}
	latest, err := c.GetKey(ctx, "sops", "", nil)
	if err != nil || latest.Key.KID.Version() != second_.Key.KID.Version() {
		t.Errorf("%v, %v", latest.Key, err)
	}
	old, err := c.GetKey(ctx, "sops", first.Key.KID.Version(), nil)
	if err != nil || !bytes.Equal(old.Key.N, first.Key.N) {
		t.Errorf("%v", err)
	}
	if _, err := c.UpdateKey(ctx, "sops", first.Key.KID.Version(), azkeys.UpdateKeyParameters{KeyOps: []*azkeys.KeyOperation{to.Ptr(azkeys.KeyOperationDecrypt)}}, nil); err != nil {
		t.Fatal(err)
	}
	if old, err := c.GetKey(ctx, "sops", first.Key.KID.Version(), nil); err != nil || len(old.Key.KeyOps) != 1 {
		t.Errorf("%v, %v", old.Key.KeyOps, err)
	}
	var versions []string
	for pager := c.NewListKeyPropertiesVersionsPager("sops", nil); pager.More(); {
		page, err := pager.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Value {
			versions = append(versions, v.KID.Version())
		}
	}
	if len(versions) != 2 || !slices.IsSorted(versions) {
		t.Errorf("versions %v", versions)
	}

	blob, err := c.BackupKey(ctx, "sops", nil)
	if err != nil {
		t.Fatal(err)
	}
	deleted, err := c.DeleteKey(ctx, "sops", nil)
	if err != nil || deleted.ScheduledPurgeDate.Sub(*deleted.DeletedDate) != 90*24*time.Hour || *deleted.RecoveryID == "" {
		t.Fatalf("%+v, %v", deleted, err)
	}
	expect(t, 404, "KeyNotFound", second(c.GetKey(ctx, "sops", "", nil)))
	expect(t, 409, "Conflict", second(c.CreateKey(ctx, "sops", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeEC)}, nil)))
	expect(t, 409, "Conflict", second(c.RestoreKey(ctx, azkeys.RestoreKeyParameters{KeyBackup: blob.Value}, nil)))
	if gone, err := c.GetDeletedKey(ctx, "sops", nil); err != nil || !bytes.Equal(gone.Key.N, second_.Key.N) {
		t.Errorf("%v", err)
	}
	if back, err := c.RecoverDeletedKey(ctx, "sops", nil); err != nil || !bytes.Equal(back.Key.N, second_.Key.N) {
		t.Fatal(err)
	}
	if _, err := c.DeleteKey(ctx, "sops", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PurgeDeletedKey(ctx, "sops", nil); err != nil {
		t.Fatal(err)
	}
	restored, err := c.RestoreKey(ctx, azkeys.RestoreKeyParameters{KeyBackup: blob.Value}, nil)
	if err != nil || restored.Key.KID.Version() != second_.Key.KID.Version() || !bytes.Equal(restored.Key.N, second_.Key.N) {
		t.Fatalf("%+v, %v", restored.Key, err)
	}
	expect(t, 409, "Conflict", second(c.RestoreKey(ctx, azkeys.RestoreKeyParameters{KeyBackup: blob.Value}, nil)))
	blob.Value[40] ^= 1
	expect(t, 400, "BadParameter", second(c.RestoreKey(ctx, azkeys.RestoreKeyParameters{KeyBackup: blob.Value}, nil)))
}

func TestAzkeysLists(t *testing.T) {
	l := newLab(t, everything())
	c, ctx := keyClient(t, l), t.Context()
	for i := range 60 {
		if _, err := c.CreateKey(ctx, fmt.Sprintf("key-%02d", i), azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeEC)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	found, pages := 0, 0
	for pager := c.NewListKeyPropertiesPager(nil); pager.More(); pages++ {
		page, err := pager.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		found += len(page.Value)
	}
	if found != 60 || pages != 3 {
		t.Errorf("%d keys on %d pages", found, pages)
	}
}

func TestAzkeysEncryptsAndWraps(t *testing.T) {
	l := newLab(t, everything())
	c, ctx := keyClient(t, l), t.Context()
	key, err := c.CreateKey(ctx, "rsa", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeRSA)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	version, plain := key.Key.KID.Version(), []byte("thirty-two bytes of a data key!!")
	for _, algorithm := range []azkeys.EncryptionAlgorithm{azkeys.EncryptionAlgorithmRSA15, azkeys.EncryptionAlgorithmRSAOAEP, azkeys.EncryptionAlgorithmRSAOAEP256} {
		p := azkeys.KeyOperationParameters{Algorithm: to.Ptr(algorithm), Value: plain}
		sealed, err := c.Encrypt(ctx, "rsa", "", p, nil) // of the latest version, by an empty segment
		if err != nil || sealed.KID.Version() != version {
			t.Fatalf("%s: %v", algorithm, err)
		}
		p.Value = sealed.Result
		opened, err := c.Decrypt(ctx, "rsa", version, p, nil)
		if err != nil || !bytes.Equal(opened.Result, plain) {
			t.Errorf("%s: %v", algorithm, err)
		}
		unwrapped, err := c.UnwrapKey(ctx, "rsa", version, p, nil) // wrapping is encrypting
		if err != nil || !bytes.Equal(unwrapped.Result, plain) {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	// What is encrypted with the public part alone, as SDKs do, is decrypted.
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(key.Key.N), E: 65537}
	local, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public, plain, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: local}
	if opened, err := c.Decrypt(ctx, "rsa", version, p, nil); err != nil || !bytes.Equal(opened.Result, plain) {
		t.Error(err)
	}
	// With the latest version in place of the one that encrypted, it is not.
	if _, err := c.RotateKey(ctx, "rsa", nil); err != nil {
		t.Fatal(err)
	}
	expect(t, 400, "BadParameter", second(c.Decrypt(ctx, "rsa", "", p, nil)))
}

func TestAzkeysSigns(t *testing.T) {
	l := newLab(t, everything())
	c, ctx := keyClient(t, l), t.Context()
	sum256, sum384, sum512 := sha256.Sum256([]byte("x")), sha512.Sum384([]byte("x")), sha512.Sum512([]byte("x"))
	digests := map[string][]byte{"256": sum256[:], "384": sum384[:], "512": sum512[:]}
	for curve, size := range map[azkeys.CurveName]string{azkeys.CurveNameP256: "256", azkeys.CurveNameP384: "384", azkeys.CurveNameP521: "512"} {
		key, err := c.CreateKey(ctx, "ec"+size, azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeECHSM), Curve: to.Ptr(curve)}, nil)
		if err != nil || *key.Key.Kty != azkeys.KeyTypeECHSM {
			t.Fatal(err)
		}
		algorithm := azkeys.SignatureAlgorithm("ES" + size)
		signed, err := c.Sign(ctx, "ec"+size, "", azkeys.SignParameters{Algorithm: &algorithm, Value: digests[size]}, nil)
		if err != nil {
			t.Fatal(err)
		}
		half := len(signed.Result) / 2
		on := map[string]elliptic.Curve{"256": elliptic.P256(), "384": elliptic.P384(), "512": elliptic.P521()}[size]
		public, err := ecdsa.ParseUncompressedPublicKey(on, slices.Concat([]byte{4}, key.Key.X, key.Key.Y))
		if err != nil {
			t.Fatal(err)
		}
		if !ecdsa.Verify(public, digests[size], new(big.Int).SetBytes(signed.Result[:half]), new(big.Int).SetBytes(signed.Result[half:])) {
			t.Errorf("%s is not verified with the public part", algorithm)
		}
		verify(t, c, "ec"+size, algorithm, digests[size], signed.Result)
	}
	if _, err := c.CreateKey(ctx, "rsa", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeRSAHSM)}, nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"} {
		algorithm, digest := azkeys.SignatureAlgorithm(name), digests[name[2:]]
		signed, err := c.Sign(ctx, "rsa", "", azkeys.SignParameters{Algorithm: &algorithm, Value: digest}, nil)
		if err != nil {
			t.Fatal(err)
		}
		verify(t, c, "rsa", algorithm, digest, signed.Result)
	}
}

// verify wants a signature to be good, and what was changed not to be.
func verify(t *testing.T, c *azkeys.Client, key string, algorithm azkeys.SignatureAlgorithm, digest, signature []byte) {
	t.Helper()
	p := azkeys.VerifyParameters{Algorithm: &algorithm, Digest: digest, Signature: signature}
	if answer, err := c.Verify(t.Context(), key, "", p, nil); err != nil || !*answer.Value {
		t.Errorf("%s: %v", algorithm, err)
	}
	p.Signature = slices.Clone(signature)
	p.Signature[len(signature)-1] ^= 1
	if answer, err := c.Verify(t.Context(), key, "", p, nil); err != nil || *answer.Value {
		t.Errorf("%s: a changed signature is good: %v", algorithm, err)
	}
}

func TestAzkeysImports(t *testing.T) {
	l := newLab(t, everything())
	c, ctx := keyClient(t, l), t.Context()
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	own.Precompute()
	jwk := &azkeys.JSONWebKey{
		Kty: to.Ptr(azkeys.KeyTypeRSA), N: own.N.Bytes(), E: []byte{1, 0, 1}, D: own.D.Bytes(), P: own.Primes[0].Bytes(), Q: own.Primes[1].Bytes(),
		DP: own.Precomputed.Dp.Bytes(), DQ: own.Precomputed.Dq.Bytes(), QI: own.Precomputed.Qinv.Bytes(),
		KeyOps: []*azkeys.KeyOperation{to.Ptr(azkeys.KeyOperationDecrypt)},
	}
	imported, err := c.ImportKey(ctx, "mine", azkeys.ImportKeyParameters{Key: jwk}, nil)
	if err != nil || !bytes.Equal(imported.Key.N, own.N.Bytes()) || len(imported.Key.KeyOps) != 1 {
		t.Fatalf("%+v, %v", imported.Key, err)
	}
	sealed, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &own.PublicKey, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p := azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP256), Value: sealed}
	if opened, err := c.Decrypt(ctx, "mine", "", p, nil); err != nil || string(opened.Result) != "x" {
		t.Error(err)
	}
	expect(t, 403, "Forbidden", second(c.Encrypt(ctx, "mine", "", p, nil)))
	if e := l.last(); e.Error != "KeyOperationForbidden" || e.Detail["algorithm"] != "RSA-OAEP-256" || e.Detail["key"] != "mine" {
		t.Errorf("%+v", e)
	}
	jwk.D = []byte{3}
	expect(t, 400, "BadParameter", second(c.ImportKey(ctx, "mine", azkeys.ImportKeyParameters{Key: jwk}, nil)))
}

// A key can be used between nbf and exp; what was made before is still read after.
func TestAzkeysDatesAndDisabledKeys(t *testing.T) {
	l := newLab(t, everything())
	c, ctx := keyClient(t, l), t.Context()
	from, until := l.clock.Now().Add(time.Minute), l.clock.Now().Add(2*time.Minute)
	if _, err := c.CreateKey(ctx, "dated", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeRSA), KeyAttributes: &azkeys.KeyAttributes{NotBefore: &from, Expires: &until}}, nil); err != nil {
		t.Fatal(err)
	}
	p := azkeys.KeyOperationParameters{Algorithm: to.Ptr(azkeys.EncryptionAlgorithmRSAOAEP), Value: []byte("x")}
	expect(t, 403, "Forbidden", second(c.Encrypt(ctx, "dated", "", p, nil)))
	if err := l.clock.Advance(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	sealed, err := c.Encrypt(ctx, "dated", "", p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.clock.Advance(ctx, time.Minute); err != nil {
		t.Fatal(err)
	}
	expect(t, 403, "Forbidden", second(c.WrapKey(ctx, "dated", "", p, nil)))
	p.Value = sealed.Result
	if _, err := c.Decrypt(ctx, "dated", "", p, nil); err != nil {
		t.Error(err)
	}
	if _, err := c.UpdateKey(ctx, "dated", "", azkeys.UpdateKeyParameters{KeyAttributes: &azkeys.KeyAttributes{Enabled: to.Ptr(false)}}, nil); err != nil {
		t.Fatal(err)
	}
	expect(t, 403, "Forbidden", second(c.Decrypt(ctx, "dated", "", p, nil)))
	if e := l.last(); e.Error != "KeyDisabled" || e.Message != "Operation decrypt is not allowed on a disabled key." {
		t.Errorf("%+v", e)
	}
	if got, err := c.GetKey(ctx, "dated", "", nil); err != nil || *got.Attributes.Enabled {
		t.Errorf("the public part of a disabled key is shown: %v", err)
	}
}

func TestAzkeysRotatesByPolicy(t *testing.T) {
	l := newLab(t, everything())
	c, ctx := keyClient(t, l), t.Context()
	first, err := c.CreateKey(ctx, "rotated", azkeys.CreateKeyParameters{Kty: to.Ptr(azkeys.KeyTypeEC)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	standard, err := c.GetKeyRotationPolicy(ctx, "rotated", nil)
	if err != nil || len(standard.LifetimeActions) != 1 || *standard.LifetimeActions[0].Action.Type != azkeys.KeyRotationPolicyActionNotify {
		t.Errorf("%+v, %v", standard, err)
	}
	set, err := c.UpdateKeyRotationPolicy(ctx, "rotated", azkeys.KeyRotationPolicy{
		Attributes:      &azkeys.KeyRotationPolicyAttributes{ExpiryTime: to.Ptr("P90D")},
		LifetimeActions: []*azkeys.LifetimeAction{{Action: &azkeys.LifetimeActionType{Type: to.Ptr(azkeys.KeyRotationPolicyActionRotate)}, Trigger: &azkeys.LifetimeActionTrigger{TimeAfterCreate: to.Ptr("P30D")}}},
	}, nil)
	if err != nil || *set.Attributes.ExpiryTime != "P90D" {
		t.Fatalf("%+v, %v", set, err)
	}
	for days := range 3 {
		if err := l.clock.Advance(ctx, 30*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		c = keyClient(t, l) // with a token of today
		latest, err := c.GetKey(ctx, "rotated", "", nil)
		due := tokentest.Start().AddDate(0, 0, 30*(days+1))
		if err != nil || latest.Key.KID.Version() == first.Key.KID.Version() || !latest.Attributes.Created.Equal(due) || !latest.Attributes.Expires.Equal(due.AddDate(0, 0, 90)) {
			t.Fatalf("after %d days: %+v, %v", 30*(days+1), latest.Attributes, err)
		}
		first.KeyBundle = latest.KeyBundle
	}
}
