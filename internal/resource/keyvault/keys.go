package keyvault

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wiemu/wiemu/internal/resource"
)

// keyVersion is one version of a key.
type keyVersion struct {
	properties
	kty        string // RSA, EC, and both with -HSM, which are software keys here
	kind       keyKind
	private    privateKey
	operations []string
	managed    bool            // it belongs to a certificate
	policy     *rotationPolicy // of the key; the latest version has it. nil for the default
}

// keys is what is done alike for all kinds.
func keys() kind[*keyVersion] {
	return kind[*keyVersion]{
		noun:    "Key",
		managed: func(n *keyVersion) bool { return n.managed },
		of:      func(v *vault) collection[*keyVersion] { return v.keys },
		describe: func(c *call, o *object[*keyVersion], n *keyVersion, as form) any {
			kid, said := c.base()+"/keys/"+o.name, o.binned(c, "keys")
			if as != inList {
				kid += "/" + n.id
			}
			if as == whole {
				return keyBundle{said, n.public(kid), n.tail()}
			}
			return keyItem{said, kid, n.tail()}
		},
	}
}

// keyBundle is a key as it is sent, in the order of Key Vault's answers. Seen:
// azure-sdk-for-js and azure-sdk-for-python recordings, 2020 to 2022.
type keyBundle struct {
	binned
	Key publicKey `json:"key"`
	keyTail
}

// keyItem is a key in a list.
type keyItem struct {
	binned
	KeyID string `json:"kid"`
	keyTail
}

type keyTail struct {
	Attributes bundleAttributes  `json:"attributes"`
	Tags       map[string]string `json:"tags,omitempty"`
	Managed    bool              `json:"managed,omitempty"`
}

func (n *keyVersion) tail() keyTail { return keyTail{n.attributes(), n.tags, n.managed} }

// The operations that keys have, in the order in which Key Vault lists them. Seen:
// azure-sdk-for-js recordings.
func defaultOperations(kty string) []string {
	if strings.HasPrefix(kty, "EC") {
		return []string{"sign", "verify"}
	}
	return []string{"encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"}
}

// keyParameters are what clients send to create, import and update keys.
type keyParameters struct {
	described
	Type       string         `json:"kty"`
	Size       int            `json:"key_size"`
	Curve      string         `json:"crv"`
	Exponent   int            `json:"public_exponent"`
	Operations *[]string      `json:"key_ops"`
	Key        jsonWebKey     `json:"key"`
	Release    map[string]any `json:"release_policy"`
}

func (c *call) createKey(p keyParameters) (int, any, *resource.Failure) {
	kind, failed := newKeyKind(p.Type, p.Size, p.Curve, p.Exponent)
	if failed != nil {
		return 0, nil, failed
	}
	operations, failed := p.operations(p.Type)
	if failed != nil {
		return 0, nil, failed
	}
	private := c.service.generate(kind)
	_ = private() // now, while no lock is held
	return c.storeKey(&keyVersion{kty: p.Type, kind: kind, private: private, operations: operations}, p)
}

func (c *call) importKey(p keyParameters) (int, any, *resource.Failure) {
	private, kty, failed := p.Key.private()
	if failed != nil {
		return 0, nil, failed
	}
	if p.Operations == nil {
		p.Operations = p.Key.Operations // where REST has them; see the reference of importKey
	}
	operations, failed := p.operations(kty)
	if failed != nil {
		return 0, nil, failed
	}
	return c.storeKey(&keyVersion{kty: kty, kind: kindOf(private), private: ready(private), operations: operations}, p)
}

// validate refuses what only managed HSM, or a vault with exportable keys, can do.
func (p keyParameters) validate() *resource.Failure {
	if p.Release != nil {
		return notEmulated("keys that can be released", "Create the key without a release policy.")
	}
	return nil
}

// operations are those of key_ops, or all of the type.
func (p keyParameters) operations(kty string) ([]string, *resource.Failure) {
	possible := defaultOperations(kty)
	if p.Operations == nil {
		return possible, nil
	}
	known := append(defaultOperations("RSA"), "import")
	for _, op := range *p.Operations {
		switch {
		case op == "export":
			return nil, notEmulated("keys that can be exported", "Leave export out of key_ops.")
		case !slices.Contains(known, op):
			return nil, badParameter("Key operation '%s' is not known: expected %s.", op, strings.Join(known, ", "))
		}
	}
	return slices.Clone(*p.Operations), nil
}

func (c *call) storeKey(n *keyVersion, p keyParameters) (int, any, *resource.Failure) {
	v := c.vault
	v.mu.Lock()
	defer v.mu.Unlock()
	if failed := c.room(1); failed != nil {
		return 0, nil, failed
	}
	if failed := keys().vacate(c, c.name); failed != nil {
		return 0, nil, failed
	}
	if _, before, ok := v.keys.find(c.name, ""); ok {
		if before.managed {
			return 0, nil, managed("Key", c.name)
		}
		n.policy = before.policy
	}
	n.properties = properties{enabled: true, created: c.now}
	n.change(p.Attributes, p.Tags, c.now)
	n.policy.date(n)
	return http.StatusOK, keys().describe(c, v.addKey(c.name, n), n, whole), nil
}

// addKey makes n the latest version; v.mu is held.
func (v *vault) addKey(name string, n *keyVersion) *object[*keyVersion] {
	n.id = v.mint(name)
	v.made++
	return v.keys.add(name, n)
}

// room refuses more versions of keys and certificates than a vault takes; the vault is
// locked.
func (c *call) room(more int) *resource.Failure {
	if c.vault.made+more <= maxMade {
		return nil
	}
	return notEmulated(fmt.Sprintf("vaults with more than %d versions of keys and certificates", maxMade), "Use several vaults, or fewer versions.")
}

func (c *call) updateKey(p keyParameters) (int, any, *resource.Failure) {
	o, n, failed := keys().find(c, c.name, c.id)
	if failed != nil {
		return 0, nil, failed
	}
	if p.Operations != nil {
		operations, failed := p.operations(n.kty)
		if failed != nil {
			return 0, nil, failed
		}
		n.operations = operations
	}
	n.change(p.Attributes, p.Tags, c.now)
	return http.StatusOK, keys().describe(c, o, n, whole), nil
}

// rotateKey makes a new version like the latest.
func (c *call) rotateKey() (int, any, *resource.Failure) {
	c.vault.mu.RLock()
	_, latest, failed := keys().find(c, c.name, "")
	c.vault.mu.RUnlock()
	if failed != nil {
		return 0, nil, failed
	}
	if latest.managed {
		return 0, nil, managed("Key", c.name)
	}
	private := c.service.generate(latest.kind)
	_ = private() // now, while no lock is held
	c.vault.mu.Lock()
	defer c.vault.mu.Unlock()
	if _, _, failed := keys().find(c, c.name, ""); failed != nil { // it was deleted meanwhile
		return 0, nil, failed
	}
	if failed := c.room(1); failed != nil {
		return 0, nil, failed
	}
	o, n := c.vault.rotate(c.name, private, c.now)
	return http.StatusOK, keys().describe(c, o, n, whole), nil
}

// rotate adds a version like the latest, which begins at the given time; v.mu is held.
func (v *vault) rotate(name string, private privateKey, at time.Time) (*object[*keyVersion], *keyVersion) {
	_, latest, _ := v.keys.find(name, "")
	n := &keyVersion{
		kty: latest.kty, kind: latest.kind, private: private, operations: latest.operations, policy: latest.policy,
		properties: properties{enabled: true, tags: latest.tags, created: at, updated: at},
	}
	n.policy.date(n)
	return v.addKey(name, n), n
}

func (c *call) releaseKey() (int, any, *resource.Failure) {
	return 0, nil, notEmulated("the release of keys", "Use encrypt, wrapKey or sign, for which the key stays in the vault.")
}

// keyKind is what a key is generated as: RSA of a size, or EC on a curve.
type keyKind struct {
	bits  int
	curve elliptic.Curve
}

// newKeyKind reads what a client asks for; sizes and curves are those of Key Vault's
// documentation of keys.
func newKeyKind(kty string, bits int, curve string, exponent int) (keyKind, *resource.Failure) {
	switch kty {
	case "RSA", "RSA-HSM":
		bits = cmp.Or(bits, 2048)
		if !slices.Contains(rsaSizes(), bits) {
			return keyKind{}, badParameter("The 'key_size' property is %d; an RSA key has 2048, 3072 or 4096 bits.", bits)
		}
		if exponent != 0 && exponent != 65537 {
			return keyKind{}, managedHSMOnly("public_exponent")
		}
		return keyKind{bits: bits}, nil
	case "EC", "EC-HSM":
		curve = cmp.Or(curve, "P-256")
		on, failed := curveOf(curve)
		return keyKind{curve: on}, failed
	case "":
		return keyKind{}, badParameter("Property 'kty' is required.\r\n")
	case "oct", "oct-HSM", "OKP", "OKP-HSM":
		return keyKind{}, managedHSMOnly(kty)
	default:
		return keyKind{}, badParameter("The 'kty' property is '%s'; expected RSA, RSA-HSM, EC or EC-HSM.", kty)
	}
}

func rsaSizes() []int { return []int{2048, 3072, 4096} }

func curveOf(name string) (elliptic.Curve, *resource.Failure) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if curve.Params().Name == name {
			return curve, nil
		}
	}
	if name == "P-256K" || name == "SECP256K1" {
		return nil, notEmulated("the curve P-256K", "Use P-256, P-384 or P-521.")
	}
	return nil, badParameter("The 'crv' property is '%s'; expected P-256, P-384, P-521 or P-256K.", name)
}

func kindOf(private crypto.Signer) keyKind {
	if key, ok := private.(*rsa.PrivateKey); ok {
		return keyKind{bits: key.N.BitLen()}
	}
	return keyKind{curve: private.(*ecdsa.PrivateKey).Curve}
}

// privateKey returns a key, which may be made when it is asked for the first time.
type privateKey func() crypto.Signer

func ready(key crypto.Signer) privateKey { return func() crypto.Signer { return key } }

// generate returns a key that is made when it is first needed: making an RSA key costs as
// much as 35 to 100 signatures. Those of 2048 bits come from the lab's pool.
func (s *Service) generate(kind keyKind) privateKey {
	return sync.OnceValue(func() crypto.Signer {
		if kind.curve != nil {
			key, _ := ecdsa.GenerateKey(kind.curve, rand.Reader) // it never fails: nor does the randomness
			return key
		}
		if kind.bits == 2048 && s.kit.Keys != nil {
			if key, err := s.kit.Keys.Take(context.Background()); err == nil {
				return key
			}
		}
		key, _ := rsa.GenerateKey(rand.Reader, kind.bits)
		return key
	})
}

// managedHSMOnly refuses what a vault cannot do and a managed HSM can. The words are
// inferred.
func managedHSMOnly(what string) *resource.Failure {
	return resource.Fail(http.StatusBadRequest, "BadParameter", fmt.Sprintf("'%s' is not supported by vaults.", what),
		"Azure has this in managed HSMs only, which are no vaults.", "Use RSA or EC keys, and what vaults do with them.")
}

// managed refuses to change a certificate's key or secret by itself. The words are
// inferred.
func managed(noun, name string) *resource.Failure {
	return resource.Fail(http.StatusForbidden, "Forbidden", noun+" "+name+" is managed by a certificate.",
		"The "+strings.ToLower(noun)+" belongs to a certificate, with which alone it changes.", "Create, import or delete the certificate.")
}
