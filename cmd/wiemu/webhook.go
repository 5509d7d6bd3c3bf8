package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/keyring"
	"github.com/wiemu/wiemu/internal/kubeversion"
	"github.com/wiemu/wiemu/internal/manifest"
	"github.com/wiemu/wiemu/internal/nodeservice"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/userstate"
	"github.com/wiemu/wiemu/internal/webhook"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

func newWebhook(stateDir *string) *cobra.Command {
	var files []string
	var o webhookOptions
	var format string
	cmd := &cobra.Command{
		Use:   "webhook",
		Short: "Print manifests with what the webhook injects into their pods",
		Long: `Print what the webhook makes of pods, without a cluster: the variables and the token
that azure-workload-identity injects, and the emulated hosts with the trust in them.
Pods, and the templates of what makes pods, are changed if they have the label
azure.workload.identity/use: "true"; their service accounts have to be in the files, too.
Everything else is left out.

In a cluster the token's volume is named after the pod, so for a template the name here
differs. Whether Entra ID will give the pods a token is what wiemu validate says.

The exit code is 1 if a pod would be refused.`,
		Example: `  wiemu webhook -f pod.yaml -f serviceaccount.yaml
  kustomize build overlays/dev | wiemu webhook -f -
  wiemu webhook -f app.yaml --without-hosts     # as azure-workload-identity has it
  wiemu webhook -f app.yaml -o json | jq '.[].patch'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(files) == 0 {
				return cli.Usagef("which manifests? name them with --file (wiemu webhook --help says how)")
			}
			manifests := manifest.New(o.namespace)
			for _, name := range files {
				data, err := file.ReadContext(cmd.Context(), func() ([]byte, error) { return yamlfile.ReadOrStdin(name, cmd.InOrStdin()) })
				if err != nil {
					return fmt.Errorf("read the manifests: %w", err)
				}
				if err := manifests.Add(name, data); err != nil {
					return err
				}
			}
			settings, err := o.settings(cmd, *stateDir)
			if err != nil {
				return err
			}
			made, err := manifests.Mutate(settings)
			if err != nil {
				return err
			}
			if len(made) == 0 {
				return fmt.Errorf("%s: expected pods, or what makes pods, found none", strings.Join(files, ", "))
			}
			if format == "json" {
				err = cli.PrintJSON(cmd.OutOrStdout(), made)
			} else {
				err = writeMade(cmd, made)
			}
			return cli.FailIf(slices.ContainsFunc(made, func(m manifest.Made) bool { return m.Denied != "" }), err)
		},
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "manifests, or - for standard input; repeatable")
	cmd.Flags().StringVar(&o.config, "config", "", "wiemu.yaml: tenant, vaults, webhook.layout (default: the built-in defaults)")
	cmd.Flags().StringVar(&o.namespace, "namespace", "", "namespace of manifests that name none (default: default)")
	cmd.Flags().StringVar(&o.address, "address", nodeservice.Advertised, "where pods find the emulated hosts")
	cmd.Flags().Int64Var(&o.minor, "minor", kubeversion.Minor, "the cluster's Kubernetes 1.MINOR")
	cmd.Flags().BoolVar(&o.withoutHosts, "without-hosts", false, "inject the identity alone")
	cli.AddOutput(cmd, &format, "yaml", "json")
	return cmd
}

// webhookOptions say what the pods of a cluster are given.
type webhookOptions struct {
	config, namespace, address string
	minor                      int64
	withoutHosts               bool
}

func (o webhookOptions) settings(cmd *cobra.Command, stateDir string) (webhook.Settings, error) {
	address, err := netip.ParseAddr(o.address)
	if err != nil {
		return webhook.Settings{}, cli.Usagef("--address: expected an IP address, found %q", o.address)
	}
	var read session.Files
	if o.config != "" {
		if read, err = cli.ReadFiles(cmd, []string{o.config}); err != nil {
			return webhook.Settings{}, err
		}
	}
	dir, err := userstate.Open(stateDir)
	if err != nil {
		return webhook.Settings{}, err
	}
	keys, err := keyring.OpenPool(dir.KeyDir(), keyring.PoolOptions{})
	if err != nil {
		return webhook.Settings{}, err
	}
	defer func() { _ = keys.Close() }() // they are only for a lab that nobody asks
	opts := server.Options{Config: read.Configuration(), InMemory: true}
	opts.ConfigFile, opts.Keys = read.ConfigFile, keys
	e, err := server.Start(cmd.Context(), opts)
	if err != nil {
		return webhook.Settings{}, err
	}
	defer func() { _ = e.Close(cmd.Context()) }()
	settings, err := webhook.Offer(e, ca.BundleIn(webhook.TrustDir, ca.BundleOptions{SystemRoots: true}), address, o.minor)
	if o.withoutHosts {
		settings.HostRouting = nil
	}
	return settings, err
}

// writeMade prints what can be applied, and what is to be known about it beside.
func writeMade(cmd *cobra.Command, made []manifest.Made) error {
	for _, m := range made {
		name := fmt.Sprintf("%s %s/%s (%s)", m.Kind, m.Namespace, m.Name, m.Place)
		switch {
		case m.Skipped != "":
			fmt.Fprintf(cmd.ErrOrStderr(), "%s is left alone: %s\n", name, m.Skipped)
			continue
		case m.Denied != "":
			fmt.Fprintf(cmd.ErrOrStderr(), "%s is refused: %s\n  %s\n", name, m.Denied, m.Remedy)
			continue
		}
		for _, w := range m.Warnings {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", name, w)
		}
		text, err := manifest.YAML(m.Object)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "---\n%s", text); err != nil {
			return err
		}
	}
	return nil
}
