package keyring

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"

	"github.com/wiemu/wiemu/emulator/journal"
)

// errRingClosed refuses a new key after Close.
var errRingClosed = errors.New("it is closed")

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
	key, ok := r.Key(id)
	if !ok {
		return fmt.Errorf("key ring %s: no key %s in its JWKS", r.opts.Name, id)
	}
	if key.Stage == Signing {
		next, ok := r.waiting()
		if !ok {
			return fmt.Errorf("key ring %s: key %s signs and no other key is published; publish one or rotate first", r.opts.Name, id)
		}
		r.sign(next)
		r.plan()
	}
	r.remove(id, "on demand")
	return nil
}

// Close stops the schedule; the keys stay usable. It waits for no key.
func (r *Ring) Close() {
	r.end() // a change that waits for the pool gives up
	r.change.Lock()
	defer r.change.Unlock()
	if r.next != nil {
		r.next.Stop()
	}
	for _, t := range r.leave {
		t.Stop()
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
	r.put(key)
	r.tell(key, "", fmt.Sprintf("key %s of %s is published", key.ID, r.opts.Name), nil)
	return key, nil
}

func (r *Ring) rotate(ctx context.Context) (Key, error) {
	key, ok := r.waiting()
	if !ok {
		var err error
		if key, err = r.take(ctx); err != nil {
			return Key{}, err
		}
	}
	return r.sign(key), nil
}

// sign makes a key the signing one and retires the one before it.
func (r *Ring) sign(key Key) Key {
	now := r.clock.Now()
	old, from := r.Signing(), key.Stage
	key.Stage, key.SigningAt = Signing, now
	old.Stage, old.RetiredAt = Retired, now
	r.put(old, key)
	r.tell(key, from, fmt.Sprintf("key %s of %s signs from now on", key.ID, r.opts.Name), map[string]string{"previous": old.ID})
	r.tell(old, Signing, fmt.Sprintf("key %s of %s is retired: in the JWKS still, signing no more", old.ID, r.opts.Name), map[string]string{"next": key.ID})
	if r.opts.RetireAfter > 0 {
		r.leave[old.ID] = r.clock.AfterFunc(r.opts.RetireAfter, func() { r.removeBySchedule(old.ID) })
	}
	return key
}

func (r *Ring) removeBySchedule(id string) {
	r.change.Lock()
	defer r.change.Unlock()
	if _, ok := r.Key(id); ok && r.life.Err() == nil {
		r.remove(id, "schedule")
	}
}

func (r *Ring) remove(id, why string) {
	if t := r.leave[id]; t != nil {
		t.Stop()
		delete(r.leave, id)
	}
	key, _ := r.Key(id)
	from := key.Stage
	key.Stage, key.RemovedAt, key.Private = Removed, r.clock.Now(), nil
	r.put(key)
	r.tell(key, from, fmt.Sprintf("key %s of %s is removed from the JWKS", id, r.opts.Name), map[string]string{"why": why})
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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()
	made, err := r.pool.Take(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("key ring %s: take a key: %w", r.opts.Name, err)
	}
	var private crypto.Signer = made
	if r.opts.Algorithm == ES256 {
		if private, err = ellipticKey(made); err != nil {
			return Key{}, fmt.Errorf("key ring %s: %w", r.opts.Name, err)
		}
	}
	id, certificate, err := r.opts.Identify(private)
	if err != nil {
		return Key{}, fmt.Errorf("key ring %s: identify a key: %w", r.opts.Name, err)
	}
	return Key{ID: id, Private: private, Certificate: certificate, PublishedAt: r.clock.Now()}, nil
}

// put replaces the keys that have the same ids, or appends them.
func (r *Ring) put(changed ...Key) {
	keys := slices.Clone(*r.keys.Load())
	for _, c := range changed {
		if i := slices.IndexFunc(keys, func(k Key) bool { return k.ID == c.ID }); i >= 0 {
			keys[i] = c
		} else {
			keys = append(keys, c)
		}
	}
	r.keys.Store(&keys)
}

// tell journals a key's new stage.
func (r *Ring) tell(key Key, from Stage, summary string, detail map[string]string) {
	if detail == nil {
		detail = map[string]string{}
	}
	detail["stage"] = string(key.Stage)
	if from != "" {
		detail["from"] = string(from)
	}
	r.opts.Journal.Record(journal.Event{
		Kind: journal.KeyRotation, Outcome: journal.OK, Part: r.opts.Name, Issuer: r.opts.Issuer,
		Kid: key.ID, Summary: summary, Detail: detail,
	})
}
