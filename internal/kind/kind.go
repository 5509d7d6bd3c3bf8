// Package kind runs workloads in a kind cluster: a cluster whose service-account tokens wiemu
// signs, whose node runs the emulator as a service (package nodeservice), and whose labelled pods
// are led to the emulated hosts. It decides nothing about tokens or pods; see the packages emulator
// and webhook.
//
// Docker and the node image are kind's: [Host.Up] works the same with a stock
// kindest/node and with the image of internal/kind/nodeimage.
package kind

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	kindcluster "sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/log"

	"github.com/wiemu/wiemu/internal/docker/dockercli"
	"github.com/wiemu/wiemu/internal/kind/records"
	"github.com/wiemu/wiemu/internal/nodeservice"
)

// DefaultName is the default name of a cluster.
const DefaultName = "wiemu"

// Host holds clusters: the Docker engine, and the directory with the files of their nodes for
// as long as these exist.
type Host struct {
	records.Store

	docker   dockercli.CLI
	progress func(step string)
}

// HostOptions configure a host.
type HostOptions struct {
	// Progress is called when a step begins, and with "" when the last one has ended. If nil, it is not called.
	Progress func(step string)
}

// NewHost returns a host with a directory for its clusters, which need not exist yet. It does
// not contact Docker.
func NewHost(dir string, opts HostOptions) *Host {
	if opts.Progress == nil {
		opts.Progress = func(string) {}
	}
	return &Host{Store: records.In(dir), progress: opts.Progress}
}

// provider is kind's library; output holds its messages about failures.
func (h *Host) provider() *kindcluster.Provider {
	return kindcluster.NewProvider(kindcluster.ProviderWithDocker(), kindcluster.ProviderWithLogger(&logger{progress: h.progress}))
}

func (h *Host) nodeDir(name string) string { return h.Path(name, "node") }

// ours reports whether wiemu created a node. Its mount shows that: it cannot be added later,
// and it outlives the record.
func (c container) ours() bool { return c.mounted(nodeservice.Dir) != "" }

// controlPlane returns the node that runs the API server and the emulator.
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

type logger struct {
	progress func(step string)
}

func (*logger) Warn(string)          {} // of cgroup v1, and of what fails and is returned, too
func (*logger) Warnf(string, ...any) {}

func (*logger) Error(string)          {} // returned, too
func (*logger) Errorf(string, ...any) {}

func (l *logger) V(level log.Level) log.InfoLogger { return info{l, level == 0} }

type info struct {
	*logger
	enabled bool
}

func (i info) Enabled() bool                    { return i.enabled }
func (i info) Infof(format string, args ...any) { i.Info(fmt.Sprintf(format, args...)) }

// Info takes the lines that begin a step: " • Preparing nodes 📦  ...".
// Source: kind, pkg/internal/cli/status.go
func (i info) Info(message string) {
	step, begins := strings.CutPrefix(strings.TrimSpace(message), "•")
	if !i.enabled || !begins {
		return
	}
	step = strings.TrimSuffix(strings.TrimSpace(step), "...")
	step = strings.Map(func(r rune) rune {
		if unicode.Is(unicode.So, r) || unicode.Is(unicode.Variation_Selector, r) {
			return -1
		}
		return r
	}, step)
	i.progress("kind: " + strings.TrimSpace(step))
}

type container struct {
	ID     string `json:"Id"`
	Name   string // with a slash before it
	State  struct{ Status string }
	Config struct {
		Image  string
		Labels map[string]string
	}
	Mounts          []struct{ Source, Destination string }
	NetworkSettings struct {
		Ports map[string][]struct{ HostIP, HostPort string }
	}
}

func (c container) name() string { return strings.TrimPrefix(c.Name, "/") }

// mounted returns the source of a mount of the container, or "".
func (c container) mounted(at string) string {
	for _, m := range c.Mounts {
		if m.Destination == at {
			return m.Source
		}
	}
	return ""
}

// clusterLabel is what kind marks the nodes of a cluster with, roleLabel what each
// of them is (kind: pkg/cluster/internal/providers/docker/constants.go).
const (
	clusterLabel = "io.x-k8s.kind.cluster"
	roleLabel    = "io.x-k8s.kind.role"
)

// containers returns the containers of a cluster, or of every cluster if it is "".
func (h *Host) containers(ctx context.Context, cluster string) ([]container, error) {
	label := clusterLabel
	if cluster != "" {
		label += "=" + cluster
	}
	ids, err := h.docker.Output(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter", "label="+label)
	if err != nil {
		return nil, h.docker.Explain(err)
	}
	var found []container
	for _, id := range strings.Fields(ids) { // one by one: a container may be removed meanwhile
		text, err := h.docker.Output(ctx, "inspect", "--type", "container", id)
		if err != nil {
			if strings.Contains(strings.ToLower(err.Error()), "no such container") {
				continue
			}
			return nil, h.docker.Explain(err)
		}
		var all []container
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return nil, fmt.Errorf("docker inspect %s: %w", id, err)
		}
		found = append(found, all...)
	}
	return found, nil
}
