package containers

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/google/uuid"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"golang.org/x/sync/errgroup"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/docker"
	"github.com/wiemu/wiemu/internal/run"
	"github.com/wiemu/wiemu/internal/server"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// Backend runs workloads as containers. Each session has an emulator, a container too, and
// a network of its own. Programs live on the machine's clock.
type Backend struct {
	docker client.APIClient
	server string // image of the emulator
	app    string // image of programs
	keys   []docker.File
}

// Options say which programs and images containers are made of. The zero value takes the
// programs beside the running one.
type Options struct {
	Server   string // path of wiemu-server for Linux. Defaults to the one beside the running program, else in PATH
	Workload string // path of wiemu-workload for Linux; same default

	// Base is the image to which wiemu-workload is added for programs; it has a shell and
	// curl. Defaults to DefaultBase.
	Base string

	// Keys is the directory of a keyring.Pool, whose first keys the emulators use. If empty,
	// each generates its own, which takes long.
	Keys string
}

// DefaultBase has a shell and curl; make e2e-images makes a stand-in where it cannot be pulled.
const DefaultBase = "curlimages/curl:8.11.1"

const appName = "wiemu-app"

// Open connects to Docker and builds the images. Close it.
func Open(ctx context.Context, opts Options) (_ *Backend, err error) {
	found, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	api := found.Client()
	p := &Backend{docker: api}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.server, err = docker.ServerImage(ctx, api, opts.Server); err != nil {
		return nil, err
	}
	if p.app, err = appImage(ctx, api, opts); err != nil {
		return nil, err
	}
	p.keys, err = poolFiles(opts.Keys)
	return p, err
}

func appImage(ctx context.Context, api client.APIClient, opts Options) (string, error) {
	program, err := run.Processes{Program: opts.Workload}.FindProgram()
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("make the image of programs: %w", err)
	}
	base := cmp.Or(opts.Base, DefaultBase)
	if err := docker.Pull(ctx, api, base); err != nil {
		return "", fmt.Errorf("the image of programs: %w; make e2e-images makes a stand-in where no registry can be reached", err)
	}
	dockerfile := fmt.Sprintf("FROM %s\nCOPY %s /usr/local/bin/%[2]s\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", base, backend.WorkloadProgram)
	return docker.Build(ctx, api, appName, []docker.File{
		{Name: "Dockerfile", Mode: 0o644, Content: []byte(dockerfile)}, {Name: backend.WorkloadProgram, Mode: 0o755, Content: data},
	})
}

// pooled is the number of keys that an emulator gets: Entra ID's, the issuers' and spare ones.
const pooled = 8

func poolFiles(dir string) ([]docker.File, error) {
	if dir == "" {
		return nil, nil
	}
	names, err := filepath.Glob(filepath.Join(dir, "key-*.pem"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	files := []docker.File{{Name: StateDir[1:] + "/keys/", Mode: 0o700}}
	for _, name := range names[:min(len(names), pooled)] {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the keys made ahead: %w", err)
		}
		files = append(files, docker.File{Name: StateDir[1:] + "/keys/" + filepath.Base(name), Mode: 0o600, Content: data})
	}
	return files, nil
}

// Close ends the connections to Docker. The images stay, for the next time.
func (p *Backend) Close() error { return p.docker.Close() }

// Name implements backend.Backend.
func (p *Backend) Name() string { return "compose" }

// Containers implements backend.Containers.
func (p *Backend) Containers() {}

// Open implements backend.Backend.
func (p *Backend) Open(ctx context.Context, w backend.Spec) (_ backend.Session, err error) {
	if w.Lockstep {
		return nil, errors.New("programs of scenarios live on the machine's clock in containers; run this one with --on process")
	}
	prefix := "wiemu-" + w.Name + "-" + uuid.NewString()[:8]
	s := &openSession{backend: p, spec: w, prefix: prefix, tokens: TokenPaths(w.Workloads), volumes: Volumes(prefix, w.Workloads)}
	if s.lab, err = NewConfiguration(w.Config, w.File, false); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	return s, s.start(ctx)
}

type openSession struct {
	backend *Backend
	spec    backend.Spec
	prefix  string // of the names of everything that it makes
	lab     Configuration
	control *control.Client

	network, emulator string            // ids
	volumes           map[string]string // by mount point in the emulator's container
	tokens            []string          // directories of the token files there, one for each of spec.Workloads

	mu       sync.Mutex
	programs []*program
	closed   bool
}

// label is on everything that a session makes; its value is the session's prefix.
const label = "dev.wiemu.place"

func (s *openSession) labels() map[string]string { return map[string]string{label: s.prefix} }

// start makes the network and starts the emulator in it, and waits until it answers.
func (s *openSession) start(ctx context.Context) error {
	api := s.backend.docker
	made, err := api.NetworkCreate(ctx, s.prefix, client.NetworkCreateOptions{Driver: "bridge", Labels: s.labels()})
	if err != nil {
		return fmt.Errorf("make a network: %w", err)
	}
	s.network = made.ID
	token := server.NewToken()
	host := &container.HostConfig{PortBindings: network.PortMap{Control: {{HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1}), HostPort: "0"}}}}
	Configure(host, s.volumes, s.labels())
	created, err := api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: s.prefix,
		Config: &container.Config{
			Image: s.backend.server, Labels: s.labels(), ExposedPorts: network.PortSet{Control: {}}, Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
			Cmd: append(s.lab.Arguments(false), "-start", s.spec.Start.Format(time.RFC3339Nano), "-seed", strconv.FormatUint(s.spec.Seed, 10)),
		},
		HostConfig:       host,
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{s.prefix: {Aliases: s.lab.Hosts}}},
	})
	if err != nil {
		return fmt.Errorf("make the emulator's container: %w", err)
	}
	s.emulator = created.ID
	files, err := s.lab.Contents(token)
	if err != nil {
		return err
	}
	files = append(files, s.backend.keys...)
	if err := s.copyInto(ctx, s.emulator, files); err != nil {
		return err
	}
	if _, err := api.ContainerStart(ctx, s.emulator, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start the emulator's container: %w", err)
	}
	return s.await(ctx, token)
}

func (s *openSession) copyInto(ctx context.Context, id string, files []docker.File) error {
	archive, err := docker.Pack(files)
	if err == nil {
		_, err = s.backend.docker.CopyToContainer(ctx, id, client.CopyToContainerOptions{DestinationPath: "/", Content: bytes.NewReader(archive)})
	}
	if err != nil {
		return fmt.Errorf("copy files into a container: %w", err)
	}
	return nil
}

// startPatience is how long the emulator's container may take to become ready (wall time).
const startPatience = 3 * time.Minute

func (s *openSession) await(ctx context.Context, token string) error {
	api := s.backend.docker
	inspected, err := api.ContainerInspect(ctx, s.emulator, client.ContainerInspectOptions{})
	if err != nil {
		return fmt.Errorf("find the control endpoint: %w", err)
	}
	bindings := inspected.Container.NetworkSettings.Ports[Control]
	if len(bindings) == 0 {
		return fmt.Errorf("the emulator has ended: %w", s.said(ctx))
	}
	s.control = &control.Client{URL: "http://127.0.0.1:" + bindings[0].HostPort, Token: token}
	waiting, stop := context.WithTimeout(ctx, startPatience)
	defer stop()
	logs, err := api.ContainerLogs(waiting, s.emulator, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
	if err != nil {
		return fmt.Errorf("wait for the emulator: %w", err)
	}
	defer logs.Close()
	lines, writer := io.Pipe()
	go func() {
		_, err := stdcopy.StdCopy(writer, writer, logs)
		writer.CloseWithError(err)
	}()
	defer func() { _ = lines.Close() }() // the writer ends with it
	for scanner := bufio.NewScanner(lines); scanner.Scan(); {
		if strings.HasPrefix(scanner.Text(), Ready) {
			return nil
		}
	}
	if waiting.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("the emulator is not ready after %v: %w", startPatience, s.said(ctx))
	}
	return fmt.Errorf("the emulator has ended: %w", s.said(ctx))
}

func (s *openSession) said(ctx context.Context) error {
	logs, err := s.backend.docker.ContainerLogs(ctx, s.emulator, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "20"})
	if err != nil {
		return err
	}
	defer logs.Close()
	var text bytes.Buffer
	_, _ = stdcopy.StdCopy(&text, &text, logs) // what there is
	return fmt.Errorf("it wrote: %s", bytes.TrimSpace(text.Bytes()))
}

func (s *openSession) Control() *control.Client { return s.control }

func (s *openSession) Workload(ctx context.Context, d workload.Spec) (backend.Workload, error) {
	i := slices.IndexFunc(s.spec.Workloads, d.SamePod)
	if i < 0 {
		return nil, fmt.Errorf("workload %s: the session was opened without it", d.Workload)
	}
	if !slices.ContainsFunc(s.spec.Config.Workloads, func(w config.Workload) bool {
		return w.Namespace == d.Namespace && w.ServiceAccount == d.ServiceAccount && w.ClientID == d.ClientID
	}) { // the emulator admitted those of the configuration when it started
		if _, err := session.Admit(ctx, s.control, d, nil); err != nil {
			return nil, err
		}
	}
	return &podWorkload{session: s, declared: d, tokens: s.tokens[i]}, nil
}

// removing is how long (wall time) Docker may take to remove containers, whatever the deadline.
const removing = time.Minute

func (s *openSession) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removing)
	defer cancel()
	s.mu.Lock()
	s.closed = true
	running := s.programs
	s.mu.Unlock()
	api := s.backend.docker
	for _, p := range running {
		p.Stop()
	}
	for _, p := range running {
		<-p.Over
	}
	var errs []error
	if s.emulator != "" {
		errs = append(errs, removed(api.ContainerRemove(ctx, s.emulator, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})))
	}
	var group errgroup.Group
	for _, volume := range s.volumes {
		group.Go(func() error {
			return removed(api.VolumeRemove(ctx, volume, client.VolumeRemoveOptions{Force: true}))
		})
	}
	if s.network != "" {
		group.Go(func() error { return removed(api.NetworkRemove(ctx, s.network, client.NetworkRemoveOptions{})) })
	}
	if err := errors.Join(append(errs, group.Wait())...); err != nil {
		return fmt.Errorf("remove what has the label %s=%s: %w", label, s.prefix, err)
	}
	return nil
}

// removed returns the error of a removal, or nil if there was nothing to remove.
func removed[T any](_ T, err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

type podWorkload struct {
	session  *openSession
	declared workload.Spec
	tokens   string // directory of its token file in the emulator's container
}

func (r *podWorkload) Token(ctx context.Context) ([]byte, error) {
	content, err := docker.ReadFile(ctx, r.session.backend.docker, r.session.emulator, r.tokens+"/"+TokenName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

func (r *podWorkload) Start(ctx context.Context, p backend.Program) (backend.Process, error) {
	if len(p.Command) == 0 {
		return nil, errors.New("expected a command, found nothing to run")
	}
	s := r.session
	env, err := session.Admit(ctx, s.control, r.declared, nil) // what the webhook injects at this moment
	if err != nil {
		return nil, err
	}
	spec := client.ContainerCreateOptions{
		Config: &container.Config{
			Image: s.backend.app, Labels: s.labels(), Entrypoint: p.Command[:1], Cmd: p.Command[1:], AttachStdout: true, AttachStderr: true,
		},
		HostConfig: &container.HostConfig{
			NetworkMode: container.NetworkMode(s.network), Mounts: []mount.Mount{ReadOnly(s.volumes[LabTrustDir], TrustDir)},
		},
	}
	for _, v := range VaultMounts(r.tokens, r.declared) {
		spec.HostConfig.Mounts = append(spec.HostConfig.Mounts, ReadOnly(s.volumes[v.At], v.Path))
	}
	variables := Variables(env, nil)
	maps.Copy(variables, p.Env)
	for name, text := range variables {
		spec.Config.Env = append(spec.Config.Env, name+"="+text)
	}
	var files []docker.File
	switch other, _ := p.TokenOf.(*podWorkload); {
	case p.Token != nil:
		files = []docker.File{{Name: TokenFile[1:], Mode: 0o644, Content: p.Token}}
	case p.TokenOf != nil && other == nil:
		return nil, fmt.Errorf("the token of a workload of another backend: expected one of %s", s.backend.Name())
	case p.TokenOf != nil:
		spec.HostConfig.Mounts = append(spec.HostConfig.Mounts, ReadOnly(s.volumes[other.tokens], TokenDir))
	case !env.NotInjected:
		spec.HostConfig.Mounts = append(spec.HostConfig.Mounts, ReadOnly(s.volumes[r.tokens], TokenDir))
	}
	out := &program{docker: s.backend.docker, ended: make(chan struct{}), End: backend.End{Over: make(chan struct{})}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the session is closed")
	}
	s.programs = append(s.programs, out)
	go out.run(ctx, s, spec, files, p)
	return out, nil
}

// program is a container that runs a program, and is removed when the program has ended.
type program struct {
	backend.End
	docker client.APIClient
	stop   sync.Once
	ended  chan struct{} // closed to ask it to end
}

func (p *program) Stop() { p.stop.Do(func() { close(p.ended) }) }

func (p *program) run(ctx context.Context, s *openSession, spec client.ContainerCreateOptions, files []docker.File, of backend.Program) {
	defer close(p.Over)
	if p.Code, p.Err = p.runs(ctx, s, spec, files, of); p.Err != nil {
		p.Err = fmt.Errorf("start %s: %w", of.Command[0], p.Err)
	}
}

// grace is how long a program has, on the wall clock, between being asked to end and being killed.
const grace = 1 // s

func (p *program) runs(ctx context.Context, s *openSession, spec client.ContainerCreateOptions, files []docker.File, of backend.Program) (code int, err error) {
	created, err := p.docker.ContainerCreate(ctx, spec)
	if err != nil {
		return 0, err
	}
	lasting := context.WithoutCancel(ctx)
	defer func() {
		err = errors.Join(err, removed(p.docker.ContainerRemove(lasting, created.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})))
	}()
	if len(files) > 0 {
		if err := s.copyInto(ctx, created.ID, files); err != nil {
			return 0, err
		}
	}
	attached, err := p.docker.ContainerAttach(lasting, created.ID, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return 0, err
	}
	defer attached.Close()
	copied := make(chan error, 1)
	go func() {
		_, err := stdcopy.StdCopy(orNowhere(of.Stdout), orNowhere(of.Stderr), attached.Reader)
		copied <- err
	}()
	waiting := p.docker.ContainerWait(lasting, created.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNextExit})
	if _, err := p.docker.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		return 0, err
	}
	over := make(chan struct{})
	defer close(over)
	go p.obey(ctx, created.ID, over)
	select {
	case result := <-waiting.Result:
		return int(result.StatusCode), <-copied
	case err := <-waiting.Error:
		return 0, err
	}
}

// obey stops the container when the program is asked to end, or ctx has ended.
func (p *program) obey(ctx context.Context, id string, over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-p.ended:
	case <-ctx.Done():
	}
	patience := grace
	_, _ = p.docker.ContainerStop(context.WithoutCancel(ctx), id, client.ContainerStopOptions{Timeout: &patience}) // what it does not stop, removal kills
}

func orNowhere(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
