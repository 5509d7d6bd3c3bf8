// Package containers runs an emulator and its workloads as containers: their paths, names, ports
// and volumes, the configuration of the emulator's container and the variables of a workload's.
// [Backend] starts them with Docker; package overlay writes them into a compose file.
package containers

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/network"
	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/azwi"
	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/docker"
	"github.com/wiemu/wiemu/internal/lab"
	"github.com/wiemu/wiemu/internal/resource"
	"github.com/wiemu/wiemu/internal/resource/keyvault"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// What a workload's container sees.
const (
	TokenDir    = azwi.TokenDir // azure-workload-identity before v1.6, and the contract of wiemu
	TokenFile   = TokenDir + "/" + azwi.TokenFile
	TrustDir    = "/var/run/secrets/wiemu/trust"
	MountedDir  = "/var/run/secrets/wiemu/mounted"  // has MountedName
	LockstepDir = "/var/run/secrets/wiemu/lockstep" // of programs on the lab clock
)

// What is in the emulator's container.
const (
	ConfigFile       = "/etc/wiemu/wiemu.yaml"
	VaultsFile       = "/etc/wiemu/vaults.json" // what the emulator mounts of key vaults; see Configuration.Mounting
	filesDir         = "/etc/wiemu/files"       // that the configuration names
	StateDir         = "/state"                 // the CA with its key, and the token of the control endpoint: no other container mounts it
	ControlTokenFile = StateDir + "/control-token"
	LabDir           = "/lab"
	LabTrustDir      = LabDir + "/trust"
	LabLockstepDir   = "/lockstep"

	GatewayPort = 443
	ControlPort = 9444
	ControlHost = "control.wiemu.test" // the name of the control endpoint for programs on the lab clock
)

// PortSysctl lets a program without privileges listen on port 443. It is the default of
// Docker since 20.10, and not of every other runtime.
const PortSysctl = "net.ipv4.ip_unprivileged_port_start"

// Variables returns the variables of a workload's container: those of env, with paths in the
// container. Of the container's own variables, NAME=VALUE, only the options for Java matter:
// the lab's are added to them.
func Variables(env session.PodEnv, own []string) map[string]string {
	const java = "JAVA_TOOL_OPTIONS"
	env.TokenFile, env.ProxyURL, env.ConfigDir, env.Bundle = TokenFile, "", "", Bundle()
	base := []string{}
	for _, v := range own {
		if strings.HasPrefix(v, java+"=") {
			base = append(base, v)
		}
	}
	variables := map[string]string{}
	for _, v := range env.Environ(base) {
		name, text, _ := strings.Cut(v, "=")
		variables[name] = text
	}
	return variables
}

// VolumeOptions returns the options of a volume in memory, as those of projected tokens are,
// which belongs to the emulator's user and is readable by all. Source: mount(8), tmpfs;
// Docker's local volume driver hands them to mount(2).
func VolumeOptions() map[string]string {
	return map[string]string{"type": "tmpfs", "device": "tmpfs", "o": fmt.Sprintf("uid=%d,gid=%[1]d,mode=0755", docker.User)}
}

// Arguments returns the arguments of wiemu-server in the emulator's container. lockstep says
// that it has the volume LabLockstepDir, in which workloads find wiemu-server.
func (l Configuration) Arguments(lockstep bool) []string {
	args := []string{"-f", ConfigFile, "-state", StateDir, "-lab", LabDir}
	if l.Vaults != nil {
		args = append(args, "-vaults", VaultsFile)
	}
	if lockstep {
		args = append(args, "-lockstep", LabLockstepDir, "-control-url", fmt.Sprintf("http://%s:%d", ControlHost, ControlPort))
	}
	return args
}

// Bundle returns the CA bundle as workloads' containers see it: the public roots and the lab's.
func Bundle() ca.Bundle {
	return ca.Bundle{Root: "ca.pem", Roots: "roots.pem", TrustStore: "truststore.p12"}.At(TrustDir)
}

// File is a file that the configuration names, and its path in the emulator's container.
type File struct {
	Host, Container string
}

// Configuration is that of the emulator's container, with what other containers need of it.
type Configuration struct {
	Config []byte   // content of ConfigFile
	Hosts  []string // the emulated hosts, each a network alias of the emulator
	Files  []File   // that Config names
	Vaults []byte   // content of VaultsFile; nil if workloads mount no key vault

	Engines []resource.Engine // what resources have behind them

	tenants   []config.Tenant
	authority string
}

// NewConfiguration returns that of an emulator in a container, made of one that was read
// from file. programs says that the image is not wiemu's own, and may have programs to start, such
// as PostgreSQL.
func NewConfiguration(c config.Config, file string, programs bool) (Configuration, error) {
	c.Listen = config.Listen{Gateway: fmt.Sprintf("0.0.0.0:%d", GatewayPort), Streams: "0.0.0.0", Control: fmt.Sprintf("0.0.0.0:%d", ControlPort)}
	var l Configuration
	completed, err := c.Complete(file)
	if err != nil {
		return l, err
	}
	from := lab.Elsewhere{
		Place: "the emulator's container", Programs: programs,
		Reached: "the name of a container in the same network, such as a service of the compose file, or this machine's address there, such as 172.17.0.1",
	}
	if err := from.Check(completed, file); err != nil {
		return l, err
	}
	l.Engines = lab.Engines(completed)
	l.tenants = completed.Tenants
	in, _ := cloud.Named(completed.Cloud) // Complete refuses one that there is not
	l.authority = in.Authority()
	l.Hosts = lab.Hosts(completed)
	c = lab.MoveFiles(c, file, func(at string) string {
		l.Files = append(l.Files, File{Host: at, Container: path.Join(filesDir, fmt.Sprintf("%d-%s", len(l.Files), filepath.Base(at)))})
		return l.Files[len(l.Files)-1].Container
	})
	if l.Config, err = yaml.Marshal(c); err != nil {
		return l, fmt.Errorf("write the emulator's configuration: %w", err)
	}
	return l, nil
}

// Mounting returns the configuration with the key vaults that the emulator is to mount for its
// workloads, in their order.
func (l Configuration) Mounting(vaults [][]workload.KeyVault) (Configuration, error) {
	if !slices.ContainsFunc(vaults, func(v []workload.KeyVault) bool { return len(v) > 0 }) {
		return l, nil
	}
	var err error
	if l.Vaults, err = json.Marshal(vaults); err != nil {
		return l, fmt.Errorf("write what is mounted of key vaults: %w", err)
	}
	return l, nil
}

// Environment returns what the container of a workload needs to know of its identity; see
// [Variables].
func (l Configuration) Environment(d workload.Spec) session.PodEnv {
	tenant := l.tenants[0].ID
	for _, t := range l.tenants {
		if d.Tenant != "" && (strings.EqualFold(t.ID, d.Tenant) || slices.ContainsFunc(t.Domains, func(domain string) bool { return strings.EqualFold(domain, d.Tenant) })) {
			tenant = t.ID
		}
	}
	return session.PodEnv{ClientID: d.ClientID, TenantID: tenant, AuthorityHost: l.authority}
}

// Control is the port of the control endpoint in the emulator's container.
var Control = network.MustParsePort(fmt.Sprintf("%d/tcp", ControlPort))

// Ready begins the line that the emulator writes when it has admitted the workloads of its
// configuration.
const Ready = "ready: "

// TokenName is the name of token files in the directories of [TokenPaths].
const TokenName = azwi.TokenFile

// TokenPaths returns for each workload the directory in which the emulator's container has its
// token file: a volume that the workload mounts at TokenDir. Specs of one pod share it. The
// emulator names the directories by the same rule, in the order of its configuration.
func TokenPaths(workloads []workload.Spec) []string {
	at := func(name string) string { return path.Join(LabDir, "tokens", name) }
	paths := make([]string, len(workloads))
	for i, w := range workloads {
		if first := slices.IndexFunc(workloads, w.SamePod); first < i {
			paths[i] = paths[first]
			continue
		}
		paths[i] = at(w.TokenDirectory(func(name string) bool { return slices.Contains(paths[:i], at(name)) }))
	}
	return paths
}

// VaultMount is a volume with what a workload mounts of a key vault.
type VaultMount struct {
	Vault string // its name
	At    string // its directory in the emulator's container
	Path  string // in the workload's
}

// VaultMounts returns the volumes of a workload whose token file is in the directory tokens
// (see [TokenPaths]) of the emulator's container. The emulator refuses a vault with a name that
// Key Vault does not allow, which has no volume.
func VaultMounts(tokens string, w workload.Spec) []VaultMount {
	var all []VaultMount
	for _, v := range w.KeyVaults {
		if keyvault.ValidVaultName(v.Name) {
			all = append(all, VaultMount{v.Name, path.Join(LabDir, "mounts", path.Base(tokens), v.Name), v.MountPath()})
		}
	}
	return all
}

// MountedName is the name of the file with the variables that a workload has of key vaults.
const MountedName = "variables.json"

// MountedAt returns the directory in the emulator's container that has the file MountedName of
// a workload whose token file is in the directory tokens there.
func MountedAt(tokens string) string { return path.Join(LabDir, "mounted", path.Base(tokens)) }

// Volumes returns the names of the emulator's volumes by mount point: the trust, and the token
// files and key vaults of workloads. The names begin with prefix.
func Volumes(prefix string, workloads []workload.Spec) map[string]string {
	volumes := map[string]string{LabTrustDir: prefix + "-trust"}
	for n, at := range TokenPaths(workloads) {
		if volumes[at] != "" {
			continue
		}
		volumes[at] = fmt.Sprintf("%s-token-%d", prefix, n)
		for m, v := range VaultMounts(at, workloads[n]) {
			volumes[v.At] = fmt.Sprintf("%s-vault-%d-%d", prefix, n, m)
		}
	}
	return volumes
}

// Configure sets what the emulator's container needs: no privileges, and its volumes, which
// are created with labels unless they exist.
func Configure(h *container.HostConfig, volumes, labels map[string]string) {
	h.Sysctls = map[string]string{PortSysctl: "0"}
	h.CapDrop = []string{"ALL"}
	h.SecurityOpt = []string{"no-new-privileges:true"}
	for at, name := range volumes {
		h.Mounts = append(h.Mounts, mount.Mount{Type: mount.TypeVolume, Source: name, Target: at, VolumeOptions: &mount.VolumeOptions{
			NoCopy: true, Labels: labels, DriverConfig: &mount.Driver{Name: "local", Options: VolumeOptions()},
		}})
	}
	// The order is always the same, and what is mounted below another comes behind it.
	slices.SortFunc(h.Mounts, func(a, b mount.Mount) int { return cmp.Compare(a.Target, b.Target) })
}

// ReadOnly returns the mount of one of the emulator's volumes in a workload's container.
func ReadOnly(volume, target string) mount.Mount {
	return mount.Mount{Type: mount.TypeVolume, Source: volume, Target: target, ReadOnly: true, VolumeOptions: &mount.VolumeOptions{NoCopy: true}}
}

// Contents returns the files to put into the emulator's container: the configuration, the
// files that it names, and the token of the control endpoint.
func (l Configuration) Contents(controlToken string) ([]docker.File, error) {
	files := []docker.File{
		{Name: ConfigFile[1:], Mode: 0o644, Content: l.Config},
		{Name: ControlTokenFile[1:], Mode: 0o600, Content: []byte(controlToken)},
	}
	if l.Vaults != nil {
		files = append(files, docker.File{Name: VaultsFile[1:], Mode: 0o644, Content: l.Vaults})
	}
	for _, f := range l.Files {
		data, err := os.ReadFile(f.Host)
		if err != nil {
			return nil, fmt.Errorf("read a file that the configuration names: %w", err)
		}
		files = append(files, docker.File{Name: f.Container[1:], Mode: 0o644, Content: data})
	}
	return files, nil
}
