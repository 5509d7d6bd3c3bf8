package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/isolation"
	"github.com/wiemu/wiemu/harness/process"
	"github.com/wiemu/wiemu/harness/state"
	"github.com/wiemu/wiemu/harness/timeshift"
)

// shutdownPatience is how long answers under way may take when a lab ends (wall time).
const shutdownPatience = 3 * time.Second

// runFlags are what wiemu run can be told besides the workload.
type runFlags struct {
	allow        []string
	own          bool
	failOnEscape bool
	isolate      bool
	publish      []string
	mishaps      mishaps
	as           string
	record       *sessionFile // nil: the session is not recorded
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
	cmd.Flags().StringVar(&f.clock, "clock", realClock, "what the application's clock is: the machine's (real), or the lab's (lockstep, Linux), which wiemu clock moves and --speed speeds up")
	cmd.Flags().Float64Var(&f.speed, "speed", 1, "with --clock lockstep: how fast the lab's time goes by")
	cmd.Flags().BoolVar(&f.explain, "explain", false, "with --clock lockstep: tell afterwards what was done to which program")
}

func (f *runFlags) check() error {
	switch {
	case len(f.publish) > 0 && !f.isolate:
		return usagef("--publish: it goes with --isolate; without it the application's ports are this machine's")
	case f.clock != realClock && f.clock != lockstepClock:
		return usagef("--clock: expected %s or %s, found %q", realClock, lockstepClock, f.clock)
	case f.clock != lockstepClock && (f.explain || f.speed != 1):
		return usagef("--speed, --explain: they go with --clock lockstep")
	}
	return nil
}

func newRun(stateDir *string) *cobra.Command {
	var s selection
	var flags runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] [COMPONENT] -- COMMAND [ARGUMENT...]",
		Short: "Run an unmodified application as a workload",
		Long: `Run an unmodified application as a workload: with the identity, the token file and
the environment that its pod would have, against an Entra ID and resources on this
machine. The token file is kept fresh as a kubelet does. AZURE_*, proxy and CA
variables of the caller are replaced; no login of the caller's is used or touched.

With --isolate (Linux) the application has a pod's view of the world, without root
and without Docker: every host name leads to the lab and nowhere else, so that
programs work which know nothing of proxies, and nothing can escape.

With --clock lockstep (Linux) the application lives on the lab's time: its dates, its
caches, its sleeps and its time-outs. wiemu clock advance 25h then ages it together
with its tokens, timer by timer; --speed 600 has ten minutes pass in a second.

From Kubernetes manifests (-f app.yaml --workload NAMESPACE/NAME) the application is a
container of the pods of a Deployment, StatefulSet, DaemonSet, Job, CronJob or Pod, as
azure-workload-identity's webhook changes them: service account, client id, token and
the container's own variables, out of the config maps and secrets of the files. What
the files do not tell is warned of by name.

While wiemu serve runs, the application is a workload of that server (unless --own),
whose wiemu.yaml counts: another one of this folder is refused. A component is looked
up among the server's workloads, too, or with -f in those files alone.
The exit code is the application's; 2 if what was typed is wrong, 125 if wiemu itself
failed, 126 and 127 as in a shell. Afterwards wiemu explain tells why a token was granted or refused.`,
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
	cmd.Flags().BoolVar(&flags.own, "own", false, "start a lab for this run although a server runs")
	return cmd
}

// addRunFlags adds what every command can be told that runs an application.
func addRunFlags(cmd *cobra.Command, s *selection, flags *runFlags) {
	s.addFlags(cmd)
	s.addAccessFlags(cmd)
	addAllowHost(cmd, &flags.allow)
	flags.mishaps.add(cmd)
	addAs(cmd, &flags.as)
	cmd.Flags().BoolVar(&flags.failOnEscape, "fail-on-escape", false, "exit with 125 if the application tried to reach another host, or if without --isolate nothing was seen of it")
	cmd.Flags().BoolVar(&flags.isolate, "isolate", false, "give the application a network and files of its own, with no way out (Linux)")
	flags.addClockFlags(cmd)
	cmd.Flags().StringArrayVarP(&flags.publish, "publish", "p", nil, "with --isolate: a port of the application that is to be reached on this machine: 8080, or 8080:80 (outside, inside); repeatable")
}

func addAllowHost(cmd *cobra.Command, into *[]string) {
	cmd.Flags().StringArrayVar(into, "allow-host", nil, "host outside that applications may reach, or .example.com for all below it; repeatable. The system's CAs are trusted then, too")
}

// runArguments checks that there is at most one component, and a command behind --.
func runArguments(cmd *cobra.Command, args []string) error {
	switch dash := cmd.ArgsLenAtDash(); {
	case dash < 0 || dash == len(args):
		return usagef("expected -- and the command to run, such as: wiemu run web -- ./my-app")
	case dash > 1:
		return usagef("expected one component before --, found %s", strings.Join(args[:dash], " "))
	}
	return nil
}

// run runs the command in the running server's lab, or in one that lives as long as it.
func (s *selection) run(cmd *cobra.Command, stateDir, component string, command []string, flags runFlags) error {
	ctx := cmd.Context()
	if err := flags.check(); err != nil {
		return err
	}
	files, err := s.read(cmd)
	if err != nil {
		return err
	}
	client, err := server(cmd, stateDir)
	if err != nil {
		return err
	}
	var ran ended
	if client != nil && !flags.own {
		ran, err = s.runAttached(ctx, client, files, component, command, flags)
	} else {
		files.Config.AllowHosts = append(files.Config.AllowHosts, flags.allow...)
		if err := flags.mishaps.into(&files.Config); err != nil {
			return err
		}
		if err := applyAs(flags.as, &files.Config); err != nil {
			return err
		}
		ran, err = s.runOwn(ctx, stateDir, files, component, command, flags)
	}
	if err != nil {
		return err
	}
	if err := ran.report(flags); err != nil {
		return err
	}
	return passOn(ran.code)
}

func (s *selection) runOwn(ctx context.Context, stateDir string, files harness.Files, component string, command []string, flags runFlags) (ended, error) {
	d, err := s.pick(files, files.Workloads(), component)
	if err != nil {
		return ended{}, err
	}
	if err := checkAs(flags.as, files.Config, d); err != nil {
		return ended{}, err
	}
	l, err := openLab(ctx, stateDir, files, flags.record.options(), nil)
	if err != nil {
		return ended{}, err
	}
	defer l.close(ctx)
	tellSeed(os.Stderr, l.Emulator().Faults())
	tellOpenVaults(os.Stderr, files.Config)
	tellMisspeltRoles(os.Stderr, files.Config)
	own := &control.Client{URL: l.Emulator().ControlURL(), Token: l.Emulator().Token()}
	env, err := harness.Attach(ctx, own, d, nil) // through the door that a recorder sees
	if err != nil {
		return ended{}, err
	}
	if err := flags.mishaps.checkNames(l.Emulator().Faults(), files.ConfigFile); err != nil { // now everybody is there
		return ended{}, err
	}
	if flags.clock == lockstepClock {
		tellLifetime(os.Stderr, l.Emulator().Made(), d)
	}
	l.Journal().Record(programStarted(d, command))
	if flags.speed != 1 {
		if err := l.Clock().SetSpeed(flags.speed); err != nil {
			return ended{}, usagef("--speed: %w", err)
		}
	}
	code, err := runChild(ctx, env, command, l.Clock(), flags)
	return ended{code, l.Journal().Events(), l.Emulator().Traffic(), l.Emulator().Faults().Missed()}, errors.Join(err, flags.record.write(ctx, l))
}

func (s *selection) runAttached(ctx context.Context, client *control.Client, files harness.Files, component string, command []string, flags runFlags) (ended, error) {
	if len(flags.allow) > 0 {
		return ended{}, usagef("--allow-host: a server runs, which has allowed hosts of its own; restart it with wiemu serve --allow-host, or use --own")
	}
	if flags.as != "" {
		return ended{}, errAsAttached
	}
	if !flags.mishaps.none() {
		return ended{}, usagef("--fault, --chaos: a server runs, whose lab others share; use wiemu fault inject, or --own")
	}
	x, err := s.attach(ctx, client, files)
	if err != nil {
		return ended{}, err
	}
	d, err := s.pick(x.files, x.declared, component)
	if err != nil {
		return ended{}, err
	}
	before, err := client.Status(ctx)
	if err != nil {
		return ended{}, err
	}
	earlier, err := client.Events(ctx, "")
	if err != nil {
		return ended{}, err
	}
	env, err := harness.Attach(ctx, client, d, x.files.WorkloadsAlone().Workloads())
	if err != nil {
		return ended{}, err
	}
	if flags.speed != 1 {
		return ended{}, usagef("--speed: a server runs, whose clock is everybody's; use wiemu clock speed, or --own")
	}
	var clock timeshift.Source
	if flags.clock == lockstepClock {
		remote, err := harness.FollowClock(ctx, client)
		if err != nil {
			return ended{}, err
		}
		defer func() { _ = remote.Close() }() // the lab's end of it may be gone
		clock = remote
		if status, err := client.Status(ctx); err == nil { // else the program will tell
			tellLifetime(os.Stderr, status.Made, d)
		}
		ran := make(chan struct{})
		defer close(ran)
		go func() {
			select {
			case <-remote.Ended():
				fmt.Fprintln(os.Stderr, "wiemu: the server has ended; the application's time goes on as it did, and nobody moves it any more")
			case <-ran:
			}
		}()
	}
	if _, err := client.Record(ctx, programStarted(d, command)); err != nil {
		return ended{}, err
	}
	fmt.Fprintln(os.Stderr, "wiemu: a workload of the running server")
	code, err := runChild(ctx, env, command, clock, flags)
	if err != nil {
		return ended{}, err
	}
	return endedAttached(context.WithoutCancel(ctx), client, code, before, earlier)
}

// programStarted says that a program was started for a workload.
func programStarted(d harness.Declared, command []string) journal.Event {
	return journal.Event{
		Kind: journal.Run, Outcome: journal.OK, Workload: d.Workload.Namespace + "/" + d.Workload.ServiceAccount,
		Summary: "started " + filepath.Base(command[0]),
	}
}

// runChild runs the command. Interrupts are the child's (see process.Run): they
// do not end the context that it runs in.
func runChild(ctx context.Context, env harness.Environment, command []string, clock timeshift.Source, flags runFlags) (code int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, exitCode(130) // interrupted before the command started
	}
	c := process.Command{Args: command, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	// What a wrapper says of the start counts more than the exit code of what did not start.
	andThen := func(end func() error) {
		if why := end(); why != nil {
			code, err = 0, why
		}
	}
	if flags.clock == lockstepClock {
		end, err := shiftTime(&c, clock, timeshift.Options{Explain: flags.explain})
		if err != nil {
			return 0, err
		}
		defer andThen(end)
	}
	if flags.isolate {
		inside, end, err := isolate(&env, flags.publish)
		if err != nil {
			return 0, err
		}
		defer andThen(end)
		c.Wrappers = append(c.Wrappers, inside)
	}
	c.Env = env.Environ(os.Environ())
	return startProgram(ctx, c)
}

// startProgram runs a command to its end. One that cannot be started is an exitCode,
// as a shell would tell it.
func startProgram(ctx context.Context, c process.Command) (code int, err error) {
	code, err = process.Run(context.WithoutCancel(ctx), c)
	if start := (*process.Error)(nil); errors.As(err, &start) && start.Code != process.Failed {
		fmt.Fprintln(os.Stderr, "wiemu:", err) // not wiemu's failure: a shell's code
		return start.Code, exitCode(start.Code)
	}
	return code, err
}

// isolate prepares namespaces for a process with the environment, which it
// changes to how things are in there.
func isolate(env *harness.Environment, publish []string) (_ *isolation.Isolation, end func() error, err error) {
	if env.IsolatedProxy == "" {
		return nil, nil, usagef("--isolate: the running server is of an older wiemu, which has no proxy for isolated applications; restart it, or use --own")
	}
	dir, err := state.MakeTemp()
	if err != nil {
		return nil, nil, fmt.Errorf("make a directory for the isolated application: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if env.HidesTokenFile() { // then the pod has no token volume either
		env.TokenFile = filepath.Join(dir, "none", filepath.Base(env.TokenFile))
		if err := os.Mkdir(filepath.Dir(env.TokenFile), 0o755); err != nil {
			return nil, nil, fmt.Errorf("make a directory for the isolated application: %w", err)
		}
	}
	opts := isolation.Options{
		Dir: dir, Tokens: filepath.Dir(env.TokenFile), TokenFile: filepath.Base(env.TokenFile),
		Roots: env.Bundle.Roots, Proxy: env.IsolatedProxy, Ports: env.OpenPorts, Leads: env.Relays(),
	}
	for _, p := range publish {
		publication, err := isolation.ParsePublication(p)
		if err != nil {
			return nil, nil, err
		}
		opts.Publish = append(opts.Publish, publication)
	}
	i, err := isolation.Start(opts)
	if err != nil {
		return nil, nil, err
	}
	*env = env.Inside(opts.TokenPath())
	return i, func() error { return errors.Join(i.Close(), os.RemoveAll(dir)) }, nil
}

func passOn(code int) error {
	if code == 0 {
		return nil
	}
	return exitCode(code)
}
