// Package layout says how an emulator and its workloads are laid out in
// containers: paths, names, ports, the configuration that the emulator's container
// is given and the environment of a workload's. It starts no container; see
// compose, overlay and stack.
package layout

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wiemu/wiemu/emulator/cloud"
	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/emulator/trust"
	"github.com/wiemu/wiemu/harness"
	"github.com/wiemu/wiemu/harness/workload"
)

// What a workload's container sees.
const (
	TokenDir    = "/var/run/secrets/azure/tokens" // azure-workload-identity before v1.6, and the contract of wiemu
	TokenFile   = TokenDir + "/azure-identity-token"
	TrustDir    = "/var/run/secrets/wiemu/trust"
	LockstepDir = "/var/run/secrets/wiemu/lockstep" // of programs on the lab clock
)

// What is in the emulator's container.
const (
	ConfigFile       = "/etc/wiemu/wiemu.yaml"
	filesDir         = "/etc/wiemu/files" // that the configuration names
	StateDir         = "/state"           // the CA with its key, and the control door's token: nobody else mounts it
	ControlTokenFile = StateDir + "/control-token"
	labDir           = "/lab"
	LabTrustDir      = labDir + "/trust"
	LabLockstepDir   = "/lockstep"

	GatewayPort = 443
	ControlPort = 9444
	ControlHost = "control.wiemu.test" // the name of the control door for programs on the lab clock
	User        = 65532
)

// PortSysctl lets a program without privileges listen on port 443. It is the default of
// Docker since 20.03, and not of every other runtime.
const PortSysctl = "net.ipv4.ip_unprivileged_port_start"

// ProjectLabel is on the emulator's container: by which the commands that steer find it.
const ProjectLabel = "dev.wiemu.emulator"

// TokenPath is where the emulator's container keeps a workload's token file: a
// volume that the workload mounts at TokenDir.
func TokenPath(w workload.Workload) string {
	return path.Join(labDir, "tokens", w.Namespace+"_"+w.ServiceAccount)
}

// Variables are what a workload's container is told. What the container has already
// counts for Java alone, whose options are added to.
func Variables(env harness.Environment, own []string) map[string]string {
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

// VolumeOptions make a volume in memory, as those of projected tokens are, that
// belongs to the emulator's user and that everybody can read. Source: mount(8), tmpfs;
// Docker's local volume driver hands them to mount(2).
func VolumeOptions() map[string]string {
	return map[string]string{"type": "tmpfs", "device": "tmpfs", "o": fmt.Sprintf("uid=%d,gid=%[1]d,mode=0755", User)}
}

// Arguments are those of wiemu-server in the emulator's container.
func Arguments(lockstep bool) []string {
	args := []string{"-f", ConfigFile, "-state", StateDir, "-lab", labDir}
	if lockstep {
		args = append(args, "-lockstep", LabLockstepDir, "-control-url", fmt.Sprintf("http://%s:%d", ControlHost, ControlPort))
	}
	return args
}

// Bundle is the trust as workloads' containers see it: the roots that everybody
// trusts, and the lab's.
func Bundle() trust.Bundle {
	return trust.Bundle{Root: "ca.pem", Roots: "roots.pem", TrustStore: "truststore.p12"}.At(TrustDir)
}

// File is one that the configuration names, and where the emulator's container has it.
type File struct {
	Host, Container string
}

// Lab is what the emulator's container is told, and what follows from it for others.
type Lab struct {
	Config []byte   // content of ConfigFile
	Hosts  []string // the emulated hosts, each a network alias of the emulator
	Files  []File   // that Config names

	tenants   []config.Tenant
	authority string
}

// NewLab makes the configuration of an emulator in a container from one that was
// read from file.
func NewLab(c config.Config, file string) (Lab, error) {
	c.Listen = config.Listen{Gateway: fmt.Sprintf("0.0.0.0:%d", GatewayPort), Control: fmt.Sprintf("0.0.0.0:%d", ControlPort)}
	var l Lab
	completed, err := c.Complete(file)
	if err != nil {
		return l, err
	}
	l.tenants = completed.Tenants
	in, _ := cloud.Named(completed.Cloud) // Complete refuses one that there is not
	l.authority = in.Authority()
	l.Hosts = hosts(completed, in)
	c, l.Files = containerFiles(c, filepath.Dir(file))
	if l.Config, err = yaml.Marshal(c); err != nil {
		return l, fmt.Errorf("write the emulator's configuration: %w", err)
	}
	return l, nil
}

// InFile is a workload as wiemu.yaml has it.
func InFile(d harness.Declared) config.Workload {
	w := config.Workload{
		Name: d.Workload.Component, Namespace: d.Workload.Namespace, ServiceAccount: d.Workload.ServiceAccount, ClientID: d.Workload.ClientID,
		Tenant: d.Identity.Tenant, Issuer: d.Identity.Issuer, Audience: d.Identity.Audience, TokenLifetime: d.Identity.TokenLifetime,
	}
	if d.Workload.Environment != "" { // names are unique there
		w.Name = d.Workload.Environment + "-" + d.Workload.Component
	}
	return w
}

// hosts are the emulated hosts that a network can have as aliases, which have no
// wildcards: those that emulator.Emulator.Hosts returns.
func hosts(c config.Config, in cloud.Cloud) []string {
	login := slices.DeleteFunc(cloud.LoginHosts(), func(host string) bool { return strings.HasPrefix(host, ".") })
	all := slices.Concat(login, []string{in.Graph, "ib." + config.IssuerDomain}, in.Management) // ib: of identity bindings
	for _, v := range c.Vaults {
		all = append(all, strings.ToLower(v.Name)+"."+in.Vault)
	}
	for _, i := range c.Issuers {
		if u, err := url.Parse(i.URL); err == nil && !i.External {
			all = append(all, strings.ToLower(u.Hostname()))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// containerFiles gives the files that a configuration names the paths that they
// have in the container.
func containerFiles(c config.Config, dir string) (config.Config, []File) {
	var files []File
	move := func(name *string) {
		if *name == "" {
			return
		}
		at := *name
		if !filepath.IsAbs(at) {
			at = filepath.Join(dir, at)
		}
		f := File{Host: at, Container: path.Join(filesDir, fmt.Sprintf("%d-%s", len(files), filepath.Base(at)))}
		files = append(files, f)
		*name = f.Container
	}
	c.Issuers = slices.Clone(c.Issuers)
	for i := range c.Issuers {
		move(&c.Issuers[i].CA)
		move(&c.Issuers[i].BearerTokenFile)
	}
	c.Applications = slices.Clone(c.Applications)
	for i := range c.Applications {
		certificates := slices.Clone(c.Applications[i].Certificates)
		for j := range certificates {
			move(&certificates[j].File)
		}
		c.Applications[i].Certificates = certificates
	}
	return c, files
}

// Environment is what the container of a workload is told, besides what it is told
// already.
func (l Lab) Environment(d harness.Declared) harness.Environment {
	tenant := l.tenants[0].ID
	for _, t := range l.tenants {
		if d.Identity.Tenant != "" && (strings.EqualFold(t.ID, d.Identity.Tenant) || slices.ContainsFunc(t.Domains, func(domain string) bool { return strings.EqualFold(domain, d.Identity.Tenant) })) {
			tenant = t.ID
		}
	}
	return harness.Environment{ClientID: d.Workload.ClientID, TenantID: tenant, AuthorityHost: l.authority}
}
