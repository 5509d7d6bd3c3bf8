//go:build e2e

package kind_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/nodeservice"
)

const (
	audience   = "api://AzureADTokenExchange"
	advertised = nodeservice.Advertised
	curlImage  = "curlimages/curl:8.11.1"
	shopClient = "4be2c1c0-6f0d-4d5e-9a53-0d8f6f7d6c11" // of testdata/e2e/shop.yaml
)

// cluster is the cluster under test and the programs that people use on it, those
// of bin: wiemu and kubectl.
type cluster struct {
	name       string
	root       string // of the repository
	state      string // directory of wiemu
	kubeconfig string
	made       bool

	mu      sync.Mutex
	figures [][2]string
}

// newCluster takes away what an earlier run may have left. When the test ends, the
// cluster goes, too.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	// Always the same, so that a run that was killed is found by the next one.
	dir := filepath.Join(os.TempDir(), "wiemu-e2e-kind")
	c := &cluster{name: "wiemu-e2e", root: root, state: filepath.Join(dir, "state"), kubeconfig: filepath.Join(dir, "kubeconfig")}
	for _, program := range []string{"wiemu", "kubectl"} {
		if _, err := os.Stat(c.program(program)); err != nil {
			t.Fatalf("%v; type: make e2e-kind", err)
		}
	}
	c.wiemu(t, "kind", "down", "--name", c.name)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	remove := func() (err error) {
		for range 120 { // a command that was interrupted, too, takes a while to end
			if _, err = c.command(context.Background(), "", "wiemu", "kind", "down", "--name", c.name); err == nil {
				return os.RemoveAll(dir)
			}
			time.Sleep(time.Second)
		}
		return err // the directory is still somebody's
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	go func() {
		if by, sent := <-ended; sent {
			fmt.Println(by, "- taking the cluster away")
			if err := remove(); err != nil {
				fmt.Println(err)
			}
			os.Exit(1)
		}
	}()
	t.Cleanup(func() {
		signal.Stop(ended)
		close(ended)
		if c.made && t.Failed() {
			c.tellState(t)
		}
		if err := remove(); err != nil {
			t.Errorf("take the cluster away: %v", err)
		}
	})
	return c
}

// tellState shows what there was when the test failed.
func (c *cluster) tellState(t *testing.T) {
	for _, command := range [][]string{
		{"kubectl", "get", "pods", "--all-namespaces", "--output", "wide"},
		{"kubectl", "get", "events", "--all-namespaces", "--sort-by", ".lastTimestamp"},
		{"wiemu", "kind", "logs", "--name", c.name},
	} {
		said, err := c.command(context.Background(), "", command...)
		lines := strings.Split(said, "\n")
		t.Logf("%s: %v\n%s", strings.Join(command, " "), err, strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
}

func (c *cluster) program(name string) string { return filepath.Join(c.root, "bin", name) }

func (c *cluster) testdata(file string) string {
	return filepath.Join(c.root, "internal", "kind", "testdata", "e2e", file)
}

// command runs a program and returns what it writes to standard output; the error
// has what it complains about. wiemu and kubectl are told where the cluster is.
func (c *cluster) command(ctx context.Context, stdin string, command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	program := command[0]
	if program == "wiemu" || program == "kubectl" {
		program = c.program(program)
	}
	cmd := exec.CommandContext(ctx, program, command[1:]...)
	cmd.Env = append(os.Environ(), "WIEMU_STATE_DIR="+c.state, "KUBECONFIG="+c.kubeconfig)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

func (c *cluster) try(t *testing.T, command ...string) (string, error) {
	t.Helper()
	return c.command(t.Context(), "", command...)
}

func (c *cluster) run(t *testing.T, command ...string) string {
	t.Helper()
	said, err := c.try(t, command...)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return said
}

func (c *cluster) wiemu(t *testing.T, args ...string) string {
	t.Helper()
	return c.run(t, append([]string{"wiemu"}, args...)...)
}

func (c *cluster) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return c.run(t, append([]string{"kubectl"}, args...)...)
}

// node runs a command in the node.
func (c *cluster) node(t *testing.T, command ...string) string {
	t.Helper()
	return c.run(t, append([]string{"docker", "exec", c.name + "-control-plane"}, command...)...)
}

// testPatience is how long, in wall time, what takes seconds at rest may take on a busy machine.
const testPatience = 5 * time.Minute

// await looks again and again until there is nothing to complain about.
func (c *cluster) await(t *testing.T, patience time.Duration, what string, look func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := look()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("%s: %v", what, t.Context().Err())
		case <-time.After(200 * time.Millisecond): // wall time, as a kubelet's
		}
	}
}

func (c *cluster) figure(what, format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.figures = append(c.figures, [2]string{what, fmt.Sprintf(format, args...)})
}

func (c *cluster) tellFigures(t *testing.T) {
	t.Helper()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, f := range c.figures {
		fmt.Fprintf(w, "%s\t%s\n", f[0], f[1])
	}
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
	t.Logf("figures:\n%s", table.String())
}

// pod is what is read of a pod.
type pod struct {
	Spec struct {
		HostAliases []struct {
			IP        string
			Hostnames []string
		}
		Volumes []struct {
			Name      string
			Projected struct {
				Sources []struct{ ServiceAccountToken *serviceAccountToken }
			}
		}
		Containers []container
	}
	Status struct {
		Phase             string
		ContainerStatuses []struct{ RestartCount int }
	}
}

type serviceAccountToken struct {
	Audience          string
	ExpirationSeconds int
	Path              string
}

type container struct {
	Env          []struct{ Name, Value string }
	VolumeMounts []volumeMount
}

type volumeMount struct {
	Name, MountPath string
	ReadOnly        bool
}

func (c container) variable(name string) string {
	for _, v := range c.Env {
		if v.Name == name {
			return v.Value
		}
	}
	return ""
}

// alias is the address of a name in the pod's hosts file.
func (p pod) alias(host string) string {
	for _, a := range p.Spec.HostAliases {
		for _, name := range a.Hostnames {
			if name == host {
				return a.IP
			}
		}
	}
	return ""
}

func (c *cluster) pod(t *testing.T, namespace, name string) pod {
	t.Helper()
	p, err := c.tryPod(t, namespace, name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *cluster) tryPod(t *testing.T, namespace, name string) (p pod, err error) {
	t.Helper()
	said, err := c.try(t, "kubectl", "get", "pod", name, "-n", namespace, "-o", "json")
	if err != nil {
		return p, fmt.Errorf("%w\n%s", err, said)
	}
	parse(t, said, &p)
	return p, nil
}

func (c *cluster) phase(t *testing.T, namespace, name, want string) error {
	t.Helper()
	p, err := c.tryPod(t, namespace, name)
	if err == nil && p.Status.Phase != want {
		err = fmt.Errorf("pod %s/%s: %s", namespace, name, p.Status.Phase)
	}
	return err
}

// ended waits until a pod has ended well, and returns what it said.
func (c *cluster) ended(t *testing.T, namespace, name string) string {
	t.Helper()
	c.await(t, testPatience, "pod "+name+" ends well", func() error {
		err := c.phase(t, namespace, name, "Succeeded")
		if c.phase(t, namespace, name, "Failed") == nil {
			t.Fatalf("pod %s/%s has failed:\n%s", namespace, name, c.kubectl(t, "logs", "-n", namespace, name))
		}
		return err
	})
	return c.kubectl(t, "logs", "-n", namespace, name)
}

// says complains while a pod's first container has not said something.
func (c *cluster) says(t *testing.T, namespace, name, want string) error {
	t.Helper()
	said, err := c.try(t, "kubectl", "logs", "-n", namespace, name, "-c", "app", "--tail", "5")
	if err == nil && !strings.Contains(said, want) {
		err = fmt.Errorf("pod %s/%s says, last: %s", namespace, name, said)
	}
	return err
}

// allWell checks every attempt of a pod that watches.
func (c *cluster) allWell(t *testing.T, namespace, name string) {
	t.Helper()
	said := c.kubectl(t, "logs", "-n", namespace, name, "-c", "app")
	for line := range strings.Lines(said) {
		if !strings.Contains(line, `"ok":true`) {
			t.Errorf("pod %s/%s: an attempt went wrong: %s", namespace, name, line)
		}
	}
}

// restarts counts how often the containers of a pod were started again.
func (c *cluster) restarts(t *testing.T, namespace, name string) (n int, err error) {
	t.Helper()
	p, err := c.tryPod(t, namespace, name)
	for _, s := range p.Status.ContainerStatuses {
		n += s.RestartCount
	}
	return n, err
}

// key is a key of the cluster's issuer, or of Entra ID.
type key struct {
	Ring  string
	ID    string `json:"kid"`
	Stage string
}

func (c *cluster) keys(t *testing.T) (keys []key) {
	t.Helper()
	parse(t, c.wiemu(t, "keys", "--kind", c.name, "-o", "json"), &keys)
	return keys
}

// token is a service-account token.
type token struct {
	Raw string

	KeyID string `json:"kid"`
	Type  string `json:"typ"`

	ID         string   `json:"jti"`
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	Audience   []string `json:"aud"`
	IssuedAt   int64    `json:"iat"`
	Expires    int64    `json:"exp"`
	Kubernetes struct {
		Pod struct{ Name string }
	} `json:"kubernetes.io"`
}

func decode(t *testing.T, raw string) token {
	t.Helper()
	decoded := token{Raw: raw}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		t.Fatalf("expected a JWT, found %q", raw)
	}
	for _, part := range parts[:2] {
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatalf("expected a JWT, found %q: %v", raw, err)
		}
		parse(t, string(text), &decoded)
	}
	return decoded
}

// tryToken asks the API server for a token, as kubelets do.
func (c *cluster) tryToken(t *testing.T) (string, error) {
	t.Helper()
	settings, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	settings.Timeout = time.Minute
	api, err := dynamic.NewForConfig(settings)
	if err != nil {
		t.Fatal(err)
	}
	request := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": map[string]any{"name": "web-sa"},
		"spec": map[string]any{"audiences": []any{audience}, "expirationSeconds": int64(3600)},
	}}
	accounts := api.Resource(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}).Namespace("shop")
	answer, err := accounts.Create(t.Context(), request, metav1.CreateOptions{}, "token")
	if err != nil {
		return "", err
	}
	raw, _, err := unstructured.NestedString(answer.Object, "status", "token")
	return raw, err
}

func (c *cluster) token(t *testing.T) token {
	t.Helper()
	raw, err := c.tryToken(t)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, raw)
}

// review asks the API server whether it takes a token; "": yes.
func (c *cluster) review(t *testing.T, token token) string {
	t.Helper()
	return c.authenticates(t, token.Raw, audience)
}

// authenticates asks the API server about a token; no audiences are its own.
func (c *cluster) authenticates(t *testing.T, raw string, audiences ...string) string {
	t.Helper()
	request, err := json.Marshal(map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
		"spec": map[string]any{"token": raw, "audiences": audiences},
	})
	if err != nil {
		t.Fatal(err)
	}
	said, err := c.command(t.Context(), string(request), "kubectl", "create", "-f", "-", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Status struct {
			Authenticated bool
			Error         string
		}
	}
	parse(t, said, &answer)
	if answer.Status.Authenticated {
		return ""
	}
	return "not authenticated: " + answer.Status.Error
}

// grants has a pod send a token to Entra ID until that is granted. Entra ID does not
// look for a key that it does not know more often than once in a while.
func (c *cluster) grants(t *testing.T, token token, patience time.Duration) {
	t.Helper()
	const script = `read -r token; curl -sS --fail-with-body "${AZURE_AUTHORITY_HOST}${AZURE_TENANT_ID}/oauth2/v2.0/token" \
		-d scope=https%3A%2F%2Fgraph.microsoft.com%2F.default -d "client_id=${AZURE_CLIENT_ID}" -d grant_type=client_credentials \
		-d client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer -d "client_assertion=$token"`
	c.await(t, patience, "Entra ID grants a token of key "+token.KeyID, func() error {
		said, err := c.command(t.Context(), token.Raw+"\n", "kubectl", "exec", "-i", "-n", "shop", "shell", "--", "sh", "-c", script)
		if err != nil || !strings.Contains(said, `"access_token":"`) {
			return fmt.Errorf("%w\n%s", cmp.Or(err, errors.New("expected an access token")), said)
		}
		return nil
	})
}

// secret is the one that everybody may read where nothing else is configured.
func secret(t *testing.T) string {
	t.Helper()
	defaults, err := config.Config{}.Complete("")
	if err != nil {
		t.Fatal(err)
	}
	return defaults.Vaults[0].Secrets["mysecret"]
}

func parse(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("expected JSON: %v in %s", err, text)
	}
}
