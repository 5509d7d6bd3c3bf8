package main

import (
	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/session"
)

func newMove(stateDir *string) *cobra.Command {
	var s selection
	var to string
	var later bool
	cmd := cli.Show(&cobra.Command{
		Use:   "move [COMPONENT] --to ISSUER",
		Short: "Switch a running workload to another issuer",
		Long: `Switch a workload of the running server to another issuer, as when an application
moves to another cluster or its cluster gets another issuer URL. The workload keeps
running; its token file gets a token of the new issuer at once, or with
--at-next-refresh when the next one is due. No federated credential is changed:
trust in the new issuer has to be added before.`,
		Example: `  wiemu move web --env dev --to new
  wiemu move --namespace my-radix-app-dev --service-account web-sa --to new --at-next-refresh`,
		Args: cobra.MaximumNArgs(1),
	}, func(cmd *cobra.Command, args []string) ([]session.Moved, error) {
		x, d, err := s.pickInServer(cmd, *stateDir, args)
		if err != nil {
			return nil, err
		}
		return session.Move(cmd.Context(), x.client, session.Moving{
			Namespace: d.Namespace, ServiceAccount: d.ServiceAccount, Issuer: to, AtNextRefresh: later,
		})
	}, func(out *cli.Lines, moved []session.Moved) {
		for _, m := range moved {
			out.Print("%s\n  from %s\n  to   %s\n", m.TokenFile, m.From, m.To)
		}
	})
	s.addFileFlag(cmd)
	cmd.Flags().StringVar(&s.environment, "env", "", "Radix environment of the component")
	cmd.Flags().StringVar(&s.namespace, "namespace", "", "Kubernetes namespace, instead of a component of a file")
	cmd.Flags().StringVar(&s.serviceAccount, "service-account", "", "Kubernetes service account, with --namespace")
	cmd.Flags().StringVar(&to, "to", "", "name of the issuer that mints the workload's tokens from now on")
	cmd.Flags().BoolVar(&later, "at-next-refresh", false, "keep the token in the file until the next one is due")
	_ = cmd.MarkFlagRequired("to") // the flag is there
	return cmd
}
