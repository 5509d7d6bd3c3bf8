package keyring

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
)

// errRingClosed refuses a new key after Close.
var errRingClosed = errors.New("it is closed")

// errShared refuses to change a ring whose key somebody else has, too.
var errShared = errors.New("its key is also the API server's, which learns of no other while it runs: keys of a cluster can be changed where it asks a signer (Kubernetes 1.34 and newer)")

// changeable says why the ring cannot change.
func (r *Ring) changeable() error {
	if r.opts.Shared != nil {
		return fmt.Errorf("key ring %s: %w", r.opts.Name, errShared)
	}
	return nil
}

// Publish puts a new key into the JWKS that does not sign yet.
func (r *Ring) Publish(ctx context.Context) (Key, error) {
	r.change.Lock()
	defer r.change.Unlock()
	key, err := r.publish(ctx)
	if err != nil {
		return Key{}, err
	}
	r.plan()
	return key, nil
}

// Rotate lets the oldest key that is published but does not sign, or a new one
// where there is none, sign from now on, and retires the one that did. A
// schedule counts from here anew.
func (r *Ring) Rotate(ctx context.Context) (Key, error) {
	r.change.Lock()
	defer r.change.Unlock()
	key, err := r.rotate(ctx)
	if err != nil {
		return Key{}, err
	}
	r.plan()
	return key, nil
}

// Remove takes a key out of the JWKS. If it is the signing key, the oldest
// published one signs instead; where there is none it is refused.
func (r *Ring) Remove(id string) error {
	r.change.Lock()
	defer r.change.Unlock()
	if err := r.changeable(); err != nil {
		return err
	}
	key, ok := r.Key(id)
	if !ok {
		return fmt.Errorf("key ring %s: no key %s in its JWKS", r.opts.Name, id)
	}
	if key.Stage == Signing {
		next, ok := r.waiting()
		if !ok {
			return fmt.Errorf("key ring %s: key %s signs and no other key is published; publish one or rotate first", r.opts.Name, id)
		}
		if _, err := r.sign(next, fault.Hit{}); err != nil {
			return err
		}
		r.plan()
	}
	return r.remove(key.ordinal, "on demand")
}

// Close stops the schedule; the keys stay usable. It waits for no key.
func (r *Ring) Close() {
	r.end() // a change that waits for the pool gives up
	r.unsee()
	r.change.Lock()
	defer r.change.Unlock()
	if r.next != nil {
		r.next.Stop()
	}
	for _, t := range r.leave {
		t.Stop()
	}
	for _, s := range r.show {
		s.stop()
	}
}

// What follows is called with r.change held.

// plan sets the timer of the schedule's next step, counted from when the signing
// key began to sign. A key that is to be published by now is published here.
func (r *Ring) plan() {
	if r.next != nil {
		r.next.Stop()
	}
	if r.opts.RotateEvery == 0 || r.life.Err() != nil {
		return
	}
	untilRotation := r.Signing().SigningAt.Add(r.opts.RotateEvery).Sub(r.clock.Now())
	if _, published := r.waiting(); !published && r.opts.PublishAhead > 0 {
		if wait := untilRotation - r.opts.PublishAhead; wait > 0 {
			r.next = r.clock.AfterFunc(wait, r.bySchedule(r.publish))
			return
		}
		if _, err := r.publish(r.life); err != nil {
			r.postpone(err)
			return
		}
	}
	r.next = r.clock.AfterFunc(untilRotation, r.bySchedule(r.rotate))
}

// bySchedule makes a timer's callback of a step: the step, then the next plan.
func (r *Ring) bySchedule(step func(context.Context) (Key, error)) func() {
	return func() {
		r.change.Lock()
		defer r.change.Unlock()
		if r.life.Err() != nil {
			return
		}
		if _, err := step(r.life); err != nil {
			r.postpone(err)
			return
		}
		r.plan()
	}
}

// postpone tells of a step that failed; the signing key goes on for another
// period before it is tried again.
func (r *Ring) postpone(err error) {
	if r.life.Err() != nil {
		return
	}
	r.opts.Journal.Record(journal.Event{
		Kind: journal.KeyRotation, Outcome: journal.Failed, Part: r.opts.Name, Issuer: r.opts.Issuer,
		Kid:     r.Signing().ID,
		Summary: fmt.Sprintf("key ring %s: no new key, the old one goes on signing: %v", r.opts.Name, err),
	})
	r.next = r.clock.AfterFunc(r.opts.RotateEvery, r.bySchedule(r.rotate))
}

func (r *Ring) publish(ctx context.Context) (Key, error) {
	key, err := r.take(ctx)
	if err != nil {
		return Key{}, err
	}
	key.Stage = Published
	if err := r.put(key); err != nil {
		return Key{}, err
	}
	r.tell(key, "", fmt.Sprintf("key %s of %s is published", key.ID, r.opts.Name), nil, fault.Hit{})
	return key, nil
}

func (r *Ring) rotate(ctx context.Context) (Key, error) {
	early, unpublished := r.hit(fault.SignBeforePublish)
	reused, again := r.hit(fault.KidReused)
	key, ok := r.waiting()
	if !ok || unpublished || again { // both need a key that nobody has seen
		var err error
		if key, err = r.take(ctx); err != nil {
			return Key{}, err
		}
	}
	if unpublished {
		key.PublishedAt = time.Time{}
	}
	old := r.Signing()
	hit := early
	if again {
		key.ID, hit = old.ID, reused
	}
	key, err := r.sign(key, hit)
	if err != nil {
		return key, err
	}
	if unpublished {
		r.publishLater(key, early)
	}
	if again {
		err = r.remove(old.ordinal, "another key has its id")
	}
	return key, err
}

// sign makes a key the signing one and retires the one before it. The hit, if
// there is one, is why the key is as it is.
func (r *Ring) sign(key Key, hit fault.Hit) (Key, error) {
	now := r.clock.Now()
	old, from := r.Signing(), key.Stage
	key.Stage, key.SigningAt = Signing, now
	old.Stage, old.RetiredAt = Retired, now
	if after := r.opts.RetireAfter; after > 0 {
		old.leavesAt = now.Add(after)
	}
	if err := r.put(old, key); err != nil {
		return Key{}, err
	}
	signs, detail := fmt.Sprintf("key %s of %s signs from now on", key.ID, r.opts.Name), map[string]string{"previous": old.ID}
	if key.PublishedAt.IsZero() {
		signs += " and is not in the JWKS"
		detail["jwks"] = "without it"
	}
	r.tell(key, from, signs, detail, hit)
	early, soon := r.hit(fault.RetireEarly)
	r.tell(old, Signing, fmt.Sprintf("key %s of %s is retired: in the JWKS still, signing no more", old.ID, r.opts.Name), map[string]string{"next": key.ID}, early)
	if soon {
		after := early.Duration("after")
		if after == 0 {
			return key, r.remove(old.ordinal, early.String())
		}
		old.leavesAt = now.Add(after)
		if err := r.put(old); err != nil {
			return key, err
		}
	}
	r.leaveLater(old)
	return key, nil
}

// leaveLater plans when a retired key is removed.
func (r *Ring) leaveLater(key Key) {
	if !key.leavesAt.IsZero() {
		r.leave[key.ordinal] = r.clock.AfterFunc(key.leavesAt.Sub(r.clock.Now()), func() { r.removeBySchedule(key.ordinal) })
	}
}

func (r *Ring) removeBySchedule(ordinal int) {
	r.change.Lock()
	defer r.change.Unlock()
	if r.life.Err() == nil {
		r.failed(r.remove(ordinal, "schedule"))
	}
}

// failed tells of a change that was not made and that nobody waits for.
func (r *Ring) failed(err error) {
	if err == nil {
		return
	}
	r.opts.Journal.Record(journal.Event{
		Kind: journal.KeyRotation, Outcome: journal.Failed, Part: r.opts.Name, Issuer: r.opts.Issuer,
		Kid: r.Signing().ID, Summary: err.Error(),
	})
}

// remove takes a key away, unless it is gone already.
func (r *Ring) remove(ordinal int, why string) error {
	keys := *r.keys.Load()
	i := index(keys, ordinal)
	if i < 0 || keys[i].Stage == Removed {
		return nil
	}
	key := keys[i]
	from := key.Stage
	key.Stage, key.RemovedAt, key.Private, key.der = Removed, r.clock.Now(), nil, nil
	if err := r.put(key); err != nil {
		return err
	}
	if t := r.leave[ordinal]; t != nil {
		t.Stop()
		delete(r.leave, ordinal)
	}
	if s, hidden := r.show[ordinal]; hidden {
		s.stop()
		delete(r.show, ordinal)
	}
	r.tell(key, from, fmt.Sprintf("key %s of %s is removed from the JWKS", key.ID, r.opts.Name), map[string]string{"why": why}, fault.Hit{})
	return nil
}

// waiting returns the oldest key that is published and does not sign.
func (r *Ring) waiting() (Key, bool) {
	for _, k := range *r.keys.Load() {
		if k.Stage == Published {
			return k, true
		}
	}
	return Key{}, false
}

// take turns the pool's next key into one of this ring that is published now.
func (r *Ring) take(ctx context.Context) (Key, error) {
	if r.life.Err() != nil {
		return Key{}, fmt.Errorf("key ring %s: %w", r.opts.Name, errRingClosed)
	}
	if err := r.changeable(); err != nil {
		return Key{}, err
	}
	if err := r.forget(); err != nil {
		return Key{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	made, err := r.pool.Take(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("key ring %s: take a key: %w", r.opts.Name, err)
	}
	var private crypto.Signer = made
	if r.elliptic() {
		if private, err = ellipticKey(made); err != nil {
			return Key{}, fmt.Errorf("key ring %s: %w", r.opts.Name, err)
		}
	}
	return r.identified(private)
}

// identified is a key of this ring that is published now.
func (r *Ring) identified(private crypto.Signer) (Key, error) {
	id, certificate, err := r.opts.Identify(private)
	if err != nil {
		return Key{}, fmt.Errorf("key ring %s: identify a key: %w", r.opts.Name, err)
	}
	return Key{ID: id, Private: private, Certificate: certificate, PublishedAt: r.clock.Now(), ordinal: r.taken()}, nil
}

// remembered is how many keys a ring has at most while the oldest is one that no token
// needs, which then is forgotten.
const remembered = 100

// forget removes the oldest keys of many, if nothing can be verified by them any more
// and no schedule says when they go. Otherwise a ring would grow with each rotation.
func (r *Ring) forget() error {
	keys := *r.keys.Load()
	now := r.clock.Now()
	for _, k := range keys[:max(0, len(keys)-remembered+1)] {
		_, hidden := r.show[k.ordinal] // it will be published yet
		switch {
		case k.Stage == Removed:
		case k.Stage == Retired && k.leavesAt.IsZero() && !hidden && now.Sub(k.RetiredAt) > longestLife:
			if err := r.remove(k.ordinal, "no token lives that long"); err != nil {
				return err
			}
		}
	}
	return nil
}

// put replaces keys, or appends a new one, when that is kept.
func (r *Ring) put(changed ...Key) error {
	keys := slices.Clone(*r.keys.Load())
	for _, c := range changed {
		if i := index(keys, c.ordinal); i >= 0 {
			keys[i] = c
		} else {
			keys = append(keys, c)
		}
	}
	for len(keys) > remembered && keys[0].Stage == Removed {
		keys = keys[1:]
	}
	if r.opts.Keep != nil {
		state, err := stateOf(keys)
		if err == nil {
			err = r.opts.Keep(state)
		}
		if err != nil {
			return fmt.Errorf("key ring %s: keep its keys: %w", r.opts.Name, err)
		}
	}
	r.keys.Store(&keys)
	return nil
}

// index finds a key by its ordinal; -1 when the ring does not have it any more,
// or not yet.
func index(keys []Key, ordinal int) int {
	if len(keys) == 0 || ordinal < keys[0].ordinal || ordinal > keys[len(keys)-1].ordinal {
		return -1
	}
	return ordinal - keys[0].ordinal
}

// taken is how many keys the ring has had.
func (r *Ring) taken() int {
	keys := *r.keys.Load()
	if len(keys) == 0 {
		return 0
	}
	return keys[len(keys)-1].ordinal + 1
}

// tell journals a key's new stage, and the fault that is why.
func (r *Ring) tell(key Key, from Stage, summary string, detail map[string]string, hit fault.Hit) {
	if detail == nil {
		detail = map[string]string{}
	}
	detail["stage"] = string(key.Stage)
	if from != "" {
		detail["from"] = string(from)
	}
	e := journal.Event{
		Kind: journal.KeyRotation, Outcome: journal.OK, Part: r.opts.Name, Issuer: r.opts.Issuer,
		Kid: key.ID, Summary: summary, Detail: detail,
	}
	hit.Note(&e)
	r.opts.Journal.Record(e)
}
