package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness/process"
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
	tellSilence(os.Stderr, r.code, r.traffic, flags.isolate)
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

// tellSilence says that no request arrived, which must not be mistaken for success. A
// program that failed may have done so before it came to a request, as with a usage
// error, or because it looked for the real hosts: which of both, only its user knows.
func tellSilence(w io.Writer, code int, traffic control.Traffic, isolated bool) {
	switch {
	case traffic.Connections > 0:
		fmt.Fprintln(w, "wiemu: this run connected to the lab and made no request; does the program trust the lab's CA (SSL_CERT_FILE, REQUESTS_CA_BUNDLE, NODE_EXTRA_CA_CERTS, …)?")
	case isolated:
		fmt.Fprintln(w, "wiemu: this run made no request to the lab")
	case code == process.NotExecutable || code == process.NotFound: // also a shell's
		fmt.Fprintln(w, "wiemu: this run made no request to the lab")
	case code != 0:
		fmt.Fprintf(w, "wiemu: this run made no request to the lab, and the program ended with exit code %d; if it tried to make one, does it honour HTTPS_PROXY? try --isolate\n", code)
	default:
		fmt.Fprintln(w, "wiemu: this run made no request to the lab; does the program honour HTTPS_PROXY? try --isolate")
	}
}

// reportRefusals tells, after the application's own output, what wiemu saw, each
// refusal that came again and again once, and counts the escapes.
func reportRefusals(events []journal.Event) (escapes int) {
	told := map[string]bool{}
	for i, e := range events {
		switch {
		case e.Kind == journal.Escape:
			if escapes++; !told[e.Host] {
				told[e.Host] = true
				fmt.Fprintf(os.Stderr, "wiemu: %s. %s\n", e.Summary, e.Remedy)
			}
		case e.Kind == journal.Run && e.Outcome == journal.Failed:
			fmt.Fprintf(os.Stderr, "wiemu: %s\n", e.Summary)
		case refused(e) && !slices.ContainsFunc(events[i+1:], func(later journal.Event) bool { return journal.Alike(e, later) }):
			tellRefusal(os.Stderr, e, events) // the last of its kind
		}
	}
	return escapes
}

// refused reports whether a token request was refused, or a request to a resource
// for want of a token, of a permission or of what it asks for, or because wiemu does not
// emulate it.
func refused(e journal.Event) bool {
	switch {
	case e.Outcome != journal.Denied || e.Detail["challenge"] != "":
		return false
	case e.Kind == journal.Access:
		return slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusNotImplemented}, e.Status)
	}
	return e.Kind == journal.Exchange
}

// tellRefusal tells one refusal: what is wrong, who says more, and what to do about
// it where that is short.
func tellRefusal(w io.Writer, e journal.Event, events []journal.Event) {
	times := ""
	if n := len(slices.DeleteFunc(slices.Clone(events), func(o journal.Event) bool { return !journal.Alike(e, o) })); n > 1 {
		times = fmt.Sprintf(" (× %d)", n)
	}
	switch {
	case e.Kind == journal.Access:
		fmt.Fprintf(w, "wiemu: %s%s; wiemu explain %s says why\n", e.Summary, times, e.ID)
		if e.Remedy != "" {
			fmt.Fprintf(w, "wiemu: %s\n", e.Remedy)
		}
	case e.Code == 0: // not by Entra ID
		fmt.Fprintf(w, "wiemu: %s%s %s\n", e.Summary, times, e.Remedy)
	default:
		why := ""
		if diagnosis := journal.Diagnosis(e, events); diagnosis != "" {
			why = ": " + diagnosis
		}
		fmt.Fprintf(w, "wiemu: a token request was refused with AADSTS%d%s; wiemu explain %s says why%s\n", e.Code, times, e.TraceID, journal.Printable(why))
	}
}
