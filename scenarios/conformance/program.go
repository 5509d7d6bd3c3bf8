package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/journal"
)

// A Program does operations of a resource, such as those of blobs, each once: it prints a
// line "NAME ok" for each and at the end "round done".
type Program struct {
	Name    string   `yaml:"name"`    // row of the table
	With    string   `yaml:"with"`    // what it uses, in the column of credentials, such as DefaultAzureCredential
	Package string   `yaml:"package"` // that has the version to show
	Version string   `yaml:"version"` // prints it, in the installation
	Run     string   `yaml:"run"`
	Needs   []string `yaml:"needs"` // besides those of the client

	Operations int      `yaml:"operations"` // that have to be ok
	Modes      []Mode   `yaml:"modes"`
	Lockstep   []string `yaml:"lockstep"` // files of lockstep/, without .yaml

	// Storage are the backends of storage accounts, each a row of its own; a further one
	// than the first is run in the first mode alone.
	Storage []string `yaml:"storage"`

	// Settings is a file beside storage.yaml that describes what the program uses, in place of
	// storage accounts and a vault: there is no backend then.
	Settings string `yaml:"settings"`
	// Workload and Stranger are the names of workloads of Settings, of which the second is refused.
	// Default: pods, of which the second is of another environment.
	Workload string `yaml:"workload"`
	Stranger string `yaml:"stranger"`
	// Refusal is in what the program prints as another identity, which Entra ID gives a token
	// and the resource refuses. Default: it is refused by Entra ID, with AADSTS700213.
	Refusal string `yaml:"refusal"`
	// Refused is how many token requests of the program itself Entra ID refuses, because the program
	// has taken away what it would be trusted by.
	Refused int `yaml:"refused"`

	Note string `yaml:"note"`
}

func (p Program) check(refuse func(field, expected, found, fix string)) {
	for _, f := range []struct{ field, value string }{{"name", p.Name}, {"with", p.With}, {"package", p.Package}, {"version", p.Version}, {"run", p.Run}} {
		if strings.TrimSpace(f.value) == "" {
			refuse(f.field, "text", "nothing", "")
		}
	}
	if p.Operations < 1 {
		refuse("operations", "how many operations the program does", fmt.Sprint(p.Operations), "count its lines NAME ok")
	}
	if len(p.Modes) == 0 || p.Modes[0] == Lockstep {
		refuse("modes", "transparent, proxy, isolate, lockstep, not the last first", fmt.Sprint(p.Modes), "")
	}
	if slices.Contains(p.Modes, Lockstep) != (len(p.Lockstep) > 0) {
		refuse("lockstep", "scenarios for a program that has the mode lockstep, and for no other", fmt.Sprint(len(p.Lockstep)), "")
	}
	if (p.Workload == "") != (p.Stranger == "") || p.Workload != "" && p.Settings == "" {
		refuse("workload", "workload and stranger, both of the file in settings, or neither", fmt.Sprint(p.Workload, " ", p.Stranger), "")
	}
	if (len(p.Storage) == 0) == (p.Settings == "") {
		refuse("storage", "memory, azurite or both, or else settings", fmt.Sprint(p.Storage, " ", p.Settings), "")
	}
	for _, backend := range p.Storage {
		if backend != "memory" && backend != "azurite" {
			refuse("storage", "memory or azurite", backend, "")
		}
	}
}

// programs runs the programs of a client; an error is of all of them.
func (d *driver) programs(ctx context.Context, c Client, of Result, dir string, outcome Outcome, failed error) (rows []Result) {
	for _, p := range c.Programs {
		backends := p.Storage
		if p.Settings != "" {
			backends = []string{""}
		}
		for n, backend := range backends {
			r := Result{Client: p.Name, Credential: p.With, Package: p.Package, Runtime: of.Runtime, Refusal: cmp.Or(p.Refusal, "AADSTS700213"), Note: p.Note}
			allowed := p.Modes
			if backend == "azurite" {
				r.Client += ", Azurite"
			}
			if n > 0 {
				allowed = p.Modes[:1]
			}
			out, outcome, why := d.programVersion(ctx, c, p, backend, dir, outcome, failed)
			r.Version = out
			rows = append(rows, d.row(r, allowed, outcome, why, func(m Mode) (Checked, error) {
				return d.program(ctx, c, p, backend, m, dir)
			}))
		}
	}
	return rows
}

// programVersion returns the version of a program's package, or why it is not run.
func (d *driver) programVersion(ctx context.Context, c Client, p Program, backend, dir string, outcome Outcome, failed error) (string, Outcome, error) {
	if failed != nil {
		return "", outcome, failed
	}
	needs := p.Needs
	if backend == "azurite" {
		needs = append(slices.Clone(needs), "azurite")
	}
	if missing := d.missing(Client{Needs: needs}); len(missing) > 0 {
		return "", LeftOut, fmt.Errorf("this machine has no %s", strings.Join(missing, ", "))
	}
	return d.version(ctx, c, dir, p.Version)
}

// version returns what a client's command prints, without the v in front.
func (d *driver) version(ctx context.Context, c Client, dir, command string) (string, Outcome, error) {
	out, err := d.cache.bash(ctx, c, dir, command)
	if err != nil {
		return "", Failed, fmt.Errorf("version: %w\n%s", err, out)
	}
	return strings.TrimPrefix(strings.TrimSpace(out), "v"), "", nil
}

func (d *driver) program(ctx context.Context, c Client, p Program, backend string, m Mode, dir string) (checked Checked, err error) {
	if m == Lockstep {
		c.Run, c.Lockstep = p.Run, p.Lockstep
		return checked, d.lives(ctx, c, dir)
	}
	settings := filepath.Join(d.root, "scenarios", "conformance", p.Settings)
	if p.Settings == "" {
		if settings, err = d.storage(backend); err != nil {
			return checked, err
		}
		defer func() { _ = os.RemoveAll(filepath.Dir(settings)) }() // it is ours, in the machine's temporary directory
	}
	files := d.files(settings)
	err = d.inLab(ctx, files, func(l *Lab) (err error) {
		l.named = files
		checked.Refusal, err = operate(ctx, l, c, p, m, dir)
		return err
	})
	return checked, err
}

// storage writes the wiemu.yaml of the accounts that programs use, in a directory of its
// own, with a backend.
func (d *driver) storage(backend string) (file string, err error) {
	accounts, err := os.ReadFile(filepath.Join(d.root, "scenarios", "conformance", "storage.yaml"))
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "wiemu-conformance-")
	if err != nil {
		return "", err
	}
	file = filepath.Join(dir, "wiemu.yaml")
	return file, os.WriteFile(file, fmt.Appendf(accounts, "storage: {backend: %s}\n", backend), 0o644)
}

// operate lets a program do its operations, and in its first mode has it refused, too.
func operate(ctx context.Context, l *Lab, c Client, p Program, mode Mode, dir string) (string, error) {
	own, other := trusted, refused
	if p.Workload != "" {
		own, other = []string{p.Workload}, []string{p.Stranger}
	}
	behaved := func(events []journal.Event) error { return p.behaved(events, c.Escapes) }
	if err := once(ctx, l, l.command(ctx, mode, dir, own, p.Run), p.done, behaved); err != nil {
		return "", err
	}
	if mode != p.Modes[0] {
		return "", nil
	}
	if p.Refusal != "" {
		return refusal(ctx, l, mode, dir, stranger{workload: []string{"--namespace", "shop", "--service-account", "daemon-sa", "--client-id", another}, run: p.Run, says: p.Refusal})
	}
	return refusal(ctx, l, mode, dir, stranger{workload: other, run: p.Run, code: 700213, says: "AADSTS700213"})
}

// behaved checks that a program stayed in the lab, and was given the tokens that it asked for, but
// for those that it expects to be refused.
func (p Program) behaved(events []journal.Event, escapes []string) error {
	var refused []string
	for _, e := range events {
		switch {
		case e.Kind == journal.Escape && !slices.Contains(escapes, e.Host):
			return fmt.Errorf("the program tried to reach %s: %s", e.Host, e.Summary)
		case e.Kind == journal.Exchange && e.Outcome != journal.Granted:
			refused = append(refused, e.Summary)
		}
	}
	if len(refused) != p.Refused {
		return fmt.Errorf("expected %d token requests that are refused, found %d: %s", p.Refused, len(refused), strings.Join(refused, "; "))
	}
	return nil
}

// done says what is missing in the lines of a program.
func (p Program) done(said []string) error {
	var ok, not []string
	for _, line := range said {
		name, outcome, found := strings.Cut(line, " ")
		switch {
		case found && outcome == "ok":
			ok = append(ok, name)
		case found && strings.HasPrefix(outcome, "failed"):
			not = append(not, line)
		}
	}
	if len(not) > 0 || len(ok) != p.Operations {
		return fmt.Errorf("expected %d operations that are ok, found %d: %s; %s", p.Operations, len(ok), strings.Join(ok, ", "), strings.Join(not, "; "))
	}
	return nil
}
