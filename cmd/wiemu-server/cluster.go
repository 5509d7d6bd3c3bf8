package main

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/cluster"
	"github.com/wiemu/wiemu/internal/externaljwt"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/webhook"
)

// inCluster is what the server is for a cluster. The zero value is none.
type inCluster struct {
	signer     string // socket
	legacyKeys string // PEM file
	sharedKey  string // PEM file
	webhook    string // address
	kubeconfig string // or in-cluster
	advertise  string // address
}

func (c *inCluster) add(flags *flag.FlagSet) {
	flags.StringVar(&c.signer, "signer", "", "socket on which the first hosted issuer signs a cluster's service-account tokens: --service-account-signing-endpoint of its API server (Kubernetes 1.34 and newer)")
	flags.StringVar(&c.legacyKeys, "legacy-keys", "/etc/kubernetes/pki/sa.pub", "with -signer: PEM file with the public keys of tokens in Secrets, which the API server is told if the file is there")
	flags.StringVar(&c.sharedKey, "shared-key", "", "PEM file, such as kubeadm's sa.key, with the private key that a cluster's API server signs with and the first hosted issuer has, too; it cannot be rotated (for Kubernetes before 1.34, instead of -signer)")
	flags.StringVar(&c.webhook, "webhook", "", "host:port, such as 127.0.0.1:9443, at which the cluster's API server asks about pods with the label "+azwi.UseLabel+"=true: they get what azure-workload-identity gives them, and the way to the emulated hosts")
	flags.StringVar(&c.kubeconfig, "cluster", "", "with -webhook: kubeconfig of the cluster, which may appear later, or "+cluster.InCluster+" for the one that this is a pod of")
	flags.StringVar(&c.advertise, "advertise", "", "with -webhook: where pods find the emulated hosts on port 443: an IP address; or NAMESPACE/NAME of a Service, through which the API server asks, too, on the port of -webhook")
}

func (c inCluster) prepare(opts *server.Options) (err error) {
	opts.InCluster = c != inCluster{legacyKeys: c.legacyKeys}
	switch {
	case c.sharedKey == "":
		return nil
	case c.signer != "":
		return errors.New("-shared-key and -signer: expected one of them, found both; an API server that asks a signer needs no key")
	}
	if opts.SharedKey, err = readKey(c.sharedKey); err != nil {
		return fmt.Errorf("-shared-key: %w", err)
	}
	return nil
}

// readKey reads a private key as kubeadm writes it, or as PKCS #8.
func readKey(file string) (crypto.Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s: expected a PEM block with a private key, found none", file)
	}
	var key any
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("%s: expected a PEM block RSA PRIVATE KEY or PRIVATE KEY, found %s", file, block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: expected an RSA key, which Entra ID wants, found a %T", file, key)
	}
	return private, nil
}

// join does what the server is for its cluster, until leave.
func (c inCluster) join(ctx context.Context, lab *session.Session, stateDir string, log *slog.Logger) (leave func(context.Context) error, err error) {
	var closers []func(context.Context) error
	leave = func(ctx context.Context) error {
		var errs []error
		for _, shut := range closers {
			errs = append(errs, shut(ctx))
		}
		return errors.Join(errs...)
	}
	if c.signer != "" {
		signer, err := externaljwt.Start(c.signer, lab.Emulator().Issuers()[0], lab.Clock(), externaljwt.Options{LegacyKeys: c.legacyKeys})
		if err != nil {
			return nil, err
		}
		closers = append(closers, signer.Close)
	}
	if c.webhook != "" {
		hook, err := c.startWebhook(ctx, lab, stateDir, log)
		if err != nil {
			return nil, errors.Join(err, leave(ctx))
		}
		closers = append(closers, hook.Close)
	}
	return leave, nil
}

// checkWebhook refuses a part of what the webhook needs.
func (c inCluster) checkWebhook() error {
	if none, all := c.webhook+c.kubeconfig+c.advertise == "", c.webhook != "" && c.kubeconfig != "" && c.advertise != ""; !none && !all {
		return errors.New("-webhook, -cluster and -advertise go together: expected all of them, or none")
	}
	return nil
}

func (c inCluster) startWebhook(ctx context.Context, started *session.Session, stateDir string, log *slog.Logger) (*webhook.Server, error) {
	return webhook.Start(ctx, webhook.Config{
		Emulator: started.Emulator(), Cluster: cluster.Open(c.kubeconfig), Bundle: started.Bundle(), Listen: c.webhook, Advertise: c.advertise, StateDir: stateDir, Log: log,
		Admit: started.TrustPod,
	})
}
