//go:build light

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/keyring"
)

// With the tag light this program links neither client-go nor the compose engine:
// they make it twice as large, and every start of it 25 ms longer. What needs them
// is done by the whole of it, which is beside it as wiemu-places. Without the tag,
// as go install builds it, it is the whole itself.

func newCluster() *cobra.Command { return handedOver("cluster", clusterShort) }

func newCompose() *cobra.Command { return handedOver("compose", composeShort) }

func newKindApply(*string) *cobra.Command { return handedOver("apply", kindApplyShort) }

// handedOver is a command that the whole program does; it has its own commands, flags and
// help there.
func handedOver(use, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, DisableFlagParsing: true, // --help is theirs, too
		RunE: func(*cobra.Command, []string) error { return handOver() },
	}
	cmd.SetHelpFunc(func(cmd *cobra.Command, _ []string) {
		if err := handOver(); err != nil { // wiemu help compose up
			fmt.Fprintln(cmd.ErrOrStderr(), "wiemu:", err)
		}
	})
	return cmd
}

func (*placesToRun) openCompose(context.Context, *keyring.Pool) (place, error) {
	return place{}, handOver()
}

func controlInstalled(context.Context, string) (*control.Client, error) {
	return nil, handOver()
}

func controlProject(context.Context, string) (*control.Client, error) {
	return nil, handOver()
}

// whole is the program with everything in it.
const whole = "wiemu-places"

// handOver lets the whole program do what this one was asked for.
func handOver() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find %s: %w", whole, err)
	}
	program := filepath.Join(filepath.Dir(self), whole)
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if _, err := os.Stat(program); err != nil {
		return fmt.Errorf("%s, which does this, is not beside wiemu: %w; make build-all builds both, and go install github.com/wiemu/wiemu/cmd/wiemu one that does everything", whole, err)
	}
	return become(program, append([]string{"wiemu"}, os.Args[1:]...))
}
