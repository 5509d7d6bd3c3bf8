package kind

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// machines are the architectures of nodes, as Go and Docker call them.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkProgram says why a file is not one of our programs as nodes of an
// architecture run it: for Linux, and without libraries.
func checkProgram(name, file, architecture string) error {
	next := fmt.Sprintf("make build-all makes it on Linux, and elsewhere: CGO_ENABLED=0 GOOS=linux GOARCH=%s go build -o %s-linux-%[1]s ./cmd/%[2]s", architecture, name)
	program, err := elf.Open(file)
	if os.IsNotExist(err) {
		return fmt.Errorf("%s for the node: %w; %s", name, err, next)
	}
	if err != nil {
		return fmt.Errorf("%s: expected a program for linux/%s: %w; %s", file, architecture, err, next)
	}
	defer func() { _ = program.Close() }()
	if want := machines[architecture]; program.Machine != want {
		return fmt.Errorf("%s: expected a program for linux/%s, as Docker's engine, found one for %v; %s", file, architecture, program.Machine, next)
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			return fmt.Errorf("%s: expected a static program, found one that needs the libraries of this machine; %s", file, next)
		}
	}
	return nil
}

// writeImage writes the archive of an image that holds one program and nothing
// else, as docker save does it (Docker Image Specification v1.2): the same bytes
// for the same program.
func writeImage(w io.Writer, reference, architecture, program string) error {
	text, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("make the image %s: %w", reference, err)
	}
	name := filepath.Base(program)
	layer := archived(file{name, text, 0o755})
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
	_, err = w.Write(archived(
		file{digest(config) + ".json", config, 0o644}, file{digest(layer) + ".tar", layer, 0o644}, file{"manifest.json", manifest, 0o644},
	))
	return err
}

type file struct {
	name string
	data []byte
	mode int64
}

func archived(files ...file) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		// A buffer takes everything, and a header of these fields is valid.
		_ = w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)), Format: tar.FormatUSTAR})
		_, _ = w.Write(f.data)
	}
	_ = w.Close()
	return b.Bytes()
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// architectureOf is that of a program that checkProgram has found fit.
func architectureOf(program string) string {
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
