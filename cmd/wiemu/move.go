package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/harness"
)

func newMove(stateDir *string) *cobra.Command {
	var s selection
	var format, to string
	var later bool
	cmd := &cobra.Command{
		Use:   "move [COMPONENT] --to ISSUER",
		Short: "Let another issuer mint a running workload's tokens",
		Long: `Let another issuer of the running server mint the tokens of a workload, as when an
application moves to another cluster or its cluster gets another issuer URL. The
workload runs on; its token file has a token of the new issuer at once, or with
--at-next-refresh when the next one is due. Nobody trusts the new issuer because of
it: that is what has to be prepared before.`,
		Example: `  wiemu move web --env dev --to new
  wiemu move --namespace my-radix-app-dev --service-account web-sa --to new --at-next-refresh`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := s.read(cmd)
			if err != nil {
				return err
			}
			client, err := needServer(cmd, *stateDir)
			if err != nil {
				return err
			}
			x, err := s.attach(cmd.Context(), client, files)
			if err != nil {
				return err
			}
			d, err := s.pick(x.files, x.declared, strings.Join(args, ""))
			if err != nil {
				return err
			}
			moved, err := harness.MoveAttached(cmd.Context(), client, harness.Moving{
				Namespace: d.Workload.Namespace, ServiceAccount: d.Workload.ServiceAccount, Issuer: to, AtNextRefresh: later,
			})
			if err != nil {
				return err
			}
			if format == "json" {
				return printJSON(cmd.OutOrStdout(), moved)
			}
			out := &lines{w: cmd.OutOrStdout()}
			for _, m := range moved {
				out.print("%s\n  from %s\n  to   %s\n", m.TokenFile, m.From, m.To)
			}
			return out.err
		},
	}
	s.addFileFlag(cmd)
	cmd.Flags().StringVar(&s.environment, "env", "", "Radix environment of the component")
	cmd.Flags().StringVar(&s.namespace, "namespace", "", "Kubernetes namespace, instead of a component of a file")
	cmd.Flags().StringVar(&s.serviceAccount, "service-account", "", "Kubernetes service account, with --namespace")
	cmd.Flags().StringVar(&to, "to", "", "name of the issuer that mints its tokens from now on")
	cmd.Flags().BoolVar(&later, "at-next-refresh", false, "leave the token in the file until the next one is due")
	_ = cmd.MarkFlagRequired("to") // the flag is there
	addOutput(cmd, &format, "text", "json")
	return cmd
}
