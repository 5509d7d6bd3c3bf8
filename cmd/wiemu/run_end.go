package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/run"
	"github.com/wiemu/wiemu/internal/timeshift"
)

// startError says why a program did not start, if it did not: an exit code, as a shell has
// it, or what to do.
func startError(err error) error {
	var (
		start  *process.Error
		shift  *timeshift.Error
		notLed *run.NotLedError
	)
	switch {
	case errors.Is(err, run.ErrInterrupted):
		return cli.ExitCode(130)
	case errors.As(err, &start) && start.Code != process.Failed: // not wiemu's failure
		fmt.Fprintln(os.Stderr, "wiemu:", err)
		return cli.ExitCode(start.Code)
	case errors.As(err, &shift):
		return fmt.Errorf("%w; wiemu doctor shows what this machine permits", err)
	case errors.As(err, &notLed):
		return fmt.Errorf("--network transparent: %w; use --network proxy, or auto, which chooses what is permitted; wiemu doctor says what this machine permits", notLed)
	case errors.Is(err, run.ErrLedAlready):
		return cli.Usagef("--isolate: %w", err)
	case errors.Is(err, run.ErrNoIsolatedProxy):
		return cli.Usagef("--isolate: the running server is an older wiemu without a proxy for isolated applications; restart it, or use --own")
	}
	return err
}

// report tells, after the application's own output, what wiemu saw of the run, and
// returns what is wrong about it apart from the application's exit code.
func report(r run.Result, flags runFlags) error {
	findings := r.Findings()
	for n, f := range findings {
		if f.Kind == journal.Access && slices.ContainsFunc(findings[n+1:], func(later run.Finding) bool { return later.Kind == f.Kind && later.Remedy == f.Remedy }) {
			f.Remedy = "" // it is told once, after the last that it helps
		}
		tellFinding(os.Stderr, f, r.Events)
	}
	tellMissed(os.Stderr, r.Missed)
	if escapes := r.Escapes(); escapes > 0 && flags.failOnEscape {
		times := "times"
		if escapes == 1 {
			times = "time"
		}
		return fmt.Errorf("the application tried %d %s to reach a host outside", escapes, times)
	}
	if !r.Silent() {
		return nil
	}
	seen := flags.isolate || r.Led()
	tellSilence(os.Stderr, r.ExitCode, r.Traffic, seen, r.Choice)
	if flags.failOnEscape && !seen && r.Unseen() {
		return unseen(r.Choice)
	}
	return nil
}

// unseen is the end of a run with --fail-on-escape of which nothing was seen: a program that
// ignores the proxy escapes unseen, and so does one that could not be led.
func unseen(c run.Choice) error {
	what, use := "the application made no request that was seen", "--network transparent, which sees connections, or --isolate, which prevents them"
	switch {
	case c.Way != "":
		what, use = "not every program of the application could be led to the lab", "--isolate, which prevents that"
	case c.Reason != nil: // which was told
		what, use = "the application was not led to the lab, and made no request that was seen", "--isolate, which prevents that"
	}
	return fmt.Errorf("--fail-on-escape: %s, so it is not known whether it reached a host outside; use %s", what, use)
}

// tellSilence says that no request arrived, which must not be mistaken for success. A
// program that failed may have done so before it came to a request, as with a usage
// error, or because it looked for the real hosts: which of both, only its user knows.
// seen says that a request to a host outside would have been seen.
func tellSilence(w io.Writer, code int, traffic control.Traffic, seen bool, c run.Choice) {
	try := "try --network transparent or --isolate"
	if c.Reason != nil { // it was tried
		try = "try --isolate"
	}
	switch {
	case traffic.Connections > 0:
		fmt.Fprintln(w, "wiemu: this run connected to the lab and made no request; does the program trust the lab's CA (SSL_CERT_FILE, REQUESTS_CA_BUNDLE, NODE_EXTRA_CA_CERTS, …)?")
	case seen, c.Way != "", // what was not led was reported
		code == process.NotExecutable, code == process.NotFound: // also a shell's
		fmt.Fprintln(w, "wiemu: this run made no request to the lab")
	case code != 0:
		fmt.Fprintf(w, "wiemu: this run made no request to the lab, and the program ended with exit code %d; if it tried to make one, does it honour HTTPS_PROXY? %s\n", code, try)
	default:
		fmt.Fprintf(w, "wiemu: this run made no request to the lab; does the program honour HTTPS_PROXY? %s\n", try)
	}
}

// tellFinding tells one finding of a run with the events: what is wrong, who says more, and
// what to do about it where that is short.
func tellFinding(w io.Writer, f run.Finding, events []journal.Event) {
	times := ""
	if f.Times > 1 {
		times = fmt.Sprintf(" (× %d)", f.Times)
	}
	switch {
	case f.Kind == journal.Escape, f.Kind == journal.Run && f.Program != nil: // which was not led
		fmt.Fprintf(w, "wiemu: %s. %s\n", f.Summary, f.Remedy)
	case f.Kind == journal.Run:
		fmt.Fprintf(w, "wiemu: %s\n", f.Summary)
	case f.Kind == journal.Access:
		fmt.Fprintf(w, "wiemu: %s%s; wiemu explain %s says why\n", f.Summary, times, f.ID)
		if f.Remedy != "" {
			fmt.Fprintf(w, "wiemu: %s\n", f.Remedy)
		}
	case f.Code == 0: // not by Entra ID
		fmt.Fprintf(w, "wiemu: %s%s %s\n", f.Summary, times, f.Remedy)
	default:
		why := ""
		if diagnosis := explain.Diagnosis(f.Event, events); diagnosis != "" {
			why = ": " + diagnosis
		}
		fmt.Fprintf(w, "wiemu: a token request was refused with AADSTS%d%s; wiemu explain %s says why%s\n", f.Code, times, f.TraceID, explain.Printable(why))
	}
}
