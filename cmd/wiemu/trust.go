package main

import (
	"bytes"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/workload"
)

func newTrust() *cobra.Command {
	var s selection
	var format string
	var issuers []string
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Print the trust that each workload needs, as the Radix console shows it",
		Long: `Print, for each component and environment, the fields of its federated credential:
issuer URL, namespace, service account, subject and audience. For Kubernetes manifests
it is printed for the workloads whose pods use workload identity.

The formats azcli, bicep and terraform print how to create the same trust in real
Azure. They need the real cluster's issuer URL (Radix console: Cluster Issuer URLs)
and never print an issuer of wiemu.`,
		Example: `  wiemu trust -f radixconfig.yaml
  wiemu trust -f app.yaml
  wiemu trust -f radixconfig.yaml -o azcli \
      --issuer https://northeurope.oic.prod-aks.azure.com/TENANT/UUID/`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, err := s.read(cmd)
			if err != nil {
				return err
			}
			if len(issuers) == 0 && (format == "table" || format == "json") {
				if issuers, err = files.Issuers(); err != nil {
					return err
				}
			}
			var workloads []workload.Workload
			for _, d := range files.Workloads() {
				workloads = append(workloads, d.Workload)
			}
			for _, radix := range files.Radix {
				workloads = append(workloads, radix.Triggers()...)
			}
			if len(workloads) == 0 {
				return cli.Usage(files.NoWorkloads())
			}
			in, _ := cloud.Named(files.Config.Cloud) // reading the files has checked it
			var text bytes.Buffer
			if err := workload.WriteTrust(&text, workload.Trust(workloads, issuers, in.TokenExchange), format); err != nil {
				return cli.Usage(err)
			}
			_, err = text.WriteTo(cmd.OutOrStdout())
			return err
		},
	}
	s.addFileFlag(cmd)
	cmd.Flags().StringArrayVar(&issuers, "issuer", nil, "exact issuer URL of the real cluster; repeatable for several clusters (default: the issuers of this lab)")
	cli.AddOutput(cmd, &format, workload.TrustFormats()...)
	return cmd
}
