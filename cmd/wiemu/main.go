// Command wiemu runs the whole flow of Azure workload identity on one machine,
// offline: a cluster's token issuer, rotating token files, an Entra ID and the
// resources behind it, for unmodified applications.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/wiemu/wiemu/harness/isolation"
	"github.com/wiemu/wiemu/harness/timeshift"
)

func main() {
	if isolation.IsInside() {
		isolation.Inside()
	}
	if timeshift.IsOwn() {
		timeshift.Main()
	}
	// A closed pipe is an error to clean up after, not a death. (To ignore the
	// signal would have programs that we run ignore it, too.)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { cancel(signalled{<-signals}) }()
	root := newRoot()
	root.SetArgs(negativesLast(root, os.Args[1:]))
	text, code := ending(ctx, root.ExecuteContext(ctx), os.Args[1:])
	if text != "" {
		fmt.Fprintln(os.Stderr, "wiemu:", text)
	}
	os.Exit(code)
}

// exitCode ends the program with a code and without another word.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }
