package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/compose/stack"
	"github.com/wiemu/wiemu/internal/deploy"
	"github.com/wiemu/wiemu/internal/deploy/install"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

func newCluster() *cobra.Command {
	var at clusterFlags
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Run the emulator in a cluster that is there already",
		Long: `Run the emulator in a cluster that is there already, whoever made it. The cluster's own
issuer signs its service-account tokens; the emulator runs in namespace ` + install.Namespace + `, is told
that issuer, and only pods with the label azure.workload.identity/use: "true" meet the
emulated hosts. What belongs to the cluster, its keys and its time, cannot be changed
from here: for that, wiemu kind up makes one whose issuer is wiemu's.

The cluster is the one that kubectl would take, or that of --kubeconfig and --context. The
other commands act on its emulator with --cluster CONTEXT, or WIEMU_CLUSTER=CONTEXT: they
reach it through the API server, which requires permission to forward ports to pods of
namespace ` + install.Namespace + `; no port of the cluster is opened.`,
		Example: `  wiemu cluster install --kubeconfig ~/.kube/config --context my-cluster
  wiemu cluster apply -f radixconfig.yaml --env dev
  wiemu explain --last --cluster my-cluster
  wiemu cluster remove`,
	}
	cmd.PersistentFlags().StringVar(&at.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster (default: the one that kubectl takes)")
	cmd.PersistentFlags().StringVar(&at.context, "context", "", "context of the kubeconfig (default: its current one)")
	cmd.AddCommand(newClusterInstall(&at), newClusterRemove(&at), newClusterStatus(&at), newClusterApply(&at))
	return cmd
}

type clusterFlags struct{ kubeconfig, context string }

func (f *clusterFlags) open() (*deploy.Cluster, error) { return deploy.Open(f.kubeconfig, f.context) }

func newClusterInstall(at *clusterFlags) *cobra.Command {
	var files []string
	var opts install.Options
	var volume, format string
	var dryRun bool
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Install the emulator, or bring it up to date, and wait until it answers",
		Long: `Install the emulator, or bring it up to date, and wait until it answers. It requires
permission to make a namespace, cluster roles and a mutating webhook, which a cluster
administrator has. Pods with the label azure.workload.identity/use: "true" that are made
from then on meet the emulated hosts; where azure-workload-identity's own webhook is
installed, it stays in charge of the rest.

The cluster has to have the emulator's image: make e2e-images builds it; push it where the
cluster can pull it, or load it into its nodes (kind load docker-image). The objects are
a kustomize base, too: internal/deploy/install/base.`,
		Example: `  wiemu cluster install
  wiemu cluster install --kubeconfig kubeconfig --image registry.example/wiemu:1 -f wiemu.yaml
  wiemu cluster install --dry-run | kubectl diff -f -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			read, err := readAll(cmd, files)
			if err != nil {
				return err
			}
			opts.Config = read.Configuration()
			if volume != "" {
				if opts.Volume, err = resource.ParseQuantity(volume); err != nil {
					return cli.Usagef("--volume: expected a size such as 50Mi, found %q", volume)
				}
			}
			cluster, err := at.open()
			if err != nil {
				return err
			}
			if opts.Issuer, err = cluster.Issuer(cmd.Context()); err != nil {
				return err
			}
			if dryRun {
				objects, err := install.Objects(opts)
				if err != nil {
					return err
				}
				return writeObjects(cmd.OutOrStdout(), objects, format)
			}
			return installEmulator(cmd, cluster, opts, read.Workloads(), patience, format)
		},
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "wiemu.yaml (tenants, identities, vaults) or radixconfig.yaml (whom to trust); repeatable")
	cmd.Flags().StringVar(&opts.Image, "image", install.Image, "image of the emulator")
	cmd.Flags().StringVar(&volume, "volume", "", "size of a volume, such as 50Mi, that keeps CA and directory when the pod is replaced (default: none is asked for)")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the objects and change nothing")
	cmd.Flags().DurationVar(&patience, "timeout", 2*time.Minute, "how long the emulator has until it answers")
	cli.AddOutput(cmd, &format, "text", "json")
	return cmd
}

// readAll reads the files that were named, and no others.
func readAll(cmd *cobra.Command, files []string) (session.Files, error) {
	if len(files) == 0 {
		return session.Files{}, nil
	}
	read, err := cli.ReadFiles(cmd, files)
	cli.TellWarnings(cmd, read.Warnings)
	return read, err
}

type installed struct {
	Cluster  string          `json:"cluster"`
	Issuer   string          `json:"issuer"`
	Pod      deploy.Rollout  `json:"pod"`
	Emulator *control.Status `json:"emulator,omitempty"` // nil: it does not answer
}

func installEmulator(cmd *cobra.Command, cluster *deploy.Cluster, opts install.Options, trusted []workload.Spec, patience time.Duration, format string) error {
	ctx, steps := cmd.Context(), cli.NewSteps(cmd.ErrOrStderr())
	defer steps.End()
	var err error
	if opts.Token, _, err = cluster.Secret(ctx, install.Namespace, install.Control, install.TokenKey); err != nil {
		return err
	}
	objects, err := install.Objects(opts)
	if err != nil {
		return err
	}
	if err := cluster.Apply(ctx, objects, func(object string) { steps.Step("apply " + object) }); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pods, err := cluster.Await(limited, objects, func(r deploy.Rollout) { steps.Step(r.String() + ": " + r.Doing) })
	if err != nil {
		return withNextSteps(pods, err, loadByHand)
	}
	steps.Step("the emulator's answer")
	client, letGo, err := controlInCluster(ctx, cluster)
	if err != nil {
		return err
	}
	defer letGo()
	if err := session.Declare(ctx, client, trusted); err != nil {
		return fmt.Errorf("tell the emulator whom to trust: %w", err)
	}
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	steps.End()
	now := installed{Cluster: cluster.Context, Issuer: opts.Issuer, Pod: pods[0], Emulator: &status}
	return cli.Print(cmd, format, now, now.write)
}

// loadByHand says how a cluster comes to an image.
func loadByHand(image string) string {
	return fmt.Sprintf("next: push %s to a registry that the cluster can pull from, and name it with --image; into the nodes of a kind cluster: kind load docker-image %s --name NAME", image, image)
}

func (i installed) write(out *cli.Lines) {
	out.Print("cluster   %s\nissuer    %s   (the cluster's own)\n", i.Cluster, i.Issuer)
	out.Print("%-9s %s: %s\n", i.Pod.State, i.Pod, i.Pod.Doing)
	if i.Emulator != nil {
		out.Print("emulator  %d events, lab time %s\n", i.Emulator.Events, i.Emulator.Now.Format(time.RFC3339))
		out.Print("next      label a pod azure.workload.identity/use: \"true\" and annotate its service account\n          with azure.workload.identity/client-id, or: wiemu cluster apply -f radixconfig.yaml\n")
	}
}

// controlInCluster returns a client of the emulator in a cluster, through its API server.
func controlInCluster(ctx context.Context, cluster *deploy.Cluster) (client *control.Client, letGo func(), err error) {
	token, there, err := cluster.Secret(ctx, install.Namespace, install.Control, install.TokenKey)
	if err != nil {
		return nil, nil, err
	}
	if !there {
		return nil, nil, fmt.Errorf("cluster %s: there is no emulator in it; wiemu cluster install brings it", cluster.Context)
	}
	address, letGo, err := cluster.Forward(ctx, install.Namespace, install.Name, install.ControlPort)
	if err != nil {
		return nil, nil, err
	}
	return &control.Client{URL: "http://" + address, Token: token}, letGo, nil
}

func newClusterRemove(at *clusterFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "remove",
		Short: "Take the emulator out of a cluster, with everything that it made there",
		Long: `Take the emulator out of a cluster, with everything that it made there: its namespace,
roles and webhook, and the trust in every namespace. Pods that run keep what they were
given until they are replaced. What was applied, namespaces of applications too, stays.`,
		Example: "  wiemu cluster remove --context my-cluster",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := at.open()
			if err != nil {
				return err
			}
			steps := cli.NewSteps(cmd.ErrOrStderr())
			removed, err := removeEmulator(cmd.Context(), cluster, steps)
			steps.End()
			if err != nil {
				return err
			}
			out := &cli.Lines{W: cmd.OutOrStdout()}
			if len(removed) == 0 {
				out.Print("there was no emulator in cluster %s\n", cluster.Context)
			}
			for _, object := range removed {
				out.Print("removed   %s\n", object)
			}
			return out.Err
		},
	}
}

func removeEmulator(ctx context.Context, cluster *deploy.Cluster, steps *cli.Steps) ([]string, error) {
	var removed []string
	tell := func(object string) {
		steps.Step("removed " + object)
		removed = append(removed, object)
	}
	objects, err := install.Objects(install.Options{Volume: resource.MustParse("1Mi")})
	if err != nil {
		return nil, err
	}
	// Deployment and webhook first: nothing is put back, and no pod waits for an answer.
	err = cluster.Delete(ctx, append(install.Registered(), objects[len(objects)-1]), tell)
	if err != nil {
		return removed, err
	}
	kind, name := install.Trust()
	trust, err := cluster.Named(ctx, kind, name)
	if err != nil {
		return removed, err
	}
	if err := cluster.Delete(ctx, trust, tell); err != nil {
		return removed, err
	}
	return removed, cluster.Delete(ctx, objects[:len(objects)-1], tell)
}

func newClusterStatus(at *clusterFlags) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show whether the emulator is in a cluster, and how it is",
		Long:    "Show whether the emulator is in a cluster, and how it is. The exit code is 1 unless it answers.",
		Example: "  wiemu cluster status\n  wiemu cluster status --context my-cluster -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, err := at.open()
			if err != nil {
				return err
			}
			now, err := clusterStatus(cmd.Context(), cluster)
			if err != nil {
				return err
			}
			return cli.FailIf(now.Emulator == nil, cli.Print(cmd, format, now, now.write))
		},
	}
	cli.AddOutput(cmd, &format, "text", "json")
	return cmd
}

func clusterStatus(ctx context.Context, cluster *deploy.Cluster) (installed, error) {
	now := installed{Cluster: cluster.Context}
	var err error
	if now.Issuer, err = cluster.Issuer(ctx); err != nil {
		return now, err
	}
	if now.Pod, err = cluster.Look(ctx, install.Namespace, install.Name); err != nil || now.Pod.State != deploy.Running {
		return now, err
	}
	client, letGo, err := controlInCluster(ctx, cluster)
	if err != nil {
		return now, err
	}
	defer letGo()
	status, err := client.Status(ctx)
	if err == nil {
		now.Emulator = &status
	}
	return now, err
}

func newClusterApply(at *clusterFlags) *cobra.Command {
	var a application
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Run the applications of radixconfig.yaml files in a cluster, under the names that Radix gives them",
		Long:  "Run the applications of radixconfig.yaml files in a cluster that has the emulator.\n" + applyHelp,
		Example: `  wiemu cluster apply -f radixconfig.yaml --env dev --image registry.example/my-app:1
  wiemu cluster apply -f radixconfig.yaml --dry-run`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.run(cmd, target{
				name:    at.context,
				open:    func(context.Context) (*deploy.Cluster, error) { return at.open() },
				control: controlInCluster, load: loadByHand,
			})
		},
	}
	a.addFlags(cmd, "wiemu/workload:local")
	return cmd
}

// newConnect returns the command by which wiemu finds the emulator of a compose project or a
// cluster: it prints how it is controlled, and keeps what leads to it open until its standard
// input ends.
func newConnect() *cobra.Command {
	var project, kubeContext string
	cmd := &cobra.Command{
		Use: "connect", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var client *control.Client
			var err error
			switch {
			case (project == "") == (kubeContext == ""):
				return cli.Usagef("expected one of --compose and --cluster")
			case project != "":
				client, err = controlProject(cmd.Context(), project)
			default:
				var close func()
				if client, close, err = controlInstalled(cmd.Context(), kubeContext); err == nil {
					defer close()
				}
			}
			if err != nil {
				return err
			}
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(client); err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, cmd.InOrStdin())
			return err
		},
	}
	cmd.Flags().StringVar(&project, "compose", "", "name of a compose project")
	cmd.Flags().StringVar(&kubeContext, "cluster", "", "context of the kubeconfig")
	return cmd
}

func controlProject(ctx context.Context, name string) (*control.Client, error) {
	docker, err := stack.Open(ctx, nil)
	if err != nil {
		return nil, err
	}
	client, err := stack.Control(ctx, docker.Client(), name)
	return client, errors.Join(err, docker.Close())
}

// controlInstalled returns a client of the emulator in a cluster, which works until it is closed.
func controlInstalled(ctx context.Context, kubeContext string) (client *control.Client, close func(), err error) {
	cluster, err := deploy.Open("", kubeContext)
	if err != nil {
		return nil, nil, err
	}
	return controlInCluster(ctx, cluster)
}
