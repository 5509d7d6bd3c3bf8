package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/emulator/clock"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/lead/handover"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/session"
)

// Which way a program goes is decided before it starts, and what it finds in its environment
// with it.
func TestTheWayIsChosen(t *testing.T) {
	l, err := handover.Listen()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- handover.Serve(l, nil) }() // nothing is handed over
	defer func() {
		if err := errors.Join(l.Close(), <-served); err != nil {
			t.Error(err)
		}
	}()
	led := session.PodEnv{
		ProxyURL: "http://127.0.0.1:3128", Own: []string{"HTTPS_PROXY=http://own.example:1"},
		Leading: &session.Leading{Handover: l.Address(), Hosts: []string{"login.microsoftonline.com"}, Metadata: "127.0.0.1:1"},
	}
	failing := led // the probe is good, and starting fails nevertheless
	leading := *led.Leading
	leading.Hosts = []string{"A-NAME-IN-CAPITALS.example"}
	failing.Leading = &leading
	older := led
	older.Leading = nil
	refused := func(context.Context) (lead.Way, error) { return "", errors.New("seccomp is refused") }
	way := func(w lead.Way) func(context.Context) (lead.Way, error) {
		return func(context.Context) (lead.Way, error) { return w, nil }
	}
	setuid := ""
	if os.Getuid() == 0 {
		setuid = setuidProgram(t)
	}
	for _, row := range []struct {
		name    string
		pod     session.PodEnv
		options Options
		program string // defaults to true
		proxy   bool   // whether it gets proxy variables
		way     lead.Way
		clock   bool   // it runs on the lab clock
		reason  string // why it is not led, if that was left to wiemu
		err     string // or if it was not
	}{
		{name: "by the proxy", pod: led, options: Options{Network: backend.ByProxy, Probe: way(lead.Getfd)}, proxy: true},
		{name: "led", pod: led, options: Options{Network: backend.Transparent, Probe: way(lead.Getfd)}, way: lead.Getfd},
		{name: "auto, where it is permitted", pod: led, options: Options{Network: backend.Auto, Probe: way(lead.Getfd)}, way: lead.Getfd},
		{name: "led by rewriting", pod: led, options: Options{Network: backend.Auto, Probe: way(lead.Rewrite)}, way: lead.Rewrite, proxy: true},
		{name: "auto, where it is not permitted", pod: led, options: Options{Network: backend.Auto, Probe: refused}, proxy: true, reason: "seccomp is refused"},
		{name: "where it is not permitted", pod: led, options: Options{Network: backend.Transparent, Probe: refused}, err: "seccomp is refused"},
		{name: "an older server", pod: older, options: Options{Network: backend.Auto, Probe: way(lead.Getfd)}, proxy: true, reason: "older wiemu"},
		{name: "an older server, asked for", pod: older, options: Options{Network: backend.Transparent, Probe: way(lead.Getfd)}, err: "older wiemu"},
		{name: "auto, where it does not start", pod: failing, options: Options{Network: backend.Auto, Probe: way(lead.Getfd)}, proxy: true, reason: "name in lower case"},
		{name: "auto, where it does not start on the lab clock", pod: failing, options: Options{Network: backend.Auto, Probe: way(lead.Getfd), Clock: clock.Running()}, proxy: true, clock: true, reason: "name in lower case"},
		{name: "led on the lab clock", pod: led, options: Options{Network: backend.Auto, Probe: way(lead.Getfd), Clock: clock.Running()}, clock: true, way: lead.Getfd},
		{name: "where it does not start", pod: failing, options: Options{Network: backend.Transparent, Probe: way(lead.Getfd)}, err: "name in lower case"},
		{name: "a setuid program", pod: led, options: Options{Network: backend.Auto, Probe: way(lead.Getfd)}, program: setuid, proxy: true, reason: "setuid"},
		{name: "a setuid program, asked for", pod: led, options: Options{Network: backend.Transparent, Probe: way(lead.Getfd)}, program: setuid, err: "setuid"},
		{name: "a program that is not there", pod: led, options: Options{Network: backend.Transparent, Probe: way(lead.Getfd)}, program: "no-such-program", way: lead.Getfd},
	} {
		if strings.Contains(row.name, "setuid") && setuid == "" {
			t.Logf("%s: only root can make a program of another user", row.name)
			continue
		}
		program := row.program
		if program == "" {
			program = "true"
		}
		var chosen []Choice
		row.options.Chosen = func(c Choice) { chosen = append(chosen, c) }
		c := process.Command{Args: []string{program}}
		base := []string{"PATH=" + os.Getenv("PATH"), "http_proxy=http://inherited.example:1", "JAVA_TOOL_OPTIONS=-Dhttp.proxyHost=inherited.example -Xmx1g"}
		w, env, err := row.options.wrap(t.Context(), &c, &row.pod, base)
		if row.err != "" {
			var notLed *NotLedError
			if !errors.As(err, &notLed) || !strings.Contains(err.Error(), row.err) {
				t.Errorf("%s: expected an error with %q, found %v", row.name, row.err, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		var made Choice
		if len(chosen) > 0 {
			made = chosen[0]
		}
		if made.Way != row.way || (made.Reason != nil) != (row.reason != "") || made.Reason != nil && !strings.Contains(made.Reason.Error(), row.reason) {
			t.Errorf("%s: expected way %q and reason %q, found %+v", row.name, row.way, row.reason, made)
		}
		if wrapped := len(c.Wrappers) == 1; wrapped != (row.way != "" || row.clock) {
			t.Errorf("%s: found %d wrappers", row.name, len(c.Wrappers))
		}
		all := strings.Join(env.Environ(base), "\n")
		if strings.Contains(all, "inherited.example") || strings.Contains(all, "own.example") || !strings.Contains(all, "-Xmx1g") {
			t.Errorf("%s: expected proxies of nobody else, and the rest of Java's options, found %s", row.name, all)
		}
		if has := strings.Contains(strings.ToLower(all), "proxy"); has != row.proxy {
			t.Errorf("%s: expected proxy variables: %v, found %s", row.name, row.proxy, all)
		}
		if err := w.close(); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// setuidProgram is a program that changes to a user who is nobody.
func setuidProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "setuid")
	if err := errors.Join(os.WriteFile(path, []byte("#!"), 0o755), os.Chown(path, 65534, 65534), os.Chmod(path, 0o755|os.ModeSetuid)); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatWasNotLedIsTold(t *testing.T) {
	e := unled("shop/web", lead.Unled{PID: 4711, Executable: "/usr/bin/ssh-agent", Name: "ssh-agent", Reason: "its memory may not be read"})
	if e.Summary != "cannot lead ssh-agent (/usr/bin/ssh-agent): its memory may not be read" || e.Program.PID != 4711 || !isUnled(e) {
		t.Errorf("found %+v", e)
	}
	r := Result{Choice: Choice{Way: lead.Getfd}}
	if !r.Led() {
		t.Error("a program that was led: expected that nothing escaped unseen")
	}
	r.Events = append(r.Events, e)
	if found := r.Findings(); r.Led() || len(found) != 1 || found[0].Summary != e.Summary {
		t.Errorf("one that was not: expected a finding, found %+v", found)
	}
}
