package kind

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"
	kindcluster "sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/exec"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/docker"
	"github.com/wiemu/wiemu/internal/docker/dockercli"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/kind/records"
	"github.com/wiemu/wiemu/internal/nodeservice"
	"github.com/wiemu/wiemu/internal/statedir"
)

// Options describe a cluster.
type Options struct {
	Image      string // node image. Defaults to one that exists here, else to kind's default, which is pulled
	Kubernetes string // version, such as v1.37.0, instead of an image
	Kubeconfig string // file that gets the cluster's context. Defaults to kubectl's

	// ClusterDNS makes every pod resolve the emulated hosts, not only labelled ones. Only
	// labelled pods get the CA bundle.
	ClusterDNS bool

	Config     config.Config // of the emulator
	ConfigFile string        // where Config was read from
	Server     string        // file of wiemu-server, for Linux and the node's architecture
	Workload   string        // file of wiemu-workload, ditto: the program of the first pod, and of WorkloadImage
}

// What Up did.
const (
	Created      = "created"
	Started      = "started"      // its containers were stopped
	Reconfigured = "reconfigured" // the emulator got another configuration or program
	Repaired     = "repaired"     // the emulator was not running
	Unchanged    = "unchanged"
)

// Report is what Up did, and how long it took.
type Report struct {
	Did      string        `json:"did"`
	Replaced string        `json:"replaced,omitempty"`         // why an earlier cluster was removed first
	Kind     time.Duration `json:"kindNanoseconds,omitempty"`  // what kind took for the cluster
	Extra    time.Duration `json:"extraNanoseconds,omitempty"` // from then on, until a pod had exchanged its token
	Secret   bool          `json:"secret,omitempty"`           // whether that pod read a secret, too
	Status   Status        `json:"cluster"`
}

// Up creates a cluster, or brings the existing one into the state that opts describe, and waits
// until a pod can exchange its token. If it fails or ctx ends, it removes an unfinished cluster.
func (h *Host) Up(ctx context.Context, name string, opts Options) (Report, error) {
	defer h.progress("")
	if err := records.CheckName(name); err != nil {
		return Report{}, err
	}
	h.progress("docker")
	engine, err := h.docker.Check(ctx)
	if err != nil {
		return Report{}, err
	}
	if err := errors.Join(docker.CheckProgram("wiemu-server", "the node", opts.Server, engine.Arch), docker.CheckProgram(backend.WorkloadProgram, "the node", opts.Workload, engine.Arch)); err != nil {
		return Report{}, err
	}
	release, err := h.lock(name)
	if err != nil {
		return Report{}, err
	}
	defer release()
	found, err := h.find(ctx, name)
	if err != nil {
		return Report{}, err
	}
	switch found.condition {
	case foreign:
		return Report{}, notOurs(name)
	case running, stopped:
		return h.refresh(ctx, name, found, opts)
	case halfMade:
		h.progress("take away what is left of a cluster that was not finished")
		if err := h.remove(ctx, name, found); err != nil {
			return Report{}, err
		}
	}
	report, err := h.create(ctx, name, opts)
	report.Replaced = found.why
	return report, err
}

func (h *Host) create(ctx context.Context, name string, opts Options) (report Report, err error) {
	node, err := h.chooseImage(ctx, opts.Image, opts.Kubernetes)
	if err != nil {
		return Report{}, err
	}
	defer func() {
		if err == nil {
			return
		}
		h.progress("take away what was made")
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), removePatience)
		defer cancel()
		if ctx.Err() != nil { // other errors follow from that
			err = context.Cause(ctx)
		}
		if left := h.removeAll(cleanup, name); left != nil {
			err = fmt.Errorf("%w\nwhile cleaning up: %w; try again with: wiemu kind down --name %s", err, left, name)
		}
	}()
	service := h.service(opts, node)
	r := records.Record{Image: node.Name, Kubernetes: node.Kubernetes, Kubeconfig: opts.Kubeconfig, Shared: service.Shared, ClusterDNS: opts.ClusterDNS}
	if r.Issuer, err = issuerOf(opts); err != nil {
		return Report{}, err
	}
	if err := h.Write(name, r); err != nil {
		return Report{}, noSpace(err)
	}
	if err := service.Write(h.nodeDir(name)); err != nil {
		return Report{}, noSpace(err)
	}
	began := time.Now()
	if err := h.createLoaded(ctx, name, node, service, opts); err != nil {
		return Report{}, err
	}
	report = Report{Did: Created, Kind: time.Since(began)}
	if err := h.meet(ctx, name, &r); err != nil {
		return Report{}, err
	}
	if report.Secret, err = h.proveReady(ctx, name, opts); err != nil {
		return Report{}, err
	}
	report.Extra = time.Since(began) - report.Kind
	r.Ready = true
	if err := h.Write(name, r); err != nil {
		return Report{}, err
	}
	report.Status, err = h.Status(ctx, name)
	return report, err
}

func (h *Host) service(opts Options, node image) nodeservice.Options {
	return nodeservice.Options{Config: opts.Config, ConfigFile: opts.ConfigFile, Server: opts.Server, Shared: !signs(node.Kubernetes)}
}

func issuerOf(opts Options) (string, error) {
	completed, err := opts.Config.Complete(opts.ConfigFile)
	if err != nil {
		return "", err
	}
	for _, i := range completed.Issuers {
		if !i.External {
			return i.URL, nil
		}
	}
	return "", fmt.Errorf("%s: issuers: expected one that wiemu hosts, which becomes the cluster's, found external ones only", opts.ConfigFile)
}

// Timeouts (wall time).
const (
	readyPatience  = 3 * time.Minute  // for the control plane
	removePatience = 90 * time.Second // to remove a cluster
)

// createLoaded creates the cluster with kind, and loads an image meanwhile. It fails early if
// the emulator in the node does not start, as the API server needs it.
func (h *Host) createLoaded(ctx context.Context, name string, node image, service nodeservice.Options, opts Options) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go h.watchService(ctx, name, end)
	work, workCtx := errgroup.WithContext(ctx)
	work.Go(func() error { return h.createCluster(workCtx, name, node, service, opts.Kubeconfig) })
	work.Go(func() error { return h.loadWorkload(workCtx, name, opts.Workload) })
	err := work.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// createCluster creates the cluster with kind, and returns early when ctx ends.
func (h *Host) createCluster(ctx context.Context, name string, node image, service nodeservice.Options, kubeconfig string) error {
	config := &v1alpha4.Cluster{
		TypeMeta: v1alpha4.TypeMeta{Kind: "Cluster", APIVersion: "kind.x-k8s.io/v1alpha4"},
		Nodes: []v1alpha4.Node{{
			Role: v1alpha4.ControlPlaneRole,
			ExtraPortMappings: []v1alpha4.PortMapping{
				{ContainerPort: nodeservice.ControlPort, ListenAddress: "127.0.0.1"}, // 0: kind finds a free port, which stays
			},
		}},
		KubeadmConfigPatches: []string{nodeservice.KubeadmPatch},
	}
	for _, m := range service.Mounts(h.nodeDir(name)) {
		config.Nodes[0].ExtraMounts = append(config.Nodes[0].ExtraMounts, v1alpha4.Mount{HostPath: m.Host, ContainerPath: m.Node, Readonly: true})
	}
	done := make(chan struct{})
	var err error // once done is closed
	go func() {
		defer close(done)
		err = h.provider().Create(name,
			kindcluster.CreateWithV1Alpha4Config(config), kindcluster.CreateWithNodeImage(node.Name), kindcluster.CreateWithKubeconfigPath(kubeconfig),
			kindcluster.CreateWithWaitForReady(readyPatience), kindcluster.CreateWithDisplayUsage(false), kindcluster.CreateWithDisplaySalutation(false))
	}()
	select {
	case <-done:
		if err != nil && ctx.Err() != nil { // Ctrl-C ends the commands that kind runs, too
			return context.Cause(ctx)
		}
		return h.explainKind(name, err)
	case <-ctx.Done():
	}
	// The library cannot be interrupted, but ends without its containers. It may be about to
	// create one, so they are removed until it has ended.
	for {
		_ = h.provider().Delete(name, kubeconfig) // the caller removes everything once more, and reports what fails
		select {
		case <-done:
			return context.Cause(ctx)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// watchService ends ctx if the emulator in a node that kind creates keeps failing.
func (h *Host) watchService(ctx context.Context, name string, end context.CancelCauseFunc) {
	const tooOften = 3
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		condition, restarts, err := h.serviceState(ctx, nodeName(name))
		if err != nil || condition == "active" || restarts < tooOften {
			continue // no node yet, or one that starts
		}
		end(h.serviceError(ctx, name))
		return
	}
}

// nodeName returns the name of the node of a cluster (kind: pkg/cluster/internal/providers/common).
func nodeName(cluster string) string { return cluster + "-control-plane" }

// serviceState returns what systemd reports of the emulator in a node.
func (h *Host) serviceState(ctx context.Context, node string) (condition string, restarts int, err error) {
	text, err := h.docker.Exec(ctx, node, "systemctl", "show", nodeservice.Unit, "--property=ActiveState,NRestarts")
	if err != nil {
		return "", 0, err
	}
	for line := range strings.Lines(text) {
		switch key, value, _ := strings.Cut(strings.TrimSpace(line), "="); key {
		case "ActiveState":
			condition = value
		case "NRestarts":
			_, _ = fmt.Sscanf(value, "%d", &restarts)
		}
	}
	return condition, restarts, nil
}

// serviceError returns the error that the emulator in a node does not run, with its last log lines.
func (h *Host) serviceError(ctx context.Context, name string) error {
	return fmt.Errorf("the emulator in the node does not come up; it says:\n%s", indented(h.lastWords(ctx, name, 12)))
}

// lastWords returns the last log lines of the emulator in a node without repetitions: each
// attempt to start it writes the same.
func (h *Host) lastWords(ctx context.Context, name string, lines int) string {
	said, err := h.Logs(ctx, name, lines)
	if err != nil {
		return err.Error()
	}
	return strings.Join(slices.Compact(strings.Split(said, "\n")), "\n")
}

func indented(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// Logs returns the last log lines of the emulator in the node, or, if there are none, what
// systemd reports.
func (h *Host) Logs(ctx context.Context, name string, lines int) (string, error) {
	said := ""
	for _, which := range []string{"_SYSTEMD_UNIT=" + nodeservice.Unit, "--unit=" + nodeservice.Unit} {
		var err error
		if said, err = h.docker.Exec(ctx, nodeName(name), "journalctl", which, "--no-pager", "--quiet", "--output=cat", fmt.Sprintf("--lines=%d", lines)); err != nil || said != "" {
			return said, err
		}
	}
	return said, nil
}

// explainKind adds to an error of kind what the failed command printed last.
func (h *Host) explainKind(name string, err error) error {
	if err == nil {
		return nil
	}
	failed := exec.RunErrorForError(err)
	if failed == nil {
		return fmt.Errorf("kind: %w", err)
	}
	output := strings.TrimSpace(string(failed.Output))
	if explained := h.docker.Explain(&dockercli.CommandError{Arguments: failed.Command, Complaint: output, Cause: failed.Inner}); !isCommandError(explained) {
		return explained
	}
	lines := strings.Split(output, "\n")
	return fmt.Errorf("kind: %w\n%s\ntype the same again, or see what the node says: kind create cluster --retain --name %s", err, indented(strings.Join(lines[max(0, len(lines)-12):], "\n")), name)
}

func isCommandError(err error) bool {
	var failed *dockercli.CommandError
	return errors.As(err, &failed)
}

// noSpace adds to an error about a full disk what to do.
func noSpace(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w; free some space, or choose another directory with --state-dir", err)
	}
	return err
}

// meet determines how the emulator of a cluster is reached.
func (h *Host) meet(ctx context.Context, name string, r *records.Record) error {
	nodes, err := h.containers(ctx, name)
	if err != nil {
		return err
	}
	node, _ := controlPlane(nodes)
	ports := node.NetworkSettings.Ports[fmt.Sprintf("%d/tcp", nodeservice.ControlPort)]
	if len(ports) == 0 {
		return fmt.Errorf("node %s has no port for the emulator's control endpoint; take the cluster away with: wiemu kind down --name %s", nodeName(name), name)
	}
	r.Control = fmt.Sprintf("http://%s:%s", cmp.Or(ports[0].HostIP, "127.0.0.1"), ports[0].HostPort)
	if r.Token, err = h.docker.Exec(ctx, nodeName(name), "cat", nodeservice.ControlToken); err != nil {
		return fmt.Errorf("read the token of the emulator's control endpoint: %w", err)
	}
	kubeconfig, err := h.provider().KubeConfig(name, false)
	if err != nil {
		return h.explainKind(name, err)
	}
	if err := h.WriteFile(name, "kubeconfig", []byte(kubeconfig)); err != nil {
		return noSpace(fmt.Errorf("keep how the cluster is reached: %w", err))
	}
	return h.Write(name, *r)
}

// lock keeps other commands from working on the same cluster.
func (h *Host) lock(name string) (release func(), err error) {
	files, err := statedir.Open(h.Dir())
	if err != nil {
		return nil, fmt.Errorf("make the directory of clusters: %w; choose another with --state-dir", err)
	}
	held, err := files.TryLock(name + ".lock")
	err = errors.Join(err, files.Close())
	if errors.Is(err, file.ErrLocked) {
		return nil, fmt.Errorf("another wiemu is working on cluster %s; wait for it, or end it with Ctrl-C in its terminal", name)
	}
	if err != nil {
		return nil, err
	}
	return func() {
		if _, err := os.Stat(h.Path(name)); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(filepath.Join(h.Dir(), name+".lock")) // the cluster is gone
		}
		_ = held.Release() // else the lock ends with the process
	}, nil
}
