package keyring

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/wiemu/wiemu/internal/faults"
)

// State is a ring as it is stored, private keys included.
type State struct {
	Keys []KeyState `json:"keys"` // oldest first, as Ring.Keys has them
}

// KeyState is a key as a value; see [Key].
type KeyState struct {
	ID          string    `json:"kid"`
	Stage       Stage     `json:"stage"`
	Private     []byte    `json:"private,omitempty"`     // PKCS #8; removed keys have none
	Certificate []byte    `json:"certificate,omitempty"` // DER
	PublishedAt time.Time `json:"publishedAt,omitzero"`
	SigningAt   time.Time `json:"signingAt,omitzero"`
	RetiredAt   time.Time `json:"retiredAt,omitzero"`
	RemovedAt   time.Time `json:"removedAt,omitzero"`
	RemoveAt    time.Time `json:"leavesAt,omitzero"` // when a retired key is to be removed; zero: not by itself
}

func stateOf(keys []Key) (State, error) {
	var s State
	for i := range keys {
		k := &keys[i]
		kept := KeyState{
			ID: k.ID, Stage: k.Stage, Certificate: k.Certificate,
			PublishedAt: k.PublishedAt, SigningAt: k.SigningAt, RetiredAt: k.RetiredAt, RemovedAt: k.RemovedAt, RemoveAt: k.removeAt,
		}
		if k.Private != nil {
			if k.der == nil {
				der, err := x509.MarshalPKCS8PrivateKey(k.Private)
				if err != nil {
					return State{}, fmt.Errorf("encode key %s: %w", k.ID, err)
				}
				k.der = der
			}
			kept.Private = k.der
		}
		s.Keys = append(s.Keys, kept)
	}
	return s, nil
}

// Check reports whether a ring can go on from the state. Its error names the field.
func (s State) Check() error {
	_, err := s.keys()
	return err
}

// keys reads a state. Its error names the field.
func (s State) keys() ([]Key, error) {
	var keys []Key
	signing := 0
	for n, kept := range s.Keys {
		k, err := kept.key()
		if err != nil {
			return nil, fmt.Errorf("keys[%d].%w", n, err)
		}
		k.ordinal = n
		if k.Stage == Signing {
			signing++
		}
		keys = append(keys, k)
	}
	if signing != 1 {
		return nil, fmt.Errorf("keys: expected one whose stage is %s, found %d", Signing, signing)
	}
	return keys, nil
}

func (s KeyState) key() (Key, error) {
	k := Key{
		ID: s.ID, Stage: s.Stage, Certificate: s.Certificate,
		PublishedAt: s.PublishedAt, SigningAt: s.SigningAt, RetiredAt: s.RetiredAt, RemovedAt: s.RemovedAt, removeAt: s.RemoveAt,
	}
	if k.ID == "" {
		return Key{}, fmt.Errorf("kid: expected a key id, found nothing")
	}
	if !slices.Contains([]Stage{Published, Signing, Retired, Removed}, k.Stage) {
		return Key{}, fmt.Errorf("stage: expected %s, %s, %s or %s, found %q", Published, Signing, Retired, Removed, k.Stage)
	}
	if k.Stage == Removed {
		return k, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(s.Private)
	if err != nil {
		return Key{}, fmt.Errorf("private: expected a PKCS #8 private key: %w", err)
	}
	switch private := parsed.(type) {
	case *rsa.PrivateKey:
		if private.N.BitLen() != bits {
			return Key{}, fmt.Errorf("private: expected an RSA key of %d bits, found one of %d", bits, private.N.BitLen())
		}
		k.Private = private
	case *ecdsa.PrivateKey:
		if private.Curve != elliptic.P256() {
			return Key{}, fmt.Errorf("private: expected an EC key on P-256, found one on %s", private.Params().Name)
		}
		k.Private = private
	default:
		return Key{}, fmt.Errorf("private: expected an RSA or EC key, found a %T", parsed)
	}
	return k, nil
}

// restore makes the ring what it was. Keys that should have left meanwhile leave
// as soon as the clock lets them. Whatever kept a key out of the JWKS did not
// outlive the process, so it is published now.
func (r *Ring) restore(s State) error {
	keys, err := s.keys()
	if err != nil {
		return fmt.Errorf("key ring %s: %w", r.opts.Name, err)
	}
	r.keys.Store(&keys)
	for _, k := range keys {
		if k.Stage == Retired {
			r.scheduleRemoval(k)
		}
		if k.Stage == Removed || !k.PublishedAt.IsZero() {
			continue
		}
		k.PublishedAt = r.clock.Now()
		if err := r.store(k); err != nil {
			return err
		}
		r.record(k, "", fmt.Sprintf("key %s of %s is published, %v after it began to sign", k.ID, r.opts.Name, k.PublishedAt.Sub(k.SigningAt).Round(time.Second)), map[string]string{"jwks": "with it"}, faults.Hit{})
	}
	return nil
}
