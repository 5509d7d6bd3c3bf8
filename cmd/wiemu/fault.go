package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/fault"
)

func newFault(stateDir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "Let things go wrong on purpose, as they do in life",
		Long: `Let things go wrong on purpose: answers that are throttled, slow, broken or lost,
tokens that are no good, credentials that are not known yet, keys and documents that
an issuer gets wrong, token files that a kubelet does not renew. A fault hits those
whom --for names, which must exist, and the calls that --nth, --every, --count,
--after, --until and --probability leave; wiemu explain says of a call that a fault
hit it, and which. At the end of a run a fault that hit nothing is told.

inject, show and clear are about the running server. wiemu run, wiemu serve and
scenarios take faults from the start: --fault, and faults: in their files; --chaos
SEED injects many, which a client that does what it should survives.`,
		Example: `  wiemu fault list
  wiemu fault inject throttled --for resource=entra --count 2 retry-after=3s
  wiemu fault show
  wiemu fault clear f1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addElsewhere(cmd)
	cmd.AddCommand(newFaultList(), newFaultInject(stateDir), newFaultShow(stateDir), newFaultClear(stateDir))
	return cmd
}

func newFaultList() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "list [NAME]",
		Short: "Say which faults there are and what each does",
		Example: `  wiemu fault list
  wiemu fault list throttled
  wiemu fault list -o json
  wiemu fault list -o markdown > faults.md`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kinds := fault.Kinds()
			if len(args) == 1 {
				kind, err := fault.Named(args[0])
				if err != nil {
					return usage(err)
				}
				kinds = []fault.Kind{kind}
			}
			switch {
			case format == "json":
				return printJSON(cmd.OutOrStdout(), kinds)
			case format == "markdown":
				return printFaultPage(cmd.OutOrStdout(), kinds)
			case len(args) == 1:
				return printFault(cmd.OutOrStdout(), kinds[0])
			}
			out := &lines{w: cmd.OutOrStdout()}
			for _, k := range kinds {
				out.print("%-36s %s\n", k.Name, k.Summary)
			}
			return out.err
		},
	}
	addOutput(cmd, &format, "text", "json", "markdown")
	return cmd
}

// faultFlags are those of a fault that is injected.
type faultFlags struct {
	who  []string
	when fault.Limits
	// The durations of when, which have a type of their own.
	after, until time.Duration
}

func (f *faultFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.who, "for", nil, "who is hit: client=ID or NAME, issuer=NAME or URL, kid=ID, resource=entra, keyvault, graph, arm, imds, a vault or an application by name, a host, or what a token is for, workload=NAMESPACE/SERVICE-ACCOUNT or COMPONENT; repeatable, all must fit (default: everybody)")
	cmd.Flags().IntVar(&f.when.Nth, "nth", 0, "the first call that is hit (default 1)")
	cmd.Flags().IntVar(&f.when.Every, "every", 0, "hit only every so many calls from the first on (default 1)")
	cmd.Flags().IntVar(&f.when.Count, "count", 0, "how many calls are hit (default: any number)")
	cmd.Flags().DurationVar(&f.after, "after", 0, "lab time from now to the first hit")
	cmd.Flags().DurationVar(&f.until, "until", 0, "lab time from now to the end")
	cmd.Flags().Float64Var(&f.when.Probability, "probability", 0, "the share of calls that is hit, such as 0.022 (default 1)")
	cmd.Flags().Uint64Var(&f.when.Seed, "seed", 0, "decides which calls --probability hits: the same seed hits the same calls (default: the lab's)")
}

// fault puts together what the command line says.
func (f *faultFlags) fault(args []string) (fault.Fault, error) {
	made := fault.Fault{Name: args[0], When: f.when}
	made.When.After, made.When.Until = fault.Duration(f.after), fault.Duration(f.until)
	for _, who := range f.who {
		if err := made.Set("for." + who); err != nil {
			return made, err
		}
	}
	for _, setting := range args[1:] {
		if strings.HasPrefix(setting, "for.") || strings.HasPrefix(setting, "when.") {
			return made, fmt.Errorf("%s: expected a parameter of %s; who and when are flags", setting, made.Name)
		}
		if err := made.Set(setting); err != nil {
			return made, err
		}
	}
	var wrong []error
	for _, m := range made.Check(nil) {
		wrong = append(wrong, m)
	}
	return made, errors.Join(wrong...)
}

func newFaultInject(stateDir *string) *cobra.Command {
	var format string
	var flags faultFlags
	cmd := &cobra.Command{
		Use:   "inject NAME [PARAMETER=VALUE...]",
		Short: "Let something go wrong in the running server's lab",
		Example: `  wiemu fault inject throttled --for resource=entra --count 2 retry-after=3s
  wiemu fault inject server-error --for resource=keyvault --nth 3 --count 1 status=503
  wiemu fault inject intermittent-700213 --probability 0.022 --seed 7
  wiemu fault inject jwks-unreachable --for issuer=local --after 10m --until 40m`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := flags.fault(args)
			if err != nil {
				return usage(err)
			}
			client, err := needServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			injected, err := client.Inject(cmd.Context(), f)
			if err != nil {
				return err
			}
			if format == "json" {
				return printJSON(cmd.OutOrStdout(), injected)
			}
			f.When.Seed = injected.Seed
			out := &lines{w: cmd.OutOrStdout()}
			out.print("%s  %s\n", injected.ID, f)
			return out.err
		},
	}
	flags.add(cmd)
	addOutput(cmd, &format, "text", "json")
	return cmd
}

func newFaultShow(stateDir *string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "show",
		Short:   "Show what goes wrong on purpose in the running server's lab",
		Example: "  wiemu fault show\n  wiemu fault show -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := needServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			faults, err := client.Faults(cmd.Context())
			if err != nil {
				return err
			}
			if format == "json" {
				return printJSON(cmd.OutOrStdout(), faults)
			}
			out := &lines{w: cmd.OutOrStdout()}
			for _, a := range faults.Active {
				spent := ""
				if a.Spent {
					spent = ", spent"
				}
				out.print("%s  %s\n    since %s, hit %d of %d calls%s\n", a.ID, a.Fault, a.Since.Format(time.RFC3339), a.Hits, a.Calls, spent)
			}
			if len(faults.Active) == 0 {
				out.print("nothing goes wrong on purpose\n")
			}
			return out.err
		},
	}
	addOutput(cmd, &format, "text", "json")
	return cmd
}

func newFaultClear(stateDir *string) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "clear [ID]",
		Short:   "End a fault of the running server's lab, or all of them",
		Example: "  wiemu fault clear f1\n  wiemu fault clear --all",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return usagef("expected the id of a fault, or --all; wiemu fault show lists them")
			}
			client, err := needServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			if all {
				return client.ClearAll(cmd.Context())
			}
			return client.Clear(cmd.Context(), args[0])
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "end all of them")
	return cmd
}

// mishaps is what a lab is told to let go wrong from the start.
type mishaps struct {
	faults []string
	chaos  string
}

func (m *mishaps) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&m.faults, "fault", nil, "let something go wrong from the start: NAME,PARAMETER=VALUE,for.resource=entra,when.count=2; repeatable; see wiemu fault list")
	addChaos(cmd, &m.chaos)
}

func addChaos(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "chaos", "", "make the lab as nasty as the real thing can be: throttling, failures, lost connections, keys and tokens that change at awkward moments. The number is the seed from which all of it follows; random picks one and tells it")
}

// chaosSeed reads the value of --chaos and tells the seed. 0: there is no chaos.
func chaosSeed(text string, w io.Writer) (uint64, error) {
	seed, err := strconv.ParseUint(text, 10, 64)
	switch {
	case text == "":
		return 0, nil
	case text == "random":
		seed = uint64(rand.Uint32()) + 1 // short enough to be typed again
	case err != nil || seed == 0:
		return 0, usagef("--chaos: expected a number above 0, or random, found %q", text)
	}
	fmt.Fprintf(w, "wiemu: chaos, seed %d; --chaos %d makes the same again\n", seed, seed)
	return seed, nil
}

// none reports whether nothing is told.
func (m *mishaps) none() bool { return len(m.faults) == 0 && m.chaos == "" }

// checkNames refuses faults that are about nothing that there is, once everybody is there.
func (m *mishaps) checkNames(faults *fault.Set, configFile string) error {
	err := faults.CheckNames()
	switch {
	case err == nil:
		return nil
	case len(m.faults) == 0 && configFile != "":
		return usagef("%s: %w", configFile, err)
	case len(m.faults) > 0 && configFile != "":
		return usagef("--fault, %s: %w", configFile, err)
	}
	return usagef("--fault: %w", err)
}

// into adds them to what the files say.
func (m *mishaps) into(c *config.Config) error {
	seed, err := chaosSeed(m.chaos, os.Stderr)
	if err != nil {
		return err
	}
	if seed != 0 {
		c.Chaos = seed
	}
	for _, text := range m.faults {
		f, err := fault.Parse(text)
		if err == nil {
			for _, m := range f.Check(nil) {
				err = errors.Join(err, m)
			}
		}
		if err != nil {
			return usagef("--fault %s: %w", text, err)
		}
		c.Faults = append(c.Faults, f)
	}
	return nil
}

// tellSeed says what decides about faults, when something does.
func tellSeed(w io.Writer, s *fault.Set) {
	for _, a := range s.Active() {
		if a.When.Probability > 0 {
			fmt.Fprintf(w, "wiemu: fault %s is decided by seed %d; when.seed=%d hits the same calls again\n", a.ID, a.When.Seed, a.When.Seed)
		}
	}
}

// tellMissed says which faults have hit nothing, so that a program has not survived them.
func tellMissed(w io.Writer, missed []fault.Active) {
	for _, a := range missed {
		fmt.Fprintln(w, "wiemu:", a.Miss())
	}
}

// printFault shows all that is known about one kind.
func printFault(w io.Writer, k fault.Kind) error {
	out := &lines{w: w}
	out.print("%s: %s\n\n%s\n\n", k.Name, k.Summary, k.Description)
	out.print("Who can be chosen with --for: %s\n", strings.Join(k.Selects, ", "))
	for _, p := range k.Parameters {
		out.print("  %-16s %s, default %s: %s\n", p.Name, parameterType(p), defaultOf(p), p.Description)
	}
	out.print("\nExample: wiemu fault inject %s\n", k.Example)
	return out.err
}

func parameterType(p fault.Parameter) string {
	if p.Type == fault.TypeChoice {
		return strings.Join(p.Values, ", ")
	}
	return string(p.Type)
}

func defaultOf(p fault.Parameter) string {
	if p.Default == "" {
		return "none"
	}
	return p.Default
}

// printFaultPage writes docs/faults.md.
func printFaultPage(w io.Writer, kinds []fault.Kind) error {
	out := &lines{w: w}
	out.print(`# The faults

<!-- Generated: go test ./cmd/wiemu -run TestFaultPage -update -->

What wiemu can let go wrong on purpose, in the order in which a token meets it. The same
names and parameters serve everywhere:

` + "```text" + `
wiemu fault inject throttled --for resource=entra --count 2 retry-after=3s     a running server
wiemu run --fault throttled,for.resource=entra,when.count=2,retry-after=3s …   from the start; wiemu serve, too
` + "```" + `

` + "```yaml" + `
faults:               # in a scenario or a wiemu.yaml; in a scenario also a step: - fault: {name: throttled, …}
- name: throttled
  parameters: {retry-after: 3s}
  for: {resource: entra}     # client, issuer, kid, resource, workload: by id or name
  when: {count: 2}           # nth, every, count, after, until, probability, seed
` + "```" + `

Every hit is an event of kind ` + "`fault`" + ` in the journal, and the event of the call that was hit
says so, too (` + "`detail.fault`" + `); ` + "`wiemu explain`" + ` shows it. The n-th call that a fault is for is
hit or not whatever happens at the same time, and a probability is decided by a seed: the same calls
with the same seed go wrong again. What a selector names must exist; a fault that has hit nothing is
told at the end of wiemu run, wiemu serve and a scenario. Durations are lab time unless the text says otherwise.

## Chaos

` + "`--chaos SEED`" + ` of wiemu run, wiemu serve and wiemu scenario run, or ` + "`chaos: SEED`" + ` in a
wiemu.yaml or a scenario, makes a lab as nasty as the real thing can be, as Pebble is for clients of
ACME: a little throttling, failures, delays and lost connections, key sets in another order, keys and
token files that change at awkward moments, though as they should. All of it follows from the seed,
which is told; ` + "`--chaos random`" + ` picks one. It is made of the faults below, so ` + "`wiemu fault show`" + ` lists it.
A client that tries four times, honours Retry-After and reads its token file for every exchange does not
notice: azidentity with its default settings does not.

## All of them

| Fault | What happens |
|---|---|
`)
	for _, k := range kinds {
		out.print("| [%s](#%s) | %s |\n", k.Name, k.Name, k.Summary)
	}
	for _, k := range kinds {
		out.print("\n## %s\n\n%s.\n%s\n\n", k.Name, strings.ToUpper(k.Summary[:1])+k.Summary[1:], k.Description)
		if len(k.Parameters) > 0 {
			out.print("| Parameter | Type | Default | Meaning |\n|---|---|---|---|\n")
			for _, p := range k.Parameters {
				out.print("| %s | %s | %s | %s |\n", p.Name, parameterType(p), defaultOf(p), p.Description)
			}
			out.print("\n")
		}
		out.print("Can be chosen with `--for`: %s.\n\n```text\nwiemu fault inject %s\n```\n", strings.Join(k.Selects, ", "), k.Example)
	}
	return out.err
}
