package keyring

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/journals"
)

// faulty is a bench whose ring asks a set of faults.
func faulty(t *testing.T) (*bench, *faults.Set) {
	t.Helper()
	clk := clock.Stopped(start)
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	faults := faults.New(clk, j, 1)
	names := map[string]string{}
	letters := []string{"A", "B", "C", "D"}
	ring, err := New(t.Context(), clk, made.Lease(), Options{Name: "radix-dev", Issuer: "https://issuer.example.test", Identify: identify, Journal: j, Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ring.Close)
	pool := made.Lease()
	for _, name := range letters {
		key, err := pool.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		id, _, _ := identify(key)
		names[id] = name
		elliptic, err := ellipticKey(key)
		if err != nil {
			t.Fatal(err)
		}
		id, _, _ = identify(elliptic)
		names[id] = name + "/EC"
	}
	return &bench{ring, clk, j, names}, faults
}

func TestRotationsThatGoWrong(t *testing.T) {
	type bad struct {
		*bench
		faults *faults.Set
		ids    []string
	}
	inject := func(f fault.Fault) func(*testing.T, *bad) {
		return func(t *testing.T, b *bad) {
			id, err := b.faults.Inject(f)
			if err != nil {
				t.Fatal(err)
			}
			b.ids = append(b.ids, id)
		}
	}
	named := func(name string, parameters ...string) fault.Fault {
		f := fault.Fault{Name: name}
		if len(parameters) > 0 {
			f.Parameters = map[string]string{parameters[0]: parameters[1]}
		}
		return f
	}
	do := func(f func(*bad) error) func(*testing.T, *bad) {
		return func(t *testing.T, b *bad) {
			if err := f(b); err != nil {
				t.Fatal(err)
			}
		}
	}
	rotate := do(func(b *bad) error { _, err := b.Rotate(t.Context()); return err })
	publish := do(func(b *bad) error { _, err := b.Publish(t.Context()); return err })
	clear := do(func(b *bad) error { return b.faults.Clear(b.ids[0]) })
	pass := func(d time.Duration) func(*testing.T, *bad) {
		return do(func(b *bad) error { return b.clock.Advance(t.Context(), d) })
	}
	type steps = []func(*testing.T, *bad)
	for _, row := range []struct {
		name   string
		steps  steps
		signs  string
		jwks   string
		usable int // keys whose tokens the cluster itself accepts
	}{
		{"before it is published, a key signs", steps{inject(named(faultkind.SignBeforePublish)), rotate}, "B", "A retired", 2},
		{"ten minutes later it is published", steps{inject(named(faultkind.SignBeforePublish)), rotate, pass(10 * time.Minute)}, "B", "B signing, A retired", 2},
		{"or when the parameter says", steps{inject(named(faultkind.SignBeforePublish, "publish-after", "1h")), rotate, pass(59 * time.Minute)}, "B", "A retired", 2},
		{"or when the fault is cleared", steps{inject(named(faultkind.SignBeforePublish, "publish-after", "0s")), rotate, pass(24 * time.Hour), clear}, "B", "B signing, A retired", 2},
		{"although another one waits", steps{publish, inject(named(faultkind.SignBeforePublish)), rotate}, "C", "B published, A retired", 3},
		{"two unpublished keys are both published", steps{inject(named(faultkind.SignBeforePublish, "publish-after", "0s")), rotate, rotate, clear}, "C", "C signing, B retired, A retired", 3},
		{"a fault of another issuer does nothing", steps{inject(fault.Fault{Name: faultkind.SignBeforePublish, For: fault.Selector{Issuer: "green"}}), rotate}, "B", "B signing, A retired", 2},
		{"a fault that comes after the rotation does nothing", steps{rotate, inject(named(faultkind.SignBeforePublish)), inject(named(faultkind.RetireEarly)), inject(named(faultkind.KidReused))}, "B", "B signing, A retired", 2},

		{"a key that retires early is gone at once", steps{inject(named(faultkind.RetireEarly)), rotate}, "B", "B signing", 1},
		{"or soon", steps{inject(named(faultkind.RetireEarly, "after", "5m")), rotate, pass(4 * time.Minute)}, "B", "B signing, A retired", 2},
		{"and not later", steps{inject(named(faultkind.RetireEarly, "after", "5m")), rotate, pass(5 * time.Minute)}, "B", "B signing", 1},

		{"a reused kid is that of the key before", steps{inject(named(faultkind.KidReused)), rotate}, "A", "A signing", 1},
		{"also the second time", steps{inject(named(faultkind.KidReused)), rotate, rotate}, "A", "A signing", 1},
		{"and a good rotation afterwards retires it", steps{inject(named(faultkind.KidReused)), rotate, clear, rotate}, "C", "C signing, A retired", 2},

		{"EC keys come with the next rotation", steps{inject(named(faultkind.ECKeys)), rotate}, "B/EC", "B/EC signing, A retired", 2},
		{"and end with the fault", steps{inject(named(faultkind.ECKeys)), rotate, clear, rotate}, "C", "C signing, B/EC retired, A retired", 3},

		{"faults go together", steps{inject(named(faultkind.SignBeforePublish)), inject(named(faultkind.RetireEarly)), rotate}, "B", "", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			b, faults := faulty(t)
			x := &bad{bench: b, faults: faults}
			for _, step := range row.steps {
				step(t, x)
			}
			if got := b.names[b.Signing().ID]; got != row.signs {
				t.Errorf("%s signs, want %s", got, row.signs)
			}
			if got := b.jwks(); got != row.jwks {
				t.Errorf("the JWKS is %q, want %q", got, row.jwks)
			}
			if got := len(b.Usable()); got != row.usable {
				t.Errorf("%d keys are accepted by the cluster, want %d", got, row.usable)
			}
			if _, _, err := b.Sign(header, []byte("{}")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAReusedKidIsAnotherKey(t *testing.T) {
	b, faults := faulty(t)
	first := b.Signing()
	if _, err := faults.Inject(fault.Fault{Name: faultkind.KidReused, When: fault.Limits{Count: 1}}); err != nil {
		t.Fatal(err)
	}
	second, err := b.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if second.ID != first.ID || second.Private == first.Private {
		t.Errorf("the kid %s became %s, the key is the same: %v", first.ID, second.ID, second.Private == first.Private)
	}
	if found, ok := b.Key(first.ID); !ok || found.Private != second.Private {
		t.Errorf("under its kid stands another key (%v)", ok)
	}
	third, err := b.Rotate(t.Context()) // the count is spent
	if err != nil || third.ID == first.ID {
		t.Errorf("the kid was reused again: %s %v", third.ID, err)
	}
	if err := b.Remove(first.ID); err != nil || len(b.Published()) != 1 {
		t.Errorf("%v, the JWKS is %s", err, b.jwks())
	}
}

func TestTheJournalSaysWhyARotationWentWrong(t *testing.T) {
	b, faults := faulty(t)
	for _, name := range []string{faultkind.SignBeforePublish, faultkind.RetireEarly} {
		if _, err := faults.Inject(fault.Fault{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.clock.Advance(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, e := range b.journal.Events() {
		if e.Kind == journal.KeyRotation {
			said = append(said, b.names[e.Kid]+" "+e.Detail["stage"]+" "+e.Detail[journal.DetailFault]+": "+strings.ReplaceAll(e.Summary, e.Kid, b.names[e.Kid]))
		}
	}
	want := []string{
		"B signing f1: key B of radix-dev signs from now on and is not in the JWKS (fault f1: sign-before-publish)",
		"A retired f2: key A of radix-dev is retired: in the JWKS still, signing no more (fault f2: retire-early)",
		"A removed : key A of radix-dev is removed from the JWKS",
		"B signing : key B of radix-dev is published, 10m0s after it began to sign",
	}
	if !slices.Equal(said, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
}
