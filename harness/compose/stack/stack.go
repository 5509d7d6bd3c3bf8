// Package stack runs compose projects, with the overlay that gives them workload
// identity, by the compose engine as a library: Docker needs no compose plugin. It
// does not say what is in the overlay; see package overlay.
package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/cli/cli/command"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/docker/compose/v5/pkg/compose"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/wiemu/wiemu/harness/compose/engine"
	"github.com/wiemu/wiemu/harness/compose/layout"
	"github.com/wiemu/wiemu/harness/compose/overlay"
)

// Engine is a Docker with the compose engine. Close it.
type Engine struct {
	cli      *command.DockerCli
	compose  api.Compose
	progress func(Progress)
}

// Progress is one thing that the compose engine does, or did.
type Progress struct {
	What string // such as Container shop-web-1
	How  string // such as Starting
	Done bool
	Err  bool
}

// Open finds the Docker that the docker command would use. progress is told what is
// being done; nil: nobody is.
func Open(ctx context.Context, progress func(Progress)) (*Engine, error) {
	cli, err := engine.Connect(ctx)
	if err != nil {
		return nil, err
	}
	e := &Engine{cli: cli, progress: progress}
	if e.compose, err = compose.NewComposeService(cli, compose.WithEventProcessor(e), compose.WithPrompt(compose.AlwaysOkPrompt())); err != nil {
		return nil, errors.Join(fmt.Errorf("start the compose engine: %w", err), e.Close())
	}
	return e, nil
}

// Client is the Docker client.
func (e *Engine) Client() client.APIClient { return e.cli.Client() }

// Close ends the connections.
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

// Load reads a project for Up, with its overlay if there is one. No services are all.
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

// Up makes and starts what the project has, and returns when everything runs and what
// others wait for is healthy. When it fails, or ctx ends, all is removed again.
func (e *Engine) Up(ctx context.Context, project *types.Project) (err error) {
	if err := e.free(ctx, project); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(e.explain(ctx, err, project), e.abandon(context.WithoutCancel(ctx), project.Name))
		}
	}()
	names := project.ServiceNames()
	err = e.compose.Up(ctx, project, api.UpOptions{
		Create: api.CreateOptions{
			Build: &api.BuildOptions{Services: names}, Services: names, RemoveOrphans: false,
			Recreate: api.RecreateDiverged, RecreateDependencies: api.RecreateDiverged, QuietPull: true,
		},
		Start: api.StartOptions{Project: project, Services: names},
	})
	if err == nil {
		err = ctx.Err() // it may have been interrupted at the end
	}
	return err
}

// What is being made when Up fails may appear after everything was removed: abandon
// looks so often, after such pauses (wall time), until it has found nothing so often.
const (
	looks     = 40
	lookAgain = 250 * time.Millisecond
	quiet     = 3
)

// abandon removes a project of which Docker may still be making something.
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

// has is what Docker has of a project, and whether wiemu started it.
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
		ours = ours || c.Labels[layout.ProjectLabel] != ""
		has = append(has, "container "+strings.TrimPrefix(first(c.Names), "/"))
	}
	for _, v := range volumes.Items {
		has = append(has, "volume "+v.Name)
	}
	return has, ours, nil
}

// free refuses to start a project beside one of the same name that wiemu did not
// start: its containers and volumes would be removed at the end.
func (e *Engine) free(ctx context.Context, project *types.Project) error {
	has, ours, err := e.has(ctx, project.Name)
	if err != nil || ours || len(has) == 0 {
		return err
	}
	return fmt.Errorf("a project %s is there already (%s), and wiemu removes a project at its end; take another name with --project-name, or remove it with its volumes: wiemu compose down --project-name %[1]s", project.Name, strings.Join(has, ", "))
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

// Follow writes what services say until all but the emulator's have ended, or ctx does.
// It returns the exit code of the first that failed, by name.
func (e *Engine) Follow(ctx context.Context, project *types.Project, emulator string, to api.LogConsumer) (exitCode int, err error) {
	following, stop := context.WithCancel(ctx)
	defer stop()
	logs := make(chan error, 1)
	go func() {
		logs <- e.compose.Logs(following, project.Name, to, api.LogOptions{Project: project, Services: project.ServiceNames(), Follow: true})
	}()
	exitCode, err = e.wait(ctx, project, emulator)
	if err == nil { // what was said at the end is on its way
		select {
		case err := <-logs:
			return exitCode, err
		case <-time.After(lastWords):
		}
	}
	stop()
	if failed := <-logs; !errors.Is(failed, context.Canceled) { // it was told to stop
		err = errors.Join(err, failed)
	}
	return exitCode, err
}

// lastWords is how long what ended services said may take to arrive (wall time).
const lastWords = 300 * time.Millisecond

// wait waits for the end of all services but one.
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
			if exitCode == 0 {
				exitCode = int(ended.StatusCode)
			}
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

// WriteTemp writes the overlay where only this user reads it; it may name secrets.
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
