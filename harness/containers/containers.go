// Package containers runs the emulator in a container, as a module of testcontainers-go: Run
// starts it, options configure it, and Workload gives a container of yours the identity of a
// workload, its token file, and a network in which the emulated hosts are.
//
//	emulator, err := containers.Run(ctx, "wiemu-server", containers.WithWorkload("shop", "web-sa", clientID))
//	testcontainers.CleanupContainer(t, emulator)
//	app, err := testcontainers.Run(ctx, "my-app", emulator.Workload("shop", "web-sa"))
//
// testcontainers removes what killed tests leave behind with a container of its own, Ryuk. If its
// image is neither here nor can be pulled, Run disables it: Terminate and
// [testcontainers.CleanupContainer] still remove everything, but what a killed test leaves stays.
// Set TESTCONTAINERS_RYUK_DISABLED=true if you start other containers before Run.
package containers

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/internal/containers"
	"github.com/wiemu/wiemu/internal/docker"
	"github.com/wiemu/wiemu/internal/kubename"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// Container is an emulator in a container. Its name in networks is that of every emulated host.
type Container struct {
	*testcontainers.DockerContainer

	lab      containers.Configuration
	declared []workload.Spec
	token    string
	volumes  map[string]string             // by where the emulator has them
	network  *testcontainers.DockerNetwork // of its own; nil: somebody else's
	joined   []string
	mounted  [][]string // variables of each of declared, NAME=VALUE, from key vaults
}

// Option is one of Run's, besides those of testcontainers.
type Option func(*settings) error

// Customize implements testcontainers.ContainerCustomizer; Run applies the option itself.
func (Option) Customize(*testcontainers.GenericContainerRequest) error { return nil }

type settings struct {
	files  session.Files
	faults []fault.Fault
	added  []workload.Spec
}

// WithConfigFile gives the emulator a wiemu.yaml or a radixconfig.yaml. It may be
// given several times, with one wiemu.yaml among them.
func WithConfigFile(path string) Option {
	return func(s *settings) error {
		path, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		files, err := session.ReadFiles(".", []string{path})
		if err != nil {
			return err
		}
		if files.Manifests != nil {
			return fmt.Errorf("%s: expected a wiemu.yaml or a radixconfig.yaml, found Kubernetes manifests", path)
		}
		if files.ConfigFile != "" {
			if s.files.ConfigFile != "" {
				return fmt.Errorf("%s and %s: expected one wiemu configuration, found two; merge them", s.files.ConfigFile, path)
			}
			files.Radix = s.files.Radix
			s.files = files
			return nil
		}
		s.files.Radix = append(s.files.Radix, files.Radix...)
		return nil
	}
}

// WithConfig gives the emulator a configuration, instead of a wiemu.yaml. Its workloads
// are given with WithWorkload.
func WithConfig(c config.Config) Option {
	return func(s *settings) error { s.files.Config = c; return nil }
}

// WithWorkload declares a workload besides those of files. An identity that nobody
// declares becomes one that trusts it.
func WithWorkload(namespace, serviceAccount, clientID string) Option {
	return func(s *settings) error {
		id, err := workload.ParseClientID(clientID)
		if err != nil {
			return fmt.Errorf("workload %s/%s: %w", namespace, serviceAccount, err)
		}
		if err := kubename.CheckAccount(namespace, serviceAccount); err != nil {
			return err
		}
		s.added = append(s.added, workload.Spec{Workload: workload.Workload{Namespace: namespace, ServiceAccount: serviceAccount, ClientID: id}})
		return nil
	}
}

// WithFault injects a fault from the start.
func WithFault(f fault.Fault) Option {
	return func(s *settings) error { s.faults = append(s.faults, f); return nil }
}

func (s *settings) lab() (containers.Configuration, []workload.Spec, error) {
	c := s.files.Configuration()
	c.Faults = slices.Concat(c.Faults, s.faults)
	var declared []workload.Spec
	for _, d := range slices.Concat(s.files.Workloads(), s.added) {
		if d.PresentsToken() {
			declared = append(declared, d)
		}
	}
	c.Workloads = nil
	for _, d := range declared {
		c.Workloads = append(c.Workloads, d.Entry())
	}
	lab, err := containers.NewConfiguration(c, s.files.ConfigFile, true)
	if err != nil {
		return lab, nil, err
	}
	vaults := make([][]workload.KeyVault, len(declared))
	for i, d := range declared {
		vaults[i] = d.KeyVaults
	}
	lab, err = lab.Mounting(vaults)
	return lab, declared, err
}

// Run starts an emulator of an image that holds wiemu-server: the repository's
// Dockerfile makes one. It is ready when Run returns. Without a network of the
// caller's it makes one, which is removed with it.
func Run(ctx context.Context, img string, opts ...testcontainers.ContainerCustomizer) (_ *Container, err error) {
	s := settings{}
	for _, o := range opts {
		if own, ok := o.(Option); ok {
			if err := own(&s); err != nil {
				return nil, fmt.Errorf("run wiemu: %w", err)
			}
		}
	}
	c := &Container{token: server.NewToken()}
	if c.lab, c.declared, err = s.lab(); err != nil {
		return nil, fmt.Errorf("run wiemu: %w", err)
	}
	c.volumes = containers.Volumes("wiemu-"+uuid.NewString()[:8], c.declared)
	files, err := c.files()
	if err != nil {
		return nil, fmt.Errorf("run wiemu: %w", err)
	}
	doWithoutRyuk(ctx)
	all := append([]testcontainers.ContainerCustomizer{
		testcontainers.WithExposedPorts(containers.Control.String()),
		testcontainers.WithCmd(c.lab.Arguments(false)...),
		testcontainers.WithLabels(map[string]string{docker.EmulatorLabel: "true"}),
		testcontainers.WithFiles(files...),
		testcontainers.WithHostConfigModifier(func(h *container.HostConfig) {
			containers.Configure(h, c.volumes, testcontainers.GenericLabels())
		}),
		testcontainers.WithWaitStrategy(wait.ForLog(containers.Ready)),
	}, opts...)
	all = append(all, testcontainers.CustomizeRequestOption(func(req *testcontainers.GenericContainerRequest) error {
		return c.join(ctx, req)
	}))
	c.DockerContainer, err = testcontainers.Run(ctx, img, all...)
	if err != nil {
		return c, fmt.Errorf("run wiemu: %w%s", err, c.lastWords(ctx))
	}
	if err := c.readMounted(ctx); err != nil {
		return c, fmt.Errorf("run wiemu: %w", err)
	}
	return c, nil
}

// readMounted reads the variables that workloads have of key vaults.
func (c *Container) readMounted(ctx context.Context) error {
	c.mounted = make([][]string, len(c.declared))
	for i, d := range c.declared {
		if !slices.ContainsFunc(d.KeyVaults, func(v workload.KeyVault) bool {
			return slices.ContainsFunc(v.Items, func(item workload.KeyVaultItem) bool { return item.EnvVar != "" })
		}) {
			continue
		}
		data, err := c.read(ctx, containers.MountedAt(c.tokens(i))+"/"+containers.MountedName)
		if err == nil {
			err = json.Unmarshal(data, &c.mounted[i])
		}
		if err != nil {
			return fmt.Errorf("read the variables of %s/%s: %w", d.Namespace, d.ServiceAccount, err)
		}
	}
	return nil
}

// environment is what the container of a workload needs to know.
func (c *Container) environment(i int) session.PodEnv {
	env := c.lab.Environment(c.declared[i])
	env.Mounted = c.mounted[i]
	return env
}

// lastWords returns what an emulator wrote that has not become ready; "" if there is none.
func (c *Container) lastWords(ctx context.Context) string {
	if c.DockerContainer == nil {
		return ""
	}
	logs, err := c.Logs(ctx)
	if err != nil {
		return "" // why it did not start is what counts
	}
	defer func() { _ = logs.Close() }() // it was only read
	text, _ := io.ReadAll(io.LimitReader(logs, 4<<10))
	if len(text) == 0 {
		return ""
	}
	return "; it wrote: " + strings.TrimSpace(string(text))
}

// files are those of the emulator's container. They belong to root, and the emulator is another user.
func (c *Container) files() ([]testcontainers.ContainerFile, error) {
	contents, err := c.lab.Contents(c.token)
	if err != nil {
		return nil, err
	}
	all := make([]testcontainers.ContainerFile, len(contents))
	for i, f := range contents {
		all[i] = testcontainers.ContainerFile{Reader: bytes.NewReader(f.Content), ContainerFilePath: "/" + f.Name, FileMode: 0o644}
	}
	return all, nil
}

// join has the emulator be every emulated host in its networks.
func (c *Container) join(ctx context.Context, req *testcontainers.GenericContainerRequest) error {
	if len(req.Networks) == 0 {
		own, err := tcnetwork.New(ctx)
		if err != nil {
			return fmt.Errorf("make a network: %w", err)
		}
		c.network, req.Networks = own, []string{own.Name}
	}
	c.joined = req.Networks
	if req.NetworkAliases == nil {
		req.NetworkAliases = map[string][]string{}
	}
	for _, n := range req.Networks {
		req.NetworkAliases[n] = append(req.NetworkAliases[n], c.lab.Hosts...)
	}
	return nil
}

// Terminate removes the container, its volumes, and its network if it has one of its
// own. Containers of workloads come before it.
func (c *Container) Terminate(ctx context.Context, opts ...testcontainers.TerminateOption) error {
	if c == nil {
		return nil
	}
	err := c.DockerContainer.Terminate(ctx, append(opts, testcontainers.RemoveVolumes(slices.Sorted(maps.Values(c.volumes))...))...)
	if c.network != nil {
		err = errors.Join(err, c.network.Remove(ctx))
	}
	return err
}

// ControlClient changes the lab: its clock, its keys, its faults, its journal.
func (c *Container) ControlClient(ctx context.Context) (*control.Client, error) {
	port, err := c.MappedPort(ctx, containers.Control.String())
	if err != nil {
		return nil, fmt.Errorf("find the control endpoint: %w", err)
	}
	host, err := c.Host(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the control endpoint: %w", err)
	}
	// Where testcontainers runs in a container it takes the gateway for Docker's host,
	// which it need not be.
	var errs []error
	for _, at := range []string{host, "127.0.0.1"} {
		client := &control.Client{URL: "http://" + net.JoinHostPort(at, port.Port()), Token: c.token}
		_, err := client.Status(ctx)
		if err == nil {
			return client, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("%w; TESTCONTAINERS_HOST_OVERRIDE says where Docker publishes ports", errors.Join(errs...))
}

// CA is the lab's root, PEM, for clients outside of containers.
func (c *Container) CA(ctx context.Context) ([]byte, error) {
	return c.read(ctx, containers.LabTrustDir+"/ca.pem")
}

// Token is what a workload's token file holds now.
func (c *Container) Token(ctx context.Context, namespace, serviceAccount string) ([]byte, error) {
	i, err := c.find(namespace, serviceAccount)
	if err != nil {
		return nil, err
	}
	return c.read(ctx, c.tokens(i)+"/"+containers.TokenName)
}

// tokens is where the emulator's container has the token file of a workload.
func (c *Container) tokens(i int) string { return containers.TokenPaths(c.declared)[i] }

func (c *Container) read(ctx context.Context, path string) ([]byte, error) {
	api, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = api.Close() }() // it was only asked
	return docker.ReadFile(ctx, api, c.GetContainerID(), path)
}

func (c *Container) find(namespace, serviceAccount string) (int, error) {
	var known []string
	for i, d := range c.declared {
		if d.Namespace == namespace && d.ServiceAccount == serviceAccount {
			return i, nil
		}
		known = append(known, d.Namespace+"/"+d.ServiceAccount)
	}
	return 0, fmt.Errorf("workload %s/%s is not declared: expected one of %s; declare it with WithWorkload or WithConfigFile", namespace, serviceAccount, cmp.Or(strings.Join(known, ", "), "none"))
}

// Environment is what a workload's container is told.
func (c *Container) Environment(namespace, serviceAccount string) (map[string]string, error) {
	i, err := c.find(namespace, serviceAccount)
	if err != nil {
		return nil, err
	}
	return containers.Variables(c.environment(i), nil), nil
}

// Workload makes a container one of a workload: it gets identity, trust, token file and
// the emulator's networks, in which the emulated hosts are. Variables that its request
// sets before stay.
func (c *Container) Workload(namespace, serviceAccount string) testcontainers.ContainerCustomizer {
	return testcontainers.CustomizeRequestOption(func(req *testcontainers.GenericContainerRequest) error {
		i, err := c.find(namespace, serviceAccount)
		if err != nil {
			return err
		}
		var own []string
		for name, text := range req.Env {
			own = append(own, name+"="+text)
		}
		env := containers.Variables(c.environment(i), own)
		if req.Env == nil {
			req.Env = map[string]string{}
		}
		for name, text := range env {
			if _, set := req.Env[name]; !set || name == "JAVA_TOOL_OPTIONS" {
				req.Env[name] = text
			}
		}
		for _, n := range c.joined {
			if !slices.Contains(req.Networks, n) {
				req.Networks = append(req.Networks, n)
			}
		}
		before := req.HostConfigModifier
		req.HostConfigModifier = func(h *container.HostConfig) {
			if before != nil {
				before(h)
			}
			h.Mounts = append(h.Mounts, containers.ReadOnly(c.volumes[c.tokens(i)], containers.TokenDir), containers.ReadOnly(c.volumes[containers.LabTrustDir], containers.TrustDir))
			for _, v := range containers.VaultMounts(c.tokens(i), c.declared[i]) {
				h.Mounts = append(h.Mounts, containers.ReadOnly(c.volumes[v.At], v.Path))
			}
		}
		return nil
	})
}

// ryuk is looked for once: testcontainers reads its settings once.
var ryuk sync.Once

// doWithoutRyuk disables testcontainers' Ryuk if its image is missing: nothing would start.
func doWithoutRyuk(ctx context.Context) {
	ryuk.Do(func() {
		if os.Getenv("TESTCONTAINERS_RYUK_DISABLED") != "" {
			return
		}
		api, err := client.New(client.FromEnv)
		if err != nil {
			return // Run will say why
		}
		defer func() { _ = api.Close() }()         // it was only asked
		image := testcontainers.ReaperDefaultImage //nolint:staticcheck // what is to be used instead is internal
		if docker.Pull(ctx, api, image) != nil {
			_ = os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
		}
	})
}
