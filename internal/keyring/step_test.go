package keyring

import (
	"slices"
	"testing"
	"time"
)

func TestTurnsAreAnOrderlyRotation(t *testing.T) {
	b, _ := faulty(t)
	turn := func(ahead time.Duration) {
		t.Helper()
		if err := b.StepRotation(t.Context(), ahead); err != nil {
			t.Fatal(err)
		}
	}
	stages := func(want ...string) {
		t.Helper()
		var got []string
		for _, k := range b.Published() {
			got = append(got, b.names[k.ID]+" "+string(k.Stage))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("the keys are %v, want %v", got, want)
		}
	}
	advance := func(d time.Duration) {
		t.Helper()
		if err := b.clock.Advance(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	turn(time.Hour)
	stages("A signing", "B published")
	if b.RotationDue(time.Hour) {
		t.Error("the next turn is said to change something")
	}
	turn(time.Hour)
	stages("A signing", "B published")
	advance(time.Hour)
	turn(time.Hour)
	stages("A retired", "B signing")
	turn(0)
	stages("A retired", "B retired", "C signing")
	advance(25*time.Hour + time.Second)
	turn(time.Hour)
	stages("C signing", "D published")
}
