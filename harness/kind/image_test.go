package kind

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"sigs.k8s.io/kind/pkg/apis/config/defaults"
)

func TestTheImageThatIsHereIsTaken(t *testing.T) {
	tag, _, _ := strings.Cut(defaults.Image, "@")
	for _, row := range []struct {
		name           string
		asked, version string
		script         string // of docker
		image, want    string // or an error with this
	}{
		{name: "kind's own", script: `[ "$1 $2" != "image inspect" ] || exit 0`, image: defaults.Image},
		{name: "kind's own, by docker load", script: `case "$*" in *@sha256*) echo 'Error: No such image: x' >&2; exit 1;; esac`, image: tag},
		{
			name:   "the one of make node-image",
			script: `case "$*" in images*) echo kindest/node:offline-v1.37.2;; "image inspect"*offline*) ;; *) echo 'Error: No such image: x' >&2; exit 1;; esac`, image: "kindest/node:offline-v1.37.2",
		},
		{name: "kind's own, pulled", script: `case "$*" in "image inspect"*) echo 'Error: No such image: x' >&2; exit 1;; esac`, image: defaults.Image},
		{name: "a version's", version: "1.36.1", image: "kindest/node:v1.36.1"},
		{
			name: "a version's of make node-image", version: "v1.37.2",
			script: `case "$*" in *offline*) ;; *) echo 'Error: No such image: x' >&2; exit 1;; esac`, image: "kindest/node:offline-v1.37.2",
		},
		{name: "one by name", asked: "mine:1", script: `[ "$1" != run ] || echo v1.35.0`, image: "mine:1"},
		{name: "both", asked: "mine:1", version: "v1.36.1", want: "expected one of the two"},
		{name: "no version", version: "1.36", want: `--k8s-version: expected a version such as v1.37.0`},
		{
			name:   "none, and no registry",
			script: `case "$*" in images*) ;; pull*) echo 'dial tcp: no such host' >&2; exit 1;; *) echo 'Error: No such image: x' >&2; exit 1;; esac`,
			want:   "dial tcp: no such host; try docker pull " + tag + ", name an image that is here with --image (docker images), or, without a registry, build one with make node-image",
		},
		{name: "no node image", asked: "curl:1", script: `[ "$1" != run ] || { echo "cat: /kind/version: No such file" >&2; exit 1; }`, want: "curl:1 is no node image of kind"},
		{name: "nonsense in it", asked: "curl:1", script: `[ "$1" != run ] || echo new`, want: `/kind/version: expected a version such as v1.37.0, found "new"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			fakeDocker(t, row.script+"\n")
			found, err := NewHost(t.TempDir(), HostOptions{}).chooseImage(t.Context(), row.asked, row.version)
			if row.want != "" {
				if err == nil || !strings.Contains(err.Error(), row.want) {
					t.Errorf("expected an error with %q, found %v", row.want, err)
				}
				return
			}
			if err != nil || found.Name != row.image || !strings.HasPrefix(found.Kubernetes, "v1.") {
				t.Errorf("expected %s, found %v, %v", row.image, found, err)
			}
		})
	}
}

func TestWhichVersionsAskASigner(t *testing.T) {
	for version, want := range map[string]bool{"v1.33.9": false, "v1.34.0": true, "v1.37.2": true, "v1.9.0": false, "": false} {
		if got := signs(version); got != want {
			t.Errorf("%s: expected %v", version, want)
		}
	}
	service := NewHost(t.TempDir(), HostOptions{}).service(Options{}, image{"kindest/node:v1.33.4", "v1.33.4"})
	if !service.Shared || len(service.Mounts("dir")) != 4 {
		t.Errorf("before 1.34 the node is given a key pair: %v", service.Mounts("dir"))
	}
}

// build builds a program of one line.
func build(t *testing.T, environment ...string) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\nfunc main() {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-o", program, source)
	cmd.Env = append(os.Environ(), environment...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

func TestProgramsForTheNode(t *testing.T) {
	static := build(t, "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	if err := checkProgram("wiemu-server", static, "arm64"); err != nil {
		t.Error(err)
	}
	if got := architectureOf(static); got != "arm64" {
		t.Errorf("found %q", got)
	}
	for file, want := range map[string]string{
		static:                               "expected a program for linux/amd64, as Docker's engine, found one for EM_AARCH64; make build-all makes it",
		filepath.Join(t.TempDir(), "nosuch"): "wiemu-server for the node: ",
		"image_test.go":                      "expected a program for linux/amd64: bad magic number",
	} {
		if err := checkProgram("wiemu-server", file, "amd64"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: expected an error with %q, found %v", file, want, err)
		}
	}
	if runtime.GOOS == "linux" {
		if err := checkProgram("wiemu-server", "/bin/sh", runtime.GOARCH); err == nil || !strings.Contains(err.Error(), "expected a static program") {
			t.Errorf("a program with libraries: %v", err)
		}
	}
}

func TestAnImageOfOneProgram(t *testing.T) {
	program := filepath.Join(t.TempDir(), "wiemu-workload")
	if err := os.WriteFile(program, []byte("the program"), 0o755); err != nil {
		t.Fatal(err)
	}
	var first, again bytes.Buffer
	for _, into := range []*bytes.Buffer{&first, &again} {
		if err := writeImage(into, WorkloadImage, "arm64", program); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), again.Bytes()) {
		t.Error("the same program gives two images")
	}
	files := untar(t, first.Bytes())
	var manifest []struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 || manifest[0].RepoTags[0] != WorkloadImage {
		t.Fatalf("manifest.json: %v, %v", manifest, err)
	}
	var image struct {
		Architecture string
		Config       struct {
			Entrypoint []string
			User       string
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := json.Unmarshal(files[manifest[0].Config], &image); err != nil || image.Architecture != "arm64" || image.Config.Entrypoint[0] != "/wiemu-workload" || image.Config.User == "" {
		t.Fatalf("configuration: %+v, %v", image, err)
	}
	layer := files[manifest[0].Layers[0]]
	if image.RootFS.DiffIDs[0] != "sha256:"+digest(layer) {
		t.Errorf("expected the digest of the layer, found %v", image.RootFS.DiffIDs)
	}
	if got := untar(t, layer)["wiemu-workload"]; string(got) != "the program" {
		t.Errorf("the layer holds %q", got)
	}
	if err := writeImage(io.Discard, WorkloadImage, "arm64", program+"x"); err == nil || !strings.Contains(err.Error(), "make the image "+WorkloadImage) {
		t.Errorf("without a program: %v", err)
	}
}

func untar(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}
