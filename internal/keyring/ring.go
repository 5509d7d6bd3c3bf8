// Package keyring holds the keys that issuers and Entra ID sign with, and rotates them.
// Every key passes through the same stages, published → signing → retired → removed, on
// a schedule of lab time or on demand; keys come from a [Pool], which generates them in
// advance. The caller decides on the ids of keys and on what tokens say.
package keyring

import (
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/journals"
)

// Stage is a stage of a key's rotation.
type Stage string

// The stages, in the order in which a key goes through them.
const (
	Published Stage = "published" // in the JWKS, so that verifiers learn it; signs nothing yet
	Signing   Stage = "signing"   // signs everything; one key of a ring at a time
	Retired   Stage = "retired"   // still in the JWKS, for the tokens that it signed
	Removed   Stage = "removed"   // out of the JWKS: its tokens fail where the JWKS was fetched since
)

// Key is a key and its stage. Times are lab time, zero while the
// stage has not been reached (or was skipped).
type Key struct {
	ID          string        // kid
	Private     crypto.Signer // an *rsa.PrivateKey, or an *ecdsa.PrivateKey on P-256; shared, never changed; nil once removed
	Certificate []byte        // DER; nil unless the ring's Identify makes one
	Stage       Stage

	// PublishedAt is zero, too, for a key that signs although it is not in the
	// JWKS: see fault.SignBeforePublish.
	PublishedAt, SigningAt, RetiredAt, RemovedAt time.Time

	removeAt time.Time // when a retired key is to be removed; if zero, on demand only
	der      []byte    // Private as it is stored, once it was; encoding it takes a millisecond
	ordinal  int       // within the ring; ids may come twice: see fault.KidReused
}

// Options describes a ring. Name and Identify are required.
type Options struct {
	Name   string // in journal events and errors
	Issuer string // the issuer of the tokens that the keys sign, for journal events; may be ""

	// Identify names a key and may make a certificate (DER) for it.
	Identify func(crypto.Signer) (id string, certificate []byte, err error)

	Algorithm string // what keys sign with: RS256, or ES256, which Entra ID refuses. defaults to RS256

	RotateEvery  time.Duration // how long a key signs; if 0, until Rotate is called
	PublishAhead time.Duration // the next key is published this long before it signs; at most RotateEvery
	RetireAfter  time.Duration // how long a retired key stays in the JWKS; if 0, until Remove is called

	Journal *journals.Journal
	Faults  *faults.Set // of rotations; if nil, there are none

	State   *State            // a stored ring to continue; if nil, the ring is new
	Persist func(State) error // stores the ring before each change, which is made if it returns nil; if nil, nothing is stored

	// Shared is the ring's only key, which a party that learns of no other has, too:
	// the ring never changes. If nil, keys come from the pool.
	Shared crypto.Signer
}

// Ring is a set of keys of which one signs. It is safe for concurrent use;
// reading and signing never wait for a change that is under way.
type Ring struct {
	clock clock.Clock
	pool  *Pool
	opts  Options

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	keys atomic.Pointer[[]Key] // in the order of their appearance; replaced, never changed

	signSlots chan struct{} // to sign; as many as there are processors

	change      sync.Mutex // one change at a time; guards timers
	next        clock.Timer
	removals    map[int]clock.Timer        // retired keys on their way out, by ordinal
	unpublished map[int]delayedPublication // keys that sign unpublished, by ordinal
	unwatch     func()                     // stops watching the faults
}

// New makes a ring. Its first key, taken from pool, signs at once. Close it.
func New(ctx context.Context, clk clock.Clock, pool *Pool, opts Options) (*Ring, error) {
	switch {
	case opts.Name == "":
		return nil, errors.New("key ring: it has no name")
	case opts.Identify == nil:
		return nil, fmt.Errorf("key ring %s: Identify is missing", opts.Name)
	case opts.Algorithm != "" && !slices.Contains(Algorithms(), opts.Algorithm):
		return nil, fmt.Errorf("key ring %s: algorithm %q: expected one of %s", opts.Name, opts.Algorithm, strings.Join(Algorithms(), ", "))
	case opts.RotateEvery < 0 || opts.PublishAhead < 0 || opts.RetireAfter < 0:
		return nil, fmt.Errorf("key ring %s: its schedule has a negative duration", opts.Name)
	case opts.RotateEvery > 0 && opts.PublishAhead > opts.RotateEvery:
		return nil, fmt.Errorf("key ring %s: a key would be published %v before it signs although keys sign for %v only; publish at most that long ahead", opts.Name, opts.PublishAhead, opts.RotateEvery)
	case opts.Shared != nil && opts.RotateEvery > 0:
		return nil, fmt.Errorf("key ring %s: it is to rotate every %v: %w", opts.Name, opts.RotateEvery, errShared)
	}
	r := &Ring{clock: clk, pool: pool, opts: opts, removals: map[int]clock.Timer{}, unpublished: map[int]delayedPublication{}, signSlots: make(chan struct{}, runtime.GOMAXPROCS(0))}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.keys.Store(new([]Key))

	r.change.Lock()
	defer r.change.Unlock()
	if err := r.loadKeys(ctx); err != nil {
		r.cancel()
		return nil, err
	}
	r.plan()
	r.unwatch = opts.Faults.Watch(faultkind.AtRotation, r.subject(), r.publishAfterFault)
	return r, nil
}

// loadKeys loads the stored keys, or takes one that signs at once.
func (r *Ring) loadKeys(ctx context.Context) error {
	var key Key
	var err error
	switch {
	case r.opts.Shared != nil:
		key, err = r.newKey(r.opts.Shared)
	case r.opts.State != nil:
		return r.restore(*r.opts.State)
	default:
		key, err = r.take(ctx)
	}
	if err != nil {
		return err
	}
	key.Stage, key.SigningAt = Signing, key.PublishedAt
	return r.store(key)
}

// Signing returns the key that signs.
func (r *Ring) Signing() Key {
	return signing(*r.keys.Load())
}

// Published returns what belongs in the JWKS: the key that signs, then those
// that will, in the order in which they were published, then the retired ones,
// newest first. A key that signs unpublished is not among them.
func (r *Ring) Published() []Key {
	all := *r.keys.Load()
	published := make([]Key, 0, len(all))
	add := func(k Key, stage Stage) {
		if k.Stage == stage && !k.PublishedAt.IsZero() {
			published = append(published, k)
		}
	}
	add(signing(all), Signing)
	for _, k := range all {
		add(k, Published)
	}
	for _, k := range slices.Backward(all) {
		add(k, Retired)
	}
	return published
}

// Key returns the key with an id if it belongs in the JWKS.
func (r *Ring) Key(id string) (Key, bool) {
	for _, k := range *r.keys.Load() {
		if k.ID == id && k.Stage != Removed && !k.PublishedAt.IsZero() {
			return k, true
		}
	}
	return Key{}, false
}

// Find returns the oldest key of the JWKS that is retired, published or signing, as
// which says, or the one with that id; "": retired.
func (r *Ring) Find(which string) (Key, error) {
	stage := cmp.Or(Stage(which), Retired)
	var found *Key
	var known []string
	for _, k := range r.Published() {
		if (k.Stage == stage || k.ID == which) && (found == nil || k.ordinal < found.ordinal) {
			found = &k
		}
		known = append(known, fmt.Sprintf("%s (%s)", k.ID, k.Stage))
	}
	if found == nil {
		return Key{}, fmt.Errorf("key ring %s: expected a key that is %s, found %s", r.opts.Name, stage, cmp.Or(strings.Join(known, ", "), "none"))
	}
	return *found, nil
}

// Usable returns the keys that the ring's owner still verifies signatures with: those
// that Published returns, and one that signs unpublished.
func (r *Ring) Usable() []Key {
	usable := r.Published()
	for _, k := range *r.keys.Load() {
		if k.Stage != Removed && k.PublishedAt.IsZero() {
			usable = append(usable, k)
		}
	}
	return usable
}

// Keys returns the keys that the ring has had, oldest first; removed ones without
// their private part, and of many the last hundred and those that tokens may need.
func (r *Ring) Keys() []Key { return slices.Clone(*r.keys.Load()) }

// Sign signs payload with the signing key, by exactly one signature of its
// algorithm, and returns the compact JWS (RFC 7515 §7.1) and the key. header returns the JOSE header, JSON, for that
// key. Its bytes are signed as they are: go-jose sorts a header's names, and
// Entra ID does not.
func (r *Ring) Sign(header func(Key) string, payload []byte) (compact string, key Key, err error) {
	key = r.Signing()
	text := header(key)
	encoding := base64.RawURLEncoding
	size := encoding.EncodedLen(len(text)) + 1 + encoding.EncodedLen(len(payload))
	token := make([]byte, 0, size+1+encoding.EncodedLen(bits/8))
	token = encoding.AppendEncode(token, []byte(text))
	token = append(token, '.')
	token = encoding.AppendEncode(token, payload)
	digest := sha256.Sum256(token)
	// A signature is the longest thing that a server does at a stretch. Whoever
	// asks first signs first, and before and after it others get the processor:
	// without this, with as many connections as keep it busy, one request in a
	// hundred waited for 50 ms.
	r.signSlots <- struct{}{}
	runtime.Gosched()
	signature, err := sign(key.Private, digest[:])
	<-r.signSlots
	if err != nil {
		return "", Key{}, fmt.Errorf("key ring %s: sign with %s: %w", r.opts.Name, key.ID, err)
	}
	runtime.Gosched()
	token = append(token, '.')
	return string(encoding.AppendEncode(token, signature)), key, nil
}

// signing finds the key that signs; there is always one.
func signing(keys []Key) Key {
	return keys[slices.IndexFunc(keys, func(k Key) bool { return k.Stage == Signing })]
}
