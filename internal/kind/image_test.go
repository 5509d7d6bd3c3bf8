package kind

import (
	"strings"
	"testing"

	"sigs.k8s.io/kind/pkg/apis/config/defaults"

	"github.com/wiemu/wiemu/internal/docker/dockertest"
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
			dockertest.Fake(t, row.script+"\n")
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
