package dockercli

import (
	"errors"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/docker/dockertest"
)

func TestDockerThatCannotBeUsed(t *testing.T) {
	for _, row := range []struct {
		name, script string
		want         []string
		unreachable  bool
	}{
		{
			"not running", "echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?' >&2; exit 1",
			[]string{"docker does not run", "sudo systemctl start docker"}, true,
		},
		{
			"not running, in the words of Docker 29", "echo 'failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct' >&2; exit 1",
			[]string{"docker does not run", "start it"}, true,
		},
		{
			"not allowed", "echo 'permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock' >&2; exit 1",
			[]string{"may not be used by this user", "sudo usermod -aG docker $USER"}, true,
		},
		{
			"too old", `echo '{"Version":"19.03.15","ApiVersion":"1.40","Os":"linux","Arch":"amd64"}'`,
			[]string{"19.03.15 (API 1.40)", "expected API 1.41 or newer, which is Docker 20.10", "update Docker"}, false,
		},
		{
			"of Windows", `echo '{"Version":"28.0.0","ApiVersion":"1.48","Os":"windows","Arch":"amd64"}'`,
			[]string{"runs windows containers", "switch Docker to Linux containers"}, false,
		},
		{"podman", `echo 'Emulate Docker CLI using podman.' >&2; echo 'null'`, []string{"expected a Docker engine, found", "podman"}, false},
		{"nonsense", `echo '{"ApiVersion":"new"}'`, []string{"expected an API version such as 1.41", `"new"`}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			dockertest.Fake(t, row.script)
			_, err := CLI{}.Check(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range row.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("expected %q in: %v", want, err)
				}
			}
			var gone *Unreachable
			if errors.As(err, &gone) != row.unreachable {
				t.Errorf("unreachable: expected %v: %v", row.unreachable, err)
			}
		})
	}
	t.Run("not installed", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := CLI{}.Check(t.Context())
		var gone *Unreachable
		if !errors.As(err, &gone) || !strings.Contains(err.Error(), "docker is not installed") || !strings.Contains(err.Error(), "wiemu run") {
			t.Errorf("%v", err)
		}
	})
	t.Run("fine", func(t *testing.T) {
		dockertest.Fake(t, `echo '{"Version":"20.10.24","ApiVersion":"1.41","Os":"linux","Arch":"arm64"}'`)
		if engine, err := (CLI{}).Check(t.Context()); err != nil || engine != (Engine{"20.10.24", "1.41", "linux", "arm64"}) {
			t.Errorf("%+v, %v", engine, err)
		}
	})
}

func TestDockerErrorsSayWhatToDo(t *testing.T) {
	for complaint, want := range map[string]string{
		"docker: Error response from daemon: driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:6443 failed: port is already allocated.": "stop what uses it",
		"docker: Error response from daemon: failed to create endpoint: Error starting userland proxy: listen tcp4 127.0.0.1:9444: bind: address already in use.":       "stop what uses it",
		"docker: Error response from daemon: mkdir /var/lib/docker/overlay2/x: no space left on device.":                                                                "docker system prune",
		"time=\"2026-11-25\" level=error msg=\"write failed\"\nmkdir /kind/manifests: no space left on device":                                                          "docker system df",
	} {
		err := CLI{}.Explain(&CommandError{Arguments: []string{"run"}, Complaint: complaint, Cause: errors.New("exit status 125")})
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("expected one line with %q, found: %v", want, err)
		}
	}
}
