package docker

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
)

const reference = "wiemu/workload:local"

// buildProgram builds a program of one line.
func buildProgram(t *testing.T, environment ...string) string {
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
	static := buildProgram(t, "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	if err := CheckProgram("wiemu-server", "the node", static, "arm64"); err != nil {
		t.Error(err)
	}
	if got := ArchitectureOf(static); got != "arm64" {
		t.Errorf("found %q", got)
	}
	for file, want := range map[string]string{
		static:                               "expected a program for linux/amd64, as Docker's engine, found one for EM_AARCH64; make build-all makes it",
		filepath.Join(t.TempDir(), "nosuch"): "wiemu-server for the node: ",
		"archive_test.go":                    "expected a program for linux/amd64: bad magic number",
	} {
		if err := CheckProgram("wiemu-server", "the node", file, "amd64"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: expected an error with %q, found %v", file, want, err)
		}
	}
	if runtime.GOOS == "linux" {
		if err := CheckProgram("wiemu-server", "the node", "/bin/sh", runtime.GOARCH); err == nil || !strings.Contains(err.Error(), "expected a static program") {
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
		if err := WriteImage(into, reference, "arm64", program); err != nil {
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
	if err := json.Unmarshal(files["manifest.json"], &manifest); err != nil || len(manifest) != 1 || manifest[0].RepoTags[0] != reference {
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
	if err := WriteImage(io.Discard, reference, "arm64", program+"x"); err == nil || !strings.Contains(err.Error(), "make the image "+reference) {
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
