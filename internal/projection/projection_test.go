package projection_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/issuer"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/projection"
	"github.com/wiemu/wiemu/internal/userstate"
)

var begin = time.Date(2026, 11, 23, 10, 4, 5, 0, time.UTC)

// A mint gives tokens of one lifetime, numbered from 1, until it is told to fail.
type mint struct {
	clock    *clock.Lab
	lifetime time.Duration
	minted   []time.Time
	failure  error
}

func (m *mint) token(context.Context) (issuer.Token, error) {
	if m.failure != nil {
		return issuer.Token{}, m.failure
	}
	now := m.clock.Now()
	m.minted = append(m.minted, now)
	n := fmt.Sprint(len(m.minted))
	return issuer.Token{
		Raw: "token-" + n, ID: "jti-" + n, KeyID: "kid", IssuedAt: now, ExpiresAt: now.Add(m.lifetime),
		Claims: issuer.Claims{Issuer: "https://issuer.wiemu.test/", Subject: "system:serviceaccount:app-dev:web-sa"},
	}, nil
}

func start(t *testing.T, m *mint, opts projection.Options) *projection.Volume {
	t.Helper()
	v, err := projection.Start(t.Context(), filepath.Join(t.TempDir(), "volume"), m.clock, m.token, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

func content(t *testing.T, v *projection.Volume) string {
	t.Helper()
	data, err := os.ReadFile(v.Path())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestATokenIsRenewedWhenAKubeletWould(t *testing.T) {
	for _, test := range []struct {
		name           string
		lifetime, life time.Duration // of a token; how long the pod lives
		due            time.Duration // age of the token when it is due without jitter
	}{
		{"600 s, the shortest", 600 * time.Second, 24 * time.Hour, 480 * time.Second},
		{"3600 s, the default", 3600 * time.Second, 24 * time.Hour, 2880 * time.Second},
		{"86400 s, AKS's longest", 86400 * time.Second, 24 * time.Hour, 69120 * time.Second},
		{"a week, where the age of a day counts", 7 * 24 * time.Hour, 72 * time.Hour, 24 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			lab := clock.Stopped(begin)
			m := &mint{clock: lab, lifetime: test.lifetime}
			start(t, m, projection.Options{Seed: 7})
			if err := lab.Advance(t.Context(), test.life); err != nil {
				t.Fatal(err)
			}
			if least := int(test.life / (test.due + 90*time.Second)); len(m.minted) < least+1 {
				t.Errorf("%d tokens in %v, expected at least %d", len(m.minted), test.life, least+1)
			}
			for i := 1; i < len(m.minted); i++ {
				age := m.minted[i].Sub(m.minted[i-1])
				// Up to 9 s of jitter sooner, and up to 90 s until the pod is looked at.
				if age <= test.due-9*time.Second || age > test.due+90*time.Second {
					t.Errorf("renewal %d at an age of %v, due at %v", i, age, test.due)
				}
			}
		})
	}
}

func TestTheSameSeedGivesTheSameTimes(t *testing.T) {
	times := func(seed uint64) string {
		lab := clock.Stopped(begin)
		m := &mint{clock: lab, lifetime: time.Hour}
		start(t, m, projection.Options{Seed: seed})
		if err := lab.Advance(t.Context(), 12*time.Hour); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(m.minted)
	}
	first, again, other := times(1), times(1), times(2)
	if first != again || first == other {
		t.Error("renewals must depend on the seed and on nothing else")
	}
}

func TestTheFileHoldsTheTokenAlone(t *testing.T) {
	m := &mint{clock: clock.Stopped(begin), lifetime: time.Hour}
	v := start(t, m, projection.Options{File: "token/azure-identity-token"})
	if got := content(t, v); got != "token-1" {
		t.Errorf("content %q", got)
	}
	if err := v.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := content(t, v); got != "token-2" {
		t.Errorf("content %q after a refresh", got)
	}
}

func TestAFailedRenewalKeepsTheOldToken(t *testing.T) {
	lab := clock.Stopped(begin)
	log, err := journals.New(lab, journals.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := &mint{clock: lab, lifetime: time.Hour}
	var told []string
	v := start(t, m, projection.Options{Journal: log, Workload: "app-dev/web-sa", OnError: func(err error) { told = append(told, err.Error()) }})
	m.failure = errors.New("the API server is away")
	if err := lab.Advance(t.Context(), 90*time.Minute); err != nil {
		t.Fatal(err)
	}
	if got := content(t, v); got != "token-1" {
		t.Errorf("content %q", got)
	}
	// From 48 to 90 minutes there are 28 to 42 synchronisations, and each tries.
	if len(told) < 27 || len(told) > 43 {
		t.Errorf("%d failures told", len(told))
	}
	if want := "projection: refresh the token of app-dev/web-sa, which is kept until 2026-11-23T11:04:05Z: the API server is away"; told[0] != want {
		t.Errorf("told %q\nwant %q", told[0], want)
	}
	if want := "projection: token of app-dev/web-sa expired at 2026-11-23T11:04:05Z and refresh failed: the API server is away"; told[len(told)-1] != want {
		t.Errorf("told %q\nwant %q", told[len(told)-1], want)
	}
	m.failure = nil
	if err := lab.Advance(t.Context(), 90*time.Second); err != nil {
		t.Fatal(err)
	}
	if got := content(t, v); got != "token-2" {
		t.Errorf("content %q once the API server is back", got)
	}
	var ok, failed int
	for _, e := range log.Events() {
		switch {
		case e.Kind != journal.Projection || e.Workload != "app-dev/web-sa" || e.JTI == "" || e.Kid == "" || e.ExpiresAt == nil:
			t.Errorf("event %+v", e)
		case e.Outcome == journal.OK:
			ok++
		case e.Outcome == journal.Failed:
			failed++
		}
		if strings.Contains(fmt.Sprintf("%+v", e), "token-1") {
			t.Errorf("an event holds the token: %+v", e)
		}
	}
	if ok != 2 || failed != len(told) {
		t.Errorf("%d written and %d failed in the journal", ok, failed)
	}
}

func TestWithoutAFirstTokenThereIsNoVolume(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volume")
	m := &mint{clock: clock.Stopped(begin), failure: errors.New("no such service account")}
	_, err := projection.Start(t.Context(), dir, m.clock, m.token, projection.Options{})
	if err == nil || !strings.Contains(err.Error(), "fetch the first token: no such service account") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}

func TestCloseRemovesWhatTheVolumeMade(t *testing.T) {
	m := &mint{clock: clock.Stopped(begin), lifetime: time.Hour}
	dir := filepath.Join(t.TempDir(), "volume")
	v, err := projection.Start(t.Context(), dir, m.clock, m.token, projection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is still there: %v", err)
	}
	if err := m.clock.Advance(t.Context(), 24*time.Hour); err != nil || len(m.minted) != 1 {
		t.Errorf("%d tokens after Close, error %v", len(m.minted), err)
	}
	if err := v.Refresh(t.Context()); err == nil {
		t.Error("a closed volume was refreshed")
	}
	if err := v.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestCloseKeepsADirectoryThatWasThereBefore(t *testing.T) {
	m := &mint{clock: clock.Stopped(begin), lifetime: time.Hour}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := projection.Start(t.Context(), dir, m.clock, m.token, projection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "mine" {
		t.Errorf("left: %v, error %v", entries, err)
	}
}

func TestAFileOutsideTheVolumeIsRefused(t *testing.T) {
	m := &mint{clock: clock.Stopped(begin), lifetime: time.Hour}
	for _, file := range []string{"../token", "/token"} {
		if _, err := projection.Start(t.Context(), t.TempDir(), m.clock, m.token, projection.Options{File: file}); err == nil {
			t.Errorf("%s was accepted", file)
		}
	}
}

// The proof that readers are never disturbed: one reads in a tight loop through
// ten thousand renewals.
func TestAReaderNeverSeesAPartOfATokenNorNone(t *testing.T) {
	const rotations = 10_000
	if testing.Short() {
		t.Skip("left out: -short")
	}
	n := 0
	mint := func(context.Context) (issuer.Token, error) {
		n++
		raw := strings.Repeat(fmt.Sprintf("%08d.", n), 120) // about as long as a real one
		return issuer.Token{Raw: raw, IssuedAt: begin, ExpiresAt: begin.Add(time.Hour)}, nil
	}
	dir, err := os.MkdirTemp(userstate.MemoryDir(), "wiemu-rotations-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	v, err := projection.Start(t.Context(), filepath.Join(dir, "volume"), clock.Stopped(begin), mint, projection.Options{File: "token/azure-identity-token"})
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	seen := make(chan error, 1)
	reads := 0
	go func() {
		last := ""
		for ctx.Err() == nil {
			data, err := os.ReadFile(v.Path())
			token := string(data)
			switch {
			case err != nil:
				seen <- err
				return
			case len(token) != 120*9 || token != strings.Repeat(token[:9], 120):
				seen <- fmt.Errorf("part of a token: %q", token)
				return
			case token < last:
				seen <- fmt.Errorf("an older token after a newer one: %.9s after %.9s", token, last)
				return
			}
			last = token
			reads++
		}
		seen <- nil
	}()
	for range rotations {
		if err := v.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	if err := <-seen; err != nil {
		t.Errorf("after %d reads: %v", reads, err)
	}
	if reads == 0 {
		t.Error("nothing was read")
	}
	t.Logf("%d reads through %d renewals", reads, rotations)
}

func ExampleStart() {
	lab := clock.Stopped(time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC))
	m := &mint{clock: lab, lifetime: time.Hour}
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	volume, err := projection.Start(context.Background(), dir, lab, m.token, projection.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer volume.Close()
	show := func() {
		token, err := os.ReadFile(volume.Path())
		fmt.Println(lab.Now().Format(time.TimeOnly), string(token), err)
	}
	show()
	_ = lab.Advance(context.Background(), 55*time.Minute)
	show()
	// Output:
	// 10:00:00 token-1 <nil>
	// 10:55:00 token-2 <nil>
}
