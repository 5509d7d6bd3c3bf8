// Package stack runs compose projects, with the overlay that gives them workload
// identity, by the compose engine as a library: Docker needs no compose plugin. It
// does not say what is in the overlay; see package overlay.
package stack

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/cli/cli/command"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/internal/compose/overlay"
	"github.com/wiemu/wiemu/internal/containers"
	"github.com/wiemu/wiemu/internal/docker"
	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// Engine is a Docker client with the compose engine. Close it.
type Engine struct {
	cli      *command.DockerCli
	compose  api.Compose
	progress func(Progress)
}

// Progress is one step of the compose engine.
type Progress struct {
	What string // such as Container shop-web-1
	How  string // such as Starting
	Done bool
	Err  bool
}

// Open connects to the Docker that the docker command would use. progress is called for each
// step. If nil, it is not called.
func Open(ctx context.Context, progress func(Progress)) (*Engine, error) {
	cli, err := docker.Connect(ctx)
	if err != nil {
		return nil, err
	}
	e := &Engine{cli: cli, progress: progress}
	if e.compose, err = compose.NewComposeService(cli, compose.WithEventProcessor(e), compose.WithPrompt(compose.AlwaysOkPrompt())); err != nil {
		return nil, errors.Join(fmt.Errorf("start the compose engine: %w", err), e.Close())
	}
	return e, nil
}

// Client returns the Docker client.
func (e *Engine) Client() client.APIClient { return e.cli.Client() }

// Close closes the connections.
func (e *Engine) Close() error { return e.cli.Client().Close() }

// Start implements api.EventProcessor.
func (e *Engine) Start(context.Context, string) {}

// Done implements api.EventProcessor.
func (e *Engine) Done(string, bool) {}

// On implements api.EventProcessor.
func (e *Engine) On(events ...api.Resource) {
	if e.progress == nil {
		return
	}
	for _, r := range events {
		e.progress(Progress{What: r.ID, How: r.Text, Done: r.Status == api.Done, Err: r.Status == api.Error})
	}
}

// Load reads a project for Up, with its overlay if there is one. services defaults to all.
func (e *Engine) Load(ctx context.Context, s overlay.Source, overlayFile string, services []string) (*types.Project, error) {
	theirs, err := s.Options()
	if err != nil {
		return nil, err
	}
	dir, err := theirs.GetWorkingDir() // of their first file, whatever the overlay's is
	if err != nil {
		return nil, err
	}
	files := theirs.ConfigPaths
	if overlayFile != "" {
		files = append(slices.Clone(files), overlayFile)
	}
	project, err := e.compose.LoadProject(ctx, api.ProjectLoadOptions{
		ProjectName: s.Name, ConfigPaths: files, WorkingDir: dir,
		EnvFiles: s.EnvFiles, Profiles: s.Profiles, Services: services,
	})
	if err != nil {
		return nil, fmt.Errorf("read the compose files with the overlay: %w", err)
	}
	return project, nil
}

// Up creates and starts the project, and returns when everything runs, on the lab clock if it is
// to, and what others depend on is healthy. If it fails, or ctx ends, everything is removed again.
func (e *Engine) Up(ctx context.Context, project *types.Project) (err error) {
	if err := e.free(ctx, project); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(e.explain(ctx, err, project), e.abandon(context.WithoutCancel(ctx), project.Name))
		}
	}()
	names, before := project.ServiceNames(), e.inLockstep(ctx, project)
	err = e.compose.Up(ctx, project, api.UpOptions{
		Create: api.CreateOptions{
			Build: &api.BuildOptions{Services: names}, Services: names, RemoveOrphans: false,
			Recreate: api.RecreateDiverged, RecreateDependencies: api.RecreateDiverged, QuietPull: true,
		},
		Start: api.StartOptions{Project: project, Services: names},
	})
	if err == nil {
		e.awaitLockstep(ctx, project, before)
		err = ctx.Err() // it may have been interrupted at the end
	}
	return err
}

// How long, in wall time, programs may take until they are on the lab clock, and the emulator until it says so. A
// program that has not come by then has most likely not started, and its log says why; an emulator may be
// out of reach, on a Docker of another machine.
const (
	joinTime   = time.Minute
	answerTime = 5 * time.Second
)

// inLockstep is what a project has on the lab clock.
type inLockstep struct {
	containers map[string]bool // of its services in lockstep, those that run, by id
	joined     int             // programs, so far
	token      string          // of the emulator: each has its own; "": none answers
}

// inLockstep asks Docker and the emulator; what does not answer has nothing.
func (e *Engine) inLockstep(ctx context.Context, project *types.Project) inLockstep {
	found, services := inLockstep{containers: map[string]bool{}}, map[string]bool{}
	for name, s := range project.Services {
		if s.Labels[overlay.ClockLabel] == overlay.Lockstep {
			services[name] = true
		}
	}
	if len(services) == 0 {
		return found
	}
	list, _ := e.Client().ContainerList(ctx, client.ContainerListOptions{Filters: make(client.Filters).Add("label", api.ProjectLabel+"="+project.Name)})
	for _, c := range list.Items {
		if services[c.Labels[api.ServiceLabel]] {
			found.containers[c.ID] = true
		}
	}
	if lab, err := Control(ctx, e.Client(), project.Name); err == nil {
		if status, err := lab.Status(ctx); err == nil {
			found.joined, found.token = status.Joined, lab.Token
		}
	}
	return found
}

// awaitLockstep waits until the containers that were not there before are on the lab clock: an advance takes
// along only those that are.
func (e *Engine) awaitLockstep(ctx context.Context, project *types.Project, before inLockstep) {
	for began := time.Now(); ctx.Err() == nil && time.Since(began) < joinTime; time.Sleep(20 * time.Millisecond) {
		now := e.inLockstep(ctx, project)
		if now.token == "" && time.Since(began) > answerTime {
			return
		}
		maps.DeleteFunc(now.containers, func(id string, _ bool) bool { return before.containers[id] })
		if now.token == before.token {
			now.joined -= before.joined
		}
		if now.joined >= len(now.containers) {
			return
		}
	}
}

// What is being created when Up fails may appear after everything was removed: abandon checks
// so often, with such pauses (wall time), until it has found nothing so often.
const (
	looks     = 40
	lookAgain = 250 * time.Millisecond
	quiet     = 3
)

// abandon removes a project of which Docker may still be creating parts.
func (e *Engine) abandon(ctx context.Context, name string) error {
	nothing := 0
	for range looks {
		if err := e.Down(ctx, name); err != nil {
			return err
		}
		has, _, err := e.has(ctx, name)
		if err != nil {
			return err
		}
		if nothing++; len(has) > 0 {
			nothing = 0
		}
		if nothing == quiet {
			return nil
		}
		time.Sleep(lookAgain)
	}
	return fmt.Errorf("docker goes on making project %s; remove it later: wiemu compose down --project-name %[1]s", name)
}

// has returns what exists of a project, and whether wiemu started it.
func (e *Engine) has(ctx context.Context, name string) (has []string, ours bool, err error) {
	filter := make(client.Filters).Add("label", api.ProjectLabel+"="+name)
	containers, err := e.Client().ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filter})
	if err != nil {
		return nil, false, fmt.Errorf("look for a project %s: %w", name, err)
	}
	volumes, err := e.Client().VolumeList(ctx, client.VolumeListOptions{Filters: filter})
	if err != nil {
		return nil, false, fmt.Errorf("look for a project %s: %w", name, err)
	}
	for _, c := range containers.Items {
		ours = ours || c.Labels[docker.EmulatorLabel] != ""
		has = append(has, "container "+strings.TrimPrefix(append(c.Names, "")[0], "/"))
	}
	for _, v := range volumes.Items {
		has = append(has, "volume "+v.Name)
	}
	return has, ours, nil
}

// free returns an error if the project exists and is not wiemu's: it would be removed at the end.
func (e *Engine) free(ctx context.Context, project *types.Project) error {
	has, ours, err := e.has(ctx, project.Name)
	if err != nil || ours || len(has) == 0 {
		return err
	}
	return fmt.Errorf("project %s already exists (%s), and wiemu removes a project at its end; choose another name with --project-name, or remove it with its volumes: wiemu compose down --project-name %[1]s", project.Name, strings.Join(has, ", "))
}

// Follow writes the logs of services until all but the emulator's have ended, or ctx does.
// It returns the exit code of the first that failed, by name.
func (e *Engine) Follow(ctx context.Context, project *types.Project, emulator string, to api.LogConsumer) (exitCode int, err error) {
	following, stop := context.WithCancel(ctx)
	defer stop()
	logs, followed := make(chan error, 1), &lines{to: to, count: map[string]int{}}
	go func() {
		logs <- e.compose.Logs(following, project.Name, followed, api.LogOptions{Project: project, Services: project.ServiceNames(), Follow: true})
	}()
	exitCode, err = e.wait(ctx, project, emulator)
	if err == nil { // the last log lines are still to come
		ended := slices.DeleteFunc(project.ServiceNames(), func(name string) bool { return name == emulator })
		said := &lines{count: map[string]int{}}
		err = e.compose.Logs(ctx, project.Name, said, api.LogOptions{Project: project, Services: ended})
		for late := time.Now().Add(lastLines); err == nil && !followed.have(said) && time.Now().Before(late); {
			select {
			case err := <-logs:
				return exitCode, err
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	stop()
	if failed := <-logs; !errors.Is(failed, context.Canceled) && !errors.Is(failed, net.ErrClosed) { // it was cancelled here, perhaps while it read
		err = errors.Join(err, failed)
	}
	return exitCode, err
}

// lastLines is how long the logs of ended services may take to arrive (wall time).
const lastLines = 10 * time.Second

// lines counts log lines by container, and hands them on unless to is nil.
type lines struct {
	to    api.LogConsumer
	mu    sync.Mutex
	count map[string]int
}

func (l *lines) Log(name, message string) { l.one(name, message, api.LogConsumer.Log) }
func (l *lines) Err(name, message string) { l.one(name, message, api.LogConsumer.Err) }

// Status implements api.LogConsumer.
func (l *lines) Status(name, message string) {
	if l.to != nil {
		l.to.Status(name, message)
	}
}

func (l *lines) one(name, message string, handOn func(api.LogConsumer, string, string)) {
	if l.to != nil {
		handOn(l.to, name, message)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count[name]++
}

// have reports whether l has as many lines of each container as other, which gets no more.
func (l *lines) have(other *lines) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, n := range other.count {
		if l.count[name] < n {
			return false
		}
	}
	return true
}

func (e *Engine) wait(ctx context.Context, project *types.Project, but string) (exitCode int, err error) {
	containers, err := e.compose.Ps(ctx, project.Name, api.PsOptions{All: true, Project: project})
	if err != nil {
		return 0, fmt.Errorf("look for the containers of %s: %w", project.Name, err)
	}
	slices.SortFunc(containers, func(a, b api.ContainerSummary) int { return strings.Compare(a.Name, b.Name) })
	for _, c := range containers {
		if c.Service == but {
			continue
		}
		waiting := e.Client().ContainerWait(ctx, c.ID, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
		select {
		case ended := <-waiting.Result:
			exitCode = cmp.Or(exitCode, int(ended.StatusCode))
		case err := <-waiting.Error:
			return exitCode, fmt.Errorf("wait for %s: %w", c.Name, err)
		}
	}
	return exitCode, nil
}

// stopPatience is how long services have to end before they are killed (wall time).
const stopPatience = 5 * time.Second

// Down removes a project: containers, networks and volumes. There need not be one.
func (e *Engine) Down(ctx context.Context, name string) error {
	patience := stopPatience
	if err := e.compose.Down(ctx, name, api.DownOptions{Volumes: true, RemoveOrphans: true, Timeout: &patience}); err != nil {
		return fmt.Errorf("remove the project %s: %w; what is left has the label com.docker.compose.project=%[1]s", name, err)
	}
	return nil
}

// WriteTemp writes the overlay to a file that only this user can read: it may contain secrets.
func WriteTemp(o overlay.Overlay) (file string, remove func() error, err error) {
	f, err := os.CreateTemp("", "wiemu-overlay-*.yml")
	if err != nil {
		return "", nil, fmt.Errorf("write the overlay: %w", err)
	}
	remove = func() error { return os.Remove(f.Name()) }
	if _, err := f.Write(o.YAML); err != nil {
		return "", nil, errors.Join(fmt.Errorf("write the overlay: %w", err), f.Close(), remove())
	}
	return f.Name(), remove, f.Close()
}

// Control returns a client of the control API of a running project's emulator. The endpoint is
// on a port of this machine; the token is read from the container through Docker.
func Control(ctx context.Context, c client.APIClient, project string) (*control.Client, error) {
	list, err := c.ContainerList(ctx, client.ContainerListOptions{Filters: make(client.Filters).Add("label", docker.EmulatorLabel+"=true")})
	if err != nil {
		return nil, fmt.Errorf("look for emulators in containers: %w", err)
	}
	var running []string
	for _, found := range list.Items {
		name := found.Labels[api.ProjectLabel]
		if name != project {
			running = append(running, name)
			continue
		}
		return controlOf(ctx, c, found)
	}
	slices.Sort(running)
	has := "none has one now"
	if len(running) > 0 {
		has = "these have one: " + strings.Join(slices.Compact(running), ", ")
	}
	return nil, fmt.Errorf("project %s runs no emulator; %s. Start it with wiemu compose up, or docker compose up with an overlay", project, has)
}

func controlOf(ctx context.Context, c client.APIClient, found container.Summary) (*control.Client, error) {
	for _, p := range found.Ports {
		if p.PrivatePort != containers.ControlPort || p.PublicPort == 0 {
			continue
		}
		token, err := docker.ReadFile(ctx, c, found.ID, containers.ControlTokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the control endpoint's token from container %s: %w", found.ID[:12], err)
		}
		return &control.Client{URL: "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(int(p.PublicPort))), Token: strings.TrimSpace(string(token))}, nil
	}
	return nil, fmt.Errorf("container %s publishes no port of its control endpoint (%d/tcp) on this machine; make the overlay anew with wiemu compose", found.ID[:12], containers.ControlPort)
}

// Docker's errors, which come as text, and what to do about them.
var remedies = []struct {
	says   lazyregexp.Regexp
	remedy string
}{
	{lazyregexp.New(`port is already allocated|address already in use`), "something else has this port: stop it, or let the service publish another; docker ps shows whose it is. The control endpoint's is chosen with --control-port"},
	{lazyregexp.New(`is already in use by container`), "another container has this name: remove it with docker rm -f NAME, or take the service's container_name away"},
	{lazyregexp.New(`no space left on device`), "Docker's disk is full: docker system df shows of what, docker system prune makes room"},
	{lazyregexp.New(`(?i)pull access denied|manifest unknown|no such host|failed to resolve reference|i/o timeout.*registry|No such image`), "the image cannot be pulled: load it with docker load, build it, or check the network and docker login"},
	{lazyregexp.New(`sysctl .* is not|net\.ipv4\.ip_unprivileged_port_start`), "this runtime does not let containers set sysctls: allow net.ipv4.ip_unprivileged_port_start (podman and rootless Docker: see docs/compose.md)"},
	{lazyregexp.New(`all predefined address pools have been fully subnetted|non-overlapping IPv4 address pool`), "Docker has no network left: docker network prune removes unused ones"},
}

// explain adds to an error what to do, and the emulator's log if the emulator failed.
func (e *Engine) explain(ctx context.Context, err error, project *types.Project) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // instead of the error of what was under way
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("start project %s: %w. %s", project.Name, err, remedies[2].remedy)
	}
	text := err.Error()
	for _, r := range remedies {
		if r.says().MatchString(text) {
			return fmt.Errorf("start project %s: %w. %s", project.Name, err, r.remedy)
		}
	}
	return fmt.Errorf("start project %s: %s%s", project.Name, strings.TrimSpace(text), e.lastWords(ctx, project.Name, text))
}

// lastWords returns what the emulator of a project wrote, if an error of Up is about its container:
// it has ended, or is not healthy. Else it is "".
func (e *Engine) lastWords(ctx context.Context, project, failure string) string {
	filter := make(client.Filters).Add("label", api.ProjectLabel+"="+project).Add("label", docker.EmulatorLabel+"=true")
	found, err := e.Client().ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filter})
	if err != nil || len(found.Items) != 1 || !strings.Contains(failure, strings.TrimPrefix(append(found.Items[0].Names, "?")[0], "/")) {
		return "" // the error of Up is what counts
	}
	logs, err := e.Client().ContainerLogs(ctx, found.Items[0].ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "20"})
	if err != nil {
		return ""
	}
	defer func() { _ = logs.Close() }() // it was only read
	var text bytes.Buffer
	_, _ = stdcopy.StdCopy(&text, &text, logs) // what there is
	return fmt.Sprintf("\nThe emulator wrote: %s", bytes.TrimSpace(text.Bytes()))
}
