package kind

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/harness/nodeservice"
)

// condition is how a cluster is.
type condition string

const (
	absent   condition = "absent"
	foreign  condition = "not made by wiemu"
	halfMade condition = "half-made"
	stopped  condition = "stopped"
	running  condition = "running"
)

// found is what there is of a cluster.
type found struct {
	condition condition
	why       string // of halfMade
	nodes     []container
	record    record
	dir       bool // whether it has a directory of the host
}

// find looks at what there is of a cluster, in Docker and in the host's directory.
func (h *Host) find(ctx context.Context, name string) (found, error) {
	nodes, err := h.docker.nodes(ctx, name)
	if err != nil {
		return found{}, err
	}
	f := found{condition: absent, nodes: nodes}
	if _, err := os.Stat(h.path(name)); err == nil {
		f.dir = true
	}
	record, recorded, err := h.recall(name)
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

// elsewhere is the state directory of the host that a node's files come from, if
// that is another one, which is there.
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

// Status is what there is of a cluster.
type Status struct {
	Name       string          `json:"name"`
	Condition  string          `json:"condition"`     // running, stopped, half-made, absent, not made by wiemu
	Why        string          `json:"why,omitempty"` // half-made
	Image      string          `json:"image,omitempty"`
	Kubernetes string          `json:"kubernetes,omitempty"`
	Context    string          `json:"context,omitempty"`    // of the kubeconfig
	Kubeconfig string          `json:"kubeconfig,omitempty"` // left out: where kubectl looks
	Issuer     string          `json:"issuer,omitempty"`
	SharedKey  bool            `json:"sharedKey,omitempty"` // the cluster's key cannot be rotated
	Control    string          `json:"control,omitempty"`
	Directory  string          `json:"directory,omitempty"`
	Service    string          `json:"service,omitempty"`  // what systemd says of the emulator in the node
	Emulator   *control.Status `json:"emulator,omitempty"` // nil: it does not answer
}

// Status returns what there is of a cluster.
func (h *Host) Status(ctx context.Context, name string) (Status, error) {
	if err := CheckName(name); err != nil {
		return Status{}, err
	}
	f, err := h.find(ctx, name)
	if err != nil {
		return Status{}, err
	}
	return h.status(ctx, name, f), nil
}

// status is what was found of a cluster, and how its emulator is now.
func (h *Host) status(ctx context.Context, name string, f found) Status {
	s := Status{Name: name, Condition: string(f.condition), Why: f.why}
	if f.condition == absent || f.condition == foreign {
		return s
	}
	r := f.record
	s.Image, s.Kubernetes, s.Kubeconfig, s.Issuer, s.SharedKey, s.Control = r.Image, r.Kubernetes, r.Kubeconfig, r.Issuer, r.Shared, r.Control
	s.Context, s.Directory = "kind-"+name, h.path(name)
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

// List returns the names of all clusters that wiemu made, also of those that it did
// not finish.
func (h *Host) List(ctx context.Context) ([]string, error) {
	nodes, err := h.docker.nodes(ctx, "")
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
