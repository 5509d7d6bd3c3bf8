package keyvault

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/resource"
)

// backup is what the blob of a key has: all versions with their private parts. It is
// encrypted, as Key Vault's is, with a key of this lab, so that no program can take keys
// out of a vault. A blob can be restored in the same lab and tenant.
type backup struct {
	Tenant   string          `json:"tenant"`
	Name     string          `json:"name"`
	Policy   *policyBundle   `json:"policy,omitempty"`
	Versions []backedVersion `json:"versions"`
}

type backedVersion struct {
	ID         string            `json:"id"`
	Type       string            `json:"kty"`
	Private    []byte            `json:"private"` // PKCS#8
	Operations []string          `json:"key_ops"`
	Tags       map[string]string `json:"tags,omitempty"`
	Attributes bundleAttributes  `json:"attributes"`
}

type backupParameters struct {
	Value *string `json:"value"`
}

// maxBackedUp is how many versions a backup has. Source: azure-docs, key-vault/general/backup.md:
// no backup "of more than 500 past versions". That the latest counts, too, is inferred.
const maxBackedUp = 500

func (c *call) backupKey() (int, any, *resource.Failure) {
	o, latest, failed := keys().find(c, c.name, "")
	switch {
	case failed != nil:
		return 0, nil, failed
	case latest.managed:
		return 0, nil, managed("Key", c.name)
	case len(o.versions) > maxBackedUp:
		return 0, nil, badParameter("Key %s has %d versions; a key with more than %d cannot be backed up.", o.name, len(o.versions), maxBackedUp)
	}
	b := backup{Tenant: c.tenant, Name: o.name}
	if latest.policy != nil {
		b.Policy = new(latest.policy.describe(""))
	}
	for _, n := range o.versions {
		der, err := x509.MarshalPKCS8PrivateKey(n.private())
		if err != nil {
			return 0, nil, incorrect("The key cannot be written: " + err.Error())
		}
		b.Versions = append(b.Versions, backedVersion{n.id, n.kty, der, n.operations, n.tags, n.attributes()})
	}
	plain, err := json.Marshal(b)
	if err != nil {
		return 0, nil, incorrect("The key cannot be written: " + err.Error())
	}
	nonce := make([]byte, c.service.blobs.NonceSize())
	_, _ = rand.Read(nonce) // it never fails
	sealed := c.service.blobs.Seal(nonce, nonce, plain, nil)
	return http.StatusOK, map[string]string{"value": base64.RawURLEncoding.EncodeToString(sealed)}, nil
}

// newBlobCipher is what the backups of a lab are encrypted with.
func newBlobCipher() cipher.AEAD {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // it never fails
	key := sha256.Sum256(secret[:])
	block, _ := aes.NewCipher(key[:]) // its size is right
	sealer, _ := cipher.NewGCM(block)
	return sealer
}

func (c *call) restoreKey(p backupParameters) (int, any, *resource.Failure) {
	if p.Value == nil {
		return 0, nil, badParameter("Property 'value' is required.\r\n")
	}
	b, versions, failed := c.openBackup(*p.Value)
	if failed != nil {
		return 0, nil, failed
	}
	c.name = b.Name
	v := c.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	if failed := c.room(len(versions)); failed != nil {
		return 0, nil, failed
	}
	if failed := keys().vacate(c, b.Name); failed != nil {
		return 0, nil, failed
	}
	if _, _, ok := v.keys.find(b.Name, ""); ok {
		return 0, nil, alreadyThere(b.Name)
	}
	v.rotating[strings.ToLower(b.Name)] = true
	var o *object[*keyVersion]
	for _, n := range versions {
		v.made++
		o = v.keys.add(b.Name, n)
	}
	return http.StatusOK, keys().describe(c, o, o.latest(), whole), nil
}

func (c *call) openBackup(value string) (backup, []*keyVersion, *resource.Failure) {
	const other = "The backup was made in another lab, or was changed. A blob of Azure's cannot be restored here, nor one of a lab that has ended."
	var b backup
	sealed, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
	size := c.service.blobs.NonceSize()
	if err != nil || len(sealed) < size {
		return b, nil, incorrect(other)
	}
	plain, err := c.service.blobs.Open(nil, sealed[:size], sealed[size:], nil)
	if err != nil || json.Unmarshal(plain, &b) != nil || len(b.Versions) == 0 {
		return b, nil, incorrect(other)
	}
	if b.Tenant != c.tenant {
		return b, nil, incorrect("The backup was made in a vault of another tenant.")
	}
	versions := make([]*keyVersion, len(b.Versions))
	for i, old := range b.Versions {
		private, err := x509.ParsePKCS8PrivateKey(old.Private)
		signer, ok := private.(crypto.Signer)
		if err != nil || !ok {
			return b, nil, incorrect(other)
		}
		a := old.Attributes
		versions[i] = &keyVersion{kty: old.Type, kind: kindOf(signer), private: ready(signer), operations: slices.Clone(old.Operations), properties: properties{
			id: old.ID, tags: old.Tags, enabled: a.Enabled, notBefore: a.NotBefore, expires: a.Expires,
			created: time.Unix(a.Created, 0).UTC(), updated: time.Unix(a.Updated, 0).UTC(),
		}}
	}
	if b.Policy != nil {
		a := b.Policy.Attributes
		versions[len(versions)-1].policy = &rotationPolicy{b.Policy.Actions, a.Expiry, time.Unix(a.Created, 0).UTC(), time.Unix(a.Updated, 0).UTC()}
	}
	return b, versions, nil
}

// alreadyThere refuses to restore over a key. The words are inferred.
func alreadyThere(name string) *resource.Failure {
	return resource.Fail(http.StatusConflict, "Conflict", "A key with the name "+name+" already exists in this key vault.",
		"A backup is restored under the name that the key had.", "Delete and purge the key first, or restore it in another vault.")
}
