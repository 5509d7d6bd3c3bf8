package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/faults"
	"github.com/wiemu/wiemu/internal/lab"
)

func newFault(stateDir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fault",
		Short: "Inject faults: throttling, outages, bad tokens, stale keys and more",
		Long: `Inject faults: responses that are throttled, slow, broken or lost, tokens that are
invalid, federated credentials that have not propagated yet, keys and documents that
an issuer gets wrong, token files that a kubelet does not refresh. A fault applies to
the clients, issuers, resources and workloads that --for selects, which must exist,
and to the calls that --nth, --every, --count, --after, --until and --probability
select; wiemu explain names the fault of each affected call. Faults that never applied
are reported at the end of a run.

inject, show and clear work on the running server. wiemu run, wiemu serve and
scenarios have faults from the start: --fault, and faults: in their files. --chaos
SEED injects many faults that a correct client survives.`,
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
		Short: "List the faults and what each does",
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
					return cli.Usage(err)
				}
				kinds = []fault.Kind{kind}
			}
			switch {
			case format == "json":
				return cli.PrintJSON(cmd.OutOrStdout(), kinds)
			case format == "markdown":
				return printPage(cmd.OutOrStdout(), "faults", kinds)
			case len(args) == 1:
				return printFault(cmd.OutOrStdout(), kinds[0])
			}
			out := &cli.Lines{W: cmd.OutOrStdout()}
			for _, k := range kinds {
				out.Print("%-36s %s\n", k.Name, k.Summary)
			}
			return out.Err
		},
	}
	cli.AddOutput(cmd, &format, "text", "json", "markdown")
	return cmd
}

// injectFlags are those of a fault that is injected.
type injectFlags struct {
	who  []string
	when fault.Limits
	// The durations of when, which have a type of their own.
	after, until time.Duration
}

func (f *injectFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.who, "for", nil, "what the fault applies to: client=ID or NAME, issuer=NAME or URL, kid=ID, resource="+strings.Join(lab.Answering(), ", ")+", a vault or an application by name, a host, or a token's audience, workload=NAMESPACE/SERVICE-ACCOUNT or COMPONENT; repeatable, all must match (default: everything)")
	cmd.Flags().IntVar(&f.when.Nth, "nth", 0, "first call that the fault applies to (default 1)")
	cmd.Flags().IntVar(&f.when.Every, "every", 0, "from the first call on, apply only to every nth call (default 1)")
	cmd.Flags().IntVar(&f.when.Count, "count", 0, "how many calls the fault applies to (default: no limit)")
	cmd.Flags().DurationVar(&f.after, "after", 0, "lab time from now until the fault begins")
	cmd.Flags().DurationVar(&f.until, "until", 0, "lab time from now until the fault ends")
	cmd.Flags().Float64Var(&f.when.Probability, "probability", 0, "share of the calls that the fault applies to, such as 0.022 (default 1)")
	cmd.Flags().Uint64Var(&f.when.Seed, "seed", 0, "decides which calls --probability selects: the same seed selects the same calls (default: the lab's)")
}

// fault puts together what the command line says.
func (f *injectFlags) fault(args []string) (fault.Fault, error) {
	made := fault.Fault{Name: args[0], When: f.when}
	made.When.After, made.When.Until = fault.Duration(f.after), fault.Duration(f.until)
	for _, who := range f.who {
		if err := made.Set("for." + who); err != nil {
			return made, err
		}
	}
	for _, setting := range args[1:] {
		if strings.HasPrefix(setting, "for.") || strings.HasPrefix(setting, "when.") {
			return made, fmt.Errorf("%s: expected a parameter of %s; for and when are flags", setting, made.Name)
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
	var flags injectFlags
	var f fault.Fault
	cmd := cli.Show(&cobra.Command{
		Use:   "inject NAME [PARAMETER=VALUE...]",
		Short: "Inject a fault into the running server's lab",
		Example: `  wiemu fault inject throttled --for resource=entra --count 2 retry-after=3s
  wiemu fault inject server-error --for resource=keyvault --nth 3 --count 1 status=503
  wiemu fault inject intermittent-700213 --probability 0.022 --seed 7
  wiemu fault inject jwks-unreachable --for issuer=local --after 10m --until 40m`,
		Args: cobra.MinimumNArgs(1),
	}, func(cmd *cobra.Command, args []string) (injected control.Injected, err error) {
		if f, err = flags.fault(args); err != nil {
			return injected, cli.Usage(err)
		}
		client, err := needServer(cmd, *stateDir)
		if err != nil {
			return injected, err
		}
		return client.Inject(cmd.Context(), f)
	}, func(out *cli.Lines, injected control.Injected) {
		f.When.Seed = injected.Seed
		out.Print("%s  %s\n", injected.ID, f)
	})
	flags.add(cmd)
	return cmd
}

func newFaultShow(stateDir *string) *cobra.Command {
	return cli.Show(&cobra.Command{
		Use:     "show",
		Short:   "Show the faults in the running server's lab",
		Example: "  wiemu fault show\n  wiemu fault show -o json",
		Args:    cobra.NoArgs,
	}, onServer(stateDir, func(ctx context.Context, client *control.Client, _ []string) (control.Faults, error) {
		return client.Faults(ctx)
	}), func(out *cli.Lines, faults control.Faults) {
		for _, a := range faults.Active {
			spent := ""
			if a.Spent {
				spent = ", spent"
			}
			out.Print("%s  %s\n    since %s, hit %d of %d calls%s\n", a.ID, a.Fault, a.Since.Format(time.RFC3339), a.Hits, a.Calls, spent)
		}
		if len(faults.Active) == 0 {
			out.Print("no faults\n")
		}
	})
}

func newFaultClear(stateDir *string) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "clear [ID]",
		Short:   "Remove a fault from the running server's lab, or all of them",
		Example: "  wiemu fault clear f1\n  wiemu fault clear --all",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return cli.Usagef("expected the id of a fault, or --all; wiemu fault show lists them")
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
	cmd.Flags().BoolVar(&all, "all", false, "remove all of them")
	return cmd
}

// faultFlags are those of the faults that a lab has from the start.
type faultFlags struct {
	faults []string
	chaos  string
}

func (f *faultFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.faults, "fault", nil, "inject a fault from the start: NAME,PARAMETER=VALUE,for.resource=entra,when.count=2; repeatable; see wiemu fault list")
	cli.AddChaos(cmd, &f.chaos)
}

func (f *faultFlags) none() bool { return len(f.faults) == 0 && f.chaos == "" }

// checkNames refuses faults of clients, workloads and resources that do not exist, once every workload is there.
func (f *faultFlags) checkNames(faults *faults.Set, configFile string) error {
	err := faults.CheckNames()
	switch {
	case err == nil:
		return nil
	case len(f.faults) == 0 && configFile != "":
		return cli.Usagef("%s: %w", configFile, err)
	case len(f.faults) > 0 && configFile != "":
		return cli.Usagef("--fault, %s: %w", configFile, err)
	}
	return cli.Usagef("--fault: %w", err)
}

func (f *faultFlags) into(c *config.Config) error {
	seed, err := cli.ChaosSeed(f.chaos, os.Stderr)
	if err != nil {
		return err
	}
	if seed != 0 {
		c.Chaos = seed
	}
	for _, text := range f.faults {
		parsed, err := fault.Parse(text)
		if err == nil {
			for _, wrong := range parsed.Check(nil) {
				err = errors.Join(err, wrong)
			}
		}
		if err != nil {
			return cli.Usagef("--fault %s: %w", text, err)
		}
		c.Faults = append(c.Faults, parsed)
	}
	return nil
}

// tellSeed says what decides about faults, when something does.
func tellSeed(w io.Writer, s *faults.Set) {
	for _, a := range s.Active() {
		if a.When.Probability > 0 {
			fmt.Fprintf(w, "wiemu: fault %s uses seed %d; when.seed=%d selects the same calls again\n", a.ID, a.When.Seed, a.When.Seed)
		}
	}
}

// tellMissed says which faults have hit nothing, so that a program has not survived them.
func tellMissed(w io.Writer, missed []fault.Active) {
	for _, a := range missed {
		fmt.Fprintln(w, "wiemu:", a.MissReason())
	}
}

func printFault(w io.Writer, k fault.Kind) error {
	out := &cli.Lines{W: w}
	out.Print("%s: %s\n\n%s\n\n", k.Name, k.Summary, k.Description)
	out.Print("Selectors for --for: %s\n", strings.Join(k.Selects, ", "))
	for _, p := range k.Parameters {
		out.Print("  %-16s %s, default %s: %s\n", p.Name, parameterType(p), cmp.Or(p.Default, "none"), p.Description)
	}
	out.Print("\nExample: wiemu fault inject %s\n", k.Example)
	return out.Err
}

func parameterType(p fault.Parameter) string {
	if p.Type == fault.TypeChoice {
		return strings.Join(p.Values, ", ")
	}
	return string(p.Type)
}
