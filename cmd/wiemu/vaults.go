package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/wiemu/wiemu/emulator/config"
)

// tellOpenVaults says which vaults of the wiemu.yaml let everybody in, which a real
// one does not.
func tellOpenVaults(w io.Writer, c config.Config) {
	var open []string
	for _, v := range c.Vaults {
		if v.Access == nil {
			open = append(open, v.Name)
		}
	}
	switch len(open) {
	case 0:
	case 1:
		fmt.Fprintf(w, "wiemu: vault %s has no access: in wiemu.yaml, so every identity of its tenant may do everything there\n", open[0])
	default:
		fmt.Fprintf(w, "wiemu: vaults %s have no access: in wiemu.yaml, so every identity of their tenant may do everything there\n", strings.Join(open, ", "))
	}
}
