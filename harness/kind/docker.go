package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// docker runs Docker's command line, as kind's library does: with the same
// program, context and credentials, so that the two never disagree about where
// the clusters are.
type docker struct {
	program string // "": docker
}

// runPatience is how long a command that was interrupted has to end (wall time).
const runPatience = 3 * time.Second

func (d docker) command(ctx context.Context, arguments ...string) *exec.Cmd {
	program := d.program
	if program == "" {
		program = "docker"
	}
	cmd := exec.CommandContext(ctx, program, arguments...)
	cmd.WaitDelay = runPatience
	return cmd
}

// output runs a command and returns what it printed.
func (d docker) output(ctx context.Context, arguments ...string) (string, error) {
	var out bytes.Buffer
	err := d.run(ctx, nil, &out, arguments...)
	return strings.TrimSpace(out.String()), err
}

// run runs a command. The error is a *commandError.
func (d docker) run(ctx context.Context, stdin io.Reader, stdout io.Writer, arguments ...string) error {
	cmd := d.command(ctx, arguments...)
	var complaint bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, &complaint
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &commandError{arguments: arguments, complaint: strings.TrimSpace(complaint.String()), cause: err}
}

// A commandError is what Docker's command line answered to a command that failed.
type commandError struct {
	arguments []string
	complaint string // on standard error
	cause     error
}

func (e *commandError) Error() string {
	said := e.complaint
	if said == "" {
		said = e.cause.Error()
	}
	return fmt.Sprintf("docker %s: %s", strings.Join(e.arguments, " "), said)
}

func (e *commandError) Unwrap() error { return e.cause }

// leastAPI is that of Docker 20.10: kind runs nodes with --cgroupns=private, which
// needs it (kind v0.33: pkg/cluster/internal/providers/docker/provision.go).
var leastAPI = [2]int{1, 41}

// check says what is wrong with Docker, and what to type next; it returns the
// architecture of the engine.
func (d docker) check(ctx context.Context) (architecture string, err error) {
	text, err := d.output(ctx, "version", "--format", "{{json .Server}}")
	if err != nil {
		return "", d.explain(err)
	}
	var server struct{ Version, APIVersion, Os, Arch string }
	if err := json.Unmarshal([]byte(text), &server); err != nil || server.APIVersion == "" {
		return "", fmt.Errorf("docker version: expected a Docker engine, found %s; kind clusters of wiemu need Docker itself, podman and others will not do", shortened(text, 120))
	}
	var major, minor int
	if _, err := fmt.Sscanf(server.APIVersion, "%d.%d", &major, &minor); err != nil {
		return "", fmt.Errorf("docker version: expected an API version such as 1.41, found %q", server.APIVersion)
	}
	if major < leastAPI[0] || major == leastAPI[0] && minor < leastAPI[1] {
		return "", fmt.Errorf("the Docker engine is %s (API %s): expected API %d.%d or newer, which is Docker 20.10; update Docker", server.Version, server.APIVersion, leastAPI[0], leastAPI[1])
	}
	if server.Os != "linux" {
		return "", fmt.Errorf("the Docker engine runs %s containers: expected linux; switch Docker to Linux containers", server.Os)
	}
	return server.Arch, nil
}

// Unreachable says that nothing can be known or done because Docker does not answer.
type Unreachable struct {
	why  string
	next string // what to do about it
}

func (u *Unreachable) Error() string { return u.why + "; " + u.next }

// explain is an *Unreachable for a command that failed because Docker does not answer.
func (d docker) explain(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return &Unreachable{"docker is not installed: no such program in the PATH", "install Docker (https://docs.docker.com/engine/install/), or run in processes: wiemu run"}
	}
	var failed *commandError
	if !errors.As(err, &failed) {
		return err
	}
	said := strings.ToLower(failed.complaint)
	switch {
	case strings.Contains(said, "permission denied"):
		return &Unreachable{"docker may not be used by this user: " + lastLine(failed.complaint), "let the user in with: sudo usermod -aG docker $USER, then log in again (docker ps shows whether it works)"}
	case strings.Contains(said, "cannot connect to the docker daemon"), strings.Contains(said, "failed to connect to the docker api"), strings.Contains(said, "error during connect"), strings.Contains(said, "is the docker daemon running"):
		return &Unreachable{"docker does not run: " + lastLine(failed.complaint), "start it (sudo systemctl start docker, or Docker Desktop; docker ps shows whether it works)"}
	case strings.Contains(said, "no space left on device"):
		return fmt.Errorf("no space is left where Docker keeps its data: %s; make room with: docker system prune --volumes (docker system df shows what uses it)", lastLine(failed.complaint))
	case strings.Contains(said, "port is already allocated"), strings.Contains(said, "address already in use"):
		return fmt.Errorf("a port of this machine is in use: %s; stop what uses it (docker ps, ss -ltnp), then type the same again", lastLine(failed.complaint))
	}
	return err
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

func shortened(text string, most int) string {
	if text = strconv.Quote(text); len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// container is what Docker knows of a node.
type container struct {
	ID     string `json:"Id"`
	Name   string // with a slash before it
	Image  string // its digest
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

// mounted is where a directory of the container comes from; "": nowhere.
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

// nodes returns the containers of a cluster, or of every cluster if it is "".
func (d docker) nodes(ctx context.Context, cluster string) ([]container, error) {
	label := clusterLabel
	if cluster != "" {
		label += "=" + cluster
	}
	ids, err := d.output(ctx, "ps", "--all", "--quiet", "--no-trunc", "--filter", "label="+label)
	if err != nil {
		return nil, d.explain(err)
	}
	var found []container
	for _, id := range strings.Fields(ids) { // one by one: a container may go away meanwhile
		text, err := d.output(ctx, "inspect", "--type", "container", id)
		if err != nil {
			if strings.Contains(strings.ToLower(err.Error()), "no such container") {
				continue
			}
			return nil, d.explain(err)
		}
		var all []container
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			return nil, fmt.Errorf("docker inspect %s: %w", id, err)
		}
		found = append(found, all...)
	}
	return found, nil
}

// hasImage reports whether an image is there, under this very name.
func (d docker) hasImage(ctx context.Context, image string) (bool, error) {
	_, err := d.output(ctx, "image", "inspect", "--format", "{{.Id}}", image)
	if err == nil {
		return true, nil
	}
	if strings.Contains(strings.ToLower(err.Error()), "no such image") {
		return false, nil
	}
	return false, d.explain(err)
}

// in runs a command in a node and returns what it printed.
func (d docker) in(ctx context.Context, node string, command ...string) (string, error) {
	return d.output(ctx, append([]string{"exec", node}, command...)...)
}
