package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/docker/dockercli"
	"github.com/wiemu/wiemu/internal/isolation"
	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/timeshift"
)

type check struct {
	name     string
	required bool   // see Finding
	use      string // Finding.For
	try      func(ctx context.Context, m Machine, f *Finding)
}

// finding returns the finding of a check that has found nothing wrong.
func (c check) finding() Finding {
	return Finding{Check: c.name, Status: OK, Required: c.required, For: c.use}
}

func (c check) make(ctx context.Context, m Machine) Finding {
	f := c.finding()
	c.try(ctx, m, &f)
	return f
}

// checks are all of them, in the order of the report.
func checks() []check {
	all := []check{
		{"system", false, "everything", system},
		{"state-directory", true, "the CA and the journals of past runs",
			directory(func(m Machine) (string, error) { return m.State() }, "Choose a directory that you can write with --state-dir or WIEMU_STATE_DIR.")},
		{"key-cache", false, "signing keys that are generated in advance", keyCache},
		{"token-directory", true, "the token files of workloads",
			directory(func(m Machine) (string, error) { return m.Memory() }, "Choose a directory that you can write with XDG_RUNTIME_DIR or TMPDIR.")},
		{"loopback", true, "all listeners of wiemu", loopbackListener},
		{"seccomp-listener", false, "--clock lockstep, --network transparent", seccompListener},
		{"read-memory", false, "--network transparent", readMemory},
		{"pidfd-getfd", false, "--network transparent, for programs that have a DNS client of their own", pidfdGetfd},
		{"transparent-network", false, "--network transparent", transparentNetwork},
		{"lockstep", false, "--clock lockstep, wiemu timeshift", lockstep},
		{"user-namespaces", false, "--isolate", userNamespaces},
		{"wiemu-workload", false, "scenarios that start it", program(backend.WorkloadProgram, false)},
		{"wiemu-containers", false, "wiemu kind, compose and cluster", program("wiemu-containers", true)},
		{"wiemu-server", false, "the emulator's image and the nodes of clusters", program("wiemu-server", true)},
		{"docker", false, "wiemu compose and kind, --on compose, --on kind", dockerEngine},
		{"kind", false, "wiemu kind, --on kind", kindCluster},
		{"identity-variables", false, "programs that are somebody else already", identityVariables},
		{"proxy-variables", false, "reaching hosts of --allow-host", proxyVariables},
		{"certificate-variables", false, "trusting hosts of --allow-host", certificateVariables},
	}
	for _, r := range runtimes() {
		all = append(all, check{"runtime-" + r.name, false, "programs for it", r.find})
	}
	return all
}

// limit says that something works only in part.
func (f *Finding) limit(found, remedy string) { f.Status, f.Found, f.Remedy = Limited, found, remedy }

// miss says that something does not work.
func (f *Finding) miss(found, remedy string) { f.Status, f.Found, f.Remedy = Missing, found, remedy }

func system(_ context.Context, m Machine, f *Finding) {
	said := []string{strings.TrimSpace(m.System + " " + m.Kernel), m.Arch}
	for _, more := range []string{m.User, m.Inside} {
		if more != "" {
			said = append(said, more)
		}
	}
	f.Found = strings.Join(said, ", ")
	if m.System != "linux" {
		f.limit(f.Found, "Programs reach the lab through its proxy here. The lab clock for programs and --isolate need Linux, such as WSL2, a virtual machine or a container.")
	}
}

// directory returns the check that files can be written in a directory.
func directory(write func(Machine) (string, error), remedy string) func(context.Context, Machine, *Finding) {
	return func(_ context.Context, m Machine, f *Finding) {
		var err error
		if f.Found, err = write(m); err != nil {
			f.miss(err.Error(), remedy)
		}
	}
}

func keyCache(_ context.Context, m Machine, f *Finding) {
	dir, err := m.Keys()
	if err != nil {
		found := err.Error()
		if at := (*fs.PathError)(nil); errors.As(err, &at) { // package statedir speaks of a state directory
			found = at.Error()
		}
		f.limit(found, "Each start generates its keys anew, which takes longer: choose a cache directory that you can write with XDG_CACHE_HOME.")
		return
	}
	f.Found = dir
}

func loopbackListener(ctx context.Context, m Machine, f *Finding) {
	if err := m.Loopback(ctx); err != nil {
		f.miss(err.Error(), "Programs reach the lab on 127.0.0.1: bring the loopback interface up (ip link set lo up), and check what refuses connections to it.")
		return
	}
	f.Found = "127.0.0.1 accepts connections on free ports"
}

// program returns the check that a program of wiemu is there; optional is whether it is for
// containers and clusters alone, as make build leaves it out.
func program(name string, optional bool) func(context.Context, Machine, *Finding) {
	return func(_ context.Context, m Machine, f *Finding) {
		f.Optional = optional
		if f.Found = m.Program(name); f.Found == "" {
			f.miss("not found beside wiemu, nor in PATH",
				"go install github.com/wiemu/wiemu/cmd/...@latest installs all programs of wiemu, and make build-all builds them in its repository.")
		}
	}
}

func transparentNetwork(ctx context.Context, m Machine, f *Finding) {
	way, err := m.Lead(ctx)
	var step *lead.Error
	switch {
	case err == nil && way == lead.Getfd:
		f.Found = "connections of a program were led to the lab"
	case err == nil:
		f.limit("connections of a program were led to the lab, but not of one that looks names up by itself and compares who answered (c-ares: gRPC, aiohttp with aiodns)",
			"Those take pidfd_getfd(2). "+m.traceRemedy())
	case errors.As(err, &step):
		f.miss(fmt.Sprintf("%s: %v", step.Step, step.Err), sentence(cmp.Or(step.Remedy, proxyInstead)))
	default:
		f.miss(err.Error(), proxyInstead)
	}
}

const proxyInstead = "Programs reach the lab through its proxy, if they heed HTTPS_PROXY, or with --isolate."

func lockstep(ctx context.Context, m Machine, f *Finding) {
	err := m.Lockstep(ctx)
	var step *timeshift.Error
	switch {
	case err == nil:
		f.Found = "a program ran on another clock"
	case errors.As(err, &step):
		f.miss(fmt.Sprintf("%s: %v", step.Step, step.Err), sentence(step.Remedy))
	default:
		f.miss(err.Error(), "Without it, wiemu clock advance moves the lab alone, and programs keep the clock of this machine.")
	}
	if scope := m.Setting(yama); scope != "" {
		f.Found += "; kernel.yama.ptrace_scope is " + scope
	}
}

func userNamespaces(ctx context.Context, m Machine, f *Finding) {
	err := m.Isolate(ctx)
	var step *isolation.Error
	switch {
	case err == nil:
		f.Found = "a program ran in user, mount and network namespaces of its own"
	case errors.As(err, &step):
		f.miss(fmt.Sprintf("%s: %v", step.Step, step.Err), step.Remedy)
	case errors.Is(err, fs.ErrNotExist):
		f.miss(err.Error(), "Make a directory for temporary files, or name one with TMPDIR.")
	default:
		f.miss(err.Error(), "Run without --isolate: programs then reach the lab through its proxy.")
	}
}

func dockerEngine(ctx context.Context, m Machine, f *Finding) {
	engine, err := m.Docker(ctx)
	if err != nil {
		found, remedy := halves(err)
		f.miss(found, remedy)
		return
	}
	f.Found = fmt.Sprintf("engine %s, API %s, %s/%s", engine.Version, engine.APIVersion, engine.OS, engine.Arch)
}

// halves takes an error of package dockercli apart, whose remedy follows a semicolon.
func halves(err error) (found, remedy string) {
	if gone := (*dockercli.Unreachable)(nil); errors.As(err, &gone) {
		return gone.Why, sentence(gone.Next)
	}
	text := err.Error()
	if i := strings.LastIndex(text, "; "); i >= 0 {
		return text[:i], sentence(text[i+2:])
	}
	return text, "Check DOCKER_HOST, docker context ls and what docker version says."
}

func kindCluster(ctx context.Context, m Machine, f *Finding) {
	var lacking []string
	for _, name := range []string{"wiemu-containers", "wiemu-server", backend.WorkloadProgram} {
		if m.Program(name) == "" {
			lacking = append(lacking, name)
		}
	}
	f.Optional = !slices.Contains(lacking, backend.WorkloadProgram)
	if _, err := m.Docker(ctx); err != nil {
		lacking, f.Optional = append(lacking, "docker"), false
	}
	if len(lacking) > 0 {
		f.miss("not possible without "+strings.Join(lacking, ", "), "Get these first: see above.")
		return
	}
	image, err := m.NodeImage(ctx)
	switch {
	case err != nil:
		f.limit("docker does not list its images: "+err.Error(), "Check what docker image ls says.")
		return
	case image == "":
		f.limit("Docker has no image kindest/node", "wiemu kind up pulls one; where no registry can be reached, make node-image builds it in wiemu's repository.")
	default:
		f.Found = "node image " + image
	}
	if _, err := m.LookPath("kubectl"); err != nil && f.Status == OK {
		f.limit(f.Found+", but no kubectl in PATH", "wiemu needs none; to look into the cluster, install it (https://kubernetes.io/docs/tasks/tools/), or run make kubectl in wiemu's repository.")
	}
}

// sentence begins with a capital and ends with a full stop.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	text = strings.ToUpper(text[:1]) + text[1:]
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

const yama = "kernel/yama/ptrace_scope"
