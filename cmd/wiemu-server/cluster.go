package main

import (
	"context"
	"flag"

	"github.com/wiemu/wiemu/emulator/externaljwt"
	"github.com/wiemu/wiemu/harness"
)

// inCluster is what the server is for a cluster. The zero value is none.
type inCluster struct {
	signer     string // socket
	legacyKeys string // PEM file
	webhook    string // address
	kubeconfig string // or in-cluster
	advertise  string // address
}

func (c *inCluster) add(flags *flag.FlagSet) {
	flags.StringVar(&c.signer, "signer", "", "socket on which the first hosted issuer signs a cluster's service-account tokens: --service-account-signing-endpoint of its API server (Kubernetes 1.34 and newer)")
	flags.StringVar(&c.legacyKeys, "legacy-keys", "/etc/kubernetes/pki/sa.pub", "with -signer: PEM file with the public keys of tokens in Secrets, which the API server is told if the file is there")
	flags.StringVar(&c.webhook, "webhook", "", "address on which pods of a cluster are changed, such as 127.0.0.1:9443")
	flags.StringVar(&c.kubeconfig, "cluster", "", "kubeconfig of the cluster, or in-cluster; it may appear later")
	flags.StringVar(&c.advertise, "advertise", "", "with -webhook: address at which pods find the emulated names")
}

// join does what the server is for its cluster, until leave.
func (c inCluster) join(lab *harness.Lab) (leave func(context.Context) error, err error) {
	if c.signer == "" {
		return func(context.Context) error { return nil }, nil
	}
	i := lab.Emulator().Issuers()[0]
	signer, err := externaljwt.Start(c.signer, i, lab.Clock(), externaljwt.Options{LegacyKeys: c.legacyKeys})
	if err != nil {
		return nil, err
	}
	return signer.Close, nil
}
