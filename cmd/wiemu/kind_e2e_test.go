//go:build e2e && !windows

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The first block of the page about kind, word for word.
func TestPageOfKind(t *testing.T) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Fatal("kubectl is not in the PATH; make kubectl builds it into bin/")
	}
	removeNode(t, "wiemu")
	out := runPage(t, filepath.Join("docs", "kind.md"), "make build-all\nexport PATH=$PWD/bin:$PATH", func(block string) bool {
		return strings.HasPrefix(block, "wiemu kind up\nkubectl")
	})
	for _, want := range []string{
		"cluster   wiemu is made",
		"until a pod had exchanged its token and read a secret",
		`"value":"the secret of wiemu"`,
		"access granted: key vault mykeyvault: get secret mysecret",
		"cluster wiemu is gone",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the page's commands did not show %q:\n%s", want, out)
		}
	}
}

// Ctrl-C in the middle leaves nothing behind; a command that was killed leaves
// what the next one takes away.
func TestKindUpThatIsEnded(t *testing.T) {
	const name = "wiemu-ended"
	c := newCommand(t)
	c.buildBeside()
	kubeconfig := filepath.Join(c.dir, "kubeconfig")
	c.env = append(c.env, "KUBECONFIG="+kubeconfig)
	removeNode(t, name)

	volumes, stderr := c.endedBy(syscall.SIGINT, name)
	if !strings.Contains(stderr, "wiemu: interrupted") {
		t.Errorf("expected to be told of the interruption, found:\n%s", stderr)
	}
	if left := nodesOf(t, name); left != "" {
		t.Errorf("containers are left: %s", left)
	}
	left := strings.Fields(dockerLists(t, "volume", "ls", "--quiet"))
	for _, volume := range volumes {
		if slices.Contains(left, volume) {
			t.Errorf("the volume %s is left", volume)
		}
	}
	if entries, err := os.ReadFile(kubeconfig); err == nil && bytes.Contains(entries, []byte("kind-"+name)) {
		t.Errorf("entries are left in the kubeconfig:\n%s", entries)
	}
	if left, _ := os.ReadDir(filepath.Join(c.dir, "state", "kind")); len(left) > 0 {
		t.Errorf("expected an empty directory of clusters, found %v", left)
	}

	c.endedBy(syscall.SIGKILL, name)
	if out := c.fails("kind", "status", "--name", name); !strings.Contains(out, "cluster   "+name+" is half-made") {
		t.Errorf("status of a half-made cluster: %s", out)
	}
	if out := c.output(c.path, "kind", "down", "--name", name); !strings.Contains(out, "is gone") {
		t.Errorf("wiemu kind down: %s", out)
	}
	if left := nodesOf(t, name); left != "" {
		t.Errorf("containers are left: %s", left)
	}
	if out := c.output(c.path, "kind", "down", "--name", name); !strings.Contains(out, "there is no cluster "+name) {
		t.Errorf("wiemu kind down, once more: %s", out)
	}
}

// A cluster that somebody else made is neither used nor taken away.
func TestKindClusterOfSomebodyElse(t *testing.T) {
	const name = "wiemu-other"
	c := newCommand(t)
	c.buildBeside()
	removeNode(t, name)
	image := strings.Fields(dockerLists(t, "images", "--filter", "reference=kindest/node", "--format", "{{.Repository}}:{{.Tag}}"))
	if len(image) == 0 {
		t.Fatal("no node image is here; make node-image builds one")
	}
	dockerLists(t, "run", "--detach", "--name", name+"-control-plane", "--label", "io.x-k8s.kind.cluster="+name, "--label", "io.x-k8s.kind.role=control-plane", "--entrypoint", "sleep", image[0], "600")
	for _, command := range []string{"up", "down"} {
		if out := c.fails("kind", command, "--name", name); !strings.Contains(out, "that wiemu did not make") {
			t.Errorf("wiemu kind %s: %s", command, out)
		}
	}
	if nodesOf(t, name) == "" {
		t.Error("the cluster of somebody else is gone")
	}
}

// A program for the node that does not come up ends the attempt, with its words.
func TestKindServerThatFails(t *testing.T) {
	const name = "wiemu-failing"
	c := newCommand(t)
	c.buildBeside()
	removeNode(t, name)
	source := filepath.Join(c.dir, "failing.go")
	if err := os.WriteFile(source, []byte("package main\nfunc main() { println(\"nothing works today\"); panic(1) }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	failing := filepath.Join(c.dir, "failing")
	build := exec.Command("go", "build", "-o", failing, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out := c.fails("kind", "up", "--name", name, "--server", failing)
	if !strings.Contains(out, "the emulator in the node does not come up; it says:") || !strings.Contains(out, "nothing works today") {
		t.Errorf("wiemu kind up: %s", out)
	}
	if left := nodesOf(t, name); left != "" {
		t.Errorf("containers are left: %s", left)
	}
}

// buildBeside builds wiemu-containers and the programs for nodes beside wiemu.
func (c *command) buildBeside() {
	c.t.Helper()
	build := exec.Command("go", "build", "-o", filepath.Dir(c.path)+string(filepath.Separator), "../wiemu-containers", "../wiemu-server", "../wiemu-workload")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		c.t.Fatalf("%v\n%s", err, out)
	}
}

// fails runs wiemu, which has to fail, and returns all that it printed.
func (c *command) fails(args ...string) string {
	c.t.Helper()
	out, err := c.prepare(c.path, args...).CombinedOutput()
	if err == nil {
		c.t.Errorf("wiemu %s did not fail:\n%s", strings.Join(args, " "), out)
	}
	return string(out)
}

// nodeStarts reads as a line when Docker starts a container of the name, and as the end
// of the file when that takes longer than two minutes.
func (c *command) nodeStarts(name string) io.Reader {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	events := exec.CommandContext(ctx, "docker", "events", "--since", strconv.FormatInt(time.Now().Unix(), 10),
		"--filter", "type=container", "--filter", "event=start", "--filter", "container="+name, "--format", "{{.ID}}")
	out, err := events.StdoutPipe()
	if err != nil {
		c.t.Fatal(err)
	}
	if err := events.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		cancel()
		_ = events.Wait() // it was killed
	})
	return out
}

// endedBy makes a cluster and sends a signal when its node is there, to all
// processes, as a terminal does. It returns the volumes that the node had, and
// what was told.
func (c *command) endedBy(signal syscall.Signal, name string) (volumes []string, stderr string) {
	c.t.Helper()
	cmd := exec.Command(c.path, "kind", "up", "--name", name)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = c.dir, c.env, &syscall.SysProcAttr{Setpgid: true}
	var said bytes.Buffer
	cmd.Stderr = &said
	started := c.nodeStarts(name + "-control-plane")
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	if _, err := bufio.NewReader(started).ReadString('\n'); err != nil {
		c.t.Errorf("no node appeared: %v", err)
	} else if out, err := exec.Command("docker", "inspect", "--format", `{{range .Mounts}}{{if eq .Type "volume"}}{{.Name}} {{end}}{{end}}`, name+"-control-plane").Output(); err != nil {
		c.t.Error(err)
	} else {
		volumes = strings.Fields(string(out))
	}
	if err := syscall.Kill(-cmd.Process.Pid, signal); err != nil {
		c.t.Error(err)
	}
	if err := cmd.Wait(); err == nil {
		c.t.Error("wiemu kind up did not fail")
	}
	return volumes, said.String()
}

func nodesOf(t *testing.T, cluster string) string {
	t.Helper()
	return dockerLists(t, "ps", "--all", "--quiet", "--filter", "label=io.x-k8s.kind.cluster="+cluster)
}

func dockerLists(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).Output()
	if err != nil {
		t.Fatalf("docker %s: %v", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

// removeNode takes a cluster's node away after the test, whatever has failed. One
// that is there before is somebody's.
func removeNode(t *testing.T, cluster string) {
	t.Helper()
	if nodesOf(t, cluster) != "" {
		t.Fatalf("there is a cluster %s already; if nobody needs it, take it away: wiemu kind down --name %s", cluster, cluster)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("docker", "rm", "--force", "--volumes", cluster+"-control-plane").CombinedOutput(); err != nil && !bytes.Contains(out, []byte("No such container")) {
			t.Errorf("%v: %s", err, out)
		}
	})
}
