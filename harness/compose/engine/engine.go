// Package engine is the Docker that containers run in: whether it answers and is new
// enough, and the emulator's image, which it makes of the program wiemu-server where
// nobody names one. It runs no container; see compose and stack.
package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/client"

	"github.com/wiemu/wiemu/harness/compose/layout"
	"github.com/wiemu/wiemu/harness/compose/overlay"
)

// Dockerfile is that of the emulator's image, for docker build, too: it is the
// Dockerfile of the repository.
//
//go:embed Dockerfile
var Dockerfile []byte

// The oldest engine: Docker 20.10, whose API is 1.41.
const (
	oldestAPI    = 41 // of 1
	oldestEngine = "20.10"
)

// Connect finds the Docker that the docker command would use, by DOCKER_HOST or its
// context, and checks it. Close its client.
func Connect(ctx context.Context) (*command.DockerCli, error) {
	cli, err := command.NewDockerCli(command.WithCombinedStreams(io.Discard))
	if err == nil {
		err = cli.Initialize(flags.NewClientOptions())
	}
	if err != nil {
		return nil, fmt.Errorf("find Docker: %w; check DOCKER_HOST and docker context ls", err)
	}
	if err := Check(ctx, cli.Client()); err != nil {
		return nil, errors.Join(err, cli.Client().Close())
	}
	return cli, nil
}

// Check says why containers cannot run here, and what to do.
func Check(ctx context.Context, c client.APIClient) error {
	p, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	if err != nil {
		return fmt.Errorf("docker does not answer: %w. Start it (sudo systemctl start docker, or Docker Desktop), check DOCKER_HOST and docker context, or run without containers: wiemu run", err)
	}
	minor := strings.TrimPrefix(p.APIVersion, "1.")
	if n, err := strconv.Atoi(minor); err == nil && n < oldestAPI {
		return fmt.Errorf("docker is too old: expected engine %s (API 1.%d) or later, found API %s; see https://docs.docker.com/engine/install", oldestEngine, oldestAPI, p.APIVersion)
	}
	if p.OSType != "" && p.OSType != "linux" {
		return fmt.Errorf("docker runs %s containers: expected linux; switch Docker Desktop to Linux containers", p.OSType)
	}
	return nil
}

// Inspect tells of an image what an overlay needs.
func Inspect(ctx context.Context, c client.APIClient, image string) (overlay.Image, error) {
	found, err := c.ImageInspect(ctx, image)
	if errdefs.IsNotFound(err) {
		return overlay.Image{}, fmt.Errorf("%s: %w", image, overlay.ErrNoImage)
	}
	if err != nil {
		return overlay.Image{}, err
	}
	if found.Config == nil {
		return overlay.Image{}, nil
	}
	return overlay.Image{Entrypoint: found.Config.Entrypoint, Command: found.Config.Cmd, User: found.Config.User, Env: found.Config.Env}, nil
}

// serverName is that of the emulator's program, and of the images made of it.
const serverName = "wiemu-server"

// ServerImage returns the image of the emulator made of a program, which it builds
// where it is not there: its tag is the program's sum. An empty program is
// wiemu-server beside the running program, else in PATH.
func ServerImage(ctx context.Context, c client.APIClient, program string) (string, error) {
	path, err := findServer(program)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("make the emulator's image: %w", err)
	}
	if err := checkProgram(path, data); err != nil {
		return "", err
	}
	files := []File{{"Dockerfile", 0o644, Dockerfile}, {"bin/" + serverName, 0o755, data}, {"bin/volume/", 0o755, nil}}
	return Build(ctx, c, serverName, files)
}

var errNoServer = fmt.Errorf("%s was not found beside this program nor in PATH; build it for Linux with make build-all, or name an image that holds it (docker build -t %[1]s . makes one) with --image", serverName)

func findServer(program string) (string, error) {
	if program != "" {
		return program, nil
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), serverName)
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	if found, err := exec.LookPath(serverName); err == nil {
		return found, nil
	}
	return "", errNoServer
}

// checkProgram refuses what a scratch image cannot run.
func checkProgram(path string, data []byte) error {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("%s is no Linux program, which the emulator's image needs: build it with GOOS=linux CGO_ENABLED=0 go build ./cmd/%s, or name an image with --image", path, serverName)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically, and the emulator's image holds nothing else: build it with CGO_ENABLED=0 (make build-all)", path)
		}
	}
	return nil
}

// File is one of a build context. A name that ends in a slash is a directory.
type File struct {
	Name    string
	Mode    int64
	Content []byte
}

// Build makes an image of files, of which one is the Dockerfile, unless it is there:
// its name is name, its tag the sum of the files.
func Build(ctx context.Context, c client.APIClient, name string, files []File) (string, error) {
	archive, err := pack(files, 0)
	if err != nil {
		return "", fmt.Errorf("make the image %s: %w", name, err)
	}
	sum := sha256.Sum256(archive)
	tag := name + ":" + hex.EncodeToString(sum[:6])
	if _, err := c.ImageInspect(ctx, tag); err == nil {
		return tag, nil
	} else if !errdefs.IsNotFound(err) {
		return "", fmt.Errorf("look for the image %s: %w", tag, err)
	}
	// The classic builder: it needs no BuildKit, and every engine has it.
	result, err := c.ImageBuild(ctx, bytes.NewReader(archive), client.ImageBuildOptions{
		Tags: []string{tag}, Remove: true, ForceRemove: true, Version: build.BuilderV1, Labels: map[string]string{layout.ProjectLabel: "image"},
	})
	if err != nil {
		return "", fmt.Errorf("make the image %s: %w", tag, err)
	}
	defer result.Body.Close()
	for out := json.NewDecoder(result.Body); ; {
		var message struct {
			Error string `json:"error"`
		}
		if err := out.Decode(&message); errors.Is(err, io.EOF) {
			return tag, nil
		} else if err != nil {
			return "", fmt.Errorf("make the image %s: %w", tag, err)
		}
		if message.Error != "" {
			return "", fmt.Errorf("make the image %s: %s", tag, message.Error)
		}
	}
}

// maxLinks is how many symbolic links lead to a file at most, as in Linux.
const maxLinks = 40

// ReadFile reads a file of a container, also by symbolic links. One that is not there
// is fs.ErrNotExist.
func ReadFile(ctx context.Context, c client.APIClient, container, path string) ([]byte, error) {
	for range maxLinks {
		found, err := c.CopyFromContainer(ctx, container, client.CopyFromContainerOptions{SourcePath: path})
		if errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s of container %s: %w", path, container, err)
		}
		if found.Stat.Mode&fs.ModeSymlink != 0 {
			path = found.Stat.LinkTarget
			if err := found.Content.Close(); err != nil {
				return nil, err
			}
			continue
		}
		defer found.Content.Close()
		r := tar.NewReader(found.Content)
		if h, err := r.Next(); err != nil || h.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("read %s of container %s: expected a file: %w", path, container, err)
		}
		return io.ReadAll(io.LimitReader(r, 1<<20))
	}
	return nil, fmt.Errorf("read %s of container %s: too many symbolic links", path, container)
}

// Pack makes an archive of files, which belong to the emulator's user.
func Pack(files []File) ([]byte, error) { return pack(files, layout.User) }

func pack(files []File, user int) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Mode: f.Mode, Size: int64(len(f.Content)), Typeflag: tar.TypeReg, Uid: user, Gid: user}
		if strings.HasSuffix(f.Name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.Content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Pull gets an image that is not there.
func Pull(ctx context.Context, c client.APIClient, image string) error {
	if _, err := c.ImageInspect(ctx, image); err == nil {
		return nil
	} else if !errdefs.IsNotFound(err) {
		return fmt.Errorf("look for the image %s: %w", image, err)
	}
	pull, err := c.ImagePull(ctx, image, client.ImagePullOptions{})
	if err == nil {
		err = pull.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("pull the image %s: %w", image, err)
	}
	return nil
}
