// Package kind is the place of workloads that run in a kind cluster: a cluster
// whose service-account tokens wiemu signs, whose node runs the emulator as a
// service of its own (package nodeservice), and whose labelled pods meet the
// emulated names. It decides nothing about tokens or pods; see the packages
// emulator and webhook.
//
// Docker and the node image are kind's: [Host.Up] works the same with a stock
// kindest/node and with the image of harness/kind/nodeimage.
package kind

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	kindcluster "sigs.k8s.io/kind/pkg/cluster"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/statedir"
	"github.com/wiemu/wiemu/harness/nodeservice"
)

// DefaultName is that of the cluster when nobody names one.
const DefaultName = "wiemu"

// Host is where clusters are: the Docker engine, and the directory that keeps
// what their nodes are given for as long as they live.
type Host struct {
	dir      string
	docker   docker
	progress func(step string)
}

// HostOptions say how a host tells what it does.
type HostOptions struct {
	// Progress is told of each step when it begins; "" when the last one has ended. nil: nobody is.
	Progress func(step string)
}

// NewHost returns a host with a directory for its clusters, which need not be
// there yet. It asks Docker nothing.
func NewHost(dir string, opts HostOptions) *Host {
	if opts.Progress == nil {
		opts.Progress = func(string) {}
	}
	return &Host{dir: dir, progress: opts.Progress}
}

// provider is kind's library; output holds what it said of what failed.
func (h *Host) provider() *kindcluster.Provider {
	return kindcluster.NewProvider(kindcluster.ProviderWithDocker(), kindcluster.ProviderWithLogger(&logger{progress: h.progress}))
}

// path is a file of a cluster's own directory. Its subdirectory node is mounted
// into the node.
func (h *Host) path(name string, more ...string) string {
	return filepath.Join(append([]string{h.dir, name}, more...)...)
}

func (h *Host) nodeDir(name string) string { return h.path(name, "node") }

// names of clusters are those of kind; a node's host name, NAME-control-plane, has
// at most 63 characters.
var names = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,47}[a-z0-9])?$`)

// CheckName says what is wrong with the name of a cluster.
func CheckName(name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("the cluster's name: expected up to 49 lower-case letters, digits and hyphens, a letter or digit first and last, found %q", name)
	}
	return nil
}

// record is what a host remembers of a cluster that it made.
type record struct {
	Ready      bool   `json:"ready"` // whether it was complete once
	Image      string `json:"image"`
	Kubernetes string `json:"kubernetes"`           // version
	Kubeconfig string `json:"kubeconfig,omitempty"` // "": where kubectl looks
	Issuer     string `json:"issuer"`               // URL
	ClusterDNS bool   `json:"clusterDNS,omitempty"` // every pod meets the emulated hosts
	Shared     bool   `json:"shared,omitempty"`     // the cluster signs with a key pair that the emulator has, too
	Control    string `json:"control"`              // URL of the control door
	Token      string `json:"token"`                // its bearer token
}

func (h *Host) recordFile(name string) string { return h.path(name, "cluster.json") }

func (h *Host) remember(name string, r record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := h.keep(name, "cluster.json", text); err != nil { // it holds a token
		return fmt.Errorf("keep what the cluster is: %w", err)
	}
	return nil
}

// keep writes a file of a cluster that the host will believe.
func (h *Host) keep(name, file string, data []byte) error {
	files, err := statedir.Open(h.dir)
	if err != nil {
		return err
	}
	return errors.Join(files.WriteFile(name+"/"+file, data), files.Close())
}

// recall returns what the host remembers of a cluster; false: nothing.
func (h *Host) recall(name string) (r record, there bool, err error) {
	if _, err := os.Lstat(h.recordFile(name)); errors.Is(err, fs.ErrNotExist) {
		return record{}, false, nil
	}
	files, err := statedir.Open(h.dir)
	if err != nil {
		return record{}, false, fmt.Errorf("find cluster %s: %w", name, err)
	}
	defer files.Close()
	text, err := files.ReadFile(name + "/cluster.json")
	if err != nil {
		return record{}, false, fmt.Errorf("find cluster %s: %w", name, err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, false, fmt.Errorf("%s: expected what wiemu kind up wrote: %w; take the cluster away with: wiemu kind down --name %s", h.recordFile(name), err, name)
	}
	return r, true, nil
}

// Known returns the names of the clusters that the host remembers. It asks Docker
// nothing.
func (h *Host) Known() ([]string, error) {
	entries, err := os.ReadDir(h.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find clusters: %w", err)
	}
	var known []string
	for _, e := range entries {
		if _, err := os.Stat(h.recordFile(e.Name())); err == nil {
			known = append(known, e.Name())
		}
	}
	return known, nil
}

// Control steers the emulator of a cluster. It asks Docker nothing, and does not
// try whether the emulator answers.
func (h *Host) Control(name string) (*control.Client, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	r, there, err := h.recall(name)
	if err != nil {
		return nil, err
	}
	if !there || r.Control == "" {
		known, err := h.Known()
		if err != nil {
			return nil, err
		}
		if known = slices.DeleteFunc(known, func(k string) bool { return k == name }); len(known) > 0 {
			return nil, fmt.Errorf("there is no cluster %s; expected one of: %s", name, strings.Join(known, ", "))
		}
		return nil, fmt.Errorf("there is no cluster %s; make one with: wiemu kind up --name %s; or, if it was made with another state directory, add --state-dir", name, name)
	}
	return &control.Client{URL: r.Control, Token: r.Token}, nil
}

// ours reports whether wiemu made a node: its mount is the mark, which cannot be
// added later, and which outlives the record.
func (c container) ours() bool { return c.mounted(nodeservice.Dir) != "" }

// controlPlane picks the node that runs the API server and the emulator.
func controlPlane(nodes []container) (container, bool) {
	i := slices.IndexFunc(nodes, func(c container) bool { return c.Config.Labels[roleLabel] == "control-plane" })
	if i < 0 {
		return container{}, false
	}
	return nodes[i], true
}

// notOurs refuses to touch a cluster that wiemu did not make.
func notOurs(name string) error {
	return fmt.Errorf("there is a kind cluster %s that wiemu did not make; choose another name with --name, or take that one away with: kind delete cluster --name %s", name, name)
}

// in runs a command in a node.
func (h *Host) in(ctx context.Context, node string, command ...string) (string, error) {
	return h.docker.in(ctx, node, command...)
}
