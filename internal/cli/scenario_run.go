package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/scenario"
	"github.com/wiemu/wiemu/internal/scenario/report"
	"github.com/wiemu/wiemu/internal/timeline"
	"github.com/wiemu/wiemu/internal/userstate"
	"github.com/wiemu/wiemu/scenarios"
)

// collectLess has the garbage collector wait until the heap is five times what is in use, unless
// the user says otherwise by GOGC. Labs of scenarios live for less than a second, so most of what
// it would look at is gone soon anyway: a tenth less processor time, for some 70 MB.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// NewScenarioRun returns the command that runs scenarios, as processes or on the backends that
// openers open, by their names. What needs another backend is left to handOver.
func NewScenarioRun(stateDir *string, openers map[string]OpenBackend, handOver func() error) *cobra.Command {
	var opts scenario.Options
	var chosen choice
	on := Backends{StateDir: stateDir, openers: openers}
	var format, journals, chaos, network string
	var pictures pictures
	cmd := &cobra.Command{
		Use:   "run [FILE|DIRECTORY|NAME...]",
		Short: "Run scenario files, or if none is given the built-in ones",
		Long: `Run scenarios, each in a lab of its own whose clock is moved only by the scenario's
steps. A directory stands for the YAML files in it, and NAME for a built-in scenario.
The exit code is 0 if all passed, 1 if one failed, 2 if a file or the command line is
wrong or nothing was selected, 130 if the run was interrupted.

With --on they run in containers (compose) or as pods of a cluster (kind). A scenario
that is not supported there is left out, and the report says why; so is one for which
this machine lacks something, such as PostgreSQL, unless --fail-on-missing is given.

In GitHub Actions, failures are also annotations at the lines of the files, and are
listed in the job's summary.

Two runs of a scenario record the same journal, apart from machine times and random
ids: -o json has its hash, --journal writes it, and --count reports where two runs
differ.`,
		Example: `  wiemu scenario run
  wiemu scenario run token-rotated
  wiemu scenario run scenarios/ --run '^key-' --fail-fast
  wiemu scenario run scenarios/ --shard 2/5 -o junit > report.xml
  wiemu scenario run my.yaml --count 20
  wiemu scenario run my.yaml --on process,kind
  wiemu scenario run my.yaml --chaos random
  wiemu scenario run scenarios/ --report --report-dir pictures`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.Parallel < 0 {
				return Usagef("--parallel: expected a number of scenarios, or 0 for one more than there are processors, found %d", opts.Parallel)
			}
			if err := pictures.check(cmd); err != nil {
				return err
			}
			if err := on.Check(); err != nil {
				return err
			}
			if opts.Network = backend.Network(network); opts.Network.Check() != nil {
				return Usagef("--network: %w", opts.Network.Check())
			}
			if opts.Network == backend.Transparent && !slices.Contains(on.On, scenario.OnProcess) {
				return Usagef("--network %s: expected %s in --on, found %s: in containers and pods names lead every program to the lab, and no connection has to be led; leave the flag out", network, scenario.OnProcess, strings.Join(on.On, ", "))
			}
			if opts.Timeout < 0 {
				return Usagef("--timeout: expected a duration above zero, found %v", opts.Timeout)
			}
			selection, err := chosen.parse()
			if err != nil {
				return err
			}
			list, err := LoadScenarios(cmd, args)
			if err != nil {
				return err
			}
			if list, err = selection.Of(list); err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "wiemu:", err)
				return ExitCode(2)
			}
			if err := on.missing(list); err != nil {
				return err
			}
			if !on.canOpen(list) {
				return handOver()
			}
			if opts.Chaos, err = ChaosSeed(chaos, cmd.ErrOrStderr()); err != nil {
				return err
			}
			dir, err := userstate.Open(*stateDir)
			if err != nil {
				return err
			}
			keys, err := keyring.OpenPool(dir.KeyDir(), keyring.PoolOptions{})
			if err != nil {
				return err
			}
			on.Out = cmd.ErrOrStderr()
			opened, err := on.open(cmd.Context(), list, keys)
			defer CleanUp(cmd, func() error {
				return errors.Join(opened.close(context.WithoutCancel(cmd.Context())), keys.Close())
			})
			if err := Interrupted(cmd, err); err != nil {
				return err
			}
			opts.Backends = opened.all()
			out := cmd.OutOrStdout()
			var line *progress
			if format == "table" {
				opts.Out = out
				if line = newProgress(out); line != nil {
					opts.Out, opts.Progress = line, line.show
				}
			}
			collectLess()
			report := scenario.Run(cmd.Context(), list, opts)
			line.end()
			if cmd.Context().Err() != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "wiemu: interrupted: %s\n", report.Counts())
				return ExitCode(130)
			}
			write := map[string]func(io.Writer) error{"table": report.WriteEnd, "json": report.WriteJSON, "junit": report.WriteJUnit}[format]
			if journals != "" {
				if err := report.WriteJournals(journals); err != nil {
					return err
				}
			}
			if err := pictures.draw(cmd, &report); err != nil {
				return err
			}
			if err := errors.Join(write(out), newGitHub(cmd.ErrOrStderr()).report(report)); err != nil {
				return err
			}
			if report.Unsupported > 0 && report.Unsupported == len(report.Scenarios) {
				fmt.Fprintf(cmd.ErrOrStderr(), "wiemu: nothing was run: none of the scenarios is supported on %s; choose where they run with --on\n", strings.Join(on.On, ", "))
				return ExitCode(2)
			}
			return PassOn(report.ExitCode())
		},
	}
	cmd.Flags().IntVar(&opts.Parallel, "parallel", 0, "how many scenarios run at the same time (default: one more than there are processors)")
	cmd.Flags().DurationVar(&opts.Timeout, "timeout", 0, "time limit of a scenario on the machine's clock (default 10m)")
	cmd.Flags().BoolVar(&opts.FailFast, "fail-fast", false, "start no more scenarios after one has failed")
	cmd.Flags().BoolVar(&opts.FailOnMissing, "fail-on-missing", false, "fail a scenario for which this machine lacks something, such as PostgreSQL, instead of leaving it out")
	chosen.addFlags(cmd)
	on.addFlags(cmd)
	AddNetwork(cmd, &network)
	cmd.Flags().StringVar(&journals, "journal", "", "directory for the scenarios' journals, without machine times and with ids by ordinal, so that two runs can be compared")
	pictures.addFlags(cmd)
	AddChaos(cmd, &chaos)
	AddOutput(cmd, &format, "table", "json", "junit")
	return cmd
}

type choice struct {
	run, shard string
	count      int
}

func (c *choice) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.run, "run", "", "run only scenarios whose name matches this regular expression")
	cmd.Flags().StringVar(&c.shard, "shard", "", "run only this part of them, such as 2/5: the second of five")
	cmd.Flags().IntVar(&c.count, "count", 1, "run each scenario this many times, to find flaky ones")
}

func (c *choice) parse() (s scenario.Selection, err error) {
	if c.run != "" {
		if s.Names, err = regexp.Compile(c.run); err != nil {
			return s, Usagef("--run: expected a regular expression: %w", err)
		}
	}
	if c.shard != "" {
		if s.Shard, err = scenario.ParseShard(c.shard); err != nil {
			return s, Usagef("--shard: %w", err)
		}
	}
	if c.count < 1 {
		return s, Usagef("--count: expected a number above zero, found %d", c.count)
	}
	s.Count = c.count
	return s, nil
}

// LoadScenarios reads files and built-in scenarios by name, or without any name all of the built-in
// library. What is wrong in files is told, and ends with an exit code of its own.
func LoadScenarios(cmd *cobra.Command, files []string) ([]scenario.Scenario, error) {
	if len(files) == 0 {
		return scenario.LoadFS(scenarios.Library())
	}
	list, err := file.ReadContext(cmd.Context(), func() ([]scenario.Scenario, error) { return scenario.LoadNamed(scenarios.Library(), files...) })
	if ended := context.Cause(cmd.Context()); ended != nil {
		return nil, ended
	}
	if err != nil {
		return nil, TellProblems(cmd, err)
	}
	for _, s := range list {
		TellWarnings(cmd, s.Warnings())
	}
	return list, nil
}

// TellProblems says what is wrong in files, one problem a line.
func TellProblems(cmd *cobra.Command, err error) error {
	err = newGitHub(cmd.ErrOrStderr()).problems(err)
	fmt.Fprintln(cmd.ErrOrStderr(), "wiemu:", err)
	return ExitCode(2)
}

type pictures struct {
	format, dir string
}

func (p *pictures) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.format, "report", "", "draw each scenario: html (the default if no value is given), or --report=svg for a pull request")
	cmd.Flags().Lookup("report").NoOptDefVal = string(timeline.HTML)
	cmd.Flags().StringVar(&p.dir, "report-dir", "wiemu-report", "directory for the reports: NAME.html and index.html, or NAME.svg")
}

func (p *pictures) check(cmd *cobra.Command) error {
	switch {
	case p.format == "" && cmd.Flags().Changed("report-dir"):
		return Usagef("--report-dir goes with --report")
	case p.format != "" && !slices.Contains(timeline.Formats(), timeline.Format(p.format)):
		return Usagef("--report: expected html or svg, found %q; a directory is named by --report-dir", p.format)
	}
	return nil
}

// draw draws and says where, beside the output that programs read.
func (p *pictures) draw(cmd *cobra.Command, report *report.Report) error {
	if p.format == "" {
		return nil
	}
	if err := report.WriteTimelines(p.dir, timeline.Format(p.format)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "wiemu: the scenarios are drawn in %s\n", p.dir)
	return err
}

// AddChaos adds the flag --chaos; see [ChaosSeed].
func AddChaos(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "chaos", "", "inject many faults: throttling, failures, lost connections, keys and tokens that change at bad moments. The number is the seed that determines all of them; random picks one and prints it")
}

// ChaosSeed reads the value of --chaos and tells the seed. 0: there is no chaos.
func ChaosSeed(text string, w io.Writer) (uint64, error) {
	seed, err := strconv.ParseUint(text, 10, 64)
	switch {
	case text == "":
		return 0, nil
	case text == "random":
		seed = uint64(rand.Uint32()) + 1 // short enough to be typed again
	case err != nil || seed == 0:
		return 0, Usagef("--chaos: expected a number above 0, or random, found %q", text)
	}
	fmt.Fprintf(w, "wiemu: chaos, seed %d; --chaos %d repeats it\n", seed, seed)
	return seed, nil
}

// github is what GitHub Actions shows of a run besides its log.
type github struct {
	annotations report.Annotations
	summary     string // a file to append to; "": none
}

// newGitHub returns nil elsewhere than in GitHub Actions. Workflow commands are
// read from both outputs of a step; standard output may be a report.
func newGitHub(stderr io.Writer) *github {
	if os.Getenv("GITHUB_ACTIONS") != "true" {
		return nil
	}
	return &github{report.Annotations{W: stderr, Path: repositoryPath}, os.Getenv("GITHUB_STEP_SUMMARY")}
}

func (g *github) problems(err error) error {
	if g == nil || err == nil {
		return err
	}
	return errors.Join(err, g.annotations.Problems(err))
}

func (g *github) report(r report.Report) (err error) {
	if g == nil {
		return nil
	}
	if err := g.annotations.Report(r); err != nil || g.summary == "" {
		return err
	}
	file, err := os.OpenFile(g.summary, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the job's summary ($GITHUB_STEP_SUMMARY): %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return r.WriteSummary(file)
}

// repositoryPath is a file's path in the checked-out repository, "" if it is not in it.
func repositoryPath(file string) string {
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	top := cmp.Or(os.Getenv("GITHUB_WORKSPACE"), ".")
	top, err := filepath.Abs(top)
	if err != nil {
		return ""
	}
	absolute, err := filepath.Abs(file)
	if err != nil {
		return ""
	}
	path, err := filepath.Rel(top, absolute)
	if err != nil || !filepath.IsLocal(path) {
		return ""
	}
	return filepath.ToSlash(path)
}
