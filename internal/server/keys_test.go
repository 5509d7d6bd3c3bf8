package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/server"
)

// code is what Entra ID says to a token that the first issuer mints now: 0 when
// it grants.
func code(t *testing.T, e *server.Server) int {
	t.Helper()
	token, err := assertion(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return codeOf(t, e, token)
}

// codeOf is what Entra ID says to a token.
func codeOf(t *testing.T, e *server.Server, token string) int {
	t.Helper()
	reply, err := exchange(e.HTTPClient(), token, "https://vault.azure.net/.default")
	if err != nil {
		t.Fatal(err)
	}
	if codes, ok := reply["error_codes"].([]any); ok {
		return int(codes[0].(float64))
	}
	if reply["access_token"] == nil {
		t.Fatalf("neither a token nor a code: %v", reply)
	}
	return 0
}

func TestEntraRemembersTheKeysOfAHostedIssuer(t *testing.T) {
	rotate := func(t *testing.T, e *server.Server) {
		ring, err := e.KeyRing("")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name   string
		issuer config.Issuer
		after  time.Duration // the rotation, which follows the first exchange at once
		code   int
	}{
		{"a new kid is looked for when a minute has passed", config.Issuer{}, time.Minute, 0},
		{"but not before", config.Issuer{}, 59 * time.Second, 7000272},
		{"refetchAfter makes that longer", config.Issuer{RefetchAfter: 10 * time.Minute}, 9 * time.Minute, 7000272},
		{"and ends it", config.Issuer{RefetchAfter: 10 * time.Minute}, 10 * time.Minute, 0},
		{"cacheLifetime alone does not", config.Issuer{CacheLifetime: 24 * time.Hour}, time.Minute, 0},
		{"both keep a copy for a day", config.Issuer{CacheLifetime: 24 * time.Hour, RefetchAfter: 24 * time.Hour}, 24*time.Hour - time.Second, 7000272},
		{"and no longer", config.Issuer{CacheLifetime: 24 * time.Hour, RefetchAfter: 24 * time.Hour}, 24 * time.Hour, 0},
		{"a short cacheLifetime comes before refetchAfter", config.Issuer{CacheLifetime: time.Second, RefetchAfter: time.Hour}, time.Second, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.issuer.Name = "blue"
			e := trusted(t, server.Options{Options: lab.Options{Clock: clock.Stopped(time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC))}, Config: config.Config{Issuers: []config.Issuer{row.issuer}}})
			if got := code(t, e); got != 0 {
				t.Fatalf("before the rotation: %d", got)
			}
			rotate(t, e)
			if err := e.Clock().Advance(t.Context(), row.after); err != nil {
				t.Fatal(err)
			}
			if got := code(t, e); got != row.code {
				t.Errorf("%v after the rotation: code %d, want %d", row.after, got, row.code)
			}
		})
	}
}

func TestEntraRefusesEllipticKeys(t *testing.T) {
	for _, row := range []struct {
		algorithm string
		code      int
	}{{keyring.RS256, 0}, {keyring.ES256, 5002738}} {
		e := trusted(t, server.Options{Config: config.Config{Issuers: []config.Issuer{{Name: "blue", KeyAlgorithm: row.algorithm}}}})
		if got := code(t, e); got != row.code {
			t.Errorf("%s: code %d, want %d", row.algorithm, got, row.code)
		}
		token, err := assertion(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		blue, err := e.Issuer("blue")
		if err != nil {
			t.Fatal(err)
		}
		if review := blue.Review(token, []string{cloud.Public().TokenExchange}); !review.Authenticated {
			t.Errorf("%s: the cluster itself says %s", row.algorithm, fmt.Sprint(review.Error))
		}
	}
}

// What Entra ID says, hours later, about a token that was minted before a rotation
// went wrong, and about one that was minted after it.
func TestEntraWhenARotationGoesWrong(t *testing.T) {
	inject := func(name string, parameters map[string]string) fault.Fault {
		return fault.Fault{Name: name, Parameters: parameters, For: fault.Selector{Issuer: "blue"}}
	}
	for _, row := range []struct {
		name     string
		fault    fault.Fault
		after    time.Duration // the rotation
		old, new int
	}{
		{"a good rotation", fault.Fault{}, time.Minute, 0, 0},
		{"a key that signs before it is published", inject(faultkind.SignBeforePublish, nil), time.Minute, 0, 7000272},
		{"is published in the end", inject(faultkind.SignBeforePublish, nil), 10 * time.Minute, 0, 0},
		{"a key that retires early is remembered for a while", inject(faultkind.RetireEarly, nil), time.Minute - time.Second, 0, 7000272},
		{"until Entra ID looks again, also for another key", inject(faultkind.RetireEarly, nil), time.Hour, 7000272, 0},
		{"a reused kid is not looked for again", inject(faultkind.KidReused, nil), 59 * time.Minute, 0, wrongSignature},
		{"until the copy is an hour old", inject(faultkind.KidReused, nil), time.Hour, wrongSignature, 0},
		{"EC keys", inject(faultkind.ECKeys, nil), time.Hour, 0, 5002738},
	} {
		t.Run(row.name, func(t *testing.T) {
			e := trusted(t, server.Options{Options: lab.Options{Clock: clock.Stopped(time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC))}, Config: config.Config{Issuers: []config.Issuer{{Name: "blue"}}}})
			before, err := assertion(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			if got := codeOf(t, e, before); got != 0 {
				t.Fatalf("before the rotation: %d", got)
			}
			if row.fault.Name != "" {
				if _, err := e.Faults().Inject(row.fault); err != nil {
					t.Fatal(err)
				}
			}
			ring, err := e.KeyRing("")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ring.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := e.Clock().Advance(t.Context(), row.after); err != nil {
				t.Fatal(err)
			}
			if got := code(t, e); got != row.new {
				t.Errorf("a new token: code %d, want %d", got, row.new)
			}
			if got := codeOf(t, e, before); got != row.old {
				t.Errorf("an old token: code %d, want %d", got, row.old)
			}
		})
	}
}

// wrongSignature is what a signature by another key gets.
const wrongSignature = 700027

// The order of a key set is in the journal, and makes no difference to Entra ID.
func TestTheOrderOfAKeySetIsSeen(t *testing.T) {
	for _, flipped := range []bool{false, true} {
		e := trusted(t, server.Options{Config: config.Config{Issuers: []config.Issuer{{Name: "blue"}}}})
		ring, err := e.KeyRing("")
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := ring.Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		var want []string
		for _, k := range ring.Published() {
			want = append(want, k.ID)
		}
		if flipped {
			slices.Reverse(want)
			if _, err := e.Faults().Inject(fault.Fault{Name: faultkind.JWKSShuffled}); err != nil {
				t.Fatal(err)
			}
		}
		if got := code(t, e); got != 0 {
			t.Errorf("flipped %v: code %d", flipped, got)
		}
		var seen string
		for _, event := range e.Journal().Events() {
			if event.Kind == journal.Discovery && event.Issuer != "" {
				seen = event.Detail["kids"]
			}
		}
		if seen != strings.Join(want, " ") {
			t.Errorf("flipped %v: the journal has %q, want %q", flipped, seen, strings.Join(want, " "))
		}
	}
}
