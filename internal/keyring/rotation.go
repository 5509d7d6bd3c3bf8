package keyring

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
)

var errRingClosed = errors.New("it is closed")

var errShared = errors.New("its key is also the API server's, which reads keys only when it starts; keys can be changed in clusters with an external signer (Kubernetes 1.34 and newer)")

func (r *Ring) checkChangeable() error {
	if r.opts.Shared != nil {
		return fmt.Errorf("key ring %s: %w", r.opts.Name, errShared)
	}
	return nil
}

// Publish puts a new key into the JWKS that does not sign yet.
func (r *Ring) Publish(ctx context.Context) (Key, error) {
	return r.takeStep(ctx, r.publish)
}

// takeStep takes a step, from which a schedule counts anew.
func (r *Ring) takeStep(ctx context.Context, step func(context.Context) (Key, error)) (Key, error) {
	r.change.Lock()
	defer r.change.Unlock()
	key, err := step(ctx)
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
	return r.takeStep(ctx, r.rotate)
}

// Remove takes a key out of the JWKS. If it is the signing key, the oldest
// published one signs instead; where there is none it is refused.
func (r *Ring) Remove(id string) error {
	r.change.Lock()
	defer r.change.Unlock()
	if err := r.checkChangeable(); err != nil {
		return err
	}
	key, ok := r.Key(id)
	if !ok {
		return fmt.Errorf("key ring %s: no key %s in its JWKS", r.opts.Name, id)
	}
	if key.Stage == Signing {
		next, ok := r.nextKey()
		if !ok {
			return fmt.Errorf("key ring %s: key %s signs and no other key is published; publish one or rotate first", r.opts.Name, id)
		}
		if _, err := r.sign(next, faults.Hit{}); err != nil {
			return err
		}
		r.plan()
	}
	return r.remove(key.ordinal, "on demand")
}

// Close stops the schedule; the keys stay usable. It waits for no key.
func (r *Ring) Close() {
	r.cancel() // a change that waits for the pool gives up
	r.unwatch()
	r.change.Lock()
	defer r.change.Unlock()
	if r.next != nil {
		r.next.Stop()
	}
	for _, t := range r.removals {
		t.Stop()
	}
	for _, s := range r.unpublished {
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
	if r.opts.RotateEvery == 0 || r.ctx.Err() != nil {
		return
	}
	untilRotation := r.Signing().SigningAt.Add(r.opts.RotateEvery).Sub(r.clock.Now())
	if _, published := r.nextKey(); !published && r.opts.PublishAhead > 0 {
		if wait := untilRotation - r.opts.PublishAhead; wait > 0 {
			r.next = r.clock.AfterFunc(wait, r.bySchedule(r.publish))
			return
		}
		if _, err := r.publish(r.ctx); err != nil {
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
		if r.ctx.Err() != nil {
			return
		}
		if _, err := step(r.ctx); err != nil {
			r.postpone(err)
			return
		}
		r.plan()
	}
}

// postpone records a step that failed; the signing key signs for another period before
// it is tried again.
func (r *Ring) postpone(err error) {
	if r.ctx.Err() != nil {
		return
	}
	r.recordFailure(fmt.Errorf("key ring %s: no new key, the old one goes on signing: %w", r.opts.Name, err))
	r.next = r.clock.AfterFunc(r.opts.RotateEvery, r.bySchedule(r.rotate))
}

func (r *Ring) publish(ctx context.Context) (Key, error) {
	key, err := r.take(ctx)
	if err != nil {
		return Key{}, err
	}
	key.Stage = Published
	if err := r.store(key); err != nil {
		return Key{}, err
	}
	r.record(key, "", fmt.Sprintf("key %s of %s is published", key.ID, r.opts.Name), nil, faults.Hit{})
	return key, nil
}

func (r *Ring) rotate(ctx context.Context) (Key, error) {
	early, unpublished := r.rotationFault(faultkind.SignBeforePublish)
	reused, again := r.rotationFault(faultkind.KidReused)
	key, ok := r.nextKey()
	if !ok || unpublished || again { // both need a key that was never published
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
		r.schedulePublication(key, early)
	}
	if again {
		err = r.remove(old.ordinal, "another key has its id")
	}
	return key, err
}

// sign makes a key the signing one and retires the one before it. The hit, if
// there is one, is why the key is as it is.
func (r *Ring) sign(key Key, hit faults.Hit) (Key, error) {
	now := r.clock.Now()
	old, from := r.Signing(), key.Stage
	key.Stage, key.SigningAt = Signing, now
	old.Stage, old.RetiredAt = Retired, now
	if after := r.opts.RetireAfter; after > 0 {
		old.removeAt = now.Add(after)
	}
	if err := r.store(old, key); err != nil {
		return Key{}, err
	}
	signs, detail := fmt.Sprintf("key %s of %s signs from now on", key.ID, r.opts.Name), map[string]string{"previous": old.ID}
	if key.PublishedAt.IsZero() {
		signs += " and is not in the JWKS"
		detail["jwks"] = "without it"
	}
	r.record(key, from, signs, detail, hit)
	early, soon := r.rotationFault(faultkind.RetireEarly)
	r.record(old, Signing, fmt.Sprintf("key %s of %s is retired: in the JWKS still, signing no more", old.ID, r.opts.Name), map[string]string{"next": key.ID}, early)
	if soon {
		after := early.Duration("after")
		if after == 0 {
			return key, r.remove(old.ordinal, early.String())
		}
		old.removeAt = now.Add(after)
		if err := r.store(old); err != nil {
			return key, err
		}
	}
	r.scheduleRemoval(old)
	return key, nil
}

func (r *Ring) scheduleRemoval(key Key) {
	if !key.removeAt.IsZero() {
		r.removals[key.ordinal] = r.clock.AfterFunc(key.removeAt.Sub(r.clock.Now()), func() { r.removeBySchedule(key.ordinal) })
	}
}

func (r *Ring) removeBySchedule(ordinal int) {
	r.change.Lock()
	defer r.change.Unlock()
	if r.ctx.Err() == nil {
		r.recordFailure(r.remove(ordinal, "schedule"))
	}
}

func (r *Ring) recordFailure(err error) {
	if err == nil {
		return
	}
	r.opts.Journal.Record(journal.Event{
		Kind: journal.KeyRotation, Outcome: journal.Failed, Component: r.opts.Name, Issuer: r.opts.Issuer,
		Kid: r.Signing().ID, Summary: err.Error(),
	})
}

func (r *Ring) remove(ordinal int, why string) error {
	keys := *r.keys.Load()
	i := index(keys, ordinal)
	if i < 0 || keys[i].Stage == Removed {
		return nil
	}
	key := keys[i]
	from := key.Stage
	key.Stage, key.RemovedAt, key.Private, key.der = Removed, r.clock.Now(), nil, nil
	if err := r.store(key); err != nil {
		return err
	}
	if t := r.removals[ordinal]; t != nil {
		t.Stop()
		delete(r.removals, ordinal)
	}
	if s, hidden := r.unpublished[ordinal]; hidden {
		s.stop()
		delete(r.unpublished, ordinal)
	}
	r.record(key, from, fmt.Sprintf("key %s of %s is removed from the JWKS", key.ID, r.opts.Name), map[string]string{"why": why}, faults.Hit{})
	return nil
}

func (r *Ring) nextKey() (Key, bool) {
	for _, k := range *r.keys.Load() {
		if k.Stage == Published {
			return k, true
		}
	}
	return Key{}, false
}

// take turns the pool's next key into one of this ring that is published now.
func (r *Ring) take(ctx context.Context) (Key, error) {
	if r.ctx.Err() != nil {
		return Key{}, fmt.Errorf("key ring %s: %w", r.opts.Name, errRingClosed)
	}
	if err := r.checkChangeable(); err != nil {
		return Key{}, err
	}
	if err := r.prune(); err != nil {
		return Key{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	made, err := r.pool.Take(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("key ring %s: take a key: %w", r.opts.Name, err)
	}
	var private crypto.Signer = made
	if r.wantsECKey() {
		if private, err = ellipticKey(made); err != nil {
			return Key{}, fmt.Errorf("key ring %s: %w", r.opts.Name, err)
		}
	}
	return r.newKey(private)
}

func (r *Ring) newKey(private crypto.Signer) (Key, error) {
	id, certificate, err := r.opts.Identify(private)
	if err != nil {
		return Key{}, fmt.Errorf("key ring %s: identify a key: %w", r.opts.Name, err)
	}
	return Key{ID: id, Private: private, Certificate: certificate, PublishedAt: r.clock.Now(), ordinal: r.nextOrdinal()}, nil
}

// maxKeys is how many keys a ring has at most while the oldest is one that no token
// needs, which then is forgotten.
const maxKeys = 100

// prune removes the oldest keys of many, if nothing can be verified by them any more
// and no schedule says when they go. Otherwise a ring would grow with each rotation.
func (r *Ring) prune() error {
	keys := *r.keys.Load()
	now := r.clock.Now()
	for _, k := range keys[:max(0, len(keys)-maxKeys+1)] {
		_, hidden := r.unpublished[k.ordinal] // it will be published yet
		switch {
		case k.Stage == Removed:
		case k.Stage == Retired && k.removeAt.IsZero() && !hidden && now.Sub(k.RetiredAt) > maxTokenLifetime:
			if err := r.remove(k.ordinal, "no token lives that long"); err != nil {
				return err
			}
		}
	}
	return nil
}

// store replaces keys, or appends a new one, once that is persisted.
func (r *Ring) store(changed ...Key) error {
	keys := slices.Clone(*r.keys.Load())
	for _, c := range changed {
		if i := index(keys, c.ordinal); i >= 0 {
			keys[i] = c
		} else {
			keys = append(keys, c)
		}
	}
	for len(keys) > maxKeys && keys[0].Stage == Removed {
		keys = keys[1:]
	}
	if r.opts.Persist != nil {
		state, err := stateOf(keys)
		if err == nil {
			err = r.opts.Persist(state)
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

func (r *Ring) nextOrdinal() int {
	keys := *r.keys.Load()
	if len(keys) == 0 {
		return 0
	}
	return keys[len(keys)-1].ordinal + 1
}

// record journals a key's new stage, and the fault that is why.
func (r *Ring) record(key Key, from Stage, summary string, detail map[string]string, hit faults.Hit) {
	if detail == nil {
		detail = map[string]string{}
	}
	detail["stage"] = string(key.Stage)
	if from != "" {
		detail["from"] = string(from)
	}
	e := journal.Event{
		Kind: journal.KeyRotation, Outcome: journal.OK, Component: r.opts.Name, Issuer: r.opts.Issuer,
		Kid: key.ID, Summary: summary, Detail: detail,
	}
	hit.Note(&e)
	r.opts.Journal.Record(e)
}
