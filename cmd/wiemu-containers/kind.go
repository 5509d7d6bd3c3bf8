package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/cli"
	"github.com/wiemu/wiemu/internal/kind"
	"github.com/wiemu/wiemu/internal/kind/records"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/userstate"
)

func newKind(stateDir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kind",
		Short: "Make a kind cluster whose pods get their tokens and secrets from wiemu",
		Long: `Make a kind cluster whose service-account tokens wiemu signs, with the emulator in its
node. Pods with the label azure.workload.identity/use: "true" get what they get on AKS,
and meet the emulated hosts; nothing else in the cluster is changed.

For a cluster that is there already: wiemu cluster install.

The other commands act on the emulator of a cluster with --kind NAME, or WIEMU_KIND=NAME:
wiemu keys rotate --kind wiemu. It needs Docker, and neither kind nor kubectl.`,
		Example: `  wiemu kind up
  kubectl apply -f docs/examples/kind/app.yaml
  wiemu kind apply -f radixconfig.yaml --env dev
  wiemu explain --last --kind wiemu
  wiemu kind down`,
	}
	cmd.AddCommand(newKindUp(stateDir), newKindDown(stateDir), newKindStatus(stateDir), newKindList(stateDir), newKindLogs(stateDir), newKindLoad(stateDir), newKindApply(stateDir))
	return cmd
}

// openKind returns the host of kind clusters, which shows its steps on out.
func openKind(stateDir string, out io.Writer) (*kind.Host, *cli.Steps, error) {
	dir, err := userstate.Open(stateDir)
	if err != nil {
		return nil, nil, err
	}
	steps := cli.NewSteps(out)
	return kind.NewHost(records.Of(dir.Path()).Dir(), kind.HostOptions{Progress: steps.Step}), steps, nil
}

// onKind returns what a command runs with the host of kind clusters.
func onKind(stateDir *string, run func(*cobra.Command, []string, *kind.Host, *cli.Steps) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		host, steps, err := openKind(*stateDir, cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		return run(cmd, args, host, steps)
	}
}

func addKindName(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "name", kind.DefaultName, "name of the cluster")
}

func newKindUp(stateDir *string) *cobra.Command {
	var names []string
	var name, format string
	var opts kind.Options
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make a cluster, or bring the one that is there up to date, and wait until a pod gets its secret",
		Long: `Make a kind cluster, and wait until a pod in it has exchanged its token. Its context is
kind-NAME. If the cluster is there already, it is kept: a configuration that has
changed is applied by restarting the emulator in the node, which keeps its keys and its
directory. A cluster that was not finished is deleted and made again. Ctrl-C deletes
what was made.

The node image is the one that is here: kind's own, or the one that make node-image
builds without a registry; where there is none, kind's own is pulled. The first issuer of
wiemu.yaml that wiemu hosts becomes the cluster's. With Kubernetes before 1.34 the
cluster's signing key cannot be rotated.`,
		Example: `  wiemu kind up
  wiemu kind up --name test --k8s-version v1.36.1 -f wiemu.yaml -f radixconfig.yaml
  wiemu kind up --image kindest/node:v1.37.0 --kubeconfig ./kubeconfig -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			files, err := cli.ReadFiles(cmd, names)
			cli.TellWarnings(cmd, files.Warnings)
			if err != nil {
				return err
			}
			cli.TellUnread(cmd.ErrOrStderr(), files)
			opts.Config, opts.ConfigFile = kindConfiguration(files), files.ConfigFile
			if err := findPrograms(&opts); err != nil {
				return err
			}
			if opts.Kubeconfig, err = absolute(opts.Kubeconfig); err != nil {
				return err
			}
			host, steps, err := openKind(*stateDir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			report, err := host.Up(cmd.Context(), name, opts)
			steps.End()
			if err := cli.Interrupted(cmd, err); err != nil {
				return err
			}
			return cli.Print(cmd, format, report, func(out *cli.Lines) { writeUp(out, report) })
		},
	}
	cli.AddFileFlag(cmd, &names)
	addKindName(cmd, &name)
	cmd.Flags().StringVar(&opts.Image, "image", "", "node image (default: see above)")
	cmd.Flags().StringVar(&opts.Kubernetes, "k8s-version", "", "version of Kubernetes, such as v1.36.1, instead of --image")
	cmd.Flags().StringVar(&opts.Kubeconfig, "kubeconfig", "", "file for the cluster's context (default: where kubectl looks)")
	cmd.Flags().BoolVar(&opts.ClusterDNS, "cluster-dns", false, "have the emulated hosts resolve for every pod of the cluster, not only labelled ones (only those get the CA)")
	cmd.Flags().StringVar(&opts.Server, "server", "", "path of wiemu-server for the node (default: beside wiemu)")
	cmd.Flags().StringVar(&opts.Workload, "workload", "", "path of wiemu-workload for the node (default: beside wiemu)")
	cli.AddOutput(cmd, &format, "text", "json")
	return cmd
}

// kindConfiguration is the node's wiemu.yaml, with the workloads of radixconfig.yaml files.
func kindConfiguration(files session.Files) config.Config {
	c := files.Configuration()
	for _, d := range files.Workloads() {
		if d.Environment == "" || d.ClientID == "" {
			continue
		}
		c.Workloads = append(c.Workloads, config.Workload{
			Name: d.CredentialName(), Namespace: d.Namespace, ServiceAccount: d.ServiceAccount, ClientID: d.ClientID,
		})
	}
	return c
}

// findPrograms finds the programs for the node beside this one, unless they were named.
func findPrograms(opts *kind.Options) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find wiemu-server: %w", err)
	}
	for program, file := range map[string]*string{"wiemu-server": &opts.Server, "wiemu-workload": &opts.Workload} {
		if *file != "" {
			continue
		}
		*file = filepath.Join(filepath.Dir(self), program)
		if forNode := *file + "-linux-" + runtime.GOARCH; runtime.GOOS != "linux" || exists(forNode) {
			*file = forNode
		}
	}
	return nil
}

func exists(file string) bool { _, err := os.Stat(file); return err == nil }

func absolute(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	return filepath.Abs(file)
}

func writeUp(out *cli.Lines, r kind.Report) {
	s := r.Status
	what := map[string]string{
		kind.Created: "made", kind.Started: "started again", kind.Reconfigured: "there, and its emulator has another configuration now",
		kind.Repaired: "there, and its emulator runs again", kind.Unchanged: "there, and nothing has changed",
	}[r.Did]
	out.Print("cluster   %s is %s\n", s.Name, what)
	if r.Replaced != "" {
		out.Print("          what was there was taken away first: %s\n", r.Replaced)
	}
	out.Print("node      Kubernetes %s, %s\nissuer    %s\n", s.Kubernetes, s.Image, s.Issuer)
	if s.SharedKey {
		out.Print("          its key cannot be rotated: Kubernetes supports external signers from v1.34 on\n")
	}
	if r.Did == kind.Created {
		proof := "a pod had exchanged its token"
		if r.Secret {
			proof += " and read a secret"
		}
		out.Print("time      kind %s, then %s until %s\n", seconds(r.Kind), seconds(r.Extra), proof)
	}
	kubeconfig := ""
	if s.Kubeconfig != "" {
		kubeconfig = " --kubeconfig " + s.Kubeconfig
	}
	out.Print("next      kubectl%s --context %s apply -f docs/examples/kind/app.yaml\n", kubeconfig, s.Context)
	out.Print("          wiemu status --kind %s\n          wiemu kind down%s\n", s.Name, nameFlag(s.Name))
}

func nameFlag(name string) string {
	if name == kind.DefaultName {
		return ""
	}
	return " --name " + name
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

func newKindDown(stateDir *string) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Take a cluster away, with everything that was made for it",
		Long: `Take a cluster away: its containers with their volumes, its entries in the kubeconfig
and its directory. It may be half made, or gone already. A cluster that wiemu did not
make is left alone. Docker's network kind stays, as it does with kind itself.`,
		Example: "  wiemu kind down\n  wiemu kind down --name test",
		Args:    cobra.NoArgs,
		RunE: onKind(stateDir, func(cmd *cobra.Command, _ []string, host *kind.Host, steps *cli.Steps) error {
			was, err := host.Down(cmd.Context(), name)
			steps.End()
			if err := cli.Interrupted(cmd, err); err != nil {
				return err
			}
			out := &cli.Lines{W: cmd.OutOrStdout()}
			if was {
				out.Print("cluster %s is gone\n", name)
			} else {
				out.Print("there is no cluster %s\n", name)
			}
			return out.Err
		}),
	}
	addKindName(cmd, &name)
	return cmd
}

func newKindStatus(stateDir *string) *cobra.Command {
	var name, format string
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show whether a cluster is there, and how its emulator is",
		Long:    "Show whether a cluster is there, and how its emulator is. The exit code is 1 unless both run.",
		Example: "  wiemu kind status\n  wiemu kind status --name test -o json",
		Args:    cobra.NoArgs,
		RunE: onKind(stateDir, func(cmd *cobra.Command, _ []string, host *kind.Host, _ *cli.Steps) error {
			s, err := host.Status(cmd.Context(), name)
			if err != nil {
				return err
			}
			return cli.FailIf(s.Emulator == nil, cli.Print(cmd, format, s, func(out *cli.Lines) { writeKindStatus(out, s) }))
		}),
	}
	addKindName(cmd, &name)
	cli.AddOutput(cmd, &format, "text", "json")
	return cmd
}

func writeKindStatus(out *cli.Lines, s kind.Status) {
	out.Print("cluster   %s is %s", s.Name, s.Condition)
	if s.Why != "" {
		out.Print(": %s", s.Why)
	}
	out.Print("\n")
	if s.Image != "" {
		out.Print("node      Kubernetes %s, %s\ncontext   %s\nissuer    %s\ncontrol   %s\nfiles     %s\n", s.Kubernetes, s.Image, s.Context, s.Issuer, s.Control, s.Directory)
	}
	switch {
	case s.Emulator != nil:
		out.Print("emulator  %s, %d events\n", s.Service, s.Emulator.Events)
		for _, k := range s.Emulator.Keys {
			out.Print("key       %s\n", cli.KeyLine(k))
		}
	case s.Service != "":
		out.Print("emulator  %s, and does not answer; see wiemu kind logs%s, or type wiemu kind up%s to repair it\n", s.Service, nameFlag(s.Name), nameFlag(s.Name))
	case s.Image != "" || s.Condition == "absent":
		out.Print("next      wiemu kind up%s\n", nameFlag(s.Name))
	}
}

func newKindList(stateDir *string) *cobra.Command {
	return cli.Show(&cobra.Command{
		Use: "list", Short: "List the clusters that wiemu made", Example: "  wiemu kind list\n  wiemu kind list -o json", Args: cobra.NoArgs,
	}, func(cmd *cobra.Command, _ []string) ([]string, error) {
		host, _, err := openKind(*stateDir, cmd.ErrOrStderr())
		if err != nil {
			return nil, err
		}
		all, err := host.List(cmd.Context())
		return append([]string{}, all...), err
	}, func(out *cli.Lines, all []string) {
		for _, name := range all {
			out.Print("%s\n", name)
		}
	})
}

func newKindLogs(stateDir *string) *cobra.Command {
	var name string
	var count int
	cmd := &cobra.Command{
		Use: "logs", Short: "Print what the emulator in the node has logged", Example: "  wiemu kind logs\n  wiemu kind logs --lines 100 --name test", Args: cobra.NoArgs,
		RunE: onKind(stateDir, func(cmd *cobra.Command, _ []string, host *kind.Host, _ *cli.Steps) error {
			said, err := host.Logs(cmd.Context(), name, count)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), said)
			return err
		}),
	}
	addKindName(cmd, &name)
	cmd.Flags().IntVar(&count, "lines", 40, "how many lines, the last ones")
	return cmd
}

func newKindLoad(stateDir *string) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "load IMAGE...",
		Short: "Put images of this machine's Docker into a cluster's node",
		Long: `Put images of this machine's Docker into a cluster's node, so that its pods need not
pull them. Pods want imagePullPolicy: IfNotPresent, or a tag other than latest.`,
		Example: "  docker build -t my-app:test .\n  wiemu kind load my-app:test",
		Args:    cobra.MinimumNArgs(1),
		RunE: onKind(stateDir, func(cmd *cobra.Command, args []string, host *kind.Host, steps *cli.Steps) error {
			err := host.Load(cmd.Context(), name, args)
			steps.End()
			return cli.Interrupted(cmd, err)
		}),
	}
	addKindName(cmd, &name)
	return cmd
}
