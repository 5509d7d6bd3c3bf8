package docker_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/wiemu/wiemu/internal/docker"
)

func TestTheImageIsMadeByTheRepositorysDockerfile(t *testing.T) {
	repository, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(repository, docker.Dockerfile) {
		t.Error("internal/docker/Dockerfile is not Dockerfile; copy it")
	}
}

// docker answers a ping as an engine does.
func fake(t *testing.T, api, os string) client.APIClient {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Api-Version", api)
		w.Header().Set("Ostype", os)
	}))
	t.Cleanup(s.Close)
	c, err := client.New(client.WithHost("tcp://" + strings.TrimPrefix(s.URL, "http://")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestCheckSaysWhyContainersCannotRun(t *testing.T) {
	for _, row := range []struct{ name, api, os, want string }{
		{"Docker 20.10", "1.41", "linux", ""},
		{"Docker 29", "1.52", "linux", ""},
		{"Docker 19.03", "1.40", "linux", "expected engine 20.10 (API 1.41) or later, found API 1.40"},
		{"Windows containers", "1.47", "windows", "switch Docker Desktop to Linux containers"},
	} {
		err := docker.Check(t.Context(), fake(t, row.api, row.os))
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
	gone, err := client.New(client.WithHost("unix://" + filepath.Join(t.TempDir(), "docker.sock")))
	if err != nil {
		t.Fatal(err)
	}
	if err := docker.Check(t.Context(), gone); err == nil || !strings.Contains(err.Error(), "sudo systemctl start docker") {
		t.Errorf("nobody answers: %v", err)
	}
}

func TestOnlyAStaticLinuxProgramBecomesAnImage(t *testing.T) {
	text := filepath.Join(t.TempDir(), "wiemu-server")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	rows := []struct{ name, program, want string }{
		{"a script", text, "expected a program for linux"},
		{"nothing", filepath.Join(t.TempDir(), "none"), "no such file"},
	}
	if dynamic, err := exec.LookPath("ls"); err == nil && isELF(dynamic) {
		rows = append(rows, struct{ name, program, want string }{"a dynamic program", dynamic, "expected a static program"})
	}
	for _, row := range rows {
		_, err := docker.ServerImage(context.Background(), fake(t, "1.41", "linux"), row.program)
		if err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.name, err, row.want)
		}
	}
}

func isELF(file string) bool {
	data, err := os.ReadFile(file)
	return err == nil && bytes.HasPrefix(data, []byte("\x7fELF"))
}
