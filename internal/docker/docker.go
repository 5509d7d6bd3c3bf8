// Package docker asks Docker: whether it answers and is new enough, by its API ([Connect]), and
// for images, which it makes of the programs of wiemu. Package dockercli asks its command line. It does not say what containers are for; see packages containers, compose
// and kind.
package docker

import (
	"archive/tar"
	"bytes"
	"cmp"
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
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/cli/cli/command"
	"github.com/docker/cli/cli/flags"
	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/client"

	"github.com/wiemu/wiemu/internal/docker/dockercli"
	"github.com/wiemu/wiemu/internal/process"
)

// Dockerfile is that of the emulator's image, for docker build, too: it is the
// Dockerfile of the repository.
//
//go:embed Dockerfile
var Dockerfile []byte

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
	if n, err := strconv.Atoi(minor); err == nil && n < dockercli.OldestAPI {
		return fmt.Errorf("docker is too old: expected engine %s (API 1.%d) or later, found API %s; see https://docs.docker.com/engine/install", dockercli.OldestEngine, dockercli.OldestAPI, p.APIVersion)
	}
	if p.OSType != "" && p.OSType != "linux" {
		return fmt.Errorf("docker runs %s containers: expected linux; switch Docker Desktop to Linux containers", p.OSType)
	}
	return nil
}

// An Image is what is known of one that is there.
type Image struct {
	Entrypoint, Command []string
	User                string
	Env                 []string
}

// ErrNoImage says that an image is not there.
var ErrNoImage = errors.New("the image is not there")

// Inspect returns what is known of an image.
func Inspect(ctx context.Context, c client.APIClient, image string) (Image, error) {
	found, err := c.ImageInspect(ctx, image)
	if errdefs.IsNotFound(err) {
		return Image{}, fmt.Errorf("%s: %w", image, ErrNoImage)
	}
	if err != nil {
		return Image{}, err
	}
	if found.Config == nil {
		return Image{}, nil
	}
	return Image{Entrypoint: found.Config.Entrypoint, Command: found.Config.Cmd, User: found.Config.User, Env: found.Config.Env}, nil
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
	if err := CheckProgram(serverName, "the emulator's image", path, ""); err != nil {
		return "", fmt.Errorf("%w; or name an image with --image", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("make the emulator's image: %w", err)
	}
	files := []File{{"Dockerfile", 0o644, Dockerfile}, {"bin/" + serverName, 0o755, data}, {"bin/volume/", 0o755, nil}}
	return Build(ctx, c, serverName, files)
}

var errNoServer = fmt.Errorf("%s was not found beside this program nor in PATH; build it for Linux with make build-all, or name an image that holds it (docker build -t %[1]s . makes one) with --image", serverName)

func findServer(program string) (string, error) {
	if program = cmp.Or(program, process.Locate(serverName)); program == "" {
		return "", errNoServer
	}
	return program, nil
}

// EmulatorLabel is on the emulator's container, by which commands that control it find it, and on
// the images that are made here.
const EmulatorLabel = "dev.wiemu.emulator"

// User is the user id of the emulator.
const User = 65532

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
		Tags: []string{tag}, Remove: true, ForceRemove: true, Version: build.BuilderV1, Labels: map[string]string{EmulatorLabel: "image"},
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
func Pack(files []File) ([]byte, error) { return pack(files, User) }

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

// machines are the architectures of nodes, as Go and Docker call them.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// CheckProgram says why a file is not the program of a name as containers of an architecture run
// it: for Linux, and without libraries. If architecture is empty, any will do. The purpose is what
// the program is wanted for.
func CheckProgram(name, purpose, file, architecture string) error {
	next := fmt.Sprintf("make build-all makes it on Linux, and elsewhere: CGO_ENABLED=0 GOOS=linux GOARCH=%s go build -o %s-linux-%[1]s ./cmd/%[2]s", cmp.Or(architecture, runtime.GOARCH), name)
	platform := "linux"
	if architecture != "" {
		platform += "/" + architecture
	}
	program, err := elf.Open(file)
	if os.IsNotExist(err) {
		return fmt.Errorf("%s for %s: %w; %s", name, purpose, err, next)
	}
	if err != nil {
		return fmt.Errorf("%s: expected a program for %s: %w; %s", file, platform, err, next)
	}
	defer func() { _ = program.Close() }()
	if want := machines[architecture]; architecture != "" && program.Machine != want {
		return fmt.Errorf("%s: expected a program for %s, as Docker's engine, found one for %v; %s", file, platform, program.Machine, next)
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return fmt.Errorf("%s: expected a static program, found one that needs the libraries of this machine; %s", file, next)
		}
	}
	return nil
}

// WriteImage writes the archive of an image that holds one program and nothing else, as docker save
// does it (Docker Image Specification v1.2): the same bytes for the same program.
func WriteImage(w io.Writer, reference, architecture, program string) error {
	text, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("make the image %s: %w", reference, err)
	}
	name := filepath.Base(program)
	layer, err := pack([]File{{name, 0o755, text}}, 0)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": architecture, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/" + name}, "Env": []string{"PATH=/"}, "User": "65532:65532"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": digest(config) + ".json", "RepoTags": []string{reference}, "Layers": []string{digest(layer) + ".tar"}}})
	if err != nil {
		return err
	}
	image, err := pack([]File{
		{digest(config) + ".json", 0o644, config}, {digest(layer) + ".tar", 0o644, layer}, {"manifest.json", 0o644, manifest},
	}, 0)
	if err != nil {
		return err
	}
	_, err = w.Write(image)
	return err
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ArchitectureOf returns that of a program that CheckProgram has found fit.
func ArchitectureOf(program string) string {
	file, err := elf.Open(program)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	for name, machine := range machines {
		if machine == file.Machine {
			return name
		}
	}
	return ""
}
