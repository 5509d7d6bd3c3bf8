package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/validate"
)

func newValidate() *cobra.Command {
	var files, directories, issuers, plans []string
	var environment, namespace, format, parameters string
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Compare the trust that workloads need with the trust that a directory has",
		Long: `Find out before deployment which workloads would get no token and why: a federated
credential that is missing or almost matches (issuer, slash, case, subject, audience,
the second issuer of a migration), an identity that is unknown, disabled, in another
tenant or full, a pod without its label, a service account without its annotation;
each with the az command that fixes it.

The workloads are those of radixconfig.yaml files, wiemu.yaml files or rendered
Kubernetes manifests (files, folders, or - for standard input). The directory is a
wiemu.yaml, or the JSON that az printed about a real one, in files or a folder. No
network request is made and nothing is changed.

To export a real directory, for the client ids that the workloads use:

  mkdir -p azure
  for id in CLIENT_ID...; do
    az ad sp show --id $id -o json > azure/sp-$id.json
    az ad app federated-credential list --id $id -o json > azure/$id.json     # of an application
  done
  az identity list -o json > azure/identities.json
  az identity federated-credential list -g GROUP --identity-name NAME -o json > azure/CLIENT_ID.json

With --plan, the directory is as code would make it: what terraform show -json prints of a
plan (azurerm, azuread), what az deployment group what-if --no-pretty-print -o json prints,
or an ARM template, which bicep build writes. Identities that are made only then have no
client id yet: the workload that they trust is named.

A file named CLIENT_ID.json holds all federated credentials of that client id. To
export all applications at once, if the tenant is not too large:

  az rest --url 'https://graph.microsoft.com/v1.0/applications?$expand=federatedIdentityCredentials' > azure/apps.json

The exit code is 1 if there are errors, 0 if there are none or only warnings.`,
		Example: `  wiemu validate -f radixconfig.yaml --directory azure/ \
      --issuer https://northeurope.oic.prod-aks.azure.com/TENANT/UUID/
  wiemu validate -f radixconfig.yaml --env prod --directory wiemu.yaml
  kustomize build overlays/prod | wiemu validate -f - --directory azure/ --issuer URL
  terraform show -json tfplan > plan.json; wiemu validate --plan plan.json --directory azure/ --issuer URL
  wiemu validate -f manifests/ --directory azure/ --issuer OLD --issuer NEW -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for flag, names := range map[string][]string{"file": files, "directory": directories} {
				if flag == "directory" && len(plans) > 0 {
					continue
				}
				if !cmd.Flags().Changed(flag) {
					if err := cli.CheckFound(names[0]); err != nil {
						return err
					}
				}
			}
			demand, err := file.ReadContext(cmd.Context(), func() (validate.Demand, error) {
				return validate.ReadDemand(files, validate.DemandOptions{Namespace: namespace, Stdin: cmd.InOrStdin()})
			})
			cli.TellWarnings(cmd, demand.Warnings)
			if err != nil {
				return err
			}
			if err := demand.CheckWorkloads(files, environment); err != nil {
				return cli.Usage(err)
			}
			directory, err := file.ReadContext(cmd.Context(), func() (*validate.Directory, error) { return validate.ReadDirectory(directories) })
			if errors.Is(err, os.ErrNotExist) && len(plans) > 0 && !cmd.Flags().Changed("directory") {
				directory, err = &validate.Directory{}, nil // the plan alone
			}
			if err != nil {
				if len(directories) == 1 && errors.Is(err, os.ErrNotExist) && !cmd.Flags().Changed("directory") {
					return cli.Usagef("expected a directory to compare with, found none; name a wiemu.yaml, or the JSON that az printed about a real one, with --directory (see wiemu validate --help)")
				}
				return err
			}
			if len(plans) > 0 {
				plan, err := file.ReadContext(cmd.Context(), func() (*validate.Plan, error) { return validate.ReadPlan(plans, parameters) })
				if err != nil {
					return err
				}
				directory.Apply(plan)
			} else if parameters != "" {
				return cli.Usagef("--parameters: expected an ARM template with --plan, found none")
			}
			report, err := validate.Check(demand.Workloads, directory, validate.Options{Issuers: issuers, Environment: environment})
			if err != nil {
				return err
			}
			if format == "json" {
				err = cli.PrintJSON(cmd.OutOrStdout(), report)
			} else {
				err = report.Write(cmd.OutOrStdout())
			}
			return cli.FailIf(report.Errors > 0, err)
		},
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", []string{"radixconfig.yaml"}, "radixconfig.yaml, wiemu.yaml, manifests, a folder of manifests, or -; repeatable")
	cmd.Flags().StringArrayVar(&directories, "directory", []string{"wiemu.yaml"}, "wiemu.yaml, or the JSON that az printed, or a folder of it; repeatable")
	cmd.Flags().StringArrayVar(&plans, "plan", nil, "what code would make: terraform show -json, what-if, or an ARM template; repeatable")
	cmd.Flags().StringVar(&parameters, "parameters", "", "parameters file of the ARM template (default: what has no default value is unknown)")
	cmd.Flags().StringArrayVar(&issuers, "issuer", nil, "exact issuer URL of the cluster; repeatable: during a migration each has to be trusted (default: those of the wiemu.yaml)")
	cmd.Flags().StringVar(&environment, "env", "", "Radix environment to check (default: all)")
	cmd.Flags().StringVar(&namespace, "namespace", "", "namespace of manifests without one (default: default)")
	cli.AddOutput(cmd, &format, "text", "json")
	return cmd
}
