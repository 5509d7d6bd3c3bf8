// Package nodeservice runs wiemu-server as a service of a Kubernetes node that kubeadm
// sets up, such as kind's: it has the files of the node, and what the program does
// there besides serving. It creates no cluster; see package kind.
//
// A node needs two mounts and one kubeadm patch, and nothing in its image:
//
//   - [Dir] holds the program, its wiemu.yaml and the patch, [UnitDir] a systemd
//     unit and what enables it. Both are mounted read-only; see [Mounts].
//   - The patch (named by [KubeadmPatch]) sets two variables of the API server's
//     container, by name, so that it depends on no version's order of flags. PATH
//     makes kube-apiserver a launcher, [Launch], which starts the real one with
//     tokens signed by this service.
package nodeservice

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	_ "embed"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/lab"
)

// Paths, addresses and ports in a node.
const (
	Dir      = "/opt/wiemu"                    // the files of the node
	UnitDir  = "/usr/local/lib/systemd/system" // on systemd's path, and empty in images of nodes
	StateDir = "/var/lib/wiemu"                // what the service stores: see server.Options.Keep
	LabDir   = StateDir + "/lab"               // trust bundle and token files
	Unit     = "wiemu.service"

	ControlToken = StateDir + "/control-token" // holds the bearer token of the control endpoint

	Socket    = pkiDir + "/signer.sock"        // of the API server's signer
	Cluster   = "/etc/kubernetes/admin.conf"   // how the service reaches the API server
	SharedKey = Dir + "/" + keyDir + "/sa.key" // signs where external signers are not supported

	Advertised     = "169.254.7.7"    // of the emulated hosts for the node's pods, whatever address the node has
	WebhookAddress = "127.0.0.1:9443" // of the node's own network, where the API server is
	ControlPort    = 9444             // of the control endpoint, on every address of the node
	GatewayPort    = 443              // of the emulated names, on every address of the node
)

// Changes are patterns of the files in StateDir that hold what was changed at run time, and the
// logs beside them. Without those files only wiemu.yaml counts; keys, CA and control token stay.
var Changes = []string{"*.json", "*.log"}

const (
	kubernetesPKI = "/etc/kubernetes/pki"    // kubeadm mounts it into the API server's pod
	pkiDir        = kubernetesPKI + "/wiemu" // so this directory is visible there
	keyDir        = "keys"
)

// Options describe the service of a node.
type Options struct {
	// Config is the lab: its first hosted issuer becomes the cluster's, its gateway
	// and control endpoint listen on every address of the node.
	Config config.Config
	// ConfigFile is where Config was read from. Files that it names are copied.
	ConfigFile string
	// Server is the file of wiemu-server for Linux and the node's architecture.
	Server string
	// Advertise is the address of the emulated hosts for pods. Defaults to Advertised, which
	// only pods of the same node reach.
	Advertise string
	// Shared gives the API server a key pair, of which the service has the same private key,
	// instead of a signer to ask: for Kubernetes before 1.34. That key cannot be rotated.
	Shared bool
}

// File is one file of a node.
type File struct {
	Data []byte
	Mode fs.FileMode
}

//go:embed files/wiemu.service
var unit string

//go:embed files/enable.conf
var enable string

//go:embed files/kube-apiserver.yaml
var patch string

// Files returns the files below Dir, by their slash-separated names.
func (o Options) Files() (map[string]File, error) {
	program, err := os.ReadFile(o.Server)
	if err != nil {
		return nil, fmt.Errorf("read the program for the node: %w; make build-all builds it, or name another wiemu-server for Linux", err)
	}
	files := map[string]File{"wiemu-server": {program, 0o755}}
	lab, url, err := o.configuration(files)
	if err != nil {
		return nil, err
	}
	files["wiemu.yaml"] = File{lab, 0o644}
	files["systemd/"+Unit] = File{o.expand(unit, url), 0o644}
	files["systemd/multi-user.target.d/wiemu.conf"] = File{o.expand(enable, url), 0o644}
	files["patches/kube-apiserver+strategic.yaml"] = File{o.expand(patch, url), 0o644}
	if o.Shared {
		private, public, err := NewKeyPair()
		if err != nil {
			return nil, err
		}
		files[keyDir+"/sa.key"] = File{private, 0o600}
		files[keyDir+"/sa.pub"] = File{public, 0o644}
	}
	return files, nil
}

// Write writes the files below a directory of the host, which it creates. An existing key pair
// stays: the cluster's API server has it, too.
func (o Options) Write(dir string) error {
	files, err := o.Files()
	if err != nil {
		return err
	}
	for name, f := range files {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if _, err := os.Lstat(file); err == nil && path.Dir(name) == keyDir {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("write the node's files: %w", err)
		}
		if err := replace(file, f); err != nil {
			return fmt.Errorf("write the node's files: %w", err)
		}
	}
	return nil
}

// replace replaces a file that a service may be running.
func replace(name string, f File) error {
	if old, err := os.ReadFile(name); err == nil && bytes.Equal(old, f.Data) {
		return os.Chmod(name, f.Mode)
	}
	return file.Replace(name, bytes.NewReader(f.Data), f.Mode)
}

// Mount is a file or directory of the host that a node sees, read-only.
type Mount struct{ Host, Node string }

// Mounts returns the mounts of a node for the files that Write has written below dir.
func (o Options) Mounts(dir string) []Mount {
	mounts := []Mount{{dir, Dir}, {filepath.Join(dir, "systemd"), UnitDir}}
	if o.Shared {
		for _, name := range []string{"sa.key", "sa.pub"} {
			mounts = append(mounts, Mount{filepath.Join(dir, keyDir, name), kubernetesPKI + "/" + name})
		}
	}
	return mounts
}

// KubeadmPatch returns the patch of kubeadm's configuration of the first node, in the form of
// kind's kubeadmConfigPatches.
const KubeadmPatch = "kind: InitConfiguration\npatches: {directory: " + Dir + "/patches}\n"

func (o Options) expand(text, issuer string) []byte {
	signer, endpoint := "-signer "+Socket, Socket
	if o.Shared {
		signer, endpoint = "-shared-key "+SharedKey, ""
	}
	values := map[string]string{
		"DIR": Dir, "UNIT": Unit, "PKI": pkiDir, "STATE": StateDir, "STATE_NAME": path.Base(StateDir), "LAB": LabDir,
		"SIGNER": signer, "ENDPOINT": endpoint, "WEBHOOK": WebhookAddress, "CLUSTER": Cluster, "ISSUER": issuer,
		"ADDRESS": Advertised, "ADVERTISE": cmp.Or(o.Advertise, Advertised), "LAUNCHER": Launcher,
		"ISSUER_VARIABLE": issuerVariable, "ENDPOINT_VARIABLE": endpointVariable,
	}
	return []byte(os.Expand(text, func(name string) string {
		value, known := values[name]
		if !known {
			panic("nodeservice: no value for ${" + name + "}")
		}
		return value
	}))
}

// elsewhere is where the emulator runs.
var elsewhere = lab.Elsewhere{
	Place:   "the cluster's node",
	Reached: "an address that the node reaches: this machine's in the node's network, such as 172.18.0.1, or the clusterIP of a Service",
}

// configuration returns the node's wiemu.yaml and the URL of the cluster's issuer, and adds
// the files that the configuration names to files.
func (o Options) configuration(files map[string]File) (text []byte, issuer string, err error) {
	completed, err := o.Config.Complete(o.ConfigFile)
	if err != nil {
		return nil, "", err
	}
	if err := elsewhere.Check(completed, o.ConfigFile); err != nil {
		return nil, "", err
	}
	i := slices.IndexFunc(completed.Issuers, func(i config.Issuer) bool { return !i.External }) // Complete adds one
	c := o.Config
	c.Listen.Streams = "0.0.0.0"
	c.Listen.Gateway, c.Listen.Control = fmt.Sprintf("0.0.0.0:%d", GatewayPort), fmt.Sprintf("0.0.0.0:%d", ControlPort)
	c = lab.MoveFiles(c, o.ConfigFile, func(at string) string {
		name := fmt.Sprintf("files/%d-%s", len(files), filepath.Base(at))
		data, failed := os.ReadFile(at)
		files[name], err = File{data, 0o600}, cmp.Or(err, failed)
		return name
	})
	if err != nil {
		return nil, "", fmt.Errorf("%s: a file that it names: %w", o.ConfigFile, err)
	}
	if text, err = c.YAML(); err != nil {
		return nil, "", fmt.Errorf("write the node's wiemu.yaml: %w", err)
	}
	return text, completed.Issuers[i].URL, nil
}

// NewKeyPair returns a new key pair as kubeadm creates it for service-account tokens: the
// files sa.key and sa.pub.
func NewKeyPair() (private, public []byte, err error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key pair: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, fmt.Errorf("encode a public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}
