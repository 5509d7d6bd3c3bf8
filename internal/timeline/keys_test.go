package timeline_test

import (
	"crypto"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/timeline"
)

// What a real key ring writes down, also when its rotations go wrong, is drawn
// as it was.
func TestKeysOfARing(t *testing.T) {
	pool, err := keyring.OpenPool("", keyring.PoolOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	for _, test := range []struct {
		name  string
		fault string
		drawn string // the shapes of each row of keys, from left to right
	}{
		{"a rotation", "", "signing retired | signing"},
		{"a key that signs before it is published", faultkind.SignBeforePublish, "signing retired | hidden signing"},
		{"a key with the id of the one before", faultkind.KidReused, "signing retired removed | signing"},
		{"a key that is retired too early", faultkind.RetireEarly, "signing retired removed | signing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			clk := clock.Stopped(start)
			j, err := journals.New(clk, journals.Options{})
			if err != nil {
				t.Fatal(err)
			}
			faults := faults.New(clk, j, 1)
			made := 0
			identify := func(crypto.Signer) (string, []byte, error) {
				made++
				return fmt.Sprint("key", made), nil, nil
			}
			ring, err := keyring.New(t.Context(), clk, pool.Lease(), keyring.Options{Name: "local", Identify: identify, Journal: j, Faults: faults})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(ring.Close)
			j.Record(journal.Event{Kind: journal.Mint, Outcome: journal.OK, Component: "local", Kid: ring.Signing().ID, Summary: "a token"})
			if test.fault != "" {
				if _, err := faults.Inject(fault.Fault{Name: test.fault}); err != nil {
					t.Fatal(err)
				}
			}
			if err := clk.Advance(t.Context(), time.Hour); err != nil {
				t.Fatal(err)
			}
			if _, err := ring.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := clk.Advance(t.Context(), 24*time.Hour); err != nil {
				t.Fatal(err)
			}
			j.Record(journal.Event{Kind: journal.Clock, Outcome: journal.OK, Summary: "the end"})
			if got := keysOf(t, draw(t, timeline.HTML, about, j.Events())); got != test.drawn {
				t.Errorf("drawn %q, expected %q", got, test.drawn)
			}
		})
	}
}

// keysOf reads the rows of keys from the data of a page.
func keysOf(t *testing.T, page string) string {
	t.Helper()
	var data struct {
		Lanes []struct {
			G string
			R int
			I [][]any
		}
		Shapes []struct{ N string }
	}
	for n := range parse(t, page).Descendants() {
		if n.Data == "script" && attribute(n, "id") == "data" {
			if err := json.Unmarshal([]byte(text(n)), &data); err != nil {
				t.Fatal(err)
			}
		}
	}
	var rows []string
	for _, l := range data.Lanes {
		if l.G != "Keys" {
			continue
		}
		for row := range l.R {
			var shapes []string
			for _, item := range l.I {
				if item[1].(float64) == float64(row) {
					shapes = append(shapes, data.Shapes[int(item[0].(float64))].N)
				}
			}
			rows = append(rows, strings.Join(shapes, " "))
		}
	}
	return strings.Join(rows, " | ")
}
