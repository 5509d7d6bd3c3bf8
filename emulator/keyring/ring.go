// Package keyring keeps the keys that issuers and Entra ID sign with. Every key
// lives through the same stages, published → signing → retired → removed, on a
// schedule of lab time or on demand; keys come from a [Pool] that makes them
// ahead. What a key's id is and what a token says is decided by its user.
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
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
)

// Stage is a part of a key's life.
type Stage string

// The stages, in the order in which a key goes through them.
const (
	Published Stage = "published" // in the JWKS, so that verifiers learn it; signs nothing yet
	Signing   Stage = "signing"   // signs everything; one key of a ring at a time
	Retired   Stage = "retired"   // still in the JWKS, for the tokens that it signed
	Removed   Stage = "removed"   // out of the JWKS: its tokens fail where the JWKS was fetched since
)

// Key is a key and where it is in its life. Times are lab time, zero while the
// stage has not been reached (or was skipped).
type Key struct {
	ID          string        // kid
	Private     crypto.Signer // an *rsa.PrivateKey, or an *ecdsa.PrivateKey on P-256; shared, never changed; nil once removed
	Certificate []byte        // DER; nil unless the ring's Identify makes one
	Stage       Stage

	// PublishedAt is zero, too, for a key that signs although it is not in the
	// JWKS: see fault.SignBeforePublish.
	PublishedAt, SigningAt, RetiredAt, RemovedAt time.Time

	leavesAt time.Time // when a retired key is to be removed; zero: not by itself
	der      []byte    // Private as it is kept, once it was; encoding it takes a millisecond
	ordinal  int       // within the ring; ids may come twice: see fault.KidReused
}

// Options describes a ring. Name and Identify are required.
type Options struct {
	Name   string // in journal events and errors
	Issuer string // whose tokens the keys sign, for journal events; may be ""

	// Identify names a key and may make a certificate (DER) for it.
	Identify func(crypto.Signer) (id string, certificate []byte, err error)

	Algorithm string // what keys sign with: RS256, or ES256, which Entra ID refuses. "": RS256

	RotateEvery  time.Duration // a key signs this long; 0: until Rotate is called
	PublishAhead time.Duration // the next key is published this long before it signs; at most RotateEvery
	RetireAfter  time.Duration // a retired key stays in the JWKS this long; 0: until Remove is called

	Journal *journal.Journal
	Faults  *fault.Set // what goes wrong when keys change; nil: nothing

	State *State            // how the ring was when it was kept; nil: a new one
	Keep  func(State) error // is told of every change, and the change is made if it returns nil; nil: nothing is kept

	// Shared is the ring's only key, which somebody else has, too, who will not
	// learn of another: the ring does not change. nil: keys come from the pool.
	Shared crypto.Signer
}

// Ring is a set of keys of which one signs. It is safe for concurrent use;
// reading and signing never wait for a change that is under way.
type Ring struct {
	clock clock.Clock
	pool  *Pool
	opts  Options

	life context.Context // ends with Close
	end  context.CancelFunc

	keys atomic.Pointer[[]Key] // in the order of their appearance; replaced, never changed

	turns chan struct{} // to sign; as many as there are processors

	change sync.Mutex // one change at a time; guards timers
	next   clock.Timer
	leave  map[int]clock.Timer // retired keys on their way out, by ordinal
	show   map[int]shown       // keys that sign unpublished, by ordinal
	unsee  func()              // ends the watch of the faults
}

// New makes a ring whose first key, taken from pool, signs at once. Close it.
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
	r := &Ring{clock: clk, pool: pool, opts: opts, leave: map[int]clock.Timer{}, show: map[int]shown{}, turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
	r.life, r.end = context.WithCancel(context.Background())
	r.keys.Store(new([]Key))

	r.change.Lock()
	defer r.change.Unlock()
	if err := r.begin(ctx); err != nil {
		r.end()
		return nil, err
	}
	r.plan()
	r.unsee = opts.Faults.Watch(fault.AtRotation, r.subject(), r.publishHidden)
	return r, nil
}

// begin gives the ring the keys that were kept, or one that signs at once.
func (r *Ring) begin(ctx context.Context) error {
	var key Key
	var err error
	switch {
	case r.opts.Shared != nil:
		key, err = r.identified(r.opts.Shared)
	case r.opts.State != nil:
		return r.restore(*r.opts.State)
	default:
		key, err = r.take(ctx)
	}
	if err != nil {
		return err
	}
	key.Stage, key.SigningAt = Signing, key.PublishedAt
	return r.put(key)
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

// Usable returns the keys whose signatures the ring's owner still accepts: those
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
	r.turns <- struct{}{}
	runtime.Gosched()
	signature, err := sign(key.Private, digest[:])
	<-r.turns
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
