package main

import (
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/harness/preflight"
)

func newValidate() *cobra.Command {
	var files, directories, issuers []string
	var environment, namespace, format string
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Compare the trust that workloads need with the trust that a directory has",
		Long: `Say, before anything is deployed, which workloads would get no token and why: a
federated credential that is missing or nearly right (issuer, slash, case, subject,
audience, the second issuer of a migration), an identity that is unknown, disabled,
of another tenant or full, a pod without its label, a service account without its
annotation; and with each the az command that mends it.

The workloads are those of radixconfig.yaml files, wiemu.yaml files or Kubernetes
manifests (rendered; folders and - for standard input, too). The directory is a
wiemu.yaml, or JSON that az printed about a real one, in files or a folder. Nothing
is asked over the network, nothing is changed.

To export a real directory, for the client ids that the workloads use:

  mkdir -p azure
  for id in CLIENT_ID...; do
    az ad sp show --id $id -o json > azure/sp-$id.json
    az ad app federated-credential list --id $id -o json > azure/$id.json     # of an application
  done
  az identity list -o json > azure/identities.json
  az identity federated-credential list -g GROUP --identity-name NAME -o json > azure/CLIENT_ID.json

A file called CLIENT_ID.json holds all federated credentials of that client id. All
applications at once are, where a tenant is not too large:

  az rest --url 'https://graph.microsoft.com/v1.0/applications?$expand=federatedIdentityCredentials' > azure/apps.json

The exit code is 1 if there are errors, 0 if there are none or warnings only.`,
		Example: `  wiemu validate -f radixconfig.yaml --directory azure/ \
      --issuer https://northeurope.oic.prod-aks.azure.com/TENANT/UUID/
  wiemu validate -f radixconfig.yaml --env prod --directory wiemu.yaml
  kustomize build overlays/prod | wiemu validate -f - --directory azure/ --issuer URL
  wiemu validate -f manifests/ --directory azure/ --issuer OLD --issuer NEW -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for flag, names := range map[string][]string{"file": files, "directory": directories} {
				if !cmd.Flags().Changed(flag) {
					if err := checkFound(names[0]); err != nil {
						return err
					}
				}
			}
			demand, err := reading(cmd.Context(), func() (preflight.Demand, error) {
				return preflight.ReadDemand(files, preflight.DemandOptions{Namespace: namespace, Stdin: cmd.InOrStdin()})
			})
			tellWarnings(cmd, demand.Warnings)
			if err != nil {
				return err
			}
			if err := worthChecking(demand, files, environment); err != nil {
				return err
			}
			directory, err := preflight.ReadDirectory(directories)
			if err != nil {
				if len(directories) == 1 && errors.Is(err, os.ErrNotExist) && !cmd.Flags().Changed("directory") {
					return usagef("which directory? name a wiemu.yaml, or what az exported of a real one, with --directory (wiemu validate --help says how)")
				}
				return err
			}
			report, err := preflight.Check(demand.Workloads, directory, preflight.Options{Issuers: issuers, Environment: environment})
			if err != nil {
				return err
			}
			if format == "json" {
				err = printJSON(cmd.OutOrStdout(), report)
			} else {
				err = report.Write(cmd.OutOrStdout())
			}
			if err == nil && report.Errors > 0 {
				err = exitCode(1)
			}
			return err
		},
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", []string{"radixconfig.yaml"}, "radixconfig.yaml, wiemu.yaml, manifests, a folder of manifests, or -; repeatable")
	cmd.Flags().StringArrayVar(&directories, "directory", []string{"wiemu.yaml"}, "wiemu.yaml, or the JSON that az printed, or a folder of it; repeatable")
	cmd.Flags().StringArrayVar(&issuers, "issuer", nil, "issuer URL of the cluster, to the letter; repeatable: during a migration each has to be trusted (default: those of the wiemu.yaml)")
	cmd.Flags().StringVar(&environment, "env", "", "Radix environment to check (default: all)")
	cmd.Flags().StringVar(&namespace, "namespace", "", "namespace of manifests that name none (default: default)")
	addOutput(cmd, &format, "text", "json")
	return cmd
}

// worthChecking refuses to find nothing wrong with nothing.
func worthChecking(demand preflight.Demand, files []string, environment string) error {
	var environments []string
	for _, w := range demand.Workloads {
		if !slices.Contains(environments, w.Environment) {
			environments = append(environments, w.Environment)
		}
	}
	switch {
	case len(demand.Workloads) == 0 && demand.NoWorkloads() != nil:
		return usage(demand.NoWorkloads())
	case len(demand.Workloads) == 0:
		return usagef("%s: expected workloads that use workload identity, found none", strings.Join(files, ", "))
	case environment != "" && !slices.Contains(environments, environment):
		return usagef("--env %s: expected an environment in which something has an identity (%s)", environment, strings.Join(environments, ", "))
	}
	return nil
}
