//go:build e2e

package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	kindcluster "sigs.k8s.io/kind/pkg/cluster"
	"sigs.k8s.io/kind/pkg/cluster/nodeutils"

	"github.com/wiemu/wiemu/internal/resource/postgres/postgrestest"
)

// plain is a kind cluster as anybody makes one: wiemu has no part in it.
type plain struct {
	name, kubeconfig, context, bin, state string
}

// TestClusterThatWasThereAlready installs the emulator in a cluster whose own issuer
// signs, runs an application in it, and takes everything away.
func TestClusterThatWasThereAlready(t *testing.T) {
	c := makePlain(t)
	text, err := os.ReadFile(filepath.Join("testdata", "wiemu.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "wiemu.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "${POSTGRES}", postgrestest.InDocker(t))), 0o600); err != nil {
		t.Fatal(err)
	}
	c.wiemu(t, "cluster", "install", "--timeout", "5m", "--image", "wiemu:local", "-f", file)
	c.wiemu(t, "cluster", "apply", "-f", filepath.FromSlash("../../docs/examples/radixconfig.yaml"), "--env", "dev")
	var read struct {
		OK    bool
		Value string
	}
	c.answer(t, "my-radix-app-dev", "deploy/web", &read)
	if !read.OK || read.Value != "the secret of wiemu" {
		t.Errorf("web in dev read %+v", read)
	}
	if token := c.kubectl(t, "create", "token", "web-sa", "-n", "my-radix-app-dev"); strings.Count(token, ".") != 2 {
		t.Errorf("the cluster's own issuer made %q", token)
	}

	c.kubectl(t, "apply", "-f", filepath.Join("testdata", "others.yaml"), "-f", filepath.Join("testdata", "databases.yaml"))
	var refused struct {
		OK    bool
		Code  int
		Error string
	}
	c.answer(t, "my-radix-app-test", "pod/stranger", &refused)
	if refused.OK || refused.Code != 700213 {
		t.Errorf("a pod of a namespace that nobody declared: %+v, want AADSTS700213", refused)
	}
	if why := c.wiemu(t, "explain", "--last", "--cluster", c.context); !strings.Contains(why, "presented system:serviceaccount:my-radix-app-test:web-sa") {
		t.Errorf("explain says:\n%s", why)
	}
	refused.Code = 0
	c.answer(t, "my-radix-app-dev", "pod/unlabelled", &refused)
	if refused.OK || refused.Code != 0 {
		t.Errorf("a pod without the label met the emulator: %+v", refused)
	}
	for pod, want := range map[string]string{"sql": "[[web]]", "postgres": "[[web]]", "cache": "OK", "managed": "OK"} {
		var let struct {
			OK    bool
			Value any
			Error string
		}
		if c.answer(t, "my-radix-app-dev", "pod/"+pod, &let); !let.OK || fmt.Sprint(let.Value) != want {
			t.Errorf("pod %s: expected %s, found %+v", pod, want, let)
		}
	}
	if aliases := c.kubectl(t, "get", "pod", "unlabelled", "-n", "my-radix-app-dev", "-o", "jsonpath={.spec.hostAliases}"); aliases != "" {
		t.Errorf("a pod without the label is told %s", aliases)
	}
	if out, err := c.run("keys", "rotate", "cluster", "--cluster", c.context); err == nil || !strings.Contains(out, "it is external") {
		t.Errorf("the keys of the cluster's own issuer were rotated: %v %s", err, out)
	}

	removed := c.wiemu(t, "cluster", "remove")
	for _, object := range []string{"MutatingWebhookConfiguration wiemu", "ConfigMap my-radix-app-dev/wiemu-trust", "ConfigMap my-radix-app-test/wiemu-trust", "Namespace wiemu-system", "ClusterRole wiemu"} {
		if !strings.Contains(removed, object) {
			t.Errorf("%s was not removed:\n%s", object, removed)
		}
	}
	if left := c.kubectl(t, "get", "mutatingwebhookconfigurations,clusterroles,clusterrolebindings,namespaces,configmaps", "-A", "-o", "name"); slices.ContainsFunc(strings.Fields(left), func(name string) bool {
		_, name, _ = strings.Cut(name, "/")
		return strings.HasPrefix(name, "wiemu")
	}) {
		t.Errorf("left behind:\n%s", left)
	}
	if again := c.wiemu(t, "cluster", "remove"); !strings.Contains(again, "there was no emulator") {
		t.Errorf("removed again: %s", again)
	}
}

// makePlain makes the cluster, with the images of the emulator and of a workload.
func makePlain(t *testing.T) *plain {
	t.Helper()
	bin, err := filepath.Abs("../../bin")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := &plain{name: fmt.Sprintf("manifests-%d", os.Getpid()), kubeconfig: filepath.Join(dir, "kubeconfig"), bin: bin, state: filepath.Join(dir, "state")}
	c.context = "kind-" + c.name
	provider := kindcluster.NewProvider()
	t.Cleanup(func() {
		if err := provider.Delete(c.name, c.kubeconfig); err != nil {
			t.Error(err)
		}
	})
	begun := time.Now()
	if err := provider.Create(c.name, kindcluster.CreateWithNodeImage(nodeImage(t)), kindcluster.CreateWithKubeconfigPath(c.kubeconfig), kindcluster.CreateWithWaitForReady(2*time.Minute)); err != nil {
		t.Fatalf("make a cluster (make e2e-images, .ci/images node): %v", err)
	}
	t.Logf("kind's own time: %.1f s", time.Since(begun).Seconds())
	nodes, err := provider.ListNodes(c.name)
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{"wiemu:local", "wiemu/workload:local"} {
		archive, err := exec.Command("docker", "save", image).Output()
		if err != nil {
			t.Fatalf("docker save %s: %v; make e2e-images makes it", image, err)
		}
		for _, node := range nodes {
			if err := nodeutils.LoadImageArchive(node, bytes.NewReader(archive)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return c
}

// nodeImage is the image that was asked for, else the one that make node-image
// builds; "" is kind's own.
func nodeImage(t *testing.T) string {
	t.Helper()
	if image := os.Getenv("NODE_IMAGE"); image != "" {
		return image
	}
	out, err := exec.Command("docker", "images", "--filter", "reference=kindest/node:offline-*", "--format", "{{.Repository}}:{{.Tag}}").Output()
	if err != nil {
		t.Fatalf("docker images: %v; .ci/docker up starts Docker", err)
	}
	image, _, _ := strings.Cut(string(out), "\n")
	return image
}

func (c *plain) run(arguments ...string) (string, error) {
	cmd := exec.Command(filepath.Join(c.bin, "wiemu"), arguments...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "WIEMU_STATE_DIR="+c.state)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *plain) wiemu(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := c.run(arguments...)
	if err != nil {
		t.Fatalf("wiemu %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return out
}

func (c *plain) kubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(c.bin, "kubectl"), arguments...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return string(out)
}

// answer waits for the first line that a pod of wiemu-workload prints (wall time).
func (c *plain) answer(t *testing.T, namespace, of string, into any) {
	t.Helper()
	var text string
	for range 600 {
		cmd := exec.Command(filepath.Join(c.bin, "kubectl"), "logs", "-n", namespace, of)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
		out, err := cmd.Output()
		if line, _, whole := strings.Cut(string(out), "\n"); err == nil && whole {
			if err := json.Unmarshal([]byte(line), into); err != nil {
				t.Fatalf("%s %s printed %s: %v", namespace, of, line, err)
			}
			return
		}
		text = string(out)
		time.Sleep(500 * time.Millisecond)
	}
	t.Fatalf("%s %s has printed nothing: %s\n%s", namespace, of, text, c.kubectl(t, "describe", "-n", namespace, of))
}
