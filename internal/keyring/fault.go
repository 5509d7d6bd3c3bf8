package keyring

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

func (r *Ring) subject() faults.Subject {
	return faults.Subject{Issuer: r.opts.Issuer, IssuerName: r.opts.Name}
}

func (r *Ring) rotationFault(name string) (faults.Hit, bool) {
	return r.opts.Faults.HitBy(name, r.subject(), nil)
}

// wantsECKey asks whether a new key is to be an EC key. No fault makes Entra ID's own
// ones that: they belong to no issuer.
func (r *Ring) wantsECKey() bool {
	hit := false
	if r.opts.Issuer != "" {
		_, hit = r.opts.Faults.HitBy(faultkind.ECKeys, r.subject(), nil)
	}
	return hit || r.opts.Algorithm == ES256
}

type delayedPublication struct {
	timer clock.Timer // nil: when the fault is cleared
	by    string      // the fault
}

func (s delayedPublication) stop() {
	if s.timer != nil {
		s.timer.Stop()
	}
}

// schedulePublication plans when a key that signs unpublished gets into the JWKS;
// r.change is held.
func (r *Ring) schedulePublication(key Key, hit faults.Hit) {
	s := delayedPublication{by: hit.ID}
	if after := hit.Duration("publish-after"); after > 0 {
		s.timer = r.clock.AfterFunc(after, func() { r.publishDelayedKey(key.ordinal) })
	}
	r.unpublished[key.ordinal] = s
}

func (r *Ring) publishDelayedKey(ordinal int) {
	r.change.Lock()
	defer r.change.Unlock()
	r.publishDelayed(ordinal)
}

// publishAfterFault publishes the keys that a fault kept out of the JWKS and that is
// injected no more.
func (r *Ring) publishAfterFault() {
	r.change.Lock()
	defer r.change.Unlock()
	active := r.opts.Faults.Active()
	for _, ordinal := range slices.Sorted(maps.Keys(r.unpublished)) {
		s := r.unpublished[ordinal]
		if !slices.ContainsFunc(active, func(a fault.Active) bool { return a.ID == s.by }) {
			r.publishDelayed(ordinal)
		}
	}
}

// publishDelayed puts a key into the JWKS that has been signing; r.change is held.
func (r *Ring) publishDelayed(ordinal int) {
	s, hidden := r.unpublished[ordinal]
	if !hidden || r.ctx.Err() != nil {
		return
	}
	keys := *r.keys.Load()
	key := keys[index(keys, ordinal)] // it is not removed, or it would not be hidden
	key.PublishedAt = r.clock.Now()
	if err := r.store(key); err != nil {
		r.recordFailure(err) // it stays hidden
		return
	}
	s.stop()
	delete(r.unpublished, ordinal)
	r.record(key, "", fmt.Sprintf("key %s of %s is published, %v after it began to sign", key.ID, r.opts.Name, key.PublishedAt.Sub(key.SigningAt).Round(time.Second)), map[string]string{"jwks": "with it"}, faults.Hit{})
}
