// Package dockercli runs Docker's command line, says what is wrong with it and what to type
// next. It links no library of Docker's, so that programs that only ask for Docker stay small.
package dockercli

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

	"github.com/wiemu/wiemu/internal/truncate"
)

// CLI runs Docker's command line, as kind's library does: with the same program, context and
// credentials, so that the two never disagree about where the clusters are.
type CLI struct{}

// runPatience is how long a command that was interrupted has to end (wall time).
const runPatience = 3 * time.Second

func (CLI) command(ctx context.Context, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", arguments...)
	cmd.WaitDelay = runPatience
	return cmd
}

// Output runs a command and returns what it printed.
func (d CLI) Output(ctx context.Context, arguments ...string) (string, error) {
	var out bytes.Buffer
	err := d.Run(ctx, nil, &out, arguments...)
	return strings.TrimSpace(out.String()), err
}

// Run runs a command. The error is a *CommandError.
func (d CLI) Run(ctx context.Context, stdin io.Reader, stdout io.Writer, arguments ...string) error {
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
	return &CommandError{Arguments: arguments, Complaint: strings.TrimSpace(complaint.String()), Cause: err}
}

// A CommandError is what Docker's command line answered to a command that failed.
type CommandError struct {
	Arguments []string
	Complaint string // on standard error
	Cause     error
}

func (e *CommandError) Error() string {
	said := e.Complaint
	if said == "" {
		said = e.Cause.Error()
	}
	return fmt.Sprintf("docker %s: %s", strings.Join(e.Arguments, " "), said)
}

func (e *CommandError) Unwrap() error { return e.Cause }

// The oldest engine: Docker 20.10, whose API is 1.41. kind runs nodes with --cgroupns=private, which
// needs it (kind v0.33: pkg/cluster/internal/providers/docker/provision.go).
const (
	OldestAPI    = 41 // of 1
	OldestEngine = "20.10"
)

// Engine is what Docker's engine says of itself.
type Engine struct {
	Version    string // such as 28.2.2
	APIVersion string // such as 1.50
	OS         string `json:"Os"`
	Arch       string // such as arm64
}

// Check returns the engine. The error says what is wrong with Docker, and what to type next.
func (d CLI) Check(ctx context.Context) (Engine, error) {
	text, err := d.Output(ctx, "version", "--format", "{{json .Server}}")
	if err != nil {
		return Engine{}, d.Explain(err)
	}
	var e Engine
	if err := json.Unmarshal([]byte(text), &e); err != nil || e.APIVersion == "" {
		return Engine{}, fmt.Errorf("docker version: expected a Docker engine, found %s; kind clusters of wiemu need Docker itself, podman and others will not do", Shortened(text, 120))
	}
	var major, minor int
	if _, err := fmt.Sscanf(e.APIVersion, "%d.%d", &major, &minor); err != nil {
		return Engine{}, fmt.Errorf("docker version: expected an API version such as 1.41, found %q", e.APIVersion)
	}
	if major < 1 || major == 1 && minor < OldestAPI {
		return Engine{}, fmt.Errorf("the Docker engine is %s (API %s): expected API 1.%d or newer, which is Docker %s; update Docker", e.Version, e.APIVersion, OldestAPI, OldestEngine)
	}
	if e.OS != "linux" {
		return Engine{}, fmt.Errorf("the Docker engine runs %s containers: expected linux; switch Docker to Linux containers", e.OS)
	}
	return e, nil
}

// Unreachable says that nothing can be known or done because Docker does not answer.
type Unreachable struct {
	Why  string
	Next string // what to do about it
}

func (u *Unreachable) Error() string { return u.Why + "; " + u.Next }

// Explain is an *Unreachable for a command that failed because Docker does not answer.
func (d CLI) Explain(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return &Unreachable{"docker is not installed: no such program in the PATH", "install Docker (https://docs.docker.com/engine/install/), or run in processes: wiemu run"}
	}
	var failed *CommandError
	if !errors.As(err, &failed) {
		return err
	}
	said := strings.ToLower(failed.Complaint)
	switch {
	case strings.Contains(said, "permission denied"):
		return &Unreachable{"docker may not be used by this user: " + LastLine(failed.Complaint), "let the user in with: sudo usermod -aG docker $USER, then log in again (docker ps shows whether it works)"}
	case strings.Contains(said, "cannot connect to the docker daemon"), strings.Contains(said, "failed to connect to the docker api"), strings.Contains(said, "error during connect"), strings.Contains(said, "is the docker daemon running"):
		return &Unreachable{"docker does not run: " + LastLine(failed.Complaint), "start it (sudo systemctl start docker, or Docker Desktop; docker ps shows whether it works)"}
	case strings.Contains(said, "no space left on device"):
		return fmt.Errorf("no space is left where Docker keeps its data: %s; make room with: docker system prune --volumes (docker system df shows what uses it)", LastLine(failed.Complaint))
	case strings.Contains(said, "port is already allocated"), strings.Contains(said, "address already in use"):
		return fmt.Errorf("a port of this machine is in use: %s; stop what uses it (docker ps, ss -ltnp), then type the same again", LastLine(failed.Complaint))
	}
	return err
}

// HasImage reports whether an image is there, under this very name.
func (d CLI) HasImage(ctx context.Context, image string) (bool, error) {
	_, err := d.Output(ctx, "image", "inspect", "--format", "{{.Id}}", image)
	if err == nil {
		return true, nil
	}
	if strings.Contains(strings.ToLower(err.Error()), "no such image") {
		return false, nil
	}
	return false, d.Explain(err)
}

// Exec runs a command in a container and returns what it printed.
func (d CLI) Exec(ctx context.Context, container string, command ...string) (string, error) {
	return d.Output(ctx, append([]string{"exec", container}, command...)...)
}

// LastLine returns the last line of what a command printed.
func LastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// Shortened quotes what a command printed, cut to so many bytes.
func Shortened(text string, most int) string { return truncate.Bytes(strconv.Quote(text), most) }
