package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
)

// ended is what came of a run.
type ended struct {
	code    int
	events  []journal.Event // while it ran
	traffic control.Traffic // the same
	missed  []fault.Active  // of a lab of its own: faults that hit nothing
}

// endedAttached is what came of a run in a running server's lab; before and earlier
// are the lab's status and events when the run began.
func endedAttached(ctx context.Context, client *control.Client, code int, before control.Status, earlier []journal.Event) (ended, error) {
	last := ""
	if len(earlier) > 0 {
		last = earlier[len(earlier)-1].ID
	}
	events, err := client.Events(ctx, last)
	if err != nil {
		return ended{}, err
	}
	now, err := client.Status(ctx)
	return ended{code: code, events: events, traffic: now.Traffic.Since(before.Traffic)}, err
}

// report tells, after the application's own output, what wiemu saw of the run, and
// returns what is wrong about it apart from the application's exit code.
func (r ended) report(flags runFlags) error {
	escapes := reportRefusals(r.events)
	tellMissed(os.Stderr, r.missed)
	if escapes > 0 && flags.failOnEscape {
		return fmt.Errorf("the application tried %d times to reach a host outside", escapes)
	}
	if !r.silent() {
		return nil
	}
	tellSilence(os.Stderr, r.traffic, flags.isolate)
	if flags.failOnEscape && !flags.isolate && r.code == 0 && r.traffic.Connections == 0 {
		return errUnseen
	}
	return nil
}

// errUnseen is the end of a run with --fail-on-escape of which nothing was seen: a
// program that ignores the proxy escapes unseen.
var errUnseen = errors.New("--fail-on-escape: nothing was seen of the application, so whether it reached a host outside is not known; use --isolate, in which nothing can")

// silent reports whether no request of the run has arrived anywhere in the lab,
// its proxy included.
func (r ended) silent() bool {
	if r.traffic.Requests > 0 {
		return false
	}
	for _, e := range r.events {
		switch e.Kind {
		case journal.Escape, journal.Exchange, journal.Access:
			return false // what the proxy refuses comes to no door
		}
	}
	return true
}

// tellSilence says that no request arrived, which must not be mistaken for success.
func tellSilence(w io.Writer, traffic control.Traffic, isolated bool) {
	switch {
	case traffic.Connections > 0:
		fmt.Fprintln(w, "wiemu: this run connected to the lab and made no request; does the program trust the lab's CA (SSL_CERT_FILE, REQUESTS_CA_BUNDLE, NODE_EXTRA_CA_CERTS, …)?")
	case isolated:
		fmt.Fprintln(w, "wiemu: this run made no request to the lab")
	default:
		fmt.Fprintln(w, "wiemu: this run made no request to the lab; does the program heed HTTPS_PROXY? try --isolate")
	}
}

// reportRefusals tells, after the application's own output, what wiemu saw, and
// counts the escapes.
func reportRefusals(events []journal.Event) (escapes int) {
	told := map[string]bool{}
	for _, e := range events {
		switch {
		case e.Kind == journal.Escape:
			if escapes++; !told[e.Host] {
				told[e.Host] = true
				fmt.Fprintf(os.Stderr, "wiemu: %s. %s\n", e.Summary, e.Remedy)
			}
		case e.Kind == journal.Run && e.Outcome == journal.Failed:
			fmt.Fprintf(os.Stderr, "wiemu: %s\n", e.Summary)
		case e.Kind == journal.Exchange && e.Outcome == journal.Denied:
			if e.Code == 0 { // not by Entra ID
				fmt.Fprintf(os.Stderr, "wiemu: %s %s\n", e.Summary, e.Remedy)
				continue
			}
			fmt.Fprintf(os.Stderr, "wiemu: a token request was refused with AADSTS%d; wiemu explain %s says why\n", e.Code, e.TraceID)
		}
	}
	return escapes
}
