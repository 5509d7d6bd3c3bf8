package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/directory"
	"github.com/wiemu/wiemu/harness"
)

// addAs adds the flag that says what client ids are that nothing describes.
func addAs(cmd *cobra.Command, into *string) {
	cmd.Flags().StringVar(into, "as", "", "what a client id is that no wiemu.yaml describes: managed-identity, whose access tokens live for 24 hours (default), or application, whose access tokens live for one")
}

// applyAs puts the flag into effect.
func applyAs(as string, c *config.Config) error {
	switch kinds := []string{config.NewManagedIdentity, config.NewApplication}; {
	case as == "":
		return nil
	case !slices.Contains(kinds, as):
		return usagef("--as: expected %s, found %q", strings.Join(kinds, " or "), as)
	}
	c.NewIdentities = as
	return nil
}

// checkAs says why the flag cannot be about a workload.
func checkAs(as string, c config.Config, d harness.Declared) error {
	if as == "" {
		return nil
	}
	for pr, at := range c.Principals() {
		if strings.EqualFold(pr.ClientID, d.Workload.ClientID) {
			return usagef("--as: it is about client ids that nothing describes, and %s is %s of the wiemu.yaml, %s", d.Workload.ClientID, at, pr.Name)
		}
	}
	if as == config.NewApplication && (d.Identity.ManagedIdentity != "" || d.Identity.IdentityBinding != "") {
		return usagef("--as application: a machine's managed identity and an identity binding need a managed identity")
	}
	return nil
}

// errAsAttached refuses the flag where the identities are there already.
var errAsAttached = usagef("--as: a server runs, whose identities have been made; restart it with wiemu serve --as, or use --own")

// madeManaged are the names of the managed identities, of those that were made.
func madeManaged(made []control.MadeIdentity) (names []string) {
	for _, m := range made {
		if m.Kind == string(directory.ManagedIdentity) {
			names = append(names, m.Name)
		}
	}
	return names
}

// tellLifetime says, before a program's time is moved, when its access tokens expire
// if that is later than many expect.
func tellLifetime(w io.Writer, made []control.MadeIdentity, d harness.Declared) {
	i := slices.IndexFunc(made, func(m control.MadeIdentity) bool { return strings.EqualFold(m.ClientID, d.Workload.ClientID) })
	if i < 0 || d.Identity.ManagedIdentity != "" || d.Identity.IdentityBinding != "" {
		return
	}
	if names := madeManaged(made[i : i+1]); len(names) == 1 {
		fmt.Fprintf(w, "wiemu: access tokens of %s live for 24h, as a managed identity's do; --as application makes it an app registration, whose tokens live for 1h\n", names[0])
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
	fmt.Fprintf(w, "wiemu: access tokens of managed identities live for 24h (%s); wiemu serve --as application, or newIdentities: application in wiemu.yaml, makes app registrations of them, whose tokens live for 1h\n", who)
}
