//go:build !light

package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/harness/deploy"
	"github.com/wiemu/wiemu/harness/kind"
)

func newKindApply(stateDir *string) *cobra.Command {
	var a application
	var name string
	cmd := &cobra.Command{
		Use:   "apply",
		Short: kindApplyShort,
		Long:  "Run the applications of radixconfig.yaml files in a cluster that wiemu kind up made.\n" + applyHelp,
		Example: `  wiemu kind apply -f radixconfig.yaml --env dev
  wiemu kind apply -f radixconfig.yaml --image web=my-web:1 --image my-jobs:1
  wiemu kind apply -f radixconfig.yaml --dry-run | kubectl apply -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, told, err := openKind(*stateDir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			told.end()
			return a.run(cmd, target{
				name: name,
				open: func(ctx context.Context) (*deploy.Cluster, error) { return openKindCluster(ctx, host, name) },
				steer: func(context.Context, *deploy.Cluster) (*control.Client, func(), error) {
					client, err := host.Control(name)
					return client, func() {}, err
				},
				load: func(image string) string {
					return fmt.Sprintf("next: wiemu kind load %s%s puts the image of this machine's Docker into the cluster; then type the same again", image, nameFlag(name))
				},
			})
		},
	}
	addKindName(cmd, &name)
	a.addFlags(cmd, kind.WorkloadImage)
	return cmd
}

// openKindCluster opens a kind cluster by the kubeconfig that wiemu kind up wrote.
func openKindCluster(ctx context.Context, host *kind.Host, name string) (*deploy.Cluster, error) {
	s, err := host.Status(ctx, name)
	if err != nil {
		return nil, err
	}
	if s.Condition != "running" {
		return nil, fmt.Errorf("cluster %s is %s: expected a running one; wiemu kind up%s makes it", name, s.Condition, nameFlag(name))
	}
	return deploy.Open(s.Kubeconfig, s.Context)
}
