package nodeservice_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/nodeservice"
)

// given writes the files of a node and returns the directory.
func given(t *testing.T, o nodeservice.Options) string {
	t.Helper()
	dir := t.TempDir()
	if o.Server == "" {
		o.Server = filepath.Join(dir, "built")
		write(t, o.Server, "the program")
	}
	dir = filepath.Join(dir, "node")
	if err := o.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, elements ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elements...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestANodeIsGivenAServiceThatSigns(t *testing.T) {
	dir := given(t, nodeservice.Options{})
	for file, wants := range map[string][]string{
		"wiemu-server": {"the program"},
		"systemd/wiemu.service": {
			"\nBefore=kubelet.service\n", "\nType=notify\n", "\nRestart=always\n", "\nStateDirectory=wiemu\n",
			"\nExecStart=/opt/wiemu/wiemu-server -f /opt/wiemu/wiemu.yaml -state /var/lib/wiemu -lab /var/lib/wiemu/lab -signer /etc/kubernetes/pki/wiemu/signer.sock -webhook 127.0.0.1:9443 -cluster /etc/kubernetes/admin.conf -advertise 169.254.7.7\n",
			"install -D -m 0755 /opt/wiemu/wiemu-server /etc/kubernetes/pki/wiemu/kube-apiserver",
			"ip address replace 169.254.7.7/32 dev lo",
		},
		"systemd/multi-user.target.d/wiemu.conf": {"\nWants=wiemu.service\n"},
	} {
		text := read(t, dir, file)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s: expected %q in\n%s", file, want, text)
			}
		}
		if strings.Contains(text, "${") {
			t.Errorf("%s: not filled in:\n%s", file, text)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "wiemu-server")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program has mode %v %v", info.Mode(), err)
	}
	if _, err := os.Stat(filepath.Join(dir, "keys")); !os.IsNotExist(err) {
		t.Errorf("a key pair is there, which nobody asked for: %v", err)
	}
}

// The API server's container as kubeadm patches it.
func TestThePatchChangesVariablesByName(t *testing.T) {
	for _, test := range []struct {
		name     string
		opts     nodeservice.Options
		issuer   string
		endpoint string
	}{
		{"the default issuer", nodeservice.Options{}, defaultIssuer(t), nodeservice.Socket},
		{"the first that is hosted", nodeservice.Options{Config: config.Config{Issuers: []config.Issuer{
			{Name: "github", URL: "https://token.actions.githubusercontent.com", External: true}, {Name: "c", URL: "https://c.oic.wiemu.test/"}, {Name: "d"},
		}}}, "https://c.oic.wiemu.test/", nodeservice.Socket},
		{"a shared key pair", nodeservice.Options{Shared: true}, defaultIssuer(t), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var patch struct {
				Spec struct {
					Containers []struct {
						Name string
						Env  []struct{ Name, Value string }
					}
				}
			}
			if err := yaml.Unmarshal([]byte(read(t, given(t, test.opts), "patches", "kube-apiserver+strategic.yaml")), &patch); err != nil {
				t.Fatal(err)
			}
			env := map[string]string{}
			for _, v := range patch.Spec.Containers[0].Env {
				env[v.Name] = v.Value
			}
			if patch.Spec.Containers[0].Name != "kube-apiserver" || env["SERVICE_ACCOUNT_ISSUER"] != test.issuer || env["SERVICE_ACCOUNT_SIGNING_ENDPOINT"] != test.endpoint {
				t.Errorf("%+v, want issuer %s and endpoint %q", patch, test.issuer, test.endpoint)
			}
			if first, _, _ := strings.Cut(env["PATH"], ":"); first != filepath.Dir(nodeservice.Socket) {
				t.Errorf("PATH is %s: the launcher's directory is not the first", env["PATH"])
			}
		})
	}
}

func defaultIssuer(t *testing.T) string {
	t.Helper()
	completed, err := config.Config{}.Complete("")
	if err != nil {
		t.Fatal(err)
	}
	return completed.Issuers[0].URL
}

func TestTheConfigurationComesAlongWithItsFiles(t *testing.T) {
	from := t.TempDir()
	write(t, filepath.Join(from, "wiemu.yaml"), `
listen: {proxy: "127.0.0.1:3128"}
issuers:
  - {name: c, rotateKeysEvery: 168h, publishKeysAhead: 24h}
  - {name: other, url: "https://other.example/", external: true, ca: ca.pem}
applications:
  - {name: app, clientId: 11111111-2222-3333-4444-555555555555, certificates: [{file: app.pem}], federatedCredentials: []}
vaults:
  - {name: vault, secrets: {s: "a: b"}}
`)
	write(t, filepath.Join(from, "ca.pem"), "the CA")
	write(t, filepath.Join(from, "app.pem"), "the certificate")
	file := filepath.Join(from, "wiemu.yaml")
	c, err := config.Parse(file, []byte(read(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	dir := given(t, nodeservice.Options{Config: c, ConfigFile: file})
	text := read(t, dir, "wiemu.yaml")
	got, err := config.Parse("wiemu.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if _, err := got.Complete("wiemu.yaml"); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
	if got.Listen != (config.Listen{Gateway: "0.0.0.0:443", Streams: "0.0.0.0", Control: "0.0.0.0:9444", Proxy: "127.0.0.1:3128"}) {
		t.Errorf("the listeners are %+v", got.Listen)
	}
	if i := got.Issuers[0]; i.RotateKeysEvery != 168*time.Hour || i.PublishKeysAhead != 24*time.Hour {
		t.Errorf("the issuer is %+v", i)
	}
	if got.Vaults[0].Secrets["s"] != "a: b" || got.Applications[0].FederatedCredentials == nil {
		t.Errorf("lost on the way:\n%s", text)
	}
	for name, want := range map[string]string{got.Issuers[1].CA: "the CA", got.Applications[0].Certificates[0].File: "the certificate"} {
		if data := read(t, dir, name); data != want {
			t.Errorf("%s holds %q, want %q", name, data, want)
		}
	}
	if c.Issuers[1].CA != "ca.pem" || c.Applications[0].Certificates[0].File != "app.pem" {
		t.Error("the caller's configuration was changed")
	}

	if err := os.Remove(filepath.Join(from, "app.pem")); err != nil {
		t.Fatal(err)
	}
	if err := (nodeservice.Options{Config: c, ConfigFile: file, Server: file}).Write(t.TempDir()); err == nil || !strings.Contains(err.Error(), "app.pem") {
		t.Errorf("a file that is missing: %v", err)
	}
}

func TestWhatTheNodeDoesNotReachIsRefused(t *testing.T) {
	server := filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(server, []byte("a program"), 0o700); err != nil {
		t.Fatal(err)
	}
	for section, want := range map[string]string{
		"postgresServers: [{name: orders}]":                                                    "postgresServers[0].url: expected the address of a PostgreSQL that runs, as the cluster's node has none to start, found nothing",
		"redis: [{name: orders, url: 'redis://localhost:6379'}]":                               "redis[0].url: expected an address that the cluster's node reaches, found redis://localhost:6379, which is the cluster's node itself",
		"sqlServers: [{name: orders, engine: {url: 'sqlserver://sa:secret@127.0.0.1:14330'}}]": "sqlServers[0].engine.url: expected an address that the cluster's node reaches, found sqlserver://sa:xxxxx@127.0.0.1:14330",
		"storage: {backend: azurite}":                                                          "storage.backend: expected what needs no program of this machine, found Azurite, which the cluster's node does not have to start",
	} {
		c, err := config.Parse("wiemu.yaml", []byte(section+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if err := (nodeservice.Options{Config: c, ConfigFile: "wiemu.yaml", Server: server}).Write(t.TempDir()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: expected %q, found %v", section, want, err)
		}
	}
}

func TestASharedKeyPairIsMountedAndStays(t *testing.T) {
	server := filepath.Join(t.TempDir(), "server")
	write(t, server, "one")
	o := nodeservice.Options{Server: server, Shared: true}
	dir := given(t, o)
	block, _ := pem.Decode([]byte(read(t, dir, "keys", "sa.key")))
	private, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	block, _ = pem.Decode([]byte(read(t, dir, "keys", "sa.pub")))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil || !private.PublicKey.Equal(public.(*rsa.PublicKey)) {
		t.Errorf("sa.pub is not the public half of sa.key: %v", err)
	}
	if unit := read(t, dir, "systemd", "wiemu.service"); !strings.Contains(unit, " -shared-key /opt/wiemu/keys/sa.key ") || strings.Contains(unit, "-signer") {
		t.Errorf("the service is started otherwise:\n%s", unit)
	}
	mounts := o.Mounts(dir)
	for _, want := range []nodeservice.Mount{
		{Host: dir, Node: "/opt/wiemu"}, {Host: filepath.Join(dir, "systemd"), Node: "/usr/local/lib/systemd/system"},
		{Host: filepath.Join(dir, "keys", "sa.key"), Node: "/etc/kubernetes/pki/sa.key"}, {Host: filepath.Join(dir, "keys", "sa.pub"), Node: "/etc/kubernetes/pki/sa.pub"},
	} {
		if !slices.Contains(mounts, want) {
			t.Errorf("not mounted: %+v", want)
		}
	}

	before := read(t, dir, "keys", "sa.key")
	write(t, server, "another program")
	if err := o.Write(dir); err != nil {
		t.Fatal(err)
	}
	if read(t, dir, "keys", "sa.key") != before {
		t.Error("the second time there is another key, which the cluster does not have")
	}
	if read(t, dir, "wiemu-server") != "another program" {
		t.Error("the second time the program stays")
	}
}
