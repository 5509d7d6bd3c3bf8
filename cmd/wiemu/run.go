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
	"github.com/wiemu/wiemu/harness/process"
)

// shutdownPatience is how long answers under way may take when a lab ends (wall time).
const shutdownPatience = 3 * time.Second

func newRun(stateDir *string) *cobra.Command {
	var s selection
	var allow []string
	var own, failOnEscape bool
	cmd := &cobra.Command{
		Use:   "run [flags] [COMPONENT] -- COMMAND [ARGUMENT...]",
		Short: "Run an unmodified application as a workload",
		Long: `Run an unmodified application as a workload: with the identity, the token file and
the environment that its pod would have, against an Entra ID and resources on this
machine. The token file is kept fresh as a kubelet does. AZURE_*, proxy and CA
variables of the caller are replaced; no login of the caller's is used or touched.

While wiemu serve runs, the application is a workload of that server (unless --own).
The exit code is the application's; 125 if wiemu itself failed, 126 and 127 as in a
shell. Afterwards wiemu explain tells why a token was granted or refused.`,
		Example: `  wiemu run -f radixconfig.yaml --env dev web -- ./my-app
  wiemu run --namespace my-radix-app-dev --service-account web-sa \
      --client-id b96d264b-7053-4465-a4a7-32be5b0fec49 -- sh
  wiemu run --env dev --allow-host .example.com web -- node server.js`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch dash := cmd.ArgsLenAtDash(); {
			case dash < 0 || dash == len(args):
				return errors.New("expected -- and the command to run, such as: wiemu run web -- ./my-app")
			case dash > 1:
				return fmt.Errorf("expected one component before --, found %s", strings.Join(args[:dash], " "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			component := ""
			if cmd.ArgsLenAtDash() == 1 {
				component = args[0]
			}
			command := args[cmd.ArgsLenAtDash():]
			files, err := s.read(cmd)
			if err != nil {
				return err
			}
			files.Config.AllowHosts = append(files.Config.AllowHosts, allow...)
			d, err := s.pick(files, files.Workloads(), component)
			if err != nil {
				return err
			}
			client, err := server(*stateDir)
			if err != nil {
				return err
			}
			if client != nil && !own {
				return runAttached(cmd.Context(), client, files, allow, d, command)
			}
			return runOwn(cmd.Context(), *stateDir, files, d, command, failOnEscape)
		},
	}
	s.addFlags(cmd)
	cmd.Flags().StringArrayVar(&allow, "allow-host", nil, "host outside that the application may reach, or .example.com for all below it; repeatable. The system's CAs are trusted then, too")
	cmd.Flags().BoolVar(&own, "own", false, "start a lab for this run although a server runs")
	cmd.Flags().BoolVar(&failOnEscape, "fail-on-escape", false, "exit with 125 if the application tried to reach another host")
	return cmd
}

// runOwn runs the command in a lab that lives as long as it.
func runOwn(ctx context.Context, stateDir string, files harness.Files, d harness.Declared, command []string, failOnEscape bool) error {
	l, err := openLab(ctx, stateDir, files)
	if err != nil {
		return err
	}
	defer l.close(ctx)
	w, err := l.Workload(ctx, d.Workload, d.Identity)
	if err != nil {
		return err
	}
	l.Journal().Record(journal.Event{
		Kind: journal.Run, Outcome: journal.OK, Workload: d.Workload.Namespace + "/" + d.Workload.ServiceAccount,
		Summary: "started " + filepath.Base(command[0]),
	})
	code, err := runChild(ctx, w.Environment, command)
	reportRefusals(l.Journal().Events())
	if escapes := l.Emulator().Escapes(); escapes > 0 && failOnEscape && err == nil {
		return fmt.Errorf("the application tried %d times to reach a host outside; see above", escapes)
	}
	if err != nil {
		return err
	}
	return passOn(code)
}

// runAttached runs the command as a workload of the running server.
func runAttached(ctx context.Context, client *control.Client, files harness.Files, allow []string, d harness.Declared, command []string) error {
	if files.ConfigFile != "" || len(allow) > 0 {
		return errors.New("a server runs with its own wiemu.yaml and allowed hosts: leave those out here, restart the server with them, or use --own")
	}
	env, err := harness.Attach(ctx, client, d, files.Workloads())
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "wiemu: a workload of the running server")
	code, err := runChild(ctx, env, command)
	if err != nil {
		return err
	}
	return passOn(code)
}

// runChild runs the command. Interrupts are the child's (see process.Run): they
// do not end the context that it runs in.
func runChild(ctx context.Context, env harness.Environment, command []string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, exitCode(130) // interrupted before the command started
	}
	code, err := process.Run(context.WithoutCancel(ctx), process.Command{
		Args: command, Env: env.Environ(os.Environ()), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	})
	if start := (*process.Error)(nil); errors.As(err, &start) && start.Code != process.Failed {
		fmt.Fprintln(os.Stderr, "wiemu:", err) // not wiemu's failure: a shell's code
		return start.Code, nil
	}
	return code, err
}

func passOn(code int) error {
	if code == 0 {
		return nil
	}
	return exitCode(code)
}

// reportRefusals tells, after the application's own output, what wiemu saw.
func reportRefusals(events []journal.Event) {
	escapes := map[string]bool{}
	for _, e := range events {
		switch {
		case e.Kind == journal.Escape && !escapes[e.Host]:
			escapes[e.Host] = true
			fmt.Fprintf(os.Stderr, "wiemu: refused a connection to %s, which wiemu does not emulate; --allow-host %[1]s lets it through\n", e.Host)
		case e.Kind == journal.Exchange && e.Outcome == journal.Denied:
			fmt.Fprintf(os.Stderr, "wiemu: a token request was refused with AADSTS%d; wiemu explain %s says why\n", e.Code, e.TraceID)
		}
	}
}
