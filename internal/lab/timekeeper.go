package lab

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/faultkind"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

// Timekeeper changes a lab's time, as package clock does it, and writes down that
// it was changed.
type Timekeeper struct {
	clock   *clock.Lab
	journal *journals.Journal
	parts   []string // whose clocks can be skewed
	fixed   string   // why lab time cannot be changed; "": it can
}

// Fix refuses every change of lab time from now on, for the reason given. Clocks can
// still be skewed.
func (t *Timekeeper) Fix(reason string) { t.fixed = reason }

func (t *Timekeeper) changeable() error {
	if t.fixed == "" {
		return nil
	}
	return &control.StatusError{Status: http.StatusConflict, Err: errors.New("time here is real and cannot be changed: " + t.fixed)}
}

// Clock is the lab's.
func (t *Timekeeper) Clock() *clock.Lab { return t.clock }

// Advance moves lab time forward; see clock.Lab.
func (t *Timekeeper) Advance(ctx context.Context, by time.Duration) error {
	if err := t.changeable(); err != nil {
		return err
	}
	from := t.clock.Now()
	if err := t.clock.Advance(ctx, by); err != nil {
		return err
	}
	t.moved(from, fmt.Sprintf("lab time advanced by %v", by))
	return nil
}

// Set moves lab time forward to the given time; see clock.Lab.AdvanceTo.
func (t *Timekeeper) Set(ctx context.Context, to time.Time) error {
	if err := t.changeable(); err != nil {
		return err
	}
	from := t.clock.Now()
	if err := t.clock.AdvanceTo(ctx, to); err != nil {
		return err
	}
	t.moved(from, "lab time set to "+to.UTC().Format(time.RFC3339))
	return nil
}

// Freeze lets lab time stand still.
func (t *Timekeeper) Freeze() error {
	if err := t.changeable(); err != nil {
		return err
	}
	t.clock.Freeze()
	t.tell("", "lab time stands still")
	return nil
}

// SetSpeed lets lab time run, rate times as fast as the machine's clock.
func (t *Timekeeper) SetSpeed(rate float64) error {
	if err := t.changeable(); err != nil {
		return err
	}
	if err := t.clock.SetSpeed(rate); err != nil {
		return err
	}
	if rate == 1 {
		t.tell("", "lab time runs as fast as the machine's clock")
	} else {
		t.tell("", fmt.Sprintf("lab time runs %g times as fast as the machine's clock", rate))
	}
	return nil
}

// Skew lets the clock of one part go ahead of lab time, or behind it if by is
// negative; 0 puts it right.
func (t *Timekeeper) Skew(part string, by time.Duration) error {
	if !slices.Contains(t.parts, part) {
		meant := strings.TrimSuffix("; "+yamlfile.DidYouMean(part, t.parts), "; ")
		return fmt.Errorf("skew the clock of %q: expected one of %s%s", part, strings.Join(t.parts, ", "), meant)
	}
	if err := t.clock.Skew(part, by); err != nil {
		return err
	}
	switch {
	case by == 0:
		t.tell(part, fmt.Sprintf("the clock of %s is right", part))
	case by < 0:
		t.tell(part, fmt.Sprintf("the clock of %s is %v behind lab time", part, -by))
	default:
		t.tell(part, fmt.Sprintf("the clock of %s is %v ahead of lab time", part, by))
	}
	return nil
}

// moved tells that lab time went on, and from when: a picture draws it as long as it was.
func (t *Timekeeper) moved(from time.Time, summary string) {
	t.journal.Record(journal.Event{
		Kind: journal.Clock, Outcome: journal.OK, Summary: summary + ", from " + from.Format(time.RFC3339),
		Detail: map[string]string{"from": from.Format(time.RFC3339Nano)},
	})
}

func (t *Timekeeper) tell(part, summary string) {
	t.journal.Record(journal.Event{Kind: journal.Clock, Outcome: journal.OK, Component: part, Summary: summary})
}

// Time changes the lab's time: advances, sets, freezes and speeds it up, and
// skews the clocks of parts, and writes down that it did.
func (l *Lab) Time() *Timekeeper { return l.time }

// components are those that have a clock that can be wrong: the token service, the
// resources, programs, and each hosted issuer.
func (l *Lab) components() []string {
	names := clock.Reserved()
	for _, i := range l.issuers {
		names = append(names, i.Name())
	}
	return names
}

// withDate puts the time of the component that answers into its answers.
func withDate(clk clock.Clock, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = []string{clk.Now().Format(http.TimeFormat)}
		next.ServeHTTP(w, r)
	})
}

const realTime = "the kubelets, the API server and the pods of a cluster live on the machine's clock, which wiemu cannot move; " +
	"the clocks of entra and resources can be skewed, and wiemu run and docker-compose stacks have time of their own"

func outOfReach() map[string]string {
	const files = "the kubelet lays out and renews the token files of a cluster's pods; inject it with wiemu run or in a docker-compose stack"
	return map[string]string{
		faultkind.AtMint:         "the cluster's API server decides what is in a token, and a signer cannot change it; inject it with wiemu run or in a docker-compose stack",
		faultkind.AtRenewal:      files,
		faultkind.AtEarlyRenewal: files,
		faultkind.AtTokenFile:    files,
	}
}
