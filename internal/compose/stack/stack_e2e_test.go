//go:build e2e

package stack_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/compose/v5/pkg/api"
	"github.com/moby/moby/client"

	"github.com/wiemu/wiemu/emulator/control"
	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/internal/compose/overlay"
	"github.com/wiemu/wiemu/internal/compose/stack"
	"github.com/wiemu/wiemu/internal/docker"
	"github.com/wiemu/wiemu/internal/session"
)

// The program that make e2e-compose builds before, and makes images of.
const server = "../../../bin/wiemu-server"

// said collects what services say.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Log(container, message string)    { s.add(container, message) }
func (s *said) Err(container, message string)    { s.add(container, message) }
func (s *said) Status(container, message string) { s.add(container, message) }

func (s *said) add(container, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.WriteString(container + " | " + message + "\n")
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func open(t *testing.T) *stack.Engine {
	t.Helper()
	e, err := stack.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// prepare generates the overlay of a project of testdata and loads both.
func prepare(t *testing.T, e *stack.Engine, file string, identities map[string]string) *types.Project {
	t.Helper()
	return prepareWith(t, e, file, identities, session.Files{})
}

// prepareWith does so with a wiemu.yaml. The image counts as the user's own, which may have programs.
func prepareWith(t *testing.T, e *stack.Engine, file string, identities map[string]string, files session.Files) *types.Project {
	t.Helper()
	image, err := docker.ServerImage(t.Context(), e.Client(), server)
	if err != nil {
		t.Fatal(err)
	}
	source := overlay.Source{Files: []string{file}, Name: "wiemu-e2e-" + strings.ToLower(strings.NewReplacer("_", "-", "/", "-").Replace(t.Name()))}
	project, err := overlay.Load(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	o, err := overlay.Generate(t.Context(), project, overlay.Options{Files: files, Image: image, Programs: true, Identities: identities, Inspect: func(ctx context.Context, image string) (docker.Image, error) {
		return docker.Inspect(ctx, e.Client(), image)
	}})
	if err != nil {
		t.Fatal(err)
	}
	written := filepath.Join(t.TempDir(), "overlay.yml")
	if err := os.WriteFile(written, o.YAML, 0o600); err != nil {
		t.Fatal(err)
	}
	both, err := e.Load(t.Context(), source, written, nil)
	if err != nil {
		t.Fatal(err)
	}
	return both
}

// up runs a project until the end of the test, and checks that nothing is left then.
func up(t *testing.T, e *stack.Engine, project *types.Project) {
	t.Helper()
	if err := e.Up(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Down(context.Background(), project.Name); err != nil {
			t.Error(err)
		}
		if left := leftBehind(t, e, project.Name); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// leftBehind is what Docker has of a project.
func leftBehind(t *testing.T, e *stack.Engine, project string) []string {
	t.Helper()
	ctx, filter := context.Background(), make(client.Filters).Add("label", api.ProjectLabel+"="+project)
	containers, err := e.Client().ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filter})
	networks, failed := e.Client().NetworkList(ctx, client.NetworkListOptions{Filters: filter})
	volumes, too := e.Client().VolumeList(ctx, client.VolumeListOptions{Filters: filter})
	if err := errors.Join(err, failed, too); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, c := range containers.Items {
		left = append(left, c.Names...)
	}
	for _, n := range networks.Items {
		left = append(left, n.Name)
	}
	for _, v := range volumes.Items {
		left = append(left, v.Name)
	}
	return left
}

// read reads a file of a service's container.
func read(t *testing.T, e *stack.Engine, project *types.Project, service, file string) string {
	t.Helper()
	list, err := e.Client().ContainerList(t.Context(), client.ContainerListOptions{All: true, Filters: make(client.Filters).
		Add("label", api.ProjectLabel+"="+project.Name).Add("label", api.ServiceLabel+"="+service)})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%d containers of %s: %v", len(list.Items), service, err)
	}
	data, err := docker.ReadFile(t.Context(), e.Client(), list.Items[0].ID, file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func controlOf(t *testing.T, e *stack.Engine, project *types.Project) *control.Client {
	t.Helper()
	c, err := stack.Control(t.Context(), e.Client(), project.Name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// firstSecret is how long a stack may take until its first secret (wall time): the
// figure of the issue, and what a machine with much else to do is given.
const firstSecret, busy = 6 * time.Second, 5 * time.Minute

// Two services that know nothing of wiemu: curl, and an Azure SDK.
func TestAnExistingProject(t *testing.T) {
	e := open(t)
	project := prepare(t, e, "../testdata/shop/docker-compose.yml", map[string]string{"web": "shop/web-sa/b96d264b-7053-4465-a4a7-32be5b0fec49"})
	began := time.Now()
	up(t, e, project)
	var logs said
	code, err := e.Follow(t.Context(), project, "wiemu", &logs)
	if code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	took := time.Since(began)
	t.Logf("from nothing to both secrets: %.1f s (goal for the first: %v)", took.Seconds(), firstSecret)
	if took > busy {
		t.Errorf("it took %v", took)
	}
	for _, want := range []string{`web-1 | {"value":"the secret of wiemu"`, `worker-1 | {"ok":true,"value":"the secret of wiemu"`} {
		if !strings.Contains(logs.String(), want) {
			t.Errorf("expected %s in\n%s", want, logs.String())
		}
	}
	events, err := controlOf(t, e, project).Events(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, workload := range []string{"shop/web-sa", project.Name + "/worker-sa"} {
		if !slices.ContainsFunc(events, func(e journal.Event) bool {
			return e.Kind == journal.Exchange && e.Outcome == journal.Granted && strings.HasSuffix(e.Subject, strings.ReplaceAll(workload, "/", ":"))
		}) {
			t.Errorf("%s has exchanged no token", workload)
		}
	}
}

// The docker-compose.yml of the repository, as it is.
func TestTheRepositorysComposeFile(t *testing.T) {
	e := open(t)
	const built = "wiemu-e2e-repository-wiemu" // by compose, and only when it is not there
	remove := func() {
		_, _ = e.Client().ImageRemove(context.Background(), built, client.ImageRemoveOptions{Force: true})
	}
	remove()
	t.Cleanup(remove)
	project, err := e.Load(t.Context(), overlay.Source{Files: []string{"../../../docker-compose.yml"}, Name: "wiemu-e2e-repository"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	up(t, e, project)
	var logs said
	if code, err := e.Follow(t.Context(), project, "wiemu", &logs); code != 0 || err != nil || !strings.Contains(logs.String(), `"value":"the secret of wiemu"`) {
		t.Errorf("exit code %d, %v:\n%s", code, err, logs.String())
	}
}

// A service on the lab clock lives for 25 hours while this machine's clock stands, and
// its token file is rotated in its volume.
func TestADayInLockstep(t *testing.T) {
	e := open(t)
	project := prepare(t, e, "../testdata/lockstep/docker-compose.yml", nil)
	up(t, e, project)
	lab := controlOf(t, e, project)
	const file = "/lab/tokens/shop_worker-sa/azure-identity-token"
	before := read(t, e, project, "wiemu", file)
	began := time.Now()
	if _, err := lab.Advance(t.Context(), "25h"); err != nil {
		t.Fatal(err)
	}
	t.Logf("25 hours: %.1f s", time.Since(began).Seconds())
	if after := read(t, e, project, "wiemu", file); after == before {
		t.Error("a day later the token in the volume is the same one")
	}
	var logs said
	ended, stop := context.WithTimeout(t.Context(), busy)
	defer stop()
	if code, err := e.Follow(ended, project, "wiemu", &logs); code != 0 || err != nil {
		t.Errorf("exit code %d, %v", code, err)
	}
	text := logs.String()
	if n := strings.Count(text, "the secret of wiemu"); n != 25 {
		t.Errorf("the worker, which asks each hour, 25 times, has %d answers:\n%s", n, text)
	}
	events, err := lab.Events(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	exchanges, assertions := 0, map[string]bool{}
	for _, event := range events {
		if event.Kind == journal.Exchange && event.Outcome == journal.Granted {
			exchanges++
			assertions[event.JTI] = true
		}
	}
	if exchanges < 2 || len(assertions) != exchanges {
		t.Errorf("%d exchanges with %d tokens; want several, each with the token of its hour", exchanges, len(assertions))
	}
}

// The entrypoint starts as root and becomes another user, as those of databases do.
func TestLockstepOfAProgramThatBecomesAnotherUser(t *testing.T) {
	e := open(t)
	t.Setenv("OTHER_USER_IMAGE", otherUserImage(t, e))
	project := prepare(t, e, "../testdata/otheruser/docker-compose.yml", nil)
	up(t, e, project)
	if _, err := controlOf(t, e, project).Advance(t.Context(), "25h"); err != nil {
		t.Fatal(err)
	}
	var logs said
	ended, stop := context.WithTimeout(t.Context(), busy)
	defer stop()
	if code, err := e.Follow(ended, project, "wiemu", &logs); code != 0 || err != nil || !strings.Contains(logs.String(), "a day has gone by") {
		t.Errorf("exit code %d, %v:\n%s", code, err, logs.String())
	}
}

// otherUserImage makes an image of testdata/otheruser, until the end of the test.
func otherUserImage(t *testing.T, e *stack.Engine) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "otheruser")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../testdata/otheruser")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	image, err := docker.Build(t.Context(), e.Client(), "wiemu-e2e-otheruser", []docker.File{
		{Name: "Dockerfile", Mode: 0o644, Content: []byte("FROM scratch\nCOPY otheruser /\nENTRYPOINT [\"/otheruser\"]\n")}, {Name: "otheruser", Mode: 0o755, Content: data},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = e.Client().ImageRemove(context.Background(), image, client.ImageRemoveOptions{Force: true})
	})
	return image
}

func TestWhatFailsLeavesNothingBehind(t *testing.T) {
	e := open(t)
	t.Run("an image that is not there", func(t *testing.T) {
		project := prepare(t, e, "../testdata/noimage/docker-compose.yml", nil)
		err := e.Up(t.Context(), project)
		if err == nil || !strings.Contains(err.Error(), "the image cannot be pulled") {
			t.Errorf("%v", err)
		}
		if left := leftBehind(t, e, project.Name); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		project := prepare(t, e, "../testdata/shop/docker-compose.yml", map[string]string{"web": "shop/web-sa/b96d264b-7053-4465-a4a7-32be5b0fec49"})
		ctx, interrupt := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer interrupt()
		if err := e.Up(ctx, project); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if left := leftBehind(t, e, project.Name); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("a port in use", func(t *testing.T) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		project := prepare(t, e, "../testdata/shop/docker-compose.yml", map[string]string{"web": "shop/web-sa/b96d264b-7053-4465-a4a7-32be5b0fec49"})
		emulator := project.Services["wiemu"]
		emulator.Ports[0].Published = strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
		project.Services["wiemu"] = emulator
		if err := e.Up(t.Context(), project); err == nil || !strings.Contains(err.Error(), "something else has this port") {
			t.Errorf("%v", err)
		}
		if left := leftBehind(t, e, project.Name); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("a container of the same name", func(t *testing.T) {
		made, err := e.Client().ContainerCreate(t.Context(), client.ContainerCreateOptions{Name: "wiemu-e2e-taken", Image: "wiemu/workload:local"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_, _ = e.Client().ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true})
		})
		project := prepare(t, e, "../testdata/shop/docker-compose.yml", map[string]string{"web": "shop/web-sa/b96d264b-7053-4465-a4a7-32be5b0fec49"})
		worker := project.Services["worker"]
		worker.ContainerName = "wiemu-e2e-taken"
		project.Services["worker"] = worker
		if err := e.Up(t.Context(), project); err == nil || !strings.Contains(err.Error(), "docker rm -f") {
			t.Errorf("%v", err)
		}
		if left := leftBehind(t, e, project.Name); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("a project of the same name", func(t *testing.T) {
		project := prepare(t, e, "../testdata/shop/docker-compose.yml", map[string]string{"web": "shop/web-sa/b96d264b-7053-4465-a4a7-32be5b0fec49"})
		volume, err := e.Client().VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: project.Name + "_data", Labels: map[string]string{api.ProjectLabel: project.Name}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_, _ = e.Client().VolumeRemove(context.Background(), volume.Volume.Name, client.VolumeRemoveOptions{})
		})
		if err := e.Up(t.Context(), project); err == nil || !strings.Contains(err.Error(), "already exists (volume "+volume.Volume.Name) {
			t.Errorf("%v", err)
		}
		if left := leftBehind(t, e, project.Name); !slices.Equal(left, []string{volume.Volume.Name}) {
			t.Errorf("there are %v; want somebody's volume, and nothing of ours", left)
		}
	})
}
