package keyring

import (
	"context"
	"time"
)

// StepRotation takes the next step of a rotation, regardless of the schedule: a key
// that has been published for as long as ahead signs from now on; if none waits,
// one is published, which at 0 signs at once. Keys that retired longer ago than
// any token lives are removed.
func (r *Ring) StepRotation(ctx context.Context, ahead time.Duration) error {
	r.change.Lock()
	defer r.change.Unlock()
	if err := r.checkChangeable(); err != nil {
		return err
	}
	now := r.clock.Now()
	for _, k := range r.Published() {
		if k.Stage == Retired && now.Sub(k.RetiredAt) > maxTokenLifetime {
			if err := r.remove(k.ordinal, "no token lives that long"); err != nil {
				return err
			}
		}
	}
	key, waits := r.nextKey()
	var err error
	switch {
	case ahead > 0 && !waits:
		_, err = r.publish(ctx)
	case ahead == 0 || now.Sub(key.PublishedAt) >= ahead:
		_, err = r.rotate(ctx)
	}
	if err != nil {
		return err
	}
	r.plan()
	return nil
}

// RotationDue reports whether StepRotation would change which keys are published or sign.
func (r *Ring) RotationDue(ahead time.Duration) bool {
	if r.opts.Shared != nil {
		return false
	}
	key, waits := r.nextKey()
	return !waits || r.clock.Now().Sub(key.PublishedAt) >= ahead
}

// maxTokenLifetime is longer than any service-account token that Entra ID takes (25 h,
// AADSTS70023) and any access token that it gives (24 h).
const maxTokenLifetime = 25 * time.Hour
