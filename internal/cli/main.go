// Package cli is what wiemu and wiemu-containers share as programs of a command line: their
// root command, how they tell what was typed wrong, their exit codes, how they print, the files
// and flags that several commands have, and the command that runs scenarios, which both have.
package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Main runs the program and ends it. newRoot returns its command line; typed, unless nil,
// returns what is parsed instead of the arguments.
func Main(newRoot func() *cobra.Command, typed func(root *cobra.Command, args []string) []string) {
	// A closed pipe is an error to clean up after, not a death. (To ignore the
	// signal would have programs that we run ignore it, too.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		cancel(SignalError{<-signals})
		signal.Stop(signals) // a second one kills: a read that waits for somebody may know no context
	}()
	root, args := newRoot(), os.Args[1:]
	if typed != nil {
		args = typed(root, args)
	}
	root.SetArgs(args)
	text, code := Ending(ctx, root.ExecuteContext(ctx), os.Args[1:])
	if text != "" {
		fmt.Fprintln(os.Stderr, "wiemu:", text)
	}
	os.Exit(code)
}

// NewRoot returns the root command, named wiemu in both programs, with the commands below it.
// stateDir is set by its flag.
func NewRoot(stateDir *string, commands ...*cobra.Command) *cobra.Command {
	root := &cobra.Command{
		Use:   "wiemu",
		Short: "Azure workload identity on one machine, offline, for unmodified applications",
		Long: `wiemu runs the whole flow of Azure workload identity on one machine: a cluster's
token issuer, token files that rotate as a kubelet rotates them, an Entra ID that
checks federated credentials and answers as the real one does, and the resources
behind it. Applications run unmodified and see https://login.microsoftonline.com/.`,
		Example: `  wiemu run -f radixconfig.yaml --env dev web -- ./my-app
  wiemu explain --last
  wiemu scenario run`,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.PersistentFlags().StringVar(stateDir, "state-dir", "", "directory of the CA and of the journals of past runs (default $WIEMU_STATE_DIR, else ~/.local/state/wiemu)")
	root.AddCommand(commands...)
	for _, cmd := range append(root.Commands(), root) {
		if cmd.HasSubCommands() && !cmd.Runnable() { // to mistype one of them is no question for help
			cmd.Args, cmd.RunE = cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
			cmd.Annotations = map[string]string{HelpOnly: "true"}
		}
	}
	helpOf(root)
	sayOurWay(root)
	return root
}

// HelpOnly is the annotation of a command that does nothing without one of those below it.
const HelpOnly = "help-only"

// ExitCode is an error that ends the program with a code and without another word.
type ExitCode int

func (c ExitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// PassOn returns the exit code of another program as an error; nil if it is 0.
func PassOn(code int) error {
	if code == 0 {
		return nil
	}
	return ExitCode(code)
}

// Interrupted turns an error into exit code 130 if the user ended the command.
func Interrupted(cmd *cobra.Command, err error) error {
	cause := context.Cause(cmd.Context())
	if err == nil || cause == nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: interrupted")
	if err.Error() != cause.Error() { // something could not be taken away
		fmt.Fprintln(cmd.ErrOrStderr(), "wiemu:", err)
	}
	return ExitCode(130)
}
