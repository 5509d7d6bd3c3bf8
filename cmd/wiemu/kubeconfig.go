package main

import (
	"encoding/base64"
	"io"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cli"
)

func newKubeconfig(stateDir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print a kubeconfig for the running server, so that kubectl create token works",
		Example: `  wiemu kubeconfig > wiemu.kubeconfig
  kubectl --kubeconfig wiemu.kubeconfig create token web-sa -n my-radix-app-dev \
      --audience api://AzureADTokenExchange`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, status, err := askServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			return writeKubeconfig(cmd.OutOrStdout(), status, client.Token)
		},
	}
}

// writeKubeconfig writes one context for each hosted issuer; the first is current.
func writeKubeconfig(w io.Writer, status control.Status, token string) error {
	out := &cli.Lines{W: w}
	out.Print("apiVersion: v1\nkind: Config\ncurrent-context: wiemu-%s\nusers:\n- name: wiemu\n  user:\n    token: %s\nclusters:\n", status.Issuers[0].Name, token)
	for _, i := range status.Issuers {
		out.Print("- name: wiemu-%s\n  cluster:\n    server: %s\n    certificate-authority-data: %s\n",
			i.Name, clusterURL(status, i), base64.StdEncoding.EncodeToString([]byte(status.CA)))
	}
	out.Print("contexts:\n")
	for _, i := range status.Issuers {
		out.Print("- name: wiemu-%s\n  context:\n    cluster: wiemu-%s\n    user: wiemu\n", i.Name, i.Name)
	}
	return out.Err
}

func clusterURL(status control.Status, i control.IssuerStatus) string {
	return "https://" + status.Cluster + "/clusters/" + i.Name
}
