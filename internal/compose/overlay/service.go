package overlay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"github.com/wiemu/wiemu/internal/cloud"
	"github.com/wiemu/wiemu/internal/containers"
	"github.com/wiemu/wiemu/internal/docker"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/resource/table"
)

// services gives every service with an identity what it needs.
func (g *generator) services(ctx context.Context) error {
	g.file.Services = map[string]service{}
	g.tokens = map[string]string{}
	for _, s := range g.found {
		out, err := g.service(ctx, s, g.all[s.Name])
		if err != nil {
			return err
		}
		g.file.Services[s.Name] = out
	}
	return nil
}

func (g *generator) service(ctx context.Context, s Service, theirs types.ServiceConfig) (service, error) {
	image, known, err := g.inspect(ctx, theirs)
	if err != nil {
		return service{}, err
	}
	out := service{
		Environment: g.environment(s, theirs, image),
		DependsOn:   map[string]map[string]string{g.wiemu: {"condition": "service_healthy"}},
		Volumes: []mount{
			g.readOnly(g.tokenVolume(s), containers.TokenDir),
			g.readOnly(g.memory("trust"), containers.TrustDir),
		},
	}
	if s.Lockstep {
		if err := g.lockstep(&out, theirs, image, known); err != nil {
			return out, err
		}
	}
	g.mountVaults(&out, s, theirs, image, known)
	g.look(theirs)
	return out, nil
}

// mountVaults gives the service what Radix mounts of key vaults: volumes with the files, and a
// start under wiemu-server, which sets the variables.
func (g *generator) mountVaults(out *service, s Service, theirs types.ServiceConfig, image docker.Image, known bool) {
	tokens := g.tokensAt(s)
	for _, v := range containers.VaultMounts(tokens, s.Workload) {
		out.Volumes = append(out.Volumes, g.readOnly(g.shared(v.At, "vault-"+path.Base(tokens)+"-"+v.Vault), v.Path))
	}
	var variables []string
	for _, vault := range s.Workload.KeyVaults {
		for _, item := range vault.Items {
			if item.EnvVar != "" {
				variables = append(variables, item.EnvVar)
			}
		}
	}
	if len(variables) == 0 {
		return
	}
	entrypoint, command, found := startOf(theirs, image, known)
	if len(out.Entrypoint) > 0 { // it starts in lockstep, which knows both
		entrypoint, command, found = nil, nil, true
	}
	if !found {
		g.remark("services.%s: secretRefs.azureKeyVaults of workload %s: there will be no %s, as it takes another entrypoint to set them, and the image and what it starts are not known here; type: %s (or write entrypoint and command into the service)", s.Name, s.Workload.Component, strings.Join(variables, ", "), g.fetching(theirs))
		return
	}
	if len(out.Entrypoint) == 0 {
		out.Entrypoint, out.Command = literals(entrypoint), literals(command)
		out.Volumes = append(out.Volumes, g.wiemuServer())
	}
	out.Entrypoint = append([]string{programPath, "mounted", path.Join(containers.MountedDir, containers.MountedName), "--"}, out.Entrypoint...)
	out.Volumes = append(out.Volumes, g.readOnly(g.shared(containers.MountedAt(tokens), "mounted-"+path.Base(tokens)), containers.MountedDir))
}

// startOf returns what a service starts; not found is what the image says, and the image is not
// here, or says nothing.
func startOf(theirs types.ServiceConfig, image docker.Image, known bool) (entrypoint, command []string, found bool) {
	entrypoint, command = theirs.Entrypoint, theirs.Command
	if theirs.Entrypoint == nil { // an empty list removes the image's
		if !known {
			return nil, nil, false
		}
		entrypoint = image.Entrypoint
		if theirs.Command == nil {
			command = image.Command // Docker: a service's own entrypoint removes the image's command
		}
	}
	return entrypoint, command, len(entrypoint)+len(command) > 0
}

// programPath is where services have wiemu-server that are started by it.
var programPath = path.Join(containers.LockstepDir, "wiemu-server")

func (g *generator) wiemuServer() mount {
	g.program = true
	return g.readOnly(g.memory("lockstep"), containers.LockstepDir)
}

// environment returns the variables of the service. Its own variables about CAs are not
// changed; options for Java are appended to its own.
func (g *generator) environment(s Service, theirs types.ServiceConfig, image docker.Image) map[string]string {
	const java = "JAVA_TOOL_OPTIONS"
	own := cmp.Or(value(theirs, java), lookup(image.Env, java))
	env := map[string]string{}
	for name, text := range containers.Variables(g.lab.Environment(s.Workload), []string{java + "=" + own}) {
		if theirs := value(theirs, name); name != java && !strings.HasPrefix(name, "AZURE_") && theirs != "" {
			g.remark("services.%s.environment.%s: it stays %s, which has to hold the lab's root, too: %s", s.Name, name, theirs, containers.Bundle().Root)
			continue
		}
		env[name] = literal(text)
	}
	for _, name := range []string{"AZURE_AUTHORITY_HOST", "AZURE_FEDERATED_TOKEN_FILE"} {
		if own := value(theirs, name); own != "" && own != env[name] {
			g.remark("services.%s.environment.%s: %s becomes %s", s.Name, name, own, env[name])
		}
	}
	return env
}

func lookup(env []string, name string) string {
	for _, v := range env {
		if text, ok := strings.CutPrefix(v, name+"="); ok {
			return text
		}
	}
	return ""
}

// tokenVolume returns the volume of an identity's token file; services with it share one.
func (g *generator) tokenVolume(s Service) string {
	at := g.tokensAt(s)
	return g.shared(at, "token-"+path.Base(at))
}

// tokensAt returns the directory of a service's token file in the emulator's container.
func (g *generator) tokensAt(s Service) string {
	return containers.TokenPaths(g.used)[slices.IndexFunc(g.used, s.Workload.SamePod)]
}

// shared returns the volume at a path in the emulator's container, which has a name of its own
// the first time.
func (g *generator) shared(at, name string) string {
	if known, ok := g.tokens[at]; ok {
		return known
	}
	name = strings.ReplaceAll(name, ".", "-")
	free := name
	for n := 2; g.taken(free); n++ { // names of pods and vaults have hyphens, too
		free = fmt.Sprintf("%s-%d", name, n)
	}
	g.tokens[at] = g.memory(free)
	return g.tokens[at]
}

func (g *generator) taken(name string) bool {
	_, ok := g.volumes[g.wiemu+"-"+name]
	return ok
}

func (g *generator) memory(name string) string {
	name = g.wiemu + "-" + name
	g.volumes[name] = volume{Driver: "local", DriverOpts: containers.VolumeOptions()}
	return name
}

func (g *generator) readOnly(volume, target string) mount {
	return mount{Type: "volume", Source: volume, Target: target, ReadOnly: true, Volume: &mountVolume{NoCopy: true}}
}

func (g *generator) writable(volume, target string) mount {
	return mount{Type: "volume", Source: volume, Target: target}
}

// inspect tells of a service's image; not known is one that is not there.
func (g *generator) inspect(ctx context.Context, s types.ServiceConfig) (docker.Image, bool, error) {
	name := cmp.Or(s.Image, g.project.Name+"-"+s.Name) // as compose names what it builds
	if g.opts.Inspect == nil {
		return docker.Image{}, false, nil
	}
	image, err := g.opts.Inspect(ctx, name)
	if errors.Is(err, docker.ErrNoImage) {
		return docker.Image{}, false, nil
	}
	if err != nil {
		return docker.Image{}, false, fmt.Errorf("services.%s.image: %w", s.Name, err)
	}
	return image, true, nil
}

// lockstep makes the service start on the lab clock, under wiemu-server.
func (g *generator) lockstep(out *service, theirs types.ServiceConfig, image docker.Image, known bool) error {
	entrypoint, command, found := startOf(theirs, image, known)
	if theirs.Entrypoint == nil && !known {
		return g.unknownImage(theirs)
	}
	if !found {
		return fmt.Errorf("services.%s.command: expected what to run on the lab clock, found neither an entrypoint nor a command, here and in the image", theirs.Name)
	}
	out.Entrypoint = literals(append([]string{programPath, "timeshift", "--"}, entrypoint...))
	out.Command = literals(command)
	out.Volumes = append(out.Volumes, g.wiemuServer())
	user := cmp.Or(theirs.User, image.User)
	if isRoot(user) {
		// A program that root starts may become another user; this lets the supervisor read
		// its memory (ptrace(2), PTRACE_MODE_ATTACH). Docker's seccomp profile
		// allows the rest since Linux 4.8.
		out.CapAdd = []string{"SYS_PTRACE"}
	}
	return nil
}

func isRoot(user string) bool {
	name, _, _ := strings.Cut(user, ":")
	return name == "" || name == "0" || name == "root"
}

// fetching is the command by which the image of a service comes to this machine.
func (g *generator) fetching(s types.ServiceConfig) string {
	if s.Build != nil {
		return "docker compose " + filesOf(g.project) + " build " + s.Name
	}
	return "docker pull " + s.Image
}

func (g *generator) unknownImage(s types.ServiceConfig) error {
	return fmt.Errorf("services.%s.labels.%s: %s needs to know the image's entrypoint, and the image is not here; type: %s (or write entrypoint and command into the service)", s.Name, ClockLabel, Lockstep, g.fetching(s))
}

// look adds remarks about what will not work in a service.
func (g *generator) look(s types.ServiceConfig) {
	for host := range s.ExtraHosts {
		if slices.Contains(g.lab.Hosts, strings.ToLower(host)) {
			g.remark("services.%s.extra_hosts: %s leads past the emulator; remove it", s.Name, host)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Environment)) {
		text := value(s, name)
		if slices.Contains([]string{"AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME"}, name) && text != "" {
			g.remark("services.%s.environment.%s: DefaultAzureCredential takes it before the workload identity; remove it", s.Name, name)
			continue
		}
		for _, host := range hostname().FindAllString(strings.ToLower(text), -1) {
			if section := g.missing(host); section != "" {
				g.remark("services.%s.environment.%s: there is no %s in the lab, and no network alias; add it under %s in wiemu.yaml, and give that with --config", s.Name, name, host, section)
			}
		}
	}
}

// hostname finds the names of hosts in URLs, connection strings and lists.
var hostname = lazyregexp.New(`[a-z0-9-]+(\.[a-z0-9-]+){2,}`)

// missing returns the section of wiemu.yaml in which a host is to be added: one that an
// application expects, and the lab does not have. It is "" for all others.
func (g *generator) missing(host string) string {
	if slices.Contains(g.lab.Hosts, host) {
		return ""
	}
	for _, name := range cloud.Names() {
		in, _ := cloud.Named(name)
		if d, _ := table.Instance(in, host); d != nil && !isAudience(in, host) {
			return cmp.Or(d.Section.Name, "vaults") // whose section is the configuration's own
		}
	}
	return ""
}

// isAudience reports whether tokens are for a host, such as ossrdbms-aad.database.windows.net, which is
// then no server.
func isAudience(in cloud.Cloud, host string) bool {
	for _, d := range table.Resources() {
		if slices.Contains(d.Audiences(in), "https://"+host) {
			return true
		}
	}
	return false
}

// networksOf returns the networks in which a service resolves names.
func (g *generator) networksOf(name string, seen ...string) ([]string, error) {
	s := g.all[name]
	mode, of, _ := strings.Cut(s.NetworkMode, ":")
	switch {
	case mode == "service" && !slices.Contains(seen, of):
		return g.networksOf(of, append(seen, name)...)
	case mode != "":
		return nil, fmt.Errorf("services.%s.network_mode: %s: there the emulated names cannot be mapped; use networks, or for the machine's own network: wiemu run", name, s.NetworkMode)
	case len(s.Networks) == 0:
		return []string{"default"}, nil
	}
	return slices.Sorted(maps.Keys(s.Networks)), nil
}

// server adds the emulator's service.
func (g *generator) server(context.Context) error {
	out := service{
		Image: g.opts.Image, PullPolicy: "missing", Command: g.lab.Arguments(false),
		Labels:      map[string]string{docker.EmulatorLabel: "true"},
		Sysctls:     map[string]int{containers.PortSysctl: 0},
		CapDrop:     []string{"ALL"},
		SecurityOpt: []string{"no-new-privileges:true"},
		// Before Docker 25 the first check is one interval after the start.
		Healthcheck: &healthcheck{Test: []string{"CMD", "/wiemu-server", "-healthy", "127.0.0.1:" + strconv.Itoa(containers.GatewayPort), "-lab", containers.LabDir}, Interval: "1s", Timeout: "4s", Retries: 60},
		Ports:       []port{{Target: containers.ControlPort, HostIP: "127.0.0.1"}},
		Configs:     []map[string]string{{"source": g.wiemu, "target": containers.ConfigFile}},
		Networks:    map[string]attachment{},
	}
	if g.opts.ControlPort != 0 {
		out.Ports[0].Published = strconv.Itoa(int(g.opts.ControlPort))
	}
	g.volumes[g.wiemu+"-state"] = volume{}
	out.Volumes = []mount{g.writable(g.wiemu+"-state", containers.StateDir), g.writable(g.memory("trust"), containers.LabTrustDir)}
	for _, at := range slices.Sorted(maps.Keys(g.tokens)) {
		out.Volumes = append(out.Volumes, g.writable(g.tokens[at], at))
	}
	aliases := slices.Clone(g.lab.Hosts)
	if g.lab.Vaults != nil {
		out.Configs = append(out.Configs, map[string]string{"source": g.wiemu + "-vaults", "target": containers.VaultsFile})
	}
	if g.program {
		out.Command = g.lab.Arguments(true)
		out.Volumes = append(out.Volumes, g.writable(g.memory("lockstep"), containers.LabLockstepDir))
		aliases = append(aliases, containers.ControlHost)
	}
	for _, f := range g.lab.Files {
		out.Volumes = append(out.Volumes, mount{Type: "bind", Source: literal(f.Host), Target: literal(f.Container), ReadOnly: true})
	}
	for _, s := range g.found {
		networks, err := g.networksOf(s.Name)
		if err != nil {
			return err
		}
		for _, n := range networks {
			out.Networks[n] = attachment{aliases}
		}
	}
	g.engines(&out)
	if !slices.ContainsFunc(slices.Collect(maps.Keys(out.Networks)), func(n string) bool { return !g.project.Networks[n].Internal }) {
		out.Networks["default"] = attachment{} // so that this machine reaches the control endpoint
	}
	g.file.Services[g.wiemu] = out
	g.file.Volumes = g.volumes
	g.file.Configs = map[string]map[string]string{g.wiemu: {"content": literal(string(g.lab.Config))}}
	if g.lab.Vaults != nil {
		g.file.Configs[g.wiemu+"-vaults"] = map[string]string{"content": literal(string(g.lab.Vaults))}
	}
	return nil
}

// engines has the emulator's service reach the services of the project that are behind resources,
// such as a PostgreSQL, and start after them.
func (g *generator) engines(out *service) {
	for _, e := range g.lab.Engines {
		theirs, ok := g.all[e.Host]
		if !ok {
			continue
		}
		networks, err := g.networksOf(e.Host)
		if err != nil {
			g.remark("%s: %s: the emulator does not reach the service %s: its network_mode is %s; use networks", e.Field, e.URL, e.Host, theirs.NetworkMode)
			continue
		}
		for _, n := range networks {
			if _, there := out.Networks[n]; !there {
				out.Networks[n] = attachment{}
			}
		}
		if _, active := g.project.Services[e.Host]; !active {
			g.remark("%s: %s: the service %s does not run: its profiles (%s) are not active; name one with --profile", e.Field, e.URL, e.Host, strings.Join(theirs.Profiles, ", "))
			continue
		}
		if g.waitsForEmulator(e.Host, map[string]bool{}) {
			continue
		}
		condition := types.ServiceConditionStarted
		if check := theirs.HealthCheck; check != nil && !check.Disable {
			condition = types.ServiceConditionHealthy
		}
		if out.DependsOn == nil {
			out.DependsOn = map[string]map[string]string{}
		}
		out.DependsOn[e.Host] = map[string]string{"condition": condition}
	}
}

// waitsForEmulator reports whether a service starts after the emulator, which then cannot wait for it.
func (g *generator) waitsForEmulator(name string, seen map[string]bool) bool {
	if seen[name] {
		return false
	}
	seen[name] = true
	if slices.ContainsFunc(g.found, func(s Service) bool { return s.Name == name }) {
		return true
	}
	for _, other := range g.all[name].GetDependencies() {
		if g.waitsForEmulator(other, seen) {
			return true
		}
	}
	return false
}

// What of a compose file the overlay writes.
type file struct {
	Services map[string]service           `yaml:"services"`
	Volumes  map[string]volume            `yaml:"volumes,omitempty"`
	Configs  map[string]map[string]string `yaml:"configs,omitempty"`
}

type service struct {
	Image       string                       `yaml:"image,omitempty"`
	PullPolicy  string                       `yaml:"pull_policy,omitempty"`
	Entrypoint  []string                     `yaml:"entrypoint,omitempty"`
	Command     []string                     `yaml:"command,omitempty"`
	Labels      map[string]string            `yaml:"labels,omitempty"`
	Environment map[string]string            `yaml:"environment,omitempty"`
	DependsOn   map[string]map[string]string `yaml:"depends_on,omitempty"`
	Networks    map[string]attachment        `yaml:"networks,omitempty"`
	Ports       []port                       `yaml:"ports,omitempty"`
	Sysctls     map[string]int               `yaml:"sysctls,omitempty"`
	CapAdd      []string                     `yaml:"cap_add,omitempty"`
	CapDrop     []string                     `yaml:"cap_drop,omitempty"`
	SecurityOpt []string                     `yaml:"security_opt,omitempty"`
	Healthcheck *healthcheck                 `yaml:"healthcheck,omitempty"`
	Volumes     []mount                      `yaml:"volumes,omitempty"`
	Configs     []map[string]string          `yaml:"configs,omitempty"`
}

type attachment struct {
	Aliases []string `yaml:"aliases,omitempty"`
}

type port struct {
	Target    uint16 `yaml:"target"`
	Published string `yaml:"published,omitempty"`
	HostIP    string `yaml:"host_ip"`
}

type healthcheck struct {
	Test     []string `yaml:"test,flow"`
	Interval string   `yaml:"interval"`
	Timeout  string   `yaml:"timeout"`
	Retries  int      `yaml:"retries"`
}

type mount struct {
	Type     string       `yaml:"type"`
	Source   string       `yaml:"source"`
	Target   string       `yaml:"target"`
	ReadOnly bool         `yaml:"read_only,omitempty"`
	Volume   *mountVolume `yaml:"volume,omitempty"`
}

type mountVolume struct {
	NoCopy bool `yaml:"nocopy"`
}

type volume struct {
	Driver     string            `yaml:"driver,omitempty"`
	DriverOpts map[string]string `yaml:"driver_opts,omitempty"`
}
