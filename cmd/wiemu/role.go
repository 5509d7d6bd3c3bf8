package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cli"
)

func newRole(stateDir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "role",
		Short: "Show or change the running server's Azure role assignments",
		Long: `Show, make or remove assignments of Azure roles in a running lab.

An IDENTITY is the name of an application, a managed identity or a workload, a client id
or an object id, or * for each of the tenant. A ROLE is the name or id of a built-in role
or of one that roles.definitions of wiemu.yaml has. A SCOPE is

  orders                       a key vault or storage account by its name
  orders.vault.azure.net       the vault, if an account has the name, too
  orders/containers/inbox      a container; or queues/, tables/ of a storage account,
                               secrets/, keys/, certificates/ of a key vault
  orders.redis.cache.windows.net
                               a cache, whose data access policies are assigned in place of
                               roles: Data Reader, Data Contributor, Data Owner or its own;
                               its name is enough, NAME.REGION for an Azure Managed Redis
  /subscriptions/ID/…          a resource id: a subscription, a resource group, anything

Databases of Azure SQL and PostgreSQL have users and roles of their own, which statements
make there: CREATE USER … FROM EXTERNAL PROVIDER, pgaadauth_create_principal.

What is open to everybody, because wiemu.yaml has no access: for it, is closed by the
first role that is assigned there. A change is seen after roles.delay of wiemu.yaml, in
lab time.`,
		Example: `  wiemu role list
  wiemu role assign web "Storage Blob Data Reader" orders/containers/inbox
  wiemu role remove web "Storage Blob Data Reader" orders/containers/inbox
  wiemu role assign web "Data Reader" orders.redis.cache.windows.net`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	addElsewhere(cmd)
	cmd.AddCommand(newRoleList(stateDir))
	cmd.AddCommand(newRoleChange(stateDir, (*control.Client).AssignRole, "assign", "Give an identity a role",
		"  wiemu role assign web \"Key Vault Secrets User\" mykeyvault\n  wiemu role assign '*' Reader /subscriptions/0b1f6471-1bf0-4dda-aec3-cb9272f09590"))
	cmd.AddCommand(newRoleChange(stateDir, (*control.Client).RemoveRole, "remove", "Take a role away from an identity, whether wiemu.yaml or a command has assigned it",
		"  wiemu role remove web \"Key Vault Secrets User\" mykeyvault --compose shop-wiemu"))
	return cmd
}

func newRoleList(stateDir *string) *cobra.Command {
	var identity, scope string
	cmd := cli.Show(&cobra.Command{
		Use:     "list",
		Short:   "List role assignments, and what is open to everybody",
		Example: "  wiemu role list\n  wiemu role list --identity web --scope orders\n  wiemu role list -o json",
		Args:    cobra.NoArgs,
	}, onServer(stateDir, func(ctx context.Context, client *control.Client, _ []string) (control.Roles, error) {
		return client.Roles(ctx, identity, scope)
	}), printRoles)
	cmd.Flags().StringVar(&identity, "identity", "", "only those of this identity (default: of all)")
	cmd.Flags().StringVar(&scope, "scope", "", "only those that apply at this scope or below it (default: all)")
	return cmd
}

func newRoleChange(stateDir *string, do func(*control.Client, context.Context, control.RoleChange) (control.RoleChanged, error), name, short, example string) *cobra.Command {
	var tenant string
	cmd := cli.Show(&cobra.Command{
		Use:     name + " IDENTITY ROLE SCOPE",
		Short:   short,
		Example: example,
		Args:    cobra.ExactArgs(3),
	}, onServer(stateDir, func(ctx context.Context, client *control.Client, args []string) (control.RoleChanged, error) {
		return do(client, ctx, control.RoleChange{Tenant: tenant, Identity: args[0], Role: args[1], Scope: args[2]})
	}), func(out *cli.Lines, c control.RoleChanged) { out.Print("%s\n", c.Summary) })
	cmd.Flags().StringVar(&tenant, "tenant", "", "id or domain of the identity's tenant (default: the scope's, else the first that knows the identity)")
	return cmd
}

func printRoles(out *cli.Lines, r control.Roles) {
	if len(r.Assignments)+len(r.Open) == 0 {
		out.Print("no role is assigned\n")
		return
	}
	table := tabwriter.NewWriter(out.W, 0, 0, 2, ' ', 0)
	for _, a := range r.Assignments {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", a.Identity, a.Role, a.Scope, remark(a))
	}
	for _, scope := range r.Open {
		fmt.Fprintf(table, "*\teverything\t%s\topen until a role is assigned there\n", scope)
	}
	if out.Err == nil {
		out.Err = table.Flush()
	}
}

// remark says when an assignment counts and where it comes from.
func remark(a control.RoleAssignment) string {
	switch seen := a.SeenFrom.Format(time.RFC3339); {
	case a.Removed:
		return "removed; counts until " + seen
	case !a.SeenFrom.IsZero():
		return "counts from " + seen + " on"
	case a.Source != "":
		return a.Source + " of wiemu.yaml"
	}
	return "assigned at run time"
}
