// Package compose runs the emulator as a container: as a module of testcontainers for
// other people's tests, in their conventions ([Run]), and as a place for scenarios
// ([Place]). It does not change compose files, nor run them; see overlay and stack.
//
//	emulator, err := compose.Run(ctx, "wiemu-server", compose.WithWorkload("shop", "web-sa", clientID))
//	testcontainers.CleanupContainer(t, emulator)
//	app, err := testcontainers.Run(ctx, "my-app", emulator.Workload("shop", "web-sa"))
//
// testcontainers cleans up after killed tests with a container of its own, Ryuk. Where
// its image is neither here nor to be had, Run does without: Terminate and
// [testcontainers.CleanupContainer] remove everything, a killed test leaves it.
// TESTCONTAINERS_RYUK_DISABLED=true says so from the beginning, for containers that were
// started before.
package compose

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/fault"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/compose/engine"
	"github.com/wiemu/wiemu/harness/compose/layout"
	"github.com/wiemu/wiemu/harness/workload"
)

// Container is an emulator in a container. Its name in networks is that of every
// emulated host.
type Container struct {
	*testcontainers.DockerContainer

	lab      layout.Lab
	declared []harness.Declared
	token    string
	prefix   string                        // of volumes
	network  *testcontainers.DockerNetwork // of its own; nil: somebody else's
	joined   []string
}

// Option is one of Run's, besides those of testcontainers.
type Option func(*settings) error

// Customize implements testcontainers.ContainerCustomizer; Run applies the option itself.
func (Option) Customize(*testcontainers.GenericContainerRequest) error { return nil }

type settings struct {
	files  harness.Files
	faults []fault.Fault
	added  []harness.Declared
}

// WithConfigFile gives the emulator a wiemu.yaml or a radixconfig.yaml. It may be
// given several times, with one wiemu.yaml among them.
func WithConfigFile(path string) Option {
	return func(s *settings) error {
		path, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		files, err := harness.ReadFiles(".", []string{path})
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
		if err := config.CheckNames(namespace, serviceAccount); err != nil {
			return err
		}
		s.added = append(s.added, harness.Declared{Workload: workload.Workload{Namespace: namespace, ServiceAccount: serviceAccount, ClientID: id}})
		return nil
	}
}

// WithFault injects a fault from the start.
func WithFault(f fault.Fault) Option {
	return func(s *settings) error { s.faults = append(s.faults, f); return nil }
}

// lab is what the emulator is told.
func (s *settings) lab() (layout.Lab, []harness.Declared, error) {
	c := s.files.Configuration()
	c.Faults = slices.Concat(c.Faults, s.faults)
	var declared []harness.Declared
	for _, d := range slices.Concat(s.files.Workloads(), s.added) {
		if d.Workload.ClientID != "" && !config.OfApplication(d.Identity.Credential) && d.Identity.ManagedIdentity == "" && d.Identity.IdentityBinding == "" {
			declared = append(declared, d)
		}
	}
	c.Workloads = nil
	for _, d := range declared {
		c.Workloads = append(c.Workloads, layout.InFile(d))
	}
	lab, err := layout.NewLab(c, s.files.ConfigFile)
	return lab, declared, err
}

// Run starts an emulator of an image that holds wiemu-server: the repository's
// Dockerfile makes one. It is ready when Run returns. Without a network of the
// caller's it makes one, which is removed with it.
func Run(ctx context.Context, img string, opts ...testcontainers.ContainerCustomizer) (_ *Container, err error) {
	s := settings{}
	for _, o := range opts {
		if own, is := o.(Option); is {
			if err := own(&s); err != nil {
				return nil, fmt.Errorf("run wiemu: %w", err)
			}
		}
	}
	c := &Container{token: emulator.NewToken(), prefix: "wiemu-" + uuid.NewString()[:8]}
	if c.lab, c.declared, err = s.lab(); err != nil {
		return nil, fmt.Errorf("run wiemu: %w", err)
	}
	doWithoutRyuk(ctx)
	all := append([]testcontainers.ContainerCustomizer{
		testcontainers.WithExposedPorts(controlPort.String()),
		testcontainers.WithCmd(layout.Arguments(false)...),
		testcontainers.WithLabels(map[string]string{layout.ProjectLabel: "true"}),
		testcontainers.WithFiles(c.files()...),
		testcontainers.WithHostConfigModifier(c.host),
		testcontainers.WithWaitStrategy(wait.ForLog(ready)),
	}, opts...)
	all = append(all, testcontainers.CustomizeRequestOption(func(req *testcontainers.GenericContainerRequest) error {
		return c.join(ctx, req)
	}))
	c.DockerContainer, err = testcontainers.Run(ctx, img, all...)
	if err != nil {
		return c, fmt.Errorf("run wiemu: %w", err)
	}
	return c, nil
}

var controlPort = network.MustParsePort(fmt.Sprintf("%d/tcp", layout.ControlPort))

// files are the configuration, those that it names, and the control door's token.
func (c *Container) files() []testcontainers.ContainerFile {
	const readable = 0o644 // they belong to root, and the emulator is another user
	all := []testcontainers.ContainerFile{
		{Reader: bytes.NewReader(c.lab.Config), ContainerFilePath: layout.ConfigFile, FileMode: readable},
		{Reader: strings.NewReader(c.token), ContainerFilePath: layout.ControlTokenFile, FileMode: readable},
	}
	for _, f := range c.lab.Files {
		all = append(all, testcontainers.ContainerFile{HostFilePath: f.Host, ContainerFilePath: f.Container, FileMode: readable})
	}
	return all
}

// host is how the emulator's container runs.
func (c *Container) host(h *container.HostConfig) {
	h.Sysctls = map[string]string{layout.PortSysctl: "0"}
	h.CapDrop = []string{"ALL"}
	h.SecurityOpt = []string{"no-new-privileges:true"}
	h.Mounts = append(h.Mounts, memoryVolume(c.volume("trust"), layout.LabTrustDir, testcontainers.GenericLabels()))
	mounted := map[string]bool{}
	for _, d := range c.declared {
		if at := layout.TokenPath(d.Workload); !mounted[at] {
			mounted[at] = true
			h.Mounts = append(h.Mounts, memoryVolume(c.tokenVolume(d.Workload), at, testcontainers.GenericLabels()))
		}
	}
}

func (c *Container) volume(name string) string { return c.prefix + "-" + name }

func (c *Container) tokenVolume(w workload.Workload) string {
	return c.volume(w.Namespace + "_" + w.ServiceAccount)
}

// memoryVolume mounts a volume in memory, which is made if it is not there.
func memoryVolume(name, target string, labels map[string]string) mount.Mount {
	return mount.Mount{Type: mount.TypeVolume, Source: name, Target: target, VolumeOptions: &mount.VolumeOptions{
		NoCopy: true, Labels: labels, DriverConfig: &mount.Driver{Name: "local", Options: layout.VolumeOptions()},
	}}
}

func readOnlyVolume(name, target string) mount.Mount {
	return mount.Mount{Type: mount.TypeVolume, Source: name, Target: target, ReadOnly: true, VolumeOptions: &mount.VolumeOptions{NoCopy: true}}
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
	volumes := []string{c.volume("trust")}
	for _, d := range c.declared {
		volumes = append(volumes, c.tokenVolume(d.Workload))
	}
	slices.Sort(volumes)
	err := c.DockerContainer.Terminate(ctx, append(opts, testcontainers.RemoveVolumes(slices.Compact(volumes)...))...)
	if c.network != nil {
		err = errors.Join(err, c.network.Remove(ctx))
	}
	return err
}

// ControlClient steers the emulator: its clock, its keys, its faults, its journal.
func (c *Container) ControlClient(ctx context.Context) (*control.Client, error) {
	port, err := c.MappedPort(ctx, controlPort.String())
	if err != nil {
		return nil, fmt.Errorf("find the control door: %w", err)
	}
	host, err := c.Host(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the control door: %w", err)
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
	return c.read(ctx, layout.LabTrustDir+"/ca.pem")
}

// Token is what a workload's token file holds now.
func (c *Container) Token(ctx context.Context, namespace, serviceAccount string) ([]byte, error) {
	d, err := c.find(namespace, serviceAccount)
	if err != nil {
		return nil, err
	}
	return c.read(ctx, layout.TokenPath(d.Workload)+"/"+tokenName)
}

const tokenName = "azure-identity-token"

func (c *Container) read(ctx context.Context, path string) ([]byte, error) {
	docker, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = docker.Close() }() // it was only asked
	return engine.ReadFile(ctx, docker, c.GetContainerID(), path)
}

func (c *Container) find(namespace, serviceAccount string) (harness.Declared, error) {
	var known []string
	for _, d := range c.declared {
		if d.Workload.Namespace == namespace && d.Workload.ServiceAccount == serviceAccount {
			return d, nil
		}
		known = append(known, d.Workload.Namespace+"/"+d.Workload.ServiceAccount)
	}
	return harness.Declared{}, fmt.Errorf("workload %s/%s is not declared: expected one of %s; declare it with WithWorkload or WithConfigFile", namespace, serviceAccount, cmp.Or(strings.Join(known, ", "), "none"))
}

// Environment is what a workload's container is told.
func (c *Container) Environment(namespace, serviceAccount string) (map[string]string, error) {
	d, err := c.find(namespace, serviceAccount)
	if err != nil {
		return nil, err
	}
	return layout.Variables(c.lab.Environment(d), nil), nil
}

// Workload makes a container one of a workload: it gets identity, trust, token file and
// the emulator's networks, in which the emulated hosts are. Variables that its request
// sets before stay.
func (c *Container) Workload(namespace, serviceAccount string) testcontainers.ContainerCustomizer {
	return testcontainers.CustomizeRequestOption(func(req *testcontainers.GenericContainerRequest) error {
		d, err := c.find(namespace, serviceAccount)
		if err != nil {
			return err
		}
		var own []string
		for name, text := range req.Env {
			own = append(own, name+"="+text)
		}
		env := layout.Variables(c.lab.Environment(d), own)
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
			h.Mounts = append(h.Mounts, readOnlyVolume(c.tokenVolume(d.Workload), layout.TokenDir), readOnlyVolume(c.volume("trust"), layout.TrustDir))
		}
		return nil
	})
}

// ryuk is looked for once: testcontainers reads its settings once.
var ryuk sync.Once

// doWithoutRyuk switches testcontainers' Ryuk off where its image is neither here nor
// can be pulled: everything would fail for want of it.
func doWithoutRyuk(ctx context.Context) {
	ryuk.Do(func() {
		if os.Getenv("TESTCONTAINERS_RYUK_DISABLED") != "" {
			return
		}
		docker, err := client.New(client.FromEnv)
		if err != nil {
			return // Run will say why
		}
		defer func() { _ = docker.Close() }()      // it was only asked
		image := testcontainers.ReaperDefaultImage //nolint:staticcheck // what is to be used instead is internal
		if _, err := docker.ImageInspect(ctx, image); err == nil {
			return
		}
		pull, err := docker.ImagePull(ctx, image, client.ImagePullOptions{})
		if err == nil {
			err = pull.Wait(ctx)
		}
		if err != nil {
			_ = os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
		}
	})
}
