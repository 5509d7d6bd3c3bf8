package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/isolation"
	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/recording"
	"github.com/wiemu/wiemu/internal/run"
	"github.com/wiemu/wiemu/internal/secretsstore"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/timeshift"
	"github.com/wiemu/wiemu/internal/workload"
)

// runFlags are what wiemu run can be told besides the workload.
type runFlags struct {
	allow        []string
	own          bool
	failOnEscape bool
	isolate      bool
	network      string
	probe        func(context.Context) (lead.Way, error) // see run.Options; set by run
	publish      []string
	published    []isolation.Publication // of publish; set by check
	faults       faultFlags
	as           string
	record       *recording.File // nil: the session is not recorded
	clock        string
	speed        float64
	explain      bool
}

// The clocks that a program can run on.
const (
	realClock     = "real"
	lockstepClock = "lockstep"
)

func (f *runFlags) addClockFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.clock, "clock", realClock, "the application's clock: the machine's (real), or the lab's (lockstep, Linux), which wiemu clock and --speed control")
	cmd.Flags().Float64Var(&f.speed, "speed", 1, "with --clock lockstep: how many times as fast as the machine's clock lab time runs")
	cmd.Flags().BoolVar(&f.explain, "explain", false, "with --clock lockstep: report at the end what was done to each program")
}

func (f *runFlags) check() error {
	switch {
	case f.isolate && f.network != "":
		return cli.Usagef("--isolate, --network: an isolated application has a network of its own; give one of them")
	case len(f.publish) > 0 && !f.isolate:
		return cli.Usagef("--publish needs --isolate; without it the application's ports are this machine's")
	case f.clock != realClock && f.clock != lockstepClock:
		return cli.Usagef("--clock: expected %s or %s, found %q", realClock, lockstepClock, f.clock)
	case f.clock != lockstepClock && (f.explain || f.speed != 1):
		return cli.Usagef("--speed, --explain: they need --clock lockstep")
	}
	if err := backend.Network(f.network).Check(); err != nil {
		return cli.Usagef("--network: %w", err)
	}
	for _, p := range f.publish {
		publication, err := isolation.ParsePublication(p)
		if err != nil {
			return err
		}
		f.published = append(f.published, publication)
	}
	return nil
}

// checkAttached refuses the flags that a running server's lab, which is shared with others,
// cannot have.
func (f *runFlags) checkAttached() error {
	switch {
	case len(f.allow) > 0:
		return cli.Usagef("--allow-host: a server is running, which has its own list of allowed hosts; restart it with wiemu serve --allow-host, or use --own")
	case f.as != "":
		return errAsAttached
	case !f.faults.none():
		return cli.Usagef("--fault, --chaos: a server is running, whose lab is shared with others; use wiemu fault inject, or --own")
	case f.speed != 1:
		return cli.Usagef("--speed: a server is running, whose clock is shared with others; use wiemu clock speed, or --own")
	}
	return nil
}

func (f *runFlags) lockstep() bool { return f.clock == lockstepClock }

// task is the command to run as a workload, as the flags say.
func (f *runFlags) task(d workload.Spec, command []string) run.Task {
	t := run.Task{
		Command: command, Workload: d, Lockstep: f.lockstep(), Mounted: tellMounted,
		Options: run.Options{
			Isolate: f.isolate, Publish: f.published, Shift: timeshift.Options{Explain: f.explain},
			Network: backend.Network(f.network), Probe: f.probe, Chosen: func(c run.Choice) { cli.TellChoice(os.Stderr, c) },
		},
	}
	if f.explain {
		t.Explain = explainShift
	}
	return t
}

// tellMounted says where the files of key vaults are, which only an isolated program sees
// where Radix mounts them.
func tellMounted(volumes []secretsstore.Volume) {
	for _, v := range volumes {
		fmt.Fprintf(os.Stderr, "wiemu: the files of key vault %s are in %s; with --isolate they are in %s, as in Radix\n", v.Vault, v.Dir, v.Path)
	}
}

func newRun(stateDir *string) *cobra.Command {
	var s selection
	var flags runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] [COMPONENT] -- COMMAND [ARGUMENT...]",
		Short: "Run an unmodified application as a workload",
		Long: `Run an unmodified application as a workload: with the identity, the token file and
the environment variables of its pod, against an Entra ID and resources on this
machine. The token file is refreshed as a kubelet does it. The caller's AZURE_*, proxy
and CA variables are replaced; the caller's logins are neither used nor changed.

On Linux the application's connections are led to the lab, whether or not it heeds a
proxy. Where that is not permitted, and elsewhere, it reaches the lab by a proxy
(HTTPS_PROXY), and a line says why; --network transparent and --network proxy ask for
the one or the other. sudo, ping, snaps and the like do not work in a program that is
led: if it starts any, use --network proxy. docs/network.md compares the ways.

With --isolate (Linux) the application runs in a network of its own, without root and
without Docker: every host name resolves to the lab, and no connection can leave.

With --clock lockstep (Linux) the application runs on lab time: dates, caches, sleeps
and time-outs. wiemu clock advance 25h then ages it together with its tokens, timer by
timer; with --speed 600, ten minutes of lab time pass in a second, and a time-out of
30 s is one of 50 ms. Time stands still while a led application
looks a host name up.

From Kubernetes manifests (-f app.yaml --workload NAMESPACE/NAME) the application is a
container of the pods of a Deployment, StatefulSet, DaemonSet, Job, CronJob or Pod, as
azure-workload-identity's webhook changes them: service account, client id, token, and
the container's own variables from the config maps and secrets in the files. For each
variable whose value the files do not contain there is a warning.

While wiemu serve runs, the application becomes a workload of that server (unless
--own is given). The server's wiemu.yaml applies; a different one in this folder is an
error. Components are looked up among the server's workloads as well, or with -f in
those files only.

The exit code is the application's; 2 for a usage error, 125 if wiemu itself failed or
the pod does not start, 126 and 127 as in a shell. Afterwards, wiemu explain says why a
token was granted or refused.`,
		Example: `  wiemu run -- ./my-app                    # the only workload of ./wiemu.yaml
  wiemu run -f radixconfig.yaml --env dev web -- ./my-app
  wiemu run --namespace my-radix-app-dev --service-account web-sa \
      --client-id b96d264b-7053-4465-a4a7-32be5b0fec49 -- sh
  wiemu run -f app.yaml --workload shop/web --container api -- ./my-app
  wiemu run -f <(kustomize build overlays/dev) --workload shop/web -- ./my-app
  wiemu run -f radixconfig.yaml --env dev --managed-identity imds web -- ./my-app
  wiemu run -f radixconfig.yaml --env dev --credential secret web -- ./my-app
  wiemu run --env dev --fault throttled,for.resource=entra,when.count=2 web -- ./my-app
  wiemu run --env dev --allow-host .example.com web -- node server.js
  wiemu run --env dev --clock lockstep --speed 600 web -- ./my-app
  wiemu run --env dev --isolate -p 8080 web -- java -jar app.jar`,
		Args: runArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			dash := cmd.ArgsLenAtDash()
			return s.run(cmd, *stateDir, strings.Join(args[:dash], ""), args[dash:], flags)
		},
	}
	addRunFlags(cmd, &s, &flags)
	s.hasOwn = true
	cmd.Flags().BoolVar(&flags.own, "own", false, "start a separate lab for this run even if a server is running")
	return cmd
}

// addRunFlags adds what every command can be told that runs an application.
func addRunFlags(cmd *cobra.Command, s *selection, flags *runFlags) {
	s.addFlags(cmd)
	s.addAccessFlags(cmd)
	addAllowHost(cmd, &flags.allow)
	flags.faults.add(cmd)
	addAs(cmd, &flags.as)
	cmd.Flags().BoolVar(&flags.failOnEscape, "fail-on-escape", false, "exit with 125 if the application tried to reach a host outside the lab, or if that is not known: it was not led to the lab, nor isolated, and made no request that was seen")
	cli.AddNetwork(cmd, &flags.network)
	cmd.Flags().BoolVar(&flags.isolate, "isolate", false, "run the application in namespaces of its own, with no way to reach the network (Linux)")
	flags.addClockFlags(cmd)
	cmd.Flags().StringArrayVarP(&flags.publish, "publish", "p", nil, "with --isolate: publish a port of the application on this machine: 8080, or 8080:80 (outside, inside); repeatable")
}

func addAllowHost(cmd *cobra.Command, into *[]string) {
	cmd.Flags().StringArrayVar(into, "allow-host", nil, "host outside the lab that applications may reach, or .example.com for all its subdomains; repeatable. The system's CAs are then trusted as well")
}

// runArguments checks that there is at most one component, and a command behind --.
func runArguments(cmd *cobra.Command, args []string) error {
	switch dash := cmd.ArgsLenAtDash(); {
	case dash < 0 || dash == len(args):
		return cli.Usagef("expected -- and the command to run, such as: wiemu run web -- ./my-app")
	case dash > 1:
		return cli.Usagef("expected one component before --, found %s", strings.Join(args[:dash], " "))
	}
	return nil
}

// run runs the command in the running server's lab, or in one that lives as long as it.
func (s *selection) run(cmd *cobra.Command, stateDir, component string, command []string, flags runFlags) error {
	ctx := cmd.Context()
	if err := flags.check(); err != nil {
		return err
	}
	if !flags.isolate && cmp.Or(backend.Network(flags.network), backend.DefaultNetwork()) != backend.ByProxy {
		flags.probe = run.ProbeAhead(ctx) // while the lab starts
	}
	files, err := s.read(cmd)
	if err != nil {
		return err
	}
	client, err := runningServer(cmd, stateDir)
	if err != nil {
		return err
	}
	var result run.Result
	if client != nil && !flags.own {
		result, err = s.runAttached(ctx, client, files, component, command, flags)
	} else {
		files.Config.AllowHosts = append(files.Config.AllowHosts, flags.allow...)
		if err := flags.faults.into(&files.Config); err != nil {
			return err
		}
		if err := applyAs(flags.as, &files.Config); err != nil {
			return err
		}
		result, err = s.runOwn(ctx, stateDir, files, component, command, flags)
	}
	if err != nil {
		return err
	}
	if err := report(result, flags); err != nil {
		return err
	}
	return cli.PassOn(result.ExitCode)
}

func (s *selection) runOwn(ctx context.Context, stateDir string, files session.Files, component string, command []string, flags runFlags) (run.Result, error) {
	d, err := s.pick(files, files.Workloads(), component)
	if err != nil {
		return run.Result{}, err
	}
	if err := checkAs(flags.as, files.Config, d); err != nil {
		return run.Result{}, err
	}
	own, err := openSession(ctx, stateDir, files, flags.record.Options(), nil, nil)
	if err != nil {
		return run.Result{}, err
	}
	defer closeSession(ctx, own)
	tellSeed(os.Stderr, own.Emulator().Faults())
	tellOpen(os.Stderr, files.Config)
	tellMisspeltRoles(os.Stderr, files.Config)
	t := flags.task(d, command)
	admitted := false
	t.Admitted = func() error {
		if err := flags.faults.checkNames(own.Emulator().Faults(), files.ConfigFile); err != nil { // now every workload is there
			return err
		}
		if flags.lockstep() {
			tellLifetime(os.Stderr, own.Emulator().Made(), d)
		}
		if flags.speed != 1 {
			if err := own.Clock().SetSpeed(flags.speed); err != nil {
				return cli.Usagef("--speed: %w", err)
			}
		}
		admitted = true
		return nil
	}
	result, err := own.Run(ctx, t)
	if err = startError(err); admitted { // also a session whose program did not start
		err = errors.Join(err, writeRecording(ctx, flags.record, own.Recorder))
	}
	return result, err
}

func (s *selection) runAttached(ctx context.Context, client *control.Client, files session.Files, component string, command []string, flags runFlags) (run.Result, error) {
	if err := flags.checkAttached(); err != nil {
		return run.Result{}, err
	}
	x, err := s.attach(ctx, client, files)
	if err != nil {
		return run.Result{}, err
	}
	d, err := s.pick(x.files, x.declared, component)
	if err != nil {
		return run.Result{}, err
	}
	t := flags.task(d, command)
	t.Admitted = func() error {
		if flags.lockstep() {
			if status, err := client.Status(ctx); err == nil { // else recording the start fails
				tellLifetime(os.Stderr, status.Made, d)
			}
		}
		fmt.Fprintln(os.Stderr, "wiemu: a workload of the running server")
		return nil
	}
	server := run.Attachment{Server: client, Beside: x.files.WorkloadsAlone().Workloads(), ClockLost: func() {
		fmt.Fprintln(os.Stderr, "wiemu: the server has ended; the application's clock keeps running as it did, and wiemu clock no longer controls it")
	}}
	result, err := server.Run(ctx, t)
	return result, startError(err)
}
