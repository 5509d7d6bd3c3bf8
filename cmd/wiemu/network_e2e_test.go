//go:build e2e && linux

package main

import (
	"archive/tar"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// In containers, with what Docker permits by default and with less, programs are led to the
// lab without an option; where they cannot be, they go by the proxy, and a line says why.
func TestLedInContainers(t *testing.T) {
	const image = "wiemu-test-led:local"
	makeImage(t, image)
	noSeccomp := filepath.Join(t.TempDir(), "profile.json")
	if err := os.WriteFile(noSeccomp, []byte(`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["seccomp"], "action": "SCMP_ACT_ERRNO"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	const metadata = "https://login.microsoftonline.com/common/v2.0/.well-known/openid-configuration"
	for name, c := range map[string]struct {
		flags []string
		proxy string // why it is by the proxy; empty: it is not
	}{
		"Docker's default":        {},
		"without capabilities":    {flags: []string{"--cap-drop", "ALL"}},
		"an unprivileged user":    {flags: []string{"--user", "65534:65534", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"}},
		"a read-only file system": {flags: []string{"--read-only", "--tmpfs", "/tmp"}},
		"no profile":              {flags: []string{"--security-opt", "seccomp=unconfined"}},
		"no seccomp":              {flags: []string{"--security-opt", "seccomp=" + noSeccomp}, proxy: "seccomp(2) is not permitted here"},
	} {
		t.Run(name, func(t *testing.T) {
			run := func(program ...string) (stdout, stderr string, err error) {
				args := slices.Concat([]string{"run", "--rm", "--network", "none"}, c.flags, []string{image, "/wiemu", "run", "--namespace", "shop", "--service-account", "web-sa", "--client-id", "6f9f6a0e-5c0c-4d5e-9a39-2f4c8f5b7f11", "--"}, program)
				cmd := exec.CommandContext(t.Context(), "docker", args...)
				var out, said bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &said
				err = cmd.Run()
				return out.String(), said.String(), err
			}
			stdout, stderr, err := run("/wiemu-workload", "secret", "get", "mykeyvault", "mysecret")
			if err != nil || !strings.Contains(stdout, `"ok":true`) {
				t.Errorf("%v\n%s%s", err, stdout, stderr)
			}
			if told := strings.Contains(stderr, "programs reach the lab by its proxy: "); told != (c.proxy != "") || !strings.Contains(stderr, c.proxy) || told && !strings.Contains(stderr, "wiemu doctor") {
				t.Errorf("expected that it is told why it goes by the proxy: %q, found\n%s", c.proxy, stderr)
			}
			if stdout, stderr, err := run("/noproxy", metadata); (err == nil) != (c.proxy == "") || (stdout == "200 OK\n") != (c.proxy == "") {
				t.Errorf("a program that heeds no proxy: %v\n%s%s", err, stdout, stderr)
			}
		})
	}
}

// makeImage makes an image of nothing but wiemu and programs.
func makeImage(t *testing.T, name string) {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+string(os.PathSeparator), ".", "../wiemu-workload", "./testdata/noproxy")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	add := func(h tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	add(tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777}, nil)
	for _, program := range []string{"wiemu", "wiemu-workload", "noproxy"} {
		content, err := os.ReadFile(filepath.Join(dir, program))
		if err != nil {
			t.Fatal(err)
		}
		add(tar.Header{Name: program, Typeflag: tar.TypeReg, Mode: 0o755}, content)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	load := exec.Command("docker", "import", "--change", "ENV HOME=/tmp PATH=/ TMPDIR=/tmp", "-", name)
	load.Stdin = &archive
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rmi", "-f", name).CombinedOutput(); err != nil {
			t.Errorf("docker rmi: %v\n%s", err, out)
		}
	})
}
