package keyring

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/fault"
)

// subject is what the ring is for those who select faults.
func (r *Ring) subject() fault.Subject {
	return fault.Subject{Issuer: r.opts.Issuer, IssuerName: r.opts.Name}
}

// hit asks whether a rotation goes wrong in a certain way.
func (r *Ring) hit(name string) (fault.Hit, bool) {
	return r.opts.Faults.HitBy(name, r.subject(), nil)
}

// elliptic asks whether a new key is to be an EC key. No fault makes Entra ID's own
// ones that: they belong to no issuer.
func (r *Ring) elliptic() bool {
	hit := false
	if r.opts.Issuer != "" {
		_, hit = r.opts.Faults.HitBy(fault.ECKeys, r.subject(), nil)
	}
	return hit || r.opts.Algorithm == ES256
}

// shown is when a key that signs unpublished will be published.
type shown struct {
	timer clock.Timer // nil: when the fault is cleared
	by    string      // the fault
}

func (s shown) stop() {
	if s.timer != nil {
		s.timer.Stop()
	}
}

// publishLater plans when a key that signs unpublished gets into the JWKS;
// r.change is held.
func (r *Ring) publishLater(key Key, hit fault.Hit) {
	s := shown{by: hit.ID}
	if after := hit.Duration("publish-after"); after > 0 {
		s.timer = r.clock.AfterFunc(after, func() { r.publishOne(key.ordinal) })
	}
	r.show[key.ordinal] = s
}

func (r *Ring) publishOne(ordinal int) {
	r.change.Lock()
	defer r.change.Unlock()
	r.publishAtLast(ordinal)
}

// publishHidden publishes the keys that a fault kept out of the JWKS and that is
// injected no more.
func (r *Ring) publishHidden() {
	r.change.Lock()
	defer r.change.Unlock()
	active := r.opts.Faults.Active()
	for _, ordinal := range slices.Sorted(maps.Keys(r.show)) {
		s := r.show[ordinal]
		if !slices.ContainsFunc(active, func(a fault.Active) bool { return a.ID == s.by }) {
			r.publishAtLast(ordinal)
		}
	}
}

// publishAtLast puts a key into the JWKS that has been signing; r.change is held.
func (r *Ring) publishAtLast(ordinal int) {
	s, hidden := r.show[ordinal]
	if !hidden || r.life.Err() != nil {
		return
	}
	keys := *r.keys.Load()
	key := keys[index(keys, ordinal)] // it is not removed, or it would not be hidden
	key.PublishedAt = r.clock.Now()
	if err := r.put(key); err != nil {
		r.failed(err) // it stays hidden, as it was kept
		return
	}
	s.stop()
	delete(r.show, ordinal)
	r.tell(key, "", fmt.Sprintf("key %s of %s is published, %v after it began to sign", key.ID, r.opts.Name, key.PublishedAt.Sub(key.SigningAt).Round(time.Second)), map[string]string{"jwks": "with it"}, fault.Hit{})
}
