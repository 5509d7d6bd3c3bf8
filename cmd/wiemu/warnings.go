package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/graph"
	"github.com/wiemu/wiemu/internal/workload"
)

// tellMisspeltRoles warns of roles that look like a permission of Microsoft Graph and are none.
func tellMisspeltRoles(w io.Writer, c config.Config) {
	for pr, at := range c.Principals() {
		for n, role := range pr.Roles {
			if near := graph.MisspeltRole(role); near != "" {
				fmt.Fprintf(w, "wiemu: warning: %s.roles[%d]: Microsoft Graph has no application permission %s; did you mean %s?\n", at, n, role, near)
			}
		}
	}
}

// tellOpen names the vaults and other resources that every identity can use, which real ones
// do not allow.
func tellOpen(w io.Writer, c config.Config) {
	var open []string
	for _, v := range c.Vaults {
		if v.Access == nil && v.AccessPolicies == nil {
			open = append(open, "vault "+v.Name)
		}
	}
	for _, section := range slices.Sorted(maps.Keys(c.Resources)) {
		if s, ok := c.Resources[section].(resource.Unrestricted); ok {
			open = append(open, s.Unrestricted()...)
		}
	}
	for _, name := range open {
		fmt.Fprintf(w, "wiemu: wiemu.yaml sets no access: for %s, so every identity of its tenant may do everything in it\n", name)
	}
}

// addAs adds the flag for the kind of identities that no wiemu.yaml describes.
func addAs(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "as", "", "kind of the identities that no wiemu.yaml describes: managed-identity, whose access tokens are valid for 24 hours (default), or application, whose access tokens are valid for one")
}

func applyAs(as string, c *config.Config) error {
	switch kinds := []string{config.NewManagedIdentity, config.NewApplication}; {
	case as == "":
		return nil
	case !slices.Contains(kinds, as):
		return cli.Usagef("--as: expected %s, found %q", strings.Join(kinds, " or "), as)
	}
	c.NewIdentities = as
	return nil
}

// checkAs says why the flag cannot be about a workload.
func checkAs(as string, c config.Config, d workload.Spec) error {
	if as == "" {
		return nil
	}
	for pr, at := range c.Principals() {
		if strings.EqualFold(pr.ClientID, d.ClientID) {
			return cli.Usagef("--as: it applies to client ids that no wiemu.yaml describes, and %s is %s of the wiemu.yaml, %s", d.ClientID, at, pr.Name)
		}
	}
	if as == config.NewApplication && (d.ManagedIdentity != "" || d.IdentityBinding != "") {
		return cli.Usagef("--as application: --managed-identity and --identity-binding need a managed identity")
	}
	return nil
}

// errAsAttached refuses the flag where the identities are there already.
var errAsAttached = cli.Usagef("--as: a server is running, whose identities exist already; restart it with wiemu serve --as, or use --own")

// madeManaged are the names of the managed identities, of those that were made.
func madeManaged(made []control.MadeIdentity) (names []string) {
	for _, m := range made {
		if m.Kind == string(directory.ManagedIdentity) {
			names = append(names, m.Name)
		}
	}
	return names
}

// tellLifetime says that the program's access tokens live longer than many expect.
func tellLifetime(w io.Writer, made []control.MadeIdentity, d workload.Spec) {
	i := slices.IndexFunc(made, func(m control.MadeIdentity) bool { return strings.EqualFold(m.ClientID, d.ClientID) })
	if i < 0 || d.ManagedIdentity != "" || d.IdentityBinding != "" {
		return
	}
	if names := madeManaged(made[i : i+1]); len(names) == 1 {
		fmt.Fprintf(w, "wiemu: access tokens of %s are valid for 24h, as for every managed identity; --as application makes it an app registration, whose tokens are valid for 1h\n", names[0])
	}
}

// tellLifetimes says so when lab time was moved by hours and less than a day.
func tellLifetimes(w io.Writer, status control.Status, moved time.Duration) {
	names := madeManaged(status.Made)
	if moved < directory.ApplicationLifetime-10*time.Minute || moved >= directory.ManagedIdentityLifetime || len(names) == 0 {
		return
	}
	who := strings.Join(names[:min(len(names), 3)], ", ")
	if more := len(names) - 3; more > 0 {
		who += fmt.Sprintf(" and %d more", more)
	}
	fmt.Fprintf(w, "wiemu: access tokens of managed identities are valid for 24h (%s); wiemu serve --as application, or newIdentities: application in wiemu.yaml, makes them app registrations, whose tokens are valid for 1h\n", who)
}
