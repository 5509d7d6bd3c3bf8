package cli

import (
	"fmt"
	"io"
	"sync"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/run"
)

// AddNetwork adds the flag that says how programs reach the lab.
func AddNetwork(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "network", "", "how programs reach the lab: transparent (their connections are led there, Linux), proxy (HTTPS_PROXY), or auto, which is transparent where that is permitted, else proxy (default "+string(backend.DefaultNetwork())+")")
}

// TellChoice says in one line why a program is not led to the lab, if that was left to wiemu.
func TellChoice(w io.Writer, c run.Choice) {
	if c.Reason != nil {
		fmt.Fprintf(w, "wiemu: programs reach the lab by its proxy: %v (wiemu doctor says what this machine permits)\n", c.Reason)
	}
}

// tellOnce returns what tells the first choice of each kind; it may be called by several
// goroutines.
func tellOnce(w io.Writer) func(run.Choice) {
	var mu sync.Mutex
	told := map[string]bool{}
	return func(c run.Choice) {
		mu.Lock()
		defer mu.Unlock()
		if c.Reason != nil && !told[c.Reason.Error()] {
			told[c.Reason.Error()] = true
			TellChoice(w, c)
		}
	}
}
