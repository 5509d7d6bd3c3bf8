package kind

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/kind/pkg/log"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/docker/dockercli"
	"github.com/wiemu/wiemu/internal/docker/dockertest"
	"github.com/wiemu/wiemu/internal/kind/records"
)

func TestNamesOfClusters(t *testing.T) {
	for _, name := range []string{"wiemu", "a", "7-up", strings.Repeat("a", 49)} {
		if err := records.CheckName(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", "Wiemu", "a.b", "-a", "a-", "../a", strings.Repeat("a", 50), "a b"} {
		if err := records.CheckName(name); err == nil {
			t.Errorf("%q is taken for a name", name)
		}
	}
}

func FuzzCheckName(f *testing.F) {
	f.Add("wiemu")
	f.Add("../../etc")
	f.Fuzz(func(t *testing.T, name string) {
		if records.CheckName(name) == nil && filepath.Join("/dir", name) != "/dir/"+name {
			t.Errorf("%q leads out of its directory", name)
		}
	})
}

func TestStepsOfKind(t *testing.T) {
	var told []string
	l := &logger{progress: func(step string) { told = append(told, step) }}
	for _, symbol := range []string{"📦 ", "🕹️", "⏳", ""} { // whatever kind decorates its steps with
		told = nil
		begin := " • Waiting ≤ 3m0s for control-plane = Ready " + symbol + "  ...\n"
		l.V(1).Info(begin) // for those who ask for more
		for _, message := range []string{"Creating cluster \"x\" ...\n", begin, " ✓ Waiting ≤ 3m0s for control-plane = Ready " + symbol + "\n"} {
			l.V(0).Info(message)
		}
		if want := []string{"kind: Waiting ≤ 3m0s for control-plane = Ready"}; !slices.Equal(told, want) {
			t.Errorf("expected the step that begins alone, in words, %q; found %q", want, told)
		}
	}
	var _ log.Logger = l
}

func TestControlOfAMissingCluster(t *testing.T) {
	h := NewHost(privateDir(t), HostOptions{})
	for _, row := range []struct{ name, want string }{
		{"../x", "the cluster's name: expected"},
		{"x", "there is no cluster x; make one with: wiemu kind up --name x"},
	} {
		if _, err := h.Control(row.name); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: expected an error with %q, found %v", row.name, row.want, err)
		}
	}
	if err := h.Write("y", records.Record{Ready: true, Control: "http://127.0.0.1:1", Token: "secret"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Control("x"); err == nil || !strings.Contains(err.Error(), "expected one of: y") {
		t.Errorf("%v", err)
	}
	if client, err := h.Control("y"); err != nil || client.URL != "http://127.0.0.1:1" || client.Token != "secret" {
		t.Errorf("%v, %v", client, err)
	}
	if info, err := os.Stat(h.File("y")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a file with a token: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(h.File("y"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Control("y"); err == nil || !strings.Contains(err.Error(), "wiemu kind down --name y") {
		t.Errorf("%v", err)
	}
}

// inspected is a node as docker inspect tells of it.
func inspected(source, status string) string {
	mounts := "[]"
	if source != "" {
		mounts = fmt.Sprintf(`[{"Source": %q, "Destination": "/opt/wiemu"}]`, source)
	}
	return fmt.Sprintf(`[{"Id": "1", "Name": "/x-control-plane", "State": {"Status": %q}, "Config": {"Labels": {"io.x-k8s.kind.cluster": "x", "io.x-k8s.kind.role": "control-plane"}}, "Mounts": %s}]`, status, mounts)
}

func TestWhatThereIsOfACluster(t *testing.T) {
	for _, row := range []struct {
		name   string
		node   func(h *Host) string // docker inspect; nil: there is none
		record *records.Record      // nil: there is none
		want   condition
		why    string
	}{
		{name: "nothing", want: absent},
		{name: "a directory", record: &records.Record{Ready: true}, want: halfMade, why: "its containers are gone"},
		{name: "somebody else's", node: func(*Host) string { return inspected("", "running") }, want: foreign},
		{name: "not finished", node: func(h *Host) string { return inspected(h.nodeDir("x"), "running") }, record: &records.Record{}, want: halfMade, why: "it was not finished"},
		{name: "without a record", node: func(h *Host) string { return inspected(h.nodeDir("x"), "running") }, want: halfMade, why: "it was not finished"},
		{name: "stopped", node: func(h *Host) string { return inspected(h.nodeDir("x"), "exited") }, record: &records.Record{Ready: true}, want: stopped},
		{name: "running", node: func(h *Host) string { return inspected(h.nodeDir("x"), "running") }, record: &records.Record{Ready: true}, want: running},
		{name: "running, on Docker Desktop", node: func(h *Host) string { return inspected("/host_mnt"+h.nodeDir("x"), "running") }, record: &records.Record{Ready: true}, want: running},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := NewHost(privateDir(t), HostOptions{})
			script := "exit 0"
			if row.node != nil {
				script = "case $1 in ps) echo 1;; inspect) echo '" + row.node(h) + "';; esac"
			}
			dockertest.Fake(t, script)
			if row.record != nil {
				if err := h.Write("x", *row.record); err != nil {
					t.Fatal(err)
				}
			}
			f, err := h.find(t.Context(), "x")
			if err != nil || f.condition != row.want || f.why != row.why {
				t.Errorf("expected %s (%s), found %s (%s), %v", row.want, row.why, f.condition, f.why, err)
			}
		})
	}
	t.Run("made with another state directory", func(t *testing.T) {
		other := privateDir(t)
		there := NewHost(filepath.Join(other, "kind"), HostOptions{})
		if err := there.Write("x", records.Record{Ready: true}); err != nil {
			t.Fatal(err)
		}
		dockertest.Fake(t, "case $1 in ps) echo 1;; inspect) echo '"+inspected(there.nodeDir("x"), "running")+"';; esac")
		_, err := NewHost(privateDir(t), HostOptions{}).find(t.Context(), "x")
		if err == nil || !strings.Contains(err.Error(), "add --state-dir "+other) {
			t.Errorf("%v", err)
		}
	})
}

func TestWhatAClusterCannotBecome(t *testing.T) {
	h := NewHost(privateDir(t), HostOptions{})
	issuer, err := issuerOf(Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := records.Record{Image: "kindest/node:v1.37.0", Kubernetes: "v1.37.0", Issuer: issuer}
	for _, opts := range []Options{{}, {Image: r.Image}, {Kubernetes: "1.37.0"}, {Config: config.Config{Vaults: []config.Vault{{Name: "another"}}}}} {
		if err := h.fits("x", r, opts); err != nil {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	for want, opts := range map[string]Options{
		"as --image says":                       {Image: "other"},
		"as --k8s-version says":                 {Kubernetes: "v1.36.0"},
		"kind export kubeconfig":                {Kubeconfig: "/elsewhere"},
		"which its API server was started with": {Config: config.Config{Issuers: []config.Issuer{{Name: "mine"}}}},
	} {
		if err := h.fits("x", r, opts); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expected an error with %q, found %v", want, err)
		}
	}
}

func TestWhatANodeWasGiven(t *testing.T) {
	server := filepath.Join(t.TempDir(), "wiemu-server")
	if err := os.WriteFile(server, []byte("one"), 0o755); err != nil {
		t.Fatal(err)
	}
	h := NewHost(privateDir(t), HostOptions{})
	opts := Options{Server: server}
	service := h.service(opts, image{Kubernetes: "v1.33.0"}) // with a key pair, which is another each time
	if err := service.Write(h.nodeDir("x")); err != nil {
		t.Fatal(err)
	}
	if changed, err := differs(service, h.nodeDir("x")); err != nil || changed {
		t.Errorf("the same: %v, %v", changed, err)
	}
	opts.Config.Vaults = []config.Vault{{Name: "another"}}
	if changed, err := differs(h.service(opts, image{Kubernetes: "v1.33.0"}), h.nodeDir("x")); err != nil || !changed {
		t.Errorf("another configuration: %v, %v", changed, err)
	}
	if err := os.WriteFile(server, []byte("two"), 0o755); err != nil {
		t.Fatal(err)
	}
	if changed, err := differs(service, h.nodeDir("x")); err != nil || !changed {
		t.Errorf("another program: %v, %v", changed, err)
	}
}

func TestDownWithoutDocker(t *testing.T) {
	dockertest.Fake(t, "echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' >&2; exit 1")
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(`apiVersion: v1
kind: Config
current-context: kind-x
contexts: [{name: kind-x, context: {cluster: kind-x, user: kind-x}}, {name: mine, context: {cluster: mine, user: mine}}]
clusters: [{name: kind-x, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: kind-x, user: {}}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	h := NewHost(privateDir(t), HostOptions{})
	if err := h.Write("x", records.Record{Ready: true, Kubeconfig: kubeconfig}); err != nil {
		t.Fatal(err)
	}
	was, err := h.Down(t.Context(), "x")
	var gone *dockercli.Unreachable
	if !was || !errors.As(err, &gone) || !strings.Contains(err.Error(), "left are: containers of cluster x") || !strings.Contains(err.Error(), "type again: wiemu kind down --name x") {
		t.Errorf("%v, %v", was, err)
	}
	if text, err := os.ReadFile(kubeconfig); err != nil || strings.Contains(string(text), "kind-x") || !strings.Contains(string(text), "mine") {
		t.Errorf("the kubeconfig: %v\n%s", err, text)
	}
	if left, err := os.ReadDir(h.Dir()); err != nil || len(left) > 0 {
		t.Errorf("expected an empty directory, found %v, %v", left, err)
	}
}

func TestOneCommandAtATime(t *testing.T) {
	h := NewHost(privateDir(t), HostOptions{})
	release, err := h.lock("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.lock("x"); err == nil || !strings.Contains(err.Error(), "another wiemu is working on cluster x") {
		t.Errorf("%v", err)
	}
	other, err := h.lock("y")
	if err != nil {
		t.Fatal(err)
	}
	other()
	release()
	if left, err := os.ReadDir(h.Dir()); err != nil || len(left) > 0 {
		t.Errorf("expected an empty directory, found %v, %v", left, err)
	}
}

func TestAwaitTellsTheLastComplaint(t *testing.T) {
	looks := 0
	err := await(t.Context(), 10*time.Millisecond, func(context.Context) error { looks++; return errors.New("not yet") })
	if err == nil || err.Error() != "not yet (for 10ms)" || looks == 0 {
		t.Errorf("%v after %d looks", err, looks)
	}
	ended, end := context.WithCancelCause(t.Context())
	end(errors.New("Ctrl-C"))
	if err := await(ended, time.Minute, func(context.Context) error { return errors.New("not yet") }); err == nil || err.Error() != "Ctrl-C" {
		t.Errorf("%v", err)
	}
}

func TestOpenSecretIsOneThatAnybodyMayRead(t *testing.T) {
	for _, row := range []struct {
		vaults []config.Vault
		want   string
	}{
		{nil, "mykeyvault/mysecret"},
		{[]config.Vault{}, "/"},
		{[]config.Vault{{Name: "closed", Secrets: map[string]string{"a": "b"}, Access: []config.Access{}}}, "/"},
		{[]config.Vault{{Name: "lists", Secrets: map[string]string{"a": "b"}, Access: []config.Access{{Identity: "*", Permissions: []string{"list"}}}}}, "/"},
		{[]config.Vault{{Name: "opened", Secrets: map[string]string{"a": "b"}, Access: []config.Access{{Identity: "*", Permissions: []string{"get"}}}}}, "opened/a"},
	} {
		vault, secret := openSecret(Options{Config: config.Config{Vaults: row.vaults}})
		if got := vault + "/" + secret; got != row.want {
			t.Errorf("%+v: expected %s, found %s", row.vaults, row.want, got)
		}
	}
}

// TestAPlantedClusterIsNotControlled: whoever made the file would get what is sent there.
func TestAPlantedClusterIsNotControlled(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("files of another owner are made by root")
	}
	for _, planted := range []string{"", "x", "x/cluster.json"} {
		h := NewHost(privateDir(t), HostOptions{})
		if err := h.Write("x", records.Record{Ready: true, Control: "http://127.0.0.1:1", Token: "planted"}); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(filepath.Join(h.Dir(), planted), 54321, 54321); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.Read("x"); err == nil || !strings.Contains(err.Error(), "belongs to user 54321") {
			t.Errorf("%q of another: %v", planted, err)
		}
	}
}

// privateDir is a temporary directory that only its owner can write, whatever the umask.
func privateDir(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "private")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
