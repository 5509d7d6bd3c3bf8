package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

type driver struct {
	options
	cache    *Cache
	environ  []string
	progress io.Writer

	mu       sync.Mutex // progress
	isolated func() error
	led      func() error
	shifted  func() error
}

func newDriver(o options, progress io.Writer) (*driver, error) {
	if !exists(o.wiemu) {
		return nil, fmt.Errorf("%s is missing; make build makes it", o.wiemu)
	}
	d := &driver{options: o, progress: progress}
	// The wiemu under test first, and with it the kubectl that make kubectl builds.
	d.environ = append(os.Environ(), "PATH="+filepath.Dir(o.wiemu)+string(os.PathListSeparator)+os.Getenv("PATH"))
	d.isolated = sync.OnceValue(func() error { return d.probe("true", "--isolate") })
	d.led = sync.OnceValue(func() error { return d.probe(noProxy) })
	d.shifted = sync.OnceValue(d.probeLockstep)
	var err error
	d.cache, err = openCache(o.cache, d.environ)
	return d, err
}

func (d *driver) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.progress, format+"\n", args...)
}

// update pins every client to its newest version, one by one: those in Go share a go.mod.
func (d *driver) update(ctx context.Context, clients []Client) error {
	for _, c := range clients {
		if strings.TrimSpace(c.Update) == "" {
			continue
		}
		if missing := d.missing(c); len(missing) > 0 {
			return fmt.Errorf("update %s: %s is missing", c.Name, strings.Join(missing, ", "))
		}
		d.say("update   %s", c.Name)
		if out, err := d.cache.bash(ctx, c, c.Dir, c.Update); err != nil {
			return fmt.Errorf("update %s: %w\n%s", c.Name, err, lastLines(out, 30))
		}
	}
	return nil
}

// all runs the clients, a few at once, and returns their results in order.
func (d *driver) all(ctx context.Context, clients []Client) []Result {
	rows := make([][]Result, len(clients))
	var group errgroup.Group
	group.SetLimit(d.jobs)
	for i, c := range clients {
		group.Go(func() error {
			rows[i] = d.one(ctx, c)
			return nil
		})
	}
	_ = group.Wait() // what failed is in the results
	return slices.Concat(rows...)
}

// one installs a client and runs it in each of its modes, and with each of its credentials.
func (d *driver) one(ctx context.Context, c Client) (rows []Result) {
	r := Result{Client: c.Name, Credential: c.Federated, Package: c.Package, Refusal: c.Refusal, Note: c.Note}
	dir, outcome, err := d.prepare(ctx, c, &r)
	programs := d.programs(ctx, c, r, dir, outcome, err)
	if c.Refusal == "" {
		return append(d.credentials(ctx, c, r, dir, outcome, err), programs...)
	}
	row := d.row(r, c.Modes, outcome, err, func(m Mode) (checked Checked, err error) {
		if m == Lockstep {
			err = d.lives(ctx, c, dir)
			return Checked{Rotated: err == nil}, err
		}
		err = d.inLab(ctx, d.files(ownFiles(c)...), func(l *Lab) (err error) {
			checked, err = check(ctx, l, c, m, dir)
			return err
		})
		return checked, err
	})
	return slices.Concat([]Result{row}, d.credentials(ctx, c, r, dir, outcome, err), programs)
}

// row runs what is a row of the table in the modes that it is meant for. why keeps it from
// running in any, with the outcome.
func (d *driver) row(r Result, meant []Mode, outcome Outcome, why error, run func(Mode) (Checked, error)) Result {
	r.Modes = map[Mode]ModeResult{}
	for _, m := range d.modes {
		if !slices.Contains(meant, m) {
			r.Modes[m] = ModeResult{Outcome: NotMeant}
			continue
		}
		result := ModeResult{Outcome: outcome}
		if why != nil {
			result.Why = why.Error()
		} else {
			result = d.mode(m, run)
		}
		r.Modes[m] = result
		d.say("%-8s %-72s %-18s %-8s %5.1fs", result.Outcome, r.Client+", "+r.Credential, r.Version, m, result.Seconds)
		if result.Why != "" {
			d.say("    %s", strings.ReplaceAll(result.Why, "\n", "\n    "))
		}
	}
	return r
}

func (d *driver) mode(m Mode, run func(Mode) (Checked, error)) ModeResult {
	if err := d.permitted(m); err != nil {
		return ModeResult{Outcome: LeftOut, Why: err.Error()}
	}
	start := time.Now() // wall time, for people
	checked, err := run(m)
	result := ModeResult{Outcome: Passed, Checked: checked, Seconds: time.Since(start).Seconds()}
	if err != nil {
		result.Outcome, result.Why = Failed, err.Error()
	}
	return result
}

// files are the configuration of a lab: the example of the Radix documentation, and more.
func (d *driver) files(more ...string) []string {
	return append([]string{filepath.Join(d.root, "docs", "examples", "radixconfig.yaml")}, more...)
}

// inLab calls f with a lab of its own.
func (d *driver) inLab(ctx context.Context, files []string, f func(*Lab) error) error {
	l, err := startLab(ctx, d.wiemu, d.environ, files)
	if err != nil {
		return err
	}
	return errors.Join(f(l), l.Close())
}

// prepare installs the client; if that fails, the outcome is of all its modes.
func (d *driver) prepare(ctx context.Context, c Client, r *Result) (dir string, outcome Outcome, err error) {
	if missing := d.missing(c); len(missing) > 0 {
		return "", LeftOut, fmt.Errorf("this machine has no %s", strings.Join(missing, ", "))
	}
	if c.Runtime != "" {
		out, err := d.cache.bash(ctx, c, c.Dir, c.Runtime)
		if err != nil {
			return "", Failed, fmt.Errorf("runtime: %w\n%s", err, out)
		}
		r.Runtime = strings.TrimSpace(out)
	}
	start := time.Now() // wall time, for people
	dir, before, err := d.cache.installed(ctx, c, r.Runtime)
	r.InstallSeconds = time.Since(start).Seconds()
	if err != nil {
		return "", Failed, err
	}
	if !before {
		d.say("install  %-80s %5.1fs", c.Name, r.InstallSeconds)
	}
	if !c.reads() {
		return dir, "", nil
	}
	r.Version, outcome, err = d.version(ctx, c, dir, c.Version)
	return dir, outcome, err
}

// missing are the programs that the client needs and this machine lacks. Beside
// PATH they are looked for beside wiemu, and where WIEMU_KUBECTL or its like says. What has .so in
// its name is a library, which the dynamic linker has to find.
func (d *driver) missing(c Client) (programs []string) {
	for _, p := range c.Needs {
		if exists(filepath.Join(filepath.Dir(d.wiemu), p)) || exists(os.Getenv("WIEMU_"+strings.ToUpper(p))) {
			continue
		}
		if strings.Contains(p, ".so") {
			if libraries, err := exec.Command("/sbin/ldconfig", "-p").Output(); err != nil || !strings.Contains(string(libraries), "\t"+p+" ") {
				programs = append(programs, p)
			}
			continue
		}
		if _, err := exec.LookPath(p); err != nil {
			programs = append(programs, p)
		}
	}
	return programs
}

// permitted tells why this machine cannot run clients in a mode.
func (d *driver) permitted(m Mode) error {
	switch m {
	case Transparent:
		return d.led()
	case Isolate:
		return d.isolated()
	case Lockstep:
		return d.shifted()
	}
	return nil
}

// probe tells why wiemu run with flags does not run a script on this machine.
func (d *driver) probe(script string, flags ...string) error {
	dir, err := os.MkdirTemp("", "wiemu-conformance-")
	if err != nil {
		return err
	}
	args := append(append([]string{"run"}, flags...), "--namespace", "probe", "--service-account", "probe", "--", "sh", "-c", script)
	cmd := exec.Command(d.wiemu, args...)
	cmd.Dir, cmd.Env = dir, slices.Concat(d.environ, []string{"WIEMU_STATE_DIR=" + dir})
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(fmt.Errorf("%s does not work here: %s", strings.Join(append([]string{"wiemu run"}, flags...), " "), strings.TrimSpace(string(out))), os.RemoveAll(dir))
	}
	return os.RemoveAll(dir)
}

// A Credential is one of a client's: a row of the table.
type Credential struct {
	Name string `yaml:"name"` // as the library calls it

	// Run is the program's argument. It begins with what wiemu run hands out: secret,
	// certificate or certificate-pfx; else the program gets the token file.
	Run string `yaml:"run"`
}

// The applications of the rows: the one whose secret or certificate the client has,
// and another one.
const (
	application = "7c2b7e47-9a0c-4f4c-8f0e-2c3a4b5d6e7f"
	another     = "2f0e8e5b-6a57-4d0c-9a43-6f9f0f1d2a35"
)

// handedOut returns the value of --credential, and the AADSTS code for another application's.
func (c Credential) handedOut() (kind string, code int) {
	switch {
	case strings.HasPrefix(c.Run, "certificate-pfx"):
		return "certificate-pfx", 700027
	case strings.HasPrefix(c.Run, "certificate"):
		return "certificate", 700027
	case strings.HasPrefix(c.Run, "secret"):
		return "secret", 7000215
	}
	return "", 700213
}

// workload is the flags of wiemu run for an application that is handed out its own.
func (c Credential) workload(clientID string) []string {
	kind, _ := c.handedOut()
	return []string{"--credential", kind, "--namespace", "shop", "--service-account", "daemon-sa", "--client-id", clientID}
}

// credentials runs a client with each of its credentials; an error is of all of them.
func (d *driver) credentials(ctx context.Context, c Client, of Result, dir string, outcome Outcome, failed error) (rows []Result) {
	for _, credential := range c.Credentials {
		_, code := credential.handedOut()
		r := of
		r.Credential, r.Refusal = credential.Name, fmt.Sprintf("AADSTS%d", code)
		rows = append(rows, d.row(r, []Mode{Transparent}, outcome, failed, func(m Mode) (checked Checked, err error) {
			err = d.inLab(ctx, d.files(ownFiles(c)...), func(l *Lab) (err error) {
				checked.Refusal, err = prove(ctx, l, c, credential, m, dir)
				return err
			})
			return checked, err
		}))
	}
	return rows
}

// prove checks a round with a credential, and the refusal of another's.
func prove(ctx context.Context, l *Lab, client Client, credential Credential, mode Mode, dir string) (string, error) {
	kind, code := credential.handedOut()
	s := stranger{workload: refused, run: client.Run + " " + credential.Run, code: code, says: fmt.Sprintf("AADSTS%d", code)}
	own := trusted
	if kind != "" {
		own, s.workload, s.env = credential.workload(application), credential.workload(another), []string{"AZURE_CLIENT_ID=" + application}
	}
	if err := once(ctx, l, l.command(ctx, mode, dir, own, s.run), secretRead, client.granted); err != nil {
		return "", err
	}
	return refusal(ctx, l, mode, dir, s)
}
