// Command wiemu runs the whole flow of Azure workload identity on one machine,
// offline: a cluster's token issuer, rotating token files, an Entra ID and the
// resources behind it, for unmodified applications.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/wiemu/wiemu/harness/isolation"
	"github.com/wiemu/wiemu/harness/timeshift"
)

// failed is the exit code when wiemu itself fails, as with env(1) and docker run.
const failed = 125

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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	root := newRoot()
	root.SetArgs(negativesLast(root, os.Args[1:]))
	err := root.ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	var code exitCode
	if errors.As(err, &code) {
		os.Exit(int(code))
	}
	if errors.Is(err, syscall.EPIPE) {
		os.Exit(128 + int(syscall.SIGPIPE)) // whoever reads has had enough: nobody to tell
	}
	fmt.Fprintln(os.Stderr, "wiemu:", err)
	os.Exit(failed)
}

// exitCode ends the program with a code and without another word.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }
