package main

import (
	"bytes"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/harness/workload"
)

func newTrust() *cobra.Command {
	var s selection
	var format string
	var issuers []string
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Print the trust that each workload needs, as the Radix console shows it",
		Long: `Print, for each component and environment, what a federated credential has to say:
issuer URL, namespace, service account, subject and audience. From Kubernetes manifests
it is printed for what makes pods that use workload identity.

The formats azcli, bicep and terraform print how to create the same trust in real
Azure. They need the real cluster's issuer URL (Radix console: Cluster Issuer URLs)
and never print an issuer of wiemu's.`,
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
				return usage(files.NoWorkloads())
			}
			var text bytes.Buffer
			if err := workload.WriteTrust(&text, workload.Trust(workloads, issuers), format); err != nil {
				return usage(err)
			}
			_, err = text.WriteTo(cmd.OutOrStdout())
			return err
		},
	}
	s.addFileFlag(cmd)
	cmd.Flags().StringArrayVar(&issuers, "issuer", nil, "issuer URL of the real cluster, to the letter; repeatable for clusters side by side (default: the issuers of this lab)")
	addOutput(cmd, &format, workload.TrustFormats()...)
	return cmd
}
