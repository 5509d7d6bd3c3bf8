package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/inventory"
	"github.com/wiemu/wiemu/internal/inventory/azure"
)

func newDirectory(stateDir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "directory",
		Short: "Write a wiemu.yaml with what exists in a running lab or a real tenant",
		Long: `Write a wiemu.yaml with who exists and what is trusted: tenants, applications, managed
identities with their federated credentials, roles and who has them, vaults, storage
accounts, databases and caches.`,
		Example: "  wiemu directory export --to wiemu.yaml\n  wiemu directory import azure --to wiemu.yaml",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDirectoryExport(stateDir), newDirectoryImport())
	return cmd
}

func newDirectoryExport(stateDir *string) *cobra.Command {
	var to string
	cmd := writeInventory(&cobra.Command{
		Use:   "export",
		Short: "Write what exists in a running lab as a wiemu.yaml",
		Long: `Write what exists in a running lab as a wiemu.yaml: what its own wiemu.yaml has and what
Terraform, Bicep, az or the workloads themselves have made since. A lab that loads the file
answers as this one does.

Secrets are never written: each has "not exported: …" in its place, to be replaced by hand.
Keys and certificates of vaults are made anew. Listeners, faults and what is in accounts,
databases and caches are left out, but for blobs of the lab's own wiemu.yaml. A vault or an
account that was made in a resource group is in the group wiemu afterwards, and so are the
roles on it. What else is left out is said on stderr, and at the beginning of the file.

Applications' certificates, which are public, are written into the folder certificates beside
the file that --to names. Folders are made; existing files are not overwritten.`,
		Example: `  wiemu directory export
  wiemu directory export --to exported/wiemu.yaml && wiemu serve -f exported/wiemu.yaml
  wiemu directory export --compose shop-wiemu -o json`,
		Args: cobra.NoArgs,
	}, &to, onServer(stateDir, func(ctx context.Context, client *control.Client, _ []string) (inventory.Written, error) {
		var state inventory.State
		if err := client.Do(ctx, http.MethodGet, inventory.Path, nil, &state); err != nil {
			return inventory.Written{}, err
		}
		return inventory.Export(state, "Exported from a running lab by wiemu directory export.")
	}))
	addElsewhere(cmd)
	return cmd
}

func newDirectoryImport() *cobra.Command {
	var to, tenant string
	cmd := writeInventory(&cobra.Command{
		Use:   "import FILE|DIRECTORY...",
		Short: "Write what az prints about a real tenant as a wiemu.yaml",
		Long: `Write what az prints about a real tenant as a wiemu.yaml. Each file is recognised by its content,
and of a folder all *.json files are read:

  az identity list -o json                              managed identities
  az identity federated-credential list -o json         what one of them trusts
  az ad app list --all -o json                          applications
  az ad app federated-credential list -o json           what one trusts: into CLIENT_ID.json,
                                                        as az does not print whose it is
  az ad sp list --all -o json                           object ids, and who may not sign in
  az role assignment list --all -o json                 who has which roles
  az role definition list --custom-role-only -o json    custom roles
  az keyvault list, az storage account list -o json     vaults and storage accounts
  az graph query -q "resources | where type in~ ('microsoft.keyvault/vaults', …)"
                                                        the same, and vaults' access policies

Nobody is asked, and nothing is guessed: what cannot be taken over is said on stderr by file
and place, and at the beginning of the file. Secrets are never in what az prints; each has
"not exported: …" in its place.

The clusters' issuers are real ones. To run workloads whose tokens they would sign, give a
wiemu.yaml the issuer that the lab hosts in place of it: issuers: [{name: aks, url: URL}].`,
		Example: `  wiemu directory import azure --to wiemu.yaml
  wiemu directory import identities.json credentials.json roles.json
  wiemu directory import apps.json --tenant "$(az account show --query tenantId -o tsv)"`,
		Args: cobra.MinimumNArgs(1),
	}, &to, func(_ *cobra.Command, args []string) (inventory.Written, error) {
		return azure.Import(args, tenant)
	})
	cmd.Flags().StringVar(&tenant, "tenant", "", "id of the applications' tenant (default: the one that identities and vaults name)")
	return cmd
}

// writeInventory makes a command write what ask returns: to stdout, or into a file with what belongs
// beside it.
func writeInventory(cmd *cobra.Command, to *string, ask func(*cobra.Command, []string) (inventory.Written, error)) *cobra.Command {
	cli.Show(cmd, func(cmd *cobra.Command, args []string) (inventory.Written, error) {
		written, err := ask(cmd, args)
		if err != nil {
			return written, err
		}
		for _, one := range written.Left {
			fmt.Fprintf(cmd.ErrOrStderr(), "wiemu: left out: %s\n", one)
		}
		if *to == "" {
			if n := len(written.Files); n > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "wiemu: the file names certificates, %d of them, which --to FILE writes beside it\n", n)
			}
			return written, nil
		}
		return written, writeBeside(*to, written)
	}, func(out *cli.Lines, w inventory.Written) {
		if *to == "" {
			out.Print("%s", w.YAML)
			return
		}
		out.Print("wrote %s\n", *to)
	})
	cmd.Flags().StringVar(to, "to", "", "file to write (default: it is printed)")
	return cmd
}

// writeBeside writes a wiemu.yaml, which must not be there, with its files in its folder. One of
// these that is there already with the same content, from an attempt that failed, stays.
func writeBeside(to string, written inventory.Written) error {
	folder := filepath.Dir(to)
	names := slices.Sorted(maps.Keys(written.Files))
	for _, name := range names { // a server has made them
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("write %s: expected the server to name files in its folder, found %q; nothing was written", to, name)
		}
	}
	if _, err := os.Lstat(to); err == nil {
		return isThere(to)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		at := filepath.Join(folder, name)
		if there, err := os.ReadFile(at); err == nil && string(there) == written.Files[name] {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		if err := writeNew(at, []byte(written.Files[name])); err != nil {
			return err
		}
	}
	return writeNew(to, []byte(written.YAML))
}
