package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/kind"
	"github.com/wiemu/wiemu/harness/state"
)

func newKind(stateDir *string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kind",
		Short: "Make a kind cluster whose pods get their tokens and secrets here",
		Long: `Make a kind cluster whose service-account tokens wiemu signs, with the emulator in its
node. Pods with the label azure.workload.identity/use: "true" get what they get on AKS,
and meet the emulated hosts; nothing else in the cluster is changed.

For a cluster that is there already: wiemu cluster install.

The other commands steer the emulator of a cluster with --kind NAME, or WIEMU_KIND=NAME:
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

// openKind returns the host of kind clusters, which tells its steps on out.
func openKind(stateDir string, out io.Writer) (*kind.Host, *steps, error) {
	dir, err := state.Open(stateDir)
	if err != nil {
		return nil, nil, err
	}
	told := newSteps(out)
	return kind.NewHost(kindDir(dir), kind.HostOptions{Progress: told.step}), told, nil
}

func addKindName(cmd *cobra.Command, name *string) {
	cmd.Flags().StringVar(name, "name", kind.DefaultName, "name of the cluster")
}

func newKindUp(stateDir *string) *cobra.Command {
	var s selection
	var name, format string
	var opts kind.Options
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make a cluster, or bring the one that is there up to date, and wait until a pod gets its secret",
		Long: `Make a kind cluster, and wait until a pod in it has exchanged its token. Its context is
kind-NAME. If the cluster is there already, nothing is made: a configuration that has
changed is put into effect by restarting the emulator in the node, which keeps its keys
and its directory; what was not finished is taken away and made anew. Ctrl-C takes away
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
			files, err := s.read(cmd)
			if err != nil {
				return err
			}
			opts.Config, opts.ConfigFile = kindConfiguration(files), files.ConfigFile
			if err := findPrograms(&opts); err != nil {
				return err
			}
			if opts.Kubeconfig, err = absolute(opts.Kubeconfig); err != nil {
				return err
			}
			host, told, err := openKind(*stateDir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			report, err := host.Up(cmd.Context(), name, opts)
			told.end()
			if err := interrupted(cmd, err); err != nil {
				return err
			}
			if format == "json" {
				return printJSON(cmd.OutOrStdout(), report)
			}
			return writeUp(cmd.OutOrStdout(), report)
		},
	}
	s.addFileFlag(cmd)
	addKindName(cmd, &name)
	cmd.Flags().StringVar(&opts.Image, "image", "", "node image (default: see above)")
	cmd.Flags().StringVar(&opts.Kubernetes, "k8s-version", "", "version of Kubernetes, such as v1.36.1, instead of --image")
	cmd.Flags().StringVar(&opts.Kubeconfig, "kubeconfig", "", "file for the cluster's context (default: where kubectl looks)")
	cmd.Flags().BoolVar(&opts.ClusterDNS, "cluster-dns", false, "let every pod of the cluster meet the emulated hosts, not only labelled ones (who alone are told to trust them)")
	cmd.Flags().StringVar(&opts.Server, "server", "", "path of wiemu-server for the node (default: beside wiemu)")
	cmd.Flags().StringVar(&opts.Workload, "workload", "", "path of wiemu-workload for the node (default: beside wiemu)")
	addOutput(cmd, &format, "text", "json")
	return cmd
}

// kindConfiguration is what the emulator in a node is told: workloads of a
// radixconfig.yaml become workloads of its wiemu.yaml.
func kindConfiguration(files harness.Files) config.Config {
	c := files.Configuration()
	for _, d := range files.Workloads() {
		if d.Workload.Environment == "" || d.Workload.ClientID == "" {
			continue
		}
		c.Workloads = append(c.Workloads, config.Workload{
			Name: d.Workload.CredentialName(), Namespace: d.Workload.Namespace, ServiceAccount: d.Workload.ServiceAccount, ClientID: d.Workload.ClientID,
		})
	}
	return c
}

// findPrograms finds the programs for the node beside this one, where nobody named them.
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

// interrupted turns an error into exit code 130 if the user ended the command.
func interrupted(cmd *cobra.Command, err error) error {
	cause := context.Cause(cmd.Context())
	if err == nil || cause == nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), "wiemu: interrupted")
	if err.Error() != cause.Error() { // something could not be taken away
		fmt.Fprintln(cmd.ErrOrStderr(), "wiemu:", err)
	}
	return exitCode(130)
}

func writeUp(w io.Writer, r kind.Report) error {
	out := &lines{w: w}
	s := r.Status
	what := map[string]string{
		kind.Created: "made", kind.Started: "started again", kind.Reconfigured: "there, and its emulator has another configuration now",
		kind.Repaired: "there, and its emulator runs again", kind.Unchanged: "there, and nothing has changed",
	}[r.Did]
	out.print("cluster   %s is %s\n", s.Name, what)
	if r.Replaced != "" {
		out.print("          what was there was taken away first: %s\n", r.Replaced)
	}
	out.print("node      Kubernetes %s, %s\nissuer    %s\n", s.Kubernetes, s.Image, s.Issuer)
	if s.SharedKey {
		out.print("          its key cannot be rotated: Kubernetes asks a signer since v1.34\n")
	}
	if r.Did == kind.Created {
		proof := "a pod had exchanged its token"
		if r.Secret {
			proof += " and read a secret"
		}
		out.print("time      kind %s, then %s until %s\n", seconds(r.Kind), seconds(r.Extra), proof)
	}
	kubeconfig := ""
	if s.Kubeconfig != "" {
		kubeconfig = " --kubeconfig " + s.Kubeconfig
	}
	out.print("next      kubectl%s --context %s apply -f docs/examples/kind/app.yaml\n", kubeconfig, s.Context)
	out.print("          wiemu status --kind %s\n          wiemu kind down%s\n", s.Name, nameFlag(s.Name))
	return out.err
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, told, err := openKind(*stateDir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			was, err := host.Down(cmd.Context(), name)
			told.end()
			if err := interrupted(cmd, err); err != nil {
				return err
			}
			out := &lines{w: cmd.OutOrStdout()}
			if was {
				out.print("cluster %s is gone\n", name)
			} else {
				out.print("there is no cluster %s\n", name)
			}
			return out.err
		},
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
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, _, err := openKind(*stateDir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			s, err := host.Status(cmd.Context(), name)
			if err != nil {
				return err
			}
			if format == "json" {
				err = printJSON(cmd.OutOrStdout(), s)
			} else {
				err = writeKindStatus(cmd.OutOrStdout(), s)
			}
			if err == nil && s.Emulator == nil {
				err = exitCode(1)
			}
			return err
		},
	}
	addKindName(cmd, &name)
	addOutput(cmd, &format, "text", "json")
	return cmd
}

func writeKindStatus(w io.Writer, s kind.Status) error {
	out := &lines{w: w}
	out.print("cluster   %s is %s", s.Name, s.Condition)
	if s.Why != "" {
		out.print(": %s", s.Why)
	}
	out.print("\n")
	if s.Image != "" {
		out.print("node      Kubernetes %s, %s\ncontext   %s\nissuer    %s\ncontrol   %s\nfiles     %s\n", s.Kubernetes, s.Image, s.Context, s.Issuer, s.Control, s.Directory)
	}
	switch {
	case s.Emulator != nil:
		out.print("emulator  %s, %d events\n", s.Service, s.Emulator.Events)
		for _, k := range s.Emulator.Keys {
			out.print("key       %s\n", keyLine(k))
		}
	case s.Service != "":
		out.print("emulator  %s, and does not answer; see wiemu kind logs%s, or type wiemu kind up%s to repair it\n", s.Service, nameFlag(s.Name), nameFlag(s.Name))
	case s.Image != "" || s.Condition == "absent":
		out.print("next      wiemu kind up%s\n", nameFlag(s.Name))
	}
	return out.err
}

func newKindList(stateDir *string) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "list", Short: "List the clusters that wiemu made", Example: "  wiemu kind list\n  wiemu kind list -o json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, _, err := openKind(*stateDir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			all, err := host.List(cmd.Context())
			if err != nil {
				return err
			}
			if format == "json" {
				return printJSON(cmd.OutOrStdout(), append([]string{}, all...))
			}
			out := &lines{w: cmd.OutOrStdout()}
			for _, name := range all {
				out.print("%s\n", name)
			}
			return out.err
		},
	}
	addOutput(cmd, &format, "text", "json")
	return cmd
}

func newKindLogs(stateDir *string) *cobra.Command {
	var name string
	var count int
	cmd := &cobra.Command{
		Use: "logs", Short: "Print what the emulator in the node has logged", Example: "  wiemu kind logs\n  wiemu kind logs --lines 100 --name test", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			host, _, err := openKind(*stateDir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			said, err := host.Logs(cmd.Context(), name, count)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), said)
			return err
		},
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
		RunE: func(cmd *cobra.Command, args []string) error {
			host, told, err := openKind(*stateDir, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			err = host.Load(cmd.Context(), name, args)
			told.end()
			return interrupted(cmd, err)
		},
	}
	addKindName(cmd, &name)
	return cmd
}

// steps tells what is being done: on a terminal in a line that changes, elsewhere
// in a line for each step, with the seconds since the first.
type steps struct {
	out   io.Writer
	line  *progress
	began time.Time
}

func newSteps(out io.Writer) *steps {
	return &steps{out: out, line: newProgress(out), began: time.Now()}
}

// step begins a step; "" ends the last one.
func (s *steps) step(name string) {
	switch {
	case s.line != nil && name != "":
		s.line.put(name + " …")
	case s.line != nil:
		s.line.put("")
	case name != "":
		fmt.Fprintf(s.out, "%5.1f s  %s\n", time.Since(s.began).Seconds(), name)
	}
}

func (s *steps) end() { s.line.end() }
