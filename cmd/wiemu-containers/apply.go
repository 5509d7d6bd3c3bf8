package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/deploy"
	"github.com/wiemu/wiemu/internal/deploy/radix"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/kind"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
	"github.com/wiemu/wiemu/internal/yamlfile"
)

type application struct {
	files, environments, images []string
	sample                      string
	dryRun                      bool
	patience                    time.Duration
	format                      string
}

// addApplyFlags adds what wiemu kind apply and wiemu cluster apply have in common.
func (a *application) addFlags(cmd *cobra.Command, sample string) {
	cmd.Flags().StringArrayVarP(&a.files, "file", "f", nil, "radixconfig.yaml; repeatable (default: that of this directory)")
	cmd.Flags().StringArrayVar(&a.environments, "env", nil, "Radix environment to deploy; repeatable (default: every one)")
	cmd.Flags().StringArrayVar(&a.images, "image", nil, "COMPONENT=IMAGE, or IMAGE for all that Radix builds from source; repeatable")
	cmd.Flags().StringVar(&a.sample, "sample", sample, "image of wiemu-workload, which stands in for components without an image: it reads a secret, again and again")
	cmd.Flags().BoolVar(&a.dryRun, "dry-run", false, "print the objects (YAML, or a List with -o json) and ask no cluster")
	cmd.Flags().DurationVar(&a.patience, "timeout", 2*time.Minute, "how long pods have until they run")
	cli.AddOutput(cmd, &a.format, "text", "json", "yaml")
}

// A target is the cluster that an application is applied to.
type target struct {
	name    string                                                                  // RADIX_CLUSTERNAME
	open    func(context.Context) (*deploy.Cluster, error)                          // by its kubeconfig
	control func(context.Context, *deploy.Cluster) (*control.Client, func(), error) // its emulator
	load    func(image string) string                                               // what to type so that it has an image
}

type applied struct {
	Cluster string           `json:"cluster"`
	Trusted []workload.Spec  `json:"trusted"`
	Objects []string         `json:"objects"`
	Pods    []deploy.Rollout `json:"pods"`
	Remarks []string         `json:"remarks"`
}

// run applies the objects of the files, and waits until their pods run.
func (a *application) run(cmd *cobra.Command, to target) error {
	made, err := a.read(cmd, to.name)
	if err != nil {
		return err
	}
	done := applied{Cluster: to.name, Trusted: []workload.Spec{}, Objects: []string{}, Pods: []deploy.Rollout{}, Remarks: []string{}}
	var objects []*unstructured.Unstructured
	for _, m := range made {
		objects = append(objects, m.Objects...)
		done.Remarks = append(done.Remarks, m.Remarks...)
		for _, w := range m.Trusted {
			done.Trusted = append(done.Trusted, workload.Spec{Workload: w})
		}
	}
	if a.dryRun {
		for _, remark := range done.Remarks {
			fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: note:", remark)
		}
		return writeObjects(cmd.OutOrStdout(), objects, a.format)
	}
	if a.format == "yaml" {
		return errors.New("-o yaml prints the objects: it goes with --dry-run")
	}
	if err := a.deploy(cmd, to, objects, &done); err != nil {
		return err
	}
	return cli.Print(cmd, a.format, done, done.write)
}

func (a *application) read(cmd *cobra.Command, cluster string) ([]*radix.Manifests, error) {
	if len(a.files) == 0 {
		a.files = []string{"radixconfig.yaml"}
		if err := cli.CheckFound(a.files[0]); err != nil {
			return nil, err
		}
	}
	images := map[string]string{}
	for _, image := range a.images {
		component, name, named := strings.Cut(image, "=")
		if !named {
			component, name = "", image
		}
		if name == "" || images[component] != "" {
			return nil, cli.Usagef("--image %s: expected COMPONENT=IMAGE or IMAGE, each component once", image)
		}
		images[component] = name
	}
	var all []*radix.Manifests
	for _, name := range a.files {
		var warnings []yamlfile.Problem
		m, err := file.ReadContext(cmd.Context(), func() (m *radix.Manifests, err error) {
			m, warnings, err = radix.Read(name, radix.Options{Environments: a.environments, Images: images, Sample: a.sample, Cluster: cluster})
			return m, err
		})
		if cmd.Context().Err() != nil {
			return nil, cmd.Context().Err()
		}
		cli.TellWarnings(cmd, warnings)
		if err != nil {
			return nil, err
		}
		if at := slices.IndexFunc(all, func(o *radix.Manifests) bool { return o.Application == m.Application }); at >= 0 {
			return nil, fmt.Errorf("%s and %s: expected applications of different names, found %s twice", a.files[at], name, m.Application)
		}
		all = append(all, m)
	}
	return all, radix.CheckImages(images, all...)
}

func (a *application) deploy(cmd *cobra.Command, to target, objects []*unstructured.Unstructured, done *applied) error {
	ctx, steps := cmd.Context(), cli.NewSteps(cmd.ErrOrStderr())
	defer steps.End()
	cluster, err := to.open(ctx)
	if err != nil {
		return err
	}
	steps.Step("trust")
	client, letGo, err := to.control(ctx, cluster)
	if err != nil {
		return err
	}
	defer letGo()
	if err := session.Declare(ctx, client, done.Trusted); err != nil {
		return fmt.Errorf("tell the emulator whom to trust: %w", err)
	}
	if err := cluster.Apply(ctx, objects, func(object string) {
		steps.Step("apply " + object)
		done.Objects = append(done.Objects, object)
	}); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	done.Pods, err = cluster.Await(limited, objects, func(r deploy.Rollout) { steps.Step(r.String() + ": " + r.Doing) })
	return withNextSteps(done.Pods, err, to.load)
}

// withNextSteps adds to an error how the cluster comes to the images that it lacks.
func withNextSteps(pods []deploy.Rollout, err error, load func(string) string) error {
	if err == nil {
		return nil
	}
	var lacking []string
	for _, pod := range pods {
		if pod.State != deploy.Running && pod.Image != "" && !slices.Contains(lacking, pod.Image) {
			lacking = append(lacking, pod.Image)
			err = fmt.Errorf("%w\n%s", err, load(pod.Image))
		}
	}
	return err
}

func (a applied) write(out *cli.Lines) {
	for _, d := range a.Trusted {
		out.Print("trusted   %s  %s  as %s\n", d.Workload, d.Subject(), d.ClientID)
	}
	out.Print("applied   %d objects\n", len(a.Objects))
	for _, pod := range a.Pods {
		out.Print("%-9s %s: %s\n", pod.State, pod, pod.Doing)
	}
	for _, remark := range a.Remarks {
		out.Print("note      %s\n", remark)
	}
}

func writeObjects(w io.Writer, objects []*unstructured.Unstructured, format string) error {
	if format == "json" {
		list := &unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}}
		for _, o := range objects {
			list.Items = append(list.Items, *o)
		}
		return cli.PrintJSON(w, list.UnstructuredContent())
	}
	for _, o := range objects {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", text); err != nil {
			return err
		}
	}
	return nil
}

// applyHelp is what there is to know of apply, wherever it applies to.
const applyHelp = `Each environment becomes the namespace APP-ENVIRONMENT, a component a Deployment and a
job a Job that runs once; service account, client id, labels, variables, ports, health
checks and limits are those that Radix gives them. The emulator is told whom the file
wants trusted, in every environment, and refuses others (AADSTS700213). Then it waits
until the pods run, or says why they do not.

Images that Radix would build are given with --image; a component without one is played
by wiemu-workload, which reads a secret with the component's identity and prints it. What
belongs to Radix' platform is left out and reported: ingress, OAuth2 proxies, pipelines,
mounted storage, secrets that are set in the console.`

func newKindApply(stateDir *string) *cobra.Command {
	var a application
	var name string
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Run the applications of radixconfig.yaml files in a cluster, under the names that Radix gives them",
		Long:  "Run the applications of radixconfig.yaml files in a cluster that wiemu kind up made.\n" + applyHelp,
		Example: `  wiemu kind apply -f radixconfig.yaml --env dev
  wiemu kind apply -f radixconfig.yaml --image web=my-web:1 --image my-jobs:1
  wiemu kind apply -f radixconfig.yaml --dry-run | kubectl apply -f -`,
		Args: cobra.NoArgs,
		RunE: onKind(stateDir, func(cmd *cobra.Command, _ []string, host *kind.Host, steps *cli.Steps) error {
			steps.End()
			return a.run(cmd, target{
				name: name,
				open: func(ctx context.Context) (*deploy.Cluster, error) { return openKindCluster(ctx, host, name) },
				control: func(context.Context, *deploy.Cluster) (*control.Client, func(), error) {
					client, err := host.Control(name)
					return client, func() {}, err
				},
				load: func(image string) string {
					return fmt.Sprintf("next: wiemu kind load %s%s puts the image of this machine's Docker into the cluster; then type the same again", image, nameFlag(name))
				},
			})
		}),
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
