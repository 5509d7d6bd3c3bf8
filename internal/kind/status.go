package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	kindcluster "sigs.k8s.io/kind/pkg/cluster"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/docker/dockercli"
	"github.com/wiemu/wiemu/internal/kind/records"
	"github.com/wiemu/wiemu/internal/nodeservice"
)

type condition string

const (
	absent   condition = "absent"
	foreign  condition = "not made by wiemu"
	halfMade condition = "half-made"
	stopped  condition = "stopped"
	running  condition = "running"
)

type found struct {
	condition condition
	why       string // of halfMade
	nodes     []container
	record    records.Record
	dir       bool // whether it has a directory of the host
}

// find returns what exists of a cluster, in Docker and in the host's directory.
func (h *Host) find(ctx context.Context, name string) (found, error) {
	nodes, err := h.containers(ctx, name)
	if err != nil {
		return found{}, err
	}
	f := found{condition: absent, nodes: nodes}
	if _, err := os.Stat(h.Path(name)); err == nil {
		f.dir = true
	}
	record, recorded, err := h.Read(name)
	if err != nil {
		recorded, f.why = false, "its record cannot be read"
	}
	f.record = record
	node, planned := controlPlane(nodes)
	switch {
	case len(nodes) == 0 && !f.dir:
	case len(nodes) == 0:
		f.condition, f.why = halfMade, "its containers are gone"
	case !slices.ContainsFunc(nodes, container.ours):
		f.condition = foreign
	case !planned:
		f.condition, f.why = halfMade, "it has no control plane"
	case !recorded || !record.Ready:
		if other := elsewhere(node, h.nodeDir(name)); other != "" {
			return found{}, fmt.Errorf("cluster %s was made with another state directory; add --state-dir %s", name, other)
		}
		f.condition, f.why = halfMade, strings.TrimPrefix(f.why+"; it was not finished", "; ")
	case slices.ContainsFunc(nodes, func(c container) bool { return c.State.Status != "running" }):
		f.condition = stopped
	default:
		f.condition = running
	}
	return f, nil
}

// elsewhere returns the state directory that a node's files come from, if that is another
// existing one.
func elsewhere(node container, dir string) string {
	source := node.mounted(nodeservice.Dir)
	if strings.HasSuffix(source, dir) { // Docker Desktop puts a prefix before paths of the host
		return ""
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(source), "cluster.json")); err != nil {
		return ""
	}
	return filepath.Dir(filepath.Dir(filepath.Dir(source))) // STATE/kind/NAME/node
}

// Status describes a cluster.
type Status struct {
	Name       string          `json:"name"`
	Condition  string          `json:"condition"`     // running, stopped, half-made, absent, not made by wiemu
	Why        string          `json:"why,omitempty"` // half-made
	Image      string          `json:"image,omitempty"`
	Kubernetes string          `json:"kubernetes,omitempty"`
	Context    string          `json:"context,omitempty"`    // of the kubeconfig
	Kubeconfig string          `json:"kubeconfig,omitempty"` // If empty, kubectl's default
	Issuer     string          `json:"issuer,omitempty"`
	SharedKey  bool            `json:"sharedKey,omitempty"` // the cluster's key cannot be rotated
	Control    string          `json:"control,omitempty"`
	Directory  string          `json:"directory,omitempty"`
	Service    string          `json:"service,omitempty"`  // what systemd says of the emulator in the node
	Emulator   *control.Status `json:"emulator,omitempty"` // nil if it does not answer
}

// Status returns the status of a cluster.
func (h *Host) Status(ctx context.Context, name string) (Status, error) {
	if err := records.CheckName(name); err != nil {
		return Status{}, err
	}
	f, err := h.find(ctx, name)
	if err != nil {
		return Status{}, err
	}
	return h.status(ctx, name, f), nil
}

// status returns the status of what was found of a cluster, with that of its emulator.
func (h *Host) status(ctx context.Context, name string, f found) Status {
	s := Status{Name: name, Condition: string(f.condition), Why: f.why}
	if f.condition == absent || f.condition == foreign {
		return s
	}
	r := f.record
	s.Image, s.Kubernetes, s.Kubeconfig, s.Issuer, s.SharedKey, s.Control = r.Image, r.Kubernetes, r.Kubeconfig, r.Issuer, r.Shared, r.Control
	s.Context, s.Directory = "kind-"+name, h.Path(name)
	if f.condition != running {
		return s
	}
	ask, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	client := control.Client{URL: r.Control, Token: r.Token}
	if now, err := client.Status(ask); err == nil {
		s.Emulator, s.Service = &now, "active"
		return s
	}
	var err error
	if s.Service, _, err = h.serviceState(ctx, nodeName(name)); err != nil {
		s.Service = "unknown"
	}
	return s
}

// List returns the names of all clusters that wiemu has created, complete or not.
func (h *Host) List(ctx context.Context) ([]string, error) {
	nodes, err := h.containers(ctx, "")
	if err != nil {
		return nil, err
	}
	list, err := h.Known()
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if n.ours() {
			list = append(list, n.Config.Labels[clusterLabel])
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// Down removes a cluster: its containers with their volumes, the entries of the kubeconfig and
// the host's directory. It reports whether there was anything. Without Docker it removes the
// rest, and the error is a [dockercli.Unreachable] that says what is left.
func (h *Host) Down(ctx context.Context, name string) (was bool, err error) {
	defer h.progress("")
	if err := records.CheckName(name); err != nil {
		return false, err
	}
	release, err := h.lock(name)
	if err != nil {
		return false, err
	}
	defer release()
	h.progress("docker")
	if _, err := h.docker.Check(ctx); err != nil {
		var gone *dockercli.Unreachable
		if !errors.As(err, &gone) {
			return false, err
		}
		return h.downWithoutDocker(name, gone)
	}
	f, err := h.find(ctx, name)
	if err != nil {
		return false, err
	}
	if f.condition == foreign {
		return false, notOurs(name)
	}
	h.progress("containers, volumes, kubeconfig entries")
	return f.condition != absent, h.remove(ctx, name, f)
}

// remove removes what was found of a cluster. It is idempotent, so that it can be tried again.
func (h *Host) remove(ctx context.Context, name string, f found) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := h.provider().Delete(name, f.record.Kubeconfig); err != nil {
		return h.explainKind(name, err)
	}
	if !f.record.Ready && f.record.Image != "" {
		if err := h.settle(ctx, name, f.record); err != nil {
			return err
		}
	}
	return h.removeDir(name)
}

func (h *Host) removeAll(ctx context.Context, name string) error {
	f, err := h.find(ctx, name)
	if err != nil {
		return err
	}
	return h.remove(ctx, name, f)
}

// settle removes the node that Docker may still be creating for a command that has ended:
// Ctrl-C ends the commands that kind runs, too. Docker reserves the name of a container
// first, so a container of our own gets it only when no creation is under way.
func (h *Host) settle(ctx context.Context, name string, r records.Record) error {
	node := nodeName(name)
	for {
		made, err := h.docker.Output(ctx, "create", "--name", node, r.Image)
		if err == nil {
			_, err = h.docker.Output(ctx, "rm", "--force", "--volumes", made)
			return err
		}
		if !strings.Contains(err.Error(), "already in use") {
			return nil // then Docker could not create the node either
		}
		if err := h.provider().Delete(name, r.Kubeconfig); err != nil {
			return h.explainKind(name, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("docker could not remove the container %s; remove it: docker rm --force --volumes %[1]s", node)
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (h *Host) removeDir(name string) error {
	if err := os.RemoveAll(h.Path(name)); err != nil {
		return fmt.Errorf("remove the cluster's directory: %w", err)
	}
	return nil
}

// downWithoutDocker removes what is not Docker's.
func (h *Host) downWithoutDocker(name string, gone *dockercli.Unreachable) (was bool, err error) {
	r, was, _ := h.Read(name) // one that cannot be read is removed, too
	if _, err := os.Stat(h.Path(name)); err == nil {
		was = true
	}
	left := "containers of cluster " + name + " (if there are any)"
	// kind takes entries out of a kubeconfig after it has listed the containers;
	// true(1) lists none, whatever it is asked.
	if runtime.GOOS == "windows" || kindcluster.NewProvider(kindcluster.ProviderWithNerdctl("true")).Delete(name, r.Kubeconfig) != nil {
		left += ", the entries kind-" + name + " of the kubeconfig"
	}
	if err := h.removeDir(name); err != nil {
		return was, err
	}
	return was, &dockercli.Unreachable{Why: gone.Why + "; left are: " + left, Next: gone.Next + ", then type again: wiemu kind down --name " + name}
}
