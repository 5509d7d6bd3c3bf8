package main

import (
	"fmt"
	"io"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/resource/graph"
)

// tellMisspeltRoles warns of roles in the wiemu.yaml that look like a permission of
// Microsoft Graph and are none: they would open nothing.
func tellMisspeltRoles(w io.Writer, c config.Config) {
	for pr, at := range c.Principals() {
		for n, role := range pr.Roles {
			if near := graph.MisspeltRole(role); near != "" {
				fmt.Fprintf(w, "wiemu: warning: %s.roles[%d]: Microsoft Graph has no application permission %s; did you mean %s?\n", at, n, role, near)
			}
		}
	}
}
