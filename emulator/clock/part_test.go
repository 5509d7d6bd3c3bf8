package clock_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
)

func TestASkewChangesWhatOnePartSees(t *testing.T) {
	lab := stopped()
	entra, resources := lab.Part("entra"), lab.Part("resources")
	for _, skew := range []time.Duration{5 * time.Minute, -5 * time.Minute, 0} {
		if err := lab.Skew("entra", skew); err != nil {
			t.Fatal(err)
		}
		if got := entra.Now().Sub(lab.Now()); got != skew {
			t.Errorf("entra is %v ahead, want %v", got, skew)
		}
		if !resources.Now().Equal(lab.Now()) || !lab.Now().Equal(start) || !lab.Part("entra").Now().Equal(entra.Now()) {
			t.Errorf("with a skew of %v: the others see %s", skew, resources.Now())
		}
		if got := lab.Skews(); len(got) > 1 || got["entra"] != skew {
			t.Errorf("skews %v, want entra's %v alone", got, skew)
		}
	}
}

func TestATimerOfAPartWaitsForAsLongAsItWasAsked(t *testing.T) {
	lab := stopped()
	entra := lab.Part("entra")
	var fired time.Time
	if err := lab.Skew("entra", -time.Hour); err != nil {
		t.Fatal(err)
	}
	entra.AfterFunc(30*time.Minute, func() { fired = lab.Now() })
	if err := lab.Skew("entra", time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := lab.Advance(t.Context(), 2*time.Hour); err != nil {
		t.Fatal(err)
	}
	if got := fired.Sub(start); got != 30*time.Minute {
		t.Errorf("it fired after %v, want 30m", got)
	}
}

func TestASkewBeyondWhatTokensCanSayIsRefused(t *testing.T) {
	lab := stopped()
	for _, by := range []time.Duration{1 << 62, -1 << 62} {
		if err := lab.Skew("entra", by); err == nil || len(lab.Skews()) != 0 {
			t.Errorf("skew by %v: error %v, skews %v", by, err, lab.Skews())
		}
	}
}

func ExampleLab_Part() {
	lab := clock.Stopped(time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC))
	entra := lab.Part(clock.Entra)
	_ = lab.Skew(clock.Entra, -5*time.Minute)
	fmt.Println("lab", lab.Now().Format(time.TimeOnly), "entra", entra.Now().Format(time.TimeOnly))
	// Output:
	// lab 08:00:00 entra 07:55:00
}
