package keyring

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/journals"
)

// start is when the stopped clocks of these tests stand at first.
var start = time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)

// made is the pool whose keys all rings of these tests share.
var made *Pool

func TestMain(m *testing.M) {
	var err error
	if made, err = OpenPool("", PoolOptions{}); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// identify names a key by the first bytes of its public key's hash.
func identify(key crypto.Signer) (string, []byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:4]), nil, err
}

// bench is a ring on a stopped clock, with its journal.
type bench struct {
	*Ring
	clock   *clock.Lab
	journal *journals.Journal
	names   map[string]string // id → A, B, C in the order of the pool
}

func newBench(t testing.TB, opts Options) *bench {
	t.Helper()
	clk := clock.Stopped(start)
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opts.Name, opts.Issuer, opts.Identify, opts.Journal = "radix-dev", "https://issuer.example.test", identify, j
	ring, err := New(t.Context(), clk, made.Lease(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ring.Close)
	names := map[string]string{}
	keys := made.Lease()
	for _, name := range strings.Split("A B C D E F", " ") {
		key, err := keys.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		id, _, _ := identify(key)
		names[id] = name
	}
	return &bench{ring, clk, j, names}
}

// jwks spells the JWKS as "A signing, B published".
func (b *bench) jwks() string {
	var words []string
	for _, k := range b.Published() {
		words = append(words, b.names[k.ID]+" "+string(k.Stage))
	}
	return strings.Join(words, ", ")
}

func (b *bench) id(t testing.TB, name string) string {
	t.Helper()
	for id, n := range b.names {
		if n == name {
			return id
		}
	}
	t.Fatalf("no key %s", name)
	return ""
}

// told spells the ring's events as "10:00 A signing".
func (b *bench) told(since int) []string {
	var lines []string
	for _, e := range b.journal.Events()[since:] {
		day := e.Time.Sub(start) / (24 * time.Hour)
		lines = append(lines, fmt.Sprintf("day %d %s %s %s", day, e.Time.Format("15:04"), b.names[e.Kid], e.Detail["stage"]))
	}
	return lines
}

func TestAScheduleOverDays(t *testing.T) {
	b := newBench(t, Options{RotateEvery: 48 * time.Hour, PublishAhead: 12 * time.Hour, RetireAfter: 24 * time.Hour})
	for _, step := range []struct {
		at   time.Duration
		jwks string
	}{
		{0, "A signing"},
		{36*time.Hour - time.Second, "A signing"},
		{36 * time.Hour, "A signing, B published"},
		{48*time.Hour - time.Second, "A signing, B published"},
		{48 * time.Hour, "B signing, A retired"},
		{72*time.Hour - time.Second, "B signing, A retired"},
		{72 * time.Hour, "B signing"},
		{84 * time.Hour, "B signing, C published"},
		{96 * time.Hour, "C signing, B retired"},
		{120 * time.Hour, "C signing"},
	} {
		if err := b.clock.AdvanceTo(t.Context(), start.Add(step.at)); err != nil {
			t.Fatal(err)
		}
		if got := b.jwks(); got != step.jwks {
			t.Errorf("after %v the JWKS is %q, want %q", step.at, got, step.jwks)
		}
	}
	want := []string{
		"day 1 22:00 B published",
		"day 2 10:00 B signing", "day 2 10:00 A retired",
		"day 3 10:00 A removed",
		"day 3 22:00 C published",
		"day 4 10:00 C signing", "day 4 10:00 B retired",
		"day 5 10:00 B removed",
	}
	if got := b.told(0); !slices.Equal(got, want) {
		t.Errorf("the journal tells\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAScheduleIsTheSameInOneJump(t *testing.T) {
	opts := Options{RotateEvery: 24 * time.Hour, PublishAhead: time.Hour, RetireAfter: 30 * time.Hour}
	stepped, jumped := newBench(t, opts), newBench(t, opts)
	for range 100 {
		if err := stepped.clock.Advance(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := jumped.clock.Advance(t.Context(), 100*time.Hour); err != nil {
		t.Fatal(err)
	}
	if a, b := stepped.told(0), jumped.told(0); !slices.Equal(a, b) || len(a) == 0 {
		t.Errorf("in steps:\n%s\nin one jump:\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

func TestKeysChangeOnDemand(t *testing.T) {
	publish := func(t *testing.T, b *bench) error { _, err := b.Publish(t.Context()); return err }
	rotate := func(t *testing.T, b *bench) error { _, err := b.Rotate(t.Context()); return err }
	remove := func(name string) func(*testing.T, *bench) error {
		return func(t *testing.T, b *bench) error { return b.Remove(b.id(t, name)) }
	}
	pass := func(d time.Duration) func(*testing.T, *bench) error {
		return func(t *testing.T, b *bench) error { return b.clock.Advance(t.Context(), d) }
	}
	type steps = []func(*testing.T, *bench) error
	for _, row := range []struct {
		name  string
		opts  Options
		steps steps
		jwks  string
		err   string // of the last step
	}{
		{"a new ring signs with its first key", Options{}, nil, "A signing", ""},
		{"a published key does not sign", Options{}, steps{publish}, "A signing, B published", ""},
		{"published keys keep their order", Options{}, steps{publish, publish}, "A signing, B published, C published", ""},
		{"a rotation takes the oldest published key", Options{}, steps{publish, publish, rotate}, "B signing, C published, A retired", ""},
		{"a rotation without a published key takes a new one", Options{}, steps{rotate}, "B signing, A retired", ""},
		{"the newest retired key comes first", Options{}, steps{rotate, rotate}, "C signing, B retired, A retired", ""},
		{"a retired key stays until it is removed", Options{}, steps{rotate, pass(365 * 24 * time.Hour)}, "B signing, A retired", ""},
		{"a retired key leaves when its time has come", Options{RetireAfter: time.Hour}, steps{rotate, pass(time.Hour)}, "B signing", ""},
		{"a retired key is removed by hand before its time", Options{RetireAfter: time.Hour}, steps{rotate, remove("A"), pass(time.Hour)}, "B signing", ""},
		{"a published key is removed", Options{}, steps{publish, remove("B")}, "A signing", ""},
		{"the only key is not removed", Options{}, steps{remove("A")}, "A signing", "publish one or rotate first"},
		{"a retired key does not replace the signing one", Options{}, steps{rotate, remove("B")}, "B signing, A retired", "no other key is published"},
		{"the signing key is removed when another is published", Options{RetireAfter: time.Hour}, steps{publish, remove("A")}, "B signing", ""},
		{"a key is removed once", Options{}, steps{rotate, remove("A"), remove("A")}, "B signing", "no key"},
		{"a rotation on demand restarts the schedule", Options{RotateEvery: 10 * time.Hour}, steps{pass(9 * time.Hour), rotate, pass(9 * time.Hour)}, "B signing, A retired", ""},
		{"a key published on demand is the schedule's next", Options{RotateEvery: 10 * time.Hour, PublishAhead: time.Hour}, steps{publish, pass(10 * time.Hour)}, "B signing, A retired", ""},
		{"a schedule may keep two keys published at all times", Options{RotateEvery: time.Hour, PublishAhead: time.Hour, RetireAfter: time.Hour}, steps{pass(90 * time.Minute)}, "B signing, C published, A retired", ""},
		{"without publishing ahead a key signs as soon as it is seen", Options{RotateEvery: time.Hour}, steps{pass(time.Hour)}, "B signing, A retired", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t, row.opts)
			for i, step := range row.steps {
				err := step(t, b)
				switch last := i == len(row.steps)-1; {
				case last && row.err != "":
					if err == nil || !strings.Contains(err.Error(), row.err) {
						t.Errorf("got %v, want an error with %q", err, row.err)
					}
				case err != nil:
					t.Fatal(err)
				}
			}
			if got := b.jwks(); got != row.jwks {
				t.Errorf("the JWKS is %q, want %q", got, row.jwks)
			}
		})
	}
}

func TestARingIsRefused(t *testing.T) {
	for _, row := range []struct {
		name string
		opts Options
		want string
	}{
		{"without a name", Options{Identify: identify}, "no name"},
		{"without a way to name keys", Options{Name: "r"}, "Identify"},
		{"that publishes longer ahead than keys sign", Options{Name: "r", Identify: identify, RotateEvery: time.Hour, PublishAhead: 2 * time.Hour}, "2h0m0s"},
		{"with a negative duration", Options{Name: "r", Identify: identify, RetireAfter: -1}, "negative"},
		{"whose keys cannot be named", Options{Name: "r", Identify: func(crypto.Signer) (string, []byte, error) { return "", nil, errors.New("no name for it") }}, "no name for it"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := New(t.Context(), clock.Stopped(start), made.Lease(), row.opts)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("got %v, want an error with %q", err, row.want)
			}
		})
	}
}

func TestAFailedStepOfTheScheduleIsToldAndTriedAgain(t *testing.T) {
	clk := clock.Stopped(start)
	j, err := journals.New(clk, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fail := false
	ring, err := New(t.Context(), clk, made.Lease(), Options{
		Name: "r", RotateEvery: time.Hour, Journal: j,
		Identify: func(key crypto.Signer) (string, []byte, error) {
			if fail {
				return "", nil, errors.New("out of names")
			}
			return identify(key)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	first := ring.Signing().ID
	fail = true
	if err := clk.Advance(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	events := j.Events()
	if ring.Signing().ID != first || len(events) != 1 || events[0].Outcome != journal.Failed || !strings.Contains(events[0].Summary, "out of names") {
		t.Errorf("want the first key to sign on and a failure in the journal, got %+v", events)
	}
	fail = false
	if err := clk.Advance(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if ring.Signing().ID == first {
		t.Error("the rotation was not tried again")
	}
}

func TestAClosedRingSignsButDoesNotRotate(t *testing.T) {
	b := newBench(t, Options{RotateEvery: time.Hour, RetireAfter: time.Hour})
	b.Close()
	if err := b.clock.Advance(t.Context(), 24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := b.jwks(); got != "A signing" {
		t.Errorf("the JWKS is %q", got)
	}
	if _, _, err := b.Sign(header, []byte("{}")); err != nil {
		t.Error(err)
	}
	if _, err := b.Rotate(t.Context()); !errors.Is(err, errRingClosed) {
		t.Errorf("a rotation after Close: %v", err)
	}
}

func TestARemovedKeyKeepsItsHistoryButNotItsPrivatePart(t *testing.T) {
	b := newBench(t, Options{RetireAfter: time.Hour})
	if _, err := b.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.clock.Advance(t.Context(), 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	a := b.Keys()[0]
	if a.Stage != Removed || a.Private != nil {
		t.Errorf("got stage %s, private part kept: %v", a.Stage, a.Private != nil)
	}
	if !a.PublishedAt.Equal(start) || !a.SigningAt.Equal(start) || !a.RetiredAt.Equal(start) || !a.RemovedAt.Equal(start.Add(time.Hour)) {
		t.Errorf("got times %v %v %v %v", a.PublishedAt, a.SigningAt, a.RetiredAt, a.RemovedAt)
	}
	if _, ok := b.Key(a.ID); ok {
		t.Error("a removed key is still found")
	}
}

func header(k Key) string { return `{"alg":"RS256","kid":"` + k.ID + `"}` }

func TestSignatures(t *testing.T) {
	b := newBench(t, Options{})
	compact, key, err := b.Sign(func(k Key) string { return `{"typ":"JWT","alg":"RS256","kid":"` + k.ID + `"}` }, []byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsImtpZCI6I"; !strings.HasPrefix(compact, want) {
		t.Errorf("the header's order is not kept: %s", compact)
	}
	signed, err := jose.ParseSignedCompact(compact, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := signed.Verify(key.Private.Public())
	if err != nil || string(payload) != `{"a":1}` {
		t.Errorf("verified %q, %v", payload, err)
	}
}

func TestSigningNeverStopsWhileKeysChange(t *testing.T) {
	b := newBench(t, Options{RetireAfter: time.Minute})
	stop := make(chan struct{})
	var signers sync.WaitGroup
	for range 2 {
		signers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				compact, key, err := b.Sign(header, []byte("{}"))
				if err != nil || compact == "" {
					t.Error(err)
					return
				}
				jwks := b.Published()
				if jwks[0].Stage != Signing {
					t.Errorf("the JWKS begins with a key that is %s", jwks[0].Stage)
				}
				if _, ok := b.Key(key.ID); !ok && key.ID == b.Signing().ID {
					t.Error("the signing key is not in the JWKS")
				}
			}
		})
	}
	for range 4 {
		if _, err := b.Publish(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := b.Rotate(t.Context()); err != nil {
			t.Error(err)
		}
		if err := b.clock.Advance(t.Context(), time.Hour); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	signers.Wait()
	if ids := slices.Collect(maps.Keys(b.names)); len(ids) != 6 {
		t.Errorf("%d different keys of six", len(ids))
	}
}

func BenchmarkSign(b *testing.B) {
	ring := newBench(b, Options{})
	payload := []byte(strings.Repeat("x", 500))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ring.Sign(header, payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublished(b *testing.B) {
	ring := newBench(b, Options{})
	b.ReportAllocs()
	for b.Loop() {
		_ = ring.Published()
	}
}

func TestARingForgetsTheOldestOfManyRemovedKeys(t *testing.T) {
	keys, err := made.Lease().Recycled(t.Context(), 2)
	if err != nil {
		t.Fatal(err)
	}
	clk := clock.Stopped(start)
	ring, err := New(t.Context(), clk, keys, Options{Name: "many", Identify: identify, RotateEvery: time.Hour, RetireAfter: 3 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	first := ring.Signing().ID
	if err := clk.Advance(t.Context(), 150*time.Hour); err != nil {
		t.Fatal(err)
	}
	all := ring.Keys()
	if len(all) != maxKeys || all[len(all)-1].ID != ring.Signing().ID || all[0].Stage != Removed || all[0].ID == first {
		t.Errorf("after 150 rotations it has %d keys, want the last %d", len(all), maxKeys)
	}
	if n := len(ring.Published()); n != 4 {
		t.Errorf("%d keys are published, want the signing one and those of the last three hours", n)
	}
	if err := ring.Remove(first); err == nil {
		t.Error("a key that is forgotten was removed")
	}
}
