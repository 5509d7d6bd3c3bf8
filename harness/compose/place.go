package compose

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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

	"github.com/wiemu/wiemu/emulator"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/compose/engine"
	"github.com/wiemu/wiemu/harness/compose/layout"
)

// Place is where workloads are containers, and so is the emulator: one for each
// world, in a network of its own. OpenPlace makes one. Programs live on the
// machine's clock.
type Place struct {
	docker client.APIClient
	server string // image of the emulator
	app    string // image of programs
	keys   []engine.File
}

// PlaceOptions say of what images containers are made. The zero value makes them of the
// programs beside the running one.
type PlaceOptions struct {
	Server   string // path of wiemu-server for Linux; "": beside the running program, else in PATH
	Workload string // path of wiemu-workload for Linux; "": the same

	// Base is the image to which wiemu-workload is added for programs; it has a shell and
	// curl. "": DefaultBase.
	Base string

	// Keys is the directory of a keyring.Pool, whose first keys the emulators use; "":
	// each makes its own, which takes long.
	Keys string
}

// DefaultBase has a shell and curl; make e2e-images makes a stand-in where it cannot be
// pulled.
const DefaultBase = "curlimages/curl:8.11.1"

// appName is that of the images of programs.
const appName = "wiemu-app"

// OpenPlace finds Docker and makes the images. Close it.
func OpenPlace(ctx context.Context, opts PlaceOptions) (_ *Place, err error) {
	found, err := engine.Connect(ctx)
	if err != nil {
		return nil, err
	}
	docker := found.Client()
	p := &Place{docker: docker}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	if p.server, err = engine.ServerImage(ctx, docker, opts.Server); err != nil {
		return nil, err
	}
	if p.app, err = appImage(ctx, docker, opts); err != nil {
		return nil, err
	}
	p.keys, err = poolFiles(opts.Keys)
	return p, err
}

// appImage adds wiemu-workload to the base image.
func appImage(ctx context.Context, docker client.APIClient, opts PlaceOptions) (string, error) {
	program, err := harness.Processes{Program: opts.Workload}.FindProgram()
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("make the image of programs: %w", err)
	}
	base := opts.Base
	if base == "" {
		base = DefaultBase
	}
	if err := engine.Pull(ctx, docker, base); err != nil {
		return "", fmt.Errorf("the image of programs: %w; make e2e-images makes a stand-in where no registry can be reached", err)
	}
	dockerfile := fmt.Sprintf("FROM %s\nCOPY %s /usr/local/bin/%[2]s\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", base, harness.WorkloadProgram)
	return engine.Build(ctx, docker, appName, []engine.File{
		{Name: "Dockerfile", Mode: 0o644, Content: []byte(dockerfile)}, {Name: harness.WorkloadProgram, Mode: 0o755, Content: data},
	})
}

// pooled is how many keys an emulator is given: Entra ID's, those of its issuers, and
// some that rotate.
const pooled = 8

func poolFiles(dir string) ([]engine.File, error) {
	if dir == "" {
		return nil, nil
	}
	names, err := filepath.Glob(filepath.Join(dir, "key-*.pem"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	files := []engine.File{{Name: layout.StateDir[1:] + "/keys/", Mode: 0o700}}
	for _, name := range names[:min(len(names), pooled)] {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read the keys made ahead: %w", err)
		}
		files = append(files, engine.File{Name: layout.StateDir[1:] + "/keys/" + filepath.Base(name), Mode: 0o600, Content: data})
	}
	return files, nil
}

// Close ends the connections to Docker. The images stay, for the next time.
func (p *Place) Close() error { return p.docker.Close() }

// Name implements harness.Place.
func (p *Place) Name() string { return "compose" }

// Open implements harness.Place.
func (p *Place) Open(ctx context.Context, w harness.World) (_ harness.Site, err error) {
	if w.Lockstep {
		return nil, errors.New("programs of scenarios live on the machine's clock in containers; run this one with --on process")
	}
	s := &site{place: p, world: w, prefix: "wiemu-" + w.Name + "-" + uuid.NewString()[:8], volumes: map[string]string{}}
	if s.lab, err = layout.NewLab(w.Config, w.File); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close(context.WithoutCancel(ctx)))
		}
	}()
	return s, s.start(ctx)
}

// site is a world in containers.
type site struct {
	place   *Place
	world   harness.World
	prefix  string // of everything that is made
	lab     layout.Lab
	control *control.Client

	network, emulator string            // ids
	volumes           map[string]string // by where the emulator has them

	mu      sync.Mutex
	running []*program
	closed  bool
}

// label marks what a place made.
const label = "dev.wiemu.place"

func (s *site) labels() map[string]string { return map[string]string{label: s.prefix} }

// start makes the network and starts the emulator in it, and waits until it answers.
func (s *site) start(ctx context.Context) error {
	docker := s.place.docker
	made, err := docker.NetworkCreate(ctx, s.prefix, client.NetworkCreateOptions{Driver: "bridge", Labels: s.labels()})
	if err != nil {
		return fmt.Errorf("make a network: %w", err)
	}
	s.network = made.ID
	token := emulator.NewToken()
	mounts := []mount.Mount{s.mount("trust", layout.LabTrustDir)}
	for n, at := range s.tokenPaths() {
		mounts = append(mounts, s.mount("token-"+strconv.Itoa(n), at))
	}
	created, err := docker.ContainerCreate(ctx, client.ContainerCreateOptions{
		Name: s.prefix,
		Config: &container.Config{
			Image: s.place.server, Labels: s.labels(), ExposedPorts: network.PortSet{controlPort: {}}, Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
			Cmd: append(layout.Arguments(false), "-start", s.world.Start.Format(time.RFC3339Nano), "-seed", strconv.FormatUint(s.world.Seed, 10)),
		},
		HostConfig: &container.HostConfig{
			Sysctls: map[string]string{layout.PortSysctl: "0"}, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges:true"}, Mounts: mounts,
			PortBindings: network.PortMap{controlPort: {{HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1}), HostPort: "0"}}},
		},
		NetworkingConfig: &network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{s.prefix: {Aliases: s.lab.Hosts}}},
	})
	if err != nil {
		return fmt.Errorf("make the emulator's container: %w", err)
	}
	s.emulator = created.ID
	files := slices.Concat(s.place.keys, []engine.File{
		{Name: layout.ConfigFile[1:], Mode: 0o644, Content: s.lab.Config}, {Name: layout.ControlTokenFile[1:], Mode: 0o600, Content: []byte(token)},
	})
	for _, f := range s.lab.Files {
		data, err := os.ReadFile(f.Host)
		if err != nil {
			return fmt.Errorf("read a file that the configuration names: %w", err)
		}
		files = append(files, engine.File{Name: f.Container[1:], Mode: 0o644, Content: data})
	}
	if err := s.copyInto(ctx, s.emulator, files); err != nil {
		return err
	}
	if _, err := docker.ContainerStart(ctx, s.emulator, client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("start the emulator's container: %w", err)
	}
	return s.await(ctx, token)
}

func (s *site) mount(name, at string) mount.Mount {
	volume := s.prefix + "-" + name
	s.volumes[at] = volume
	return memoryVolume(volume, at, s.labels())
}

// tokenPaths are where the emulator keeps the token files of the world's workloads, in
// their order.
func (s *site) tokenPaths() []string {
	var all []string
	for i := range s.world.Workloads {
		all = append(all, s.tokenPath(i))
	}
	return slices.Compact(all)
}

// tokenPath is that of a workload: the second with the same service account and another
// identity has a directory of its own (see harness.Lab).
func (s *site) tokenPath(i int) string {
	d := s.world.Workloads[i]
	at, n := layout.TokenPath(d.Workload), 1
	var seen []harness.Declared
	for _, o := range s.world.Workloads[:i] {
		if layout.TokenPath(o.Workload) != at || slices.ContainsFunc(seen, func(e harness.Declared) bool { return samePod(e, o) }) {
			continue
		}
		if samePod(o, d) {
			break
		}
		seen = append(seen, o)
		n++
	}
	if n > 1 {
		return fmt.Sprintf("%s_%d", at, n)
	}
	return at
}

func samePod(a, b harness.Declared) bool {
	return a.Identity == b.Identity && a.Workload.ClientID == b.Workload.ClientID
}

func (s *site) copyInto(ctx context.Context, id string, files []engine.File) error {
	archive, err := engine.Pack(files)
	if err == nil {
		_, err = s.place.docker.CopyToContainer(ctx, id, client.CopyToContainerOptions{DestinationPath: "/", Content: bytes.NewReader(archive)})
	}
	if err != nil {
		return fmt.Errorf("copy files into a container: %w", err)
	}
	return nil
}

// startPatience is how long the emulator's container may take to be ready (wall time).
const startPatience = time.Minute

// ready is what the emulator writes when it has admitted the workloads of its
// configuration.
const ready = "ready: "

// await waits until the emulator is ready.
func (s *site) await(ctx context.Context, token string) error {
	docker := s.place.docker
	inspected, err := docker.ContainerInspect(ctx, s.emulator, client.ContainerInspectOptions{})
	if err != nil {
		return fmt.Errorf("find the control door: %w", err)
	}
	bindings := inspected.Container.NetworkSettings.Ports[controlPort]
	if len(bindings) == 0 {
		return fmt.Errorf("the emulator has ended: %w", s.said(ctx))
	}
	s.control = &control.Client{URL: "http://127.0.0.1:" + bindings[0].HostPort, Token: token}
	waiting, stop := context.WithTimeout(ctx, startPatience)
	defer stop()
	logs, err := docker.ContainerLogs(waiting, s.emulator, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: true})
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
		if strings.HasPrefix(scanner.Text(), ready) {
			return nil
		}
	}
	if waiting.Err() != nil && ctx.Err() == nil {
		return fmt.Errorf("the emulator is not ready after %v: %w", startPatience, s.said(ctx))
	}
	return fmt.Errorf("the emulator has ended: %w", s.said(ctx))
}

// said is what the emulator wrote, for errors.
func (s *site) said(ctx context.Context) error {
	logs, err := s.place.docker.ContainerLogs(ctx, s.emulator, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "20"})
	if err != nil {
		return err
	}
	defer logs.Close()
	var text bytes.Buffer
	_, _ = stdcopy.StdCopy(&text, &text, logs) // what there is
	return fmt.Errorf("it wrote: %s", bytes.TrimSpace(text.Bytes()))
}

// Control implements harness.Site.
func (s *site) Control() *control.Client { return s.control }

// Workload implements harness.Site.
func (s *site) Workload(ctx context.Context, d harness.Declared) (harness.Runner, error) {
	i := slices.IndexFunc(s.world.Workloads, func(o harness.Declared) bool {
		return layout.TokenPath(o.Workload) == layout.TokenPath(d.Workload) && samePod(o, d)
	})
	if i < 0 {
		return nil, fmt.Errorf("workload %s: the world has no such one", d.Workload)
	}
	if !slices.ContainsFunc(s.world.Config.Workloads, func(w config.Workload) bool {
		return w.Namespace == d.Workload.Namespace && w.ServiceAccount == d.Workload.ServiceAccount && w.ClientID == d.Workload.ClientID
	}) { // those of the configuration were admitted when the emulator started
		if _, err := harness.Attach(ctx, s.control, d, nil); err != nil {
			return nil, err
		}
	}
	return &runner{site: s, declared: d, tokens: s.tokenPath(i)}, nil
}

// removing is how long Docker may take to remove a world, whatever the caller's
// patience is: what is not removed stays for good (wall time).
const removing = time.Minute

// Close implements harness.Site.
func (s *site) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removing)
	defer cancel()
	s.mu.Lock()
	s.closed = true
	running := s.running
	s.mu.Unlock()
	docker := s.place.docker
	for _, p := range running {
		p.end()
	}
	for _, p := range running {
		<-p.done
	}
	var errs []error
	if s.emulator != "" {
		errs = append(errs, removed(docker.ContainerRemove(ctx, s.emulator, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})))
	}
	var group errgroup.Group
	for _, volume := range s.volumes {
		group.Go(func() error {
			return removed(docker.VolumeRemove(ctx, volume, client.VolumeRemoveOptions{Force: true}))
		})
	}
	if s.network != "" {
		group.Go(func() error { return removed(docker.NetworkRemove(ctx, s.network, client.NetworkRemoveOptions{})) })
	}
	if err := errors.Join(append(errs, group.Wait())...); err != nil {
		return fmt.Errorf("remove what has the label %s=%s: %w", label, s.prefix, err)
	}
	return nil
}

// removed is the error of removing something, unless it was not there.
func removed[T any](_ T, err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// runner is a workload whose programs are containers.
type runner struct {
	site     *site
	declared harness.Declared
	tokens   string // where the emulator has its token volume
}

// Token implements harness.Runner.
func (r *runner) Token(ctx context.Context) ([]byte, error) {
	content, err := engine.ReadFile(ctx, r.site.place.docker, r.site.emulator, r.tokens+"/"+tokenName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// Start implements harness.Runner.
func (r *runner) Start(ctx context.Context, p harness.Program) (harness.Process, error) {
	if len(p.Command) == 0 {
		return nil, errors.New("expected a command, found nothing to run")
	}
	s := r.site
	env, err := harness.Attach(ctx, s.control, r.declared, nil) // what the webhook injects at this moment
	if err != nil {
		return nil, err
	}
	spec := client.ContainerCreateOptions{
		Config: &container.Config{
			Image: s.place.app, Labels: s.labels(), Entrypoint: p.Command[:1], Cmd: p.Command[1:], AttachStdout: true, AttachStderr: true,
		},
		HostConfig: &container.HostConfig{
			NetworkMode: container.NetworkMode(s.network), Mounts: []mount.Mount{readOnlyVolume(s.volumes[layout.LabTrustDir], layout.TrustDir)},
		},
	}
	variables := layout.Variables(env, nil)
	for name, text := range p.Env {
		variables[name] = text
	}
	for name, text := range variables {
		spec.Config.Env = append(spec.Config.Env, name+"="+text)
	}
	var files []engine.File
	switch other, _ := p.TokenOf.(*runner); {
	case p.Token != nil:
		files = []engine.File{{Name: layout.TokenFile[1:], Mode: 0o644, Content: p.Token}}
	case p.TokenOf != nil && other == nil:
		return nil, fmt.Errorf("the token of a workload of another place: expected one of %s", s.place.Name())
	case p.TokenOf != nil:
		spec.HostConfig.Mounts = append(spec.HostConfig.Mounts, readOnlyVolume(s.volumes[other.tokens], layout.TokenDir))
	case !env.NotInjected:
		spec.HostConfig.Mounts = append(spec.HostConfig.Mounts, readOnlyVolume(s.volumes[r.tokens], layout.TokenDir))
	}
	out := &program{docker: s.place.docker, ended: make(chan struct{}), done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errors.New("the world is closed")
	}
	s.running = append(s.running, out)
	go out.run(ctx, s, spec, files, p)
	return out, nil
}

// program is a container that runs a program. It is removed when that has ended.
type program struct {
	docker client.APIClient
	stop   sync.Once
	ended  chan struct{} // closed when it is asked to end
	done   chan struct{} // closed at its end; the rest is readable then
	code   int
	err    error
}

// Done implements harness.Process.
func (p *program) Done() <-chan struct{} { return p.done }

// Stop implements harness.Process.
func (p *program) Stop() { p.end() }

func (p *program) end() { p.stop.Do(func() { close(p.ended) }) }

// Wait implements harness.Process.
func (p *program) Wait(ctx context.Context) (exitCode int, err error) {
	select {
	case <-p.done:
		return p.code, p.err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func (p *program) run(ctx context.Context, s *site, spec client.ContainerCreateOptions, files []engine.File, of harness.Program) {
	defer close(p.done)
	if p.code, p.err = p.runs(ctx, s, spec, files, of); p.err != nil {
		p.err = fmt.Errorf("start %s: %w", of.Command[0], p.err)
	}
}

// grace is how long a program has, on the wall clock, between being asked to end and
// being killed.
const grace = 1 // s

func (p *program) runs(ctx context.Context, s *site, spec client.ContainerCreateOptions, files []engine.File, of harness.Program) (code int, err error) {
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
	_, _ = p.docker.ContainerStop(context.WithoutCancel(ctx), id, client.ContainerStopOptions{Timeout: &patience}) // what it does not stop, removal does
}

func orNowhere(w io.Writer) io.Writer {
	if w == nil {
		return io.Discard
	}
	return w
}
