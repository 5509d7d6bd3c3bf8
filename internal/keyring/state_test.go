package keyring_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
)

// keeping is a ring whose state outlives it, as JSON.
type keeping struct {
	clock  *clock.Lab
	faults *faults.Set
	pool   *keyring.Pool
	opts   keyring.Options

	kept []byte
	full bool // nothing more can be kept
	ring *keyring.Ring
}

func newKeeping(t *testing.T, opts keyring.Options) *keeping {
	t.Helper()
	k := &keeping{clock: clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)), opts: opts}
	j, err := journals.New(k.clock, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k.faults = faults.New(k.clock, j, 1)
	if k.pool, err = keyring.OpenPool("", keyring.PoolOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.pool.Close() })
	k.opts.Name, k.opts.Identify, k.opts.Journal, k.opts.Faults = "local", issuer.KeyID, j, k.faults
	k.opts.Issuer = "https://local.oic.wiemu.test/"
	k.opts.Persist = func(s keyring.State) (err error) {
		if k.full {
			return syscall.ENOSPC
		}
		k.kept, err = json.Marshal(s)
		return err
	}
	k.start(t)
	return k
}

func (k *keeping) start(t *testing.T) {
	t.Helper()
	var err error
	if k.ring, err = keyring.New(t.Context(), k.clock, k.pool, k.opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.ring.Close)
}

// restart is the end of the process, and another one.
func (k *keeping) restart(t *testing.T) {
	t.Helper()
	k.ring.Close()
	k.faults.ClearAll() // they live with the process
	var s keyring.State
	if err := json.Unmarshal(k.kept, &s); err != nil {
		t.Fatal(err)
	}
	k.opts.State = &s
	k.start(t)
}

func (k *keeping) rotate(t *testing.T) keyring.Key {
	t.Helper()
	key, err := k.ring.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// same compares keys with their stages and times.
func same(t *testing.T, got, want []keyring.Key) {
	t.Helper()
	if !slices.EqualFunc(got, want, func(a, b keyring.Key) bool {
		private := a.Private == nil && b.Private == nil
		if key, ok := a.Private.(interface{ Equal(crypto.PrivateKey) bool }); ok {
			private = key.Equal(b.Private)
		}
		return private && a.ID == b.ID && a.Stage == b.Stage && a.PublishedAt.Equal(b.PublishedAt) && a.SigningAt.Equal(b.SigningAt) && a.RetiredAt.Equal(b.RetiredAt) && a.RemovedAt.Equal(b.RemovedAt)
	}) {
		t.Errorf("the keys are\n%+v, want\n%+v", got, want)
	}
}

func TestARingOutlivesItsProcess(t *testing.T) {
	k := newKeeping(t, keyring.Options{})
	first := k.ring.Signing()
	if _, err := k.faults.Inject(fault.Fault{Name: faultkind.ECKeys}); err != nil {
		t.Fatal(err)
	}
	k.clock.Advance(t.Context(), time.Hour)
	k.rotate(t)
	k.faults.ClearAll()
	k.clock.Advance(t.Context(), time.Hour)
	k.rotate(t)
	if err := k.ring.Remove(first.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := k.ring.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := k.ring.Keys()
	if stages := []keyring.Stage{before[0].Stage, before[1].Stage, before[2].Stage, before[3].Stage}; !slices.Equal(stages, []keyring.Stage{keyring.Removed, keyring.Retired, keyring.Signing, keyring.Published}) {
		t.Fatalf("the stages are %v", stages)
	}
	k.clock.Advance(t.Context(), time.Hour)
	k.restart(t)
	same(t, k.ring.Keys(), before)
	same(t, k.ring.Published(), []keyring.Key{before[2], before[3], before[1]})

	after := k.rotate(t)
	if after.ID != before[3].ID {
		t.Errorf("%s signs, want the key that was published, %s", after.ID, before[3].ID)
	}
	if next := k.rotate(t); slices.ContainsFunc(before, func(old keyring.Key) bool { return old.ID == next.ID }) {
		t.Errorf("the next key is one of before: %s", next.ID)
	}
	k.restart(t)
	if n := len(k.ring.Keys()); n != 5 {
		t.Errorf("%d keys after the second restart, want 5", n)
	}
}

func TestAScheduleGoesOnAfterARestart(t *testing.T) {
	k := newKeeping(t, keyring.Options{RotateEvery: 24 * time.Hour, PublishAhead: 2 * time.Hour, RetireAfter: 6 * time.Hour})
	first := k.ring.Signing().ID
	k.clock.Advance(t.Context(), 23*time.Hour)
	waits := k.ring.Published()[1].ID
	k.restart(t)
	k.clock.Advance(t.Context(), time.Hour)
	if got := k.ring.Signing().ID; got != waits {
		t.Errorf("after a day %s signs, want %s, which was published before the restart", got, waits)
	}
	k.clock.Advance(t.Context(), 5*time.Hour)
	k.restart(t)
	if _, published := k.ring.Key(first); !published {
		t.Error("the first key is gone before its time")
	}
	k.clock.Advance(t.Context(), time.Hour)
	if _, published := k.ring.Key(first); published {
		t.Error("the first key is there after its time")
	}

	k.ring.Close() // and nobody is there for two days
	k.clock.Advance(t.Context(), 48*time.Hour)
	k.restart(t)
	k.clock.Advance(t.Context(), 0)
	if got := k.ring.Signing().ID; got == waits {
		t.Error("a rotation that was due while nobody was there is not made up for")
	}
}

func TestAKeyThatLeavesEarlyLeavesAfterARestart(t *testing.T) {
	k := newKeeping(t, keyring.Options{})
	if _, err := k.faults.Inject(fault.Fault{Name: faultkind.RetireEarly, Parameters: fault.Settings{"after": "10m"}}); err != nil {
		t.Fatal(err)
	}
	old := k.ring.Signing().ID
	k.rotate(t)
	k.restart(t)
	for _, row := range []struct {
		later time.Duration
		there bool
	}{{9 * time.Minute, true}, {2 * time.Minute, false}} {
		k.clock.Advance(t.Context(), row.later)
		if _, there := k.ring.Key(old); there != row.there {
			t.Errorf("the old key is there: %v, want %v", there, row.there)
		}
	}
}

func TestAHiddenKeyIsPublishedAfterARestart(t *testing.T) {
	k := newKeeping(t, keyring.Options{})
	if _, err := k.faults.Inject(fault.Fault{Name: faultkind.SignBeforePublish}); err != nil {
		t.Fatal(err)
	}
	hidden := k.rotate(t)
	if _, published := k.ring.Key(hidden.ID); published {
		t.Fatal("the fault does nothing")
	}
	k.restart(t)
	if key, published := k.ring.Key(hidden.ID); !published || key.Stage != keyring.Signing {
		t.Errorf("the key is %+v", key)
	}
}

// A change that cannot be kept is not made: tokens would be signed by a key that
// is lost.
func TestWhatCannotBeKeptDoesNotHappen(t *testing.T) {
	k := newKeeping(t, keyring.Options{RotateEvery: 24 * time.Hour, RetireAfter: time.Hour})
	k.rotate(t)
	before := k.ring.Keys()
	k.full = true
	for name, change := range map[string]func() error{
		"rotate":  func() error { _, err := k.ring.Rotate(t.Context()); return err },
		"publish": func() error { _, err := k.ring.Publish(t.Context()); return err },
		"remove":  func() error { return k.ring.Remove(before[0].ID) },
		"turn":    func() error { return k.ring.StepRotation(t.Context(), 0) },
	} {
		if err := change(); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "key ring local: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	k.clock.Advance(t.Context(), 25*time.Hour) // the schedule removes a key and rotates
	same(t, k.ring.Keys(), before)
	failed := 0
	for _, e := range k.opts.Journal.Events() {
		if e.Kind == journal.KeyRotation && e.Outcome == journal.Failed {
			failed++
		}
	}
	if failed < 2 {
		t.Errorf("the journal tells of %d changes that failed, want both of the schedule's", failed)
	}
	k.full = false
	k.rotate(t)

	k.full = true
	if _, err := keyring.New(t.Context(), k.clock, k.pool, k.opts); err == nil {
		t.Error("a new ring whose key cannot be kept: no error")
	}
}

func TestAStateThatIsDamagedNamesTheField(t *testing.T) {
	k := newKeeping(t, keyring.Options{})
	k.rotate(t)
	for _, row := range []struct {
		name   string
		damage func(*keyring.State)
		want   string
	}{
		{"no keys", func(s *keyring.State) { s.Keys = nil }, "keys: expected one whose stage is signing, found 0"},
		{"two that sign", func(s *keyring.State) { s.Keys[0].Stage = keyring.Signing }, "keys: expected one whose stage is signing, found 2"},
		{"a stage that is none", func(s *keyring.State) { s.Keys[1].Stage = "sleeping" }, `keys[1].stage: expected published, signing, retired or removed, found "sleeping"`},
		{"no id", func(s *keyring.State) { s.Keys[0].ID = "" }, "keys[0].kid: expected a key id, found nothing"},
		{"no key", func(s *keyring.State) { s.Keys[0].Private = nil }, "keys[0].private: expected a PKCS #8 private key"},
		{"a key cut short", func(s *keyring.State) { s.Keys[1].Private = s.Keys[1].Private[:100] }, "keys[1].private: expected a PKCS #8 private key"},
		{"another curve", func(s *keyring.State) { s.Keys[0].Private = pkcs8(t, elliptic.P384()) }, "keys[0].private: expected an EC key on P-256, found one on P-384"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var s keyring.State
			if err := json.Unmarshal(k.kept, &s); err != nil {
				t.Fatal(err)
			}
			row.damage(&s)
			if err := s.Check(); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
			opts := k.opts
			opts.State = &s
			if _, err := keyring.New(t.Context(), k.clock, k.pool, opts); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("a ring of it: %v, want %q", err, row.want)
			}
		})
	}
}

func pkcs8(t *testing.T, curve elliptic.Curve) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestASharedKeyCannotBeChanged(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	opts := keyring.Options{Name: "local", Issuer: "https://local.oic.wiemu.test/", Identify: issuer.KeyID, Shared: private}
	clk := clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))
	ring, err := keyring.New(t.Context(), clk, nil, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	id, _, err := issuer.KeyID(private)
	if err != nil || ring.Signing().ID != id || len(ring.Published()) != 1 {
		t.Errorf("%s signs, want %s: %v", ring.Signing().ID, id, err)
	}
	for name, change := range map[string]func() error{
		"rotate":  func() error { _, err := ring.Rotate(t.Context()); return err },
		"publish": func() error { _, err := ring.Publish(t.Context()); return err },
		"remove":  func() error { return ring.Remove(id) },
		"turn":    func() error { return ring.StepRotation(t.Context(), 0) },
	} {
		if err := change(); err == nil || !strings.Contains(err.Error(), "key ring local: its key is also the API server's") || !strings.Contains(err.Error(), "Kubernetes 1.34") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if ring.RotationDue(0) {
		t.Error("a fault would rotate it")
	}
	opts.RotateEvery = time.Hour
	if _, err := keyring.New(t.Context(), clk, nil, opts); err == nil || !strings.Contains(err.Error(), "it is to rotate every 1h0m0s") {
		t.Errorf("with a schedule: %v", err)
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kid":"a","stage":"signing","private":"AAAA"}]}`))
	f.Add([]byte(`{"keys":[{"kid":"a","stage":"removed"},{"stage":"signing"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s keyring.State
		if json.Unmarshal(data, &s) != nil || s.Check() != nil {
			return
		}
		pool, err := keyring.OpenPool("", keyring.PoolOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		ring, err := keyring.New(t.Context(), clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)), pool, keyring.Options{Name: "r", Identify: issuer.KeyID, State: &s})
		if err != nil {
			t.Fatalf("a state that passed its check makes no ring: %v", err)
		}
		ring.Close()
	})
}
