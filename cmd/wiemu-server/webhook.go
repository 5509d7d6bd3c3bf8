package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/cluster"
	"github.com/wiemu/wiemu/harness/webhook"
	"github.com/wiemu/wiemu/harness/workload"
)

// checkWebhook refuses a part of what the webhook needs.
func (c inCluster) checkWebhook() error {
	if none, all := c.webhook+c.kubeconfig+c.advertise == "", c.webhook != "" && c.kubeconfig != "" && c.advertise != ""; !none && !all {
		return errors.New("-webhook, -cluster and -advertise go together: expected all of them, or none")
	}
	return nil
}

// startWebhook changes the cluster's pods until it is closed.
func (c inCluster) startWebhook(ctx context.Context, lab *harness.Lab, stateDir string, log *slog.Logger) (*webhook.Server, error) {
	return webhook.Start(ctx, webhook.Config{
		Emulator: lab.Emulator(), Cluster: cluster.Open(c.kubeconfig), Bundle: lab.Bundle(), Listen: c.webhook, Advertise: c.advertise, StateDir: stateDir, Log: log,
		Admit: func(ctx context.Context, w emulator.Workload) (bool, error) {
			return lab.Admit(ctx, workload.Workload{Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, ClientID: w.ClientID}, harness.Identity{Tenant: w.Tenant, Issuer: w.Issuer})
		},
	})
}
