package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/wiemu/wiemu/internal/docker/dockercli"
	"github.com/wiemu/wiemu/internal/isolation"
	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/process"
	_ "github.com/wiemu/wiemu/internal/run" // does the work of the helper processes that probes of other packages start
	"github.com/wiemu/wiemu/internal/statedir"
	"github.com/wiemu/wiemu/internal/timeshift"
	"github.com/wiemu/wiemu/internal/userstate"
)

// Machine is what is examined. Each function tries one thing, and its error says what is not
// possible.
type Machine struct {
	System  string   // such as linux
	Kernel  string   // its release; may be empty
	Arch    string   // such as amd64
	User    string   // who runs this
	Inside  string   // the container or the like that this is in, as far as that can be seen
	Environ []string // the caller's environment

	Setting  func(name string) string        // of the kernel, such as kernel/yama/ptrace_scope; "" if there is none
	Program  func(name string) (path string) // of wiemu; "" if there is none
	LookPath func(name string) (string, error)
	Version  func(ctx context.Context, path string, arguments ...string) string // the first line that a program prints

	State    func() (dir string, err error) // writes to the state directory
	Keys     func() (dir string, err error) // writes to the cache of keys
	Memory   func() (dir string, err error) // writes to where token files are
	Loopback func(ctx context.Context) error

	Calls    func(ctx context.Context) (Calls, error)
	Isolate  func(ctx context.Context) error
	Lockstep func(ctx context.Context) error
	Lead     func(ctx context.Context) (lead.Way, error)

	Docker    func(ctx context.Context) (dockercli.Engine, error)
	NodeImage func(ctx context.Context) (string, error) // one of kind's that Docker has; "" if there is none
}

// This returns the machine that this process runs on. stateDir is as in [userstate.Open].
func This(stateDir string) Machine {
	return Machine{
		System: runtime.GOOS, Kernel: kernel(), Arch: runtime.GOARCH, User: user(), Inside: inside(), Environ: os.Environ(),
		Setting: setting, Program: process.Locate, LookPath: exec.LookPath, Version: version,
		State:    func() (string, error) { return writeState(stateDir) },
		Keys:     func() (string, error) { return writeKeys(stateDir) },
		Memory:   func() (string, error) { dir := userstate.MemoryDir(); return dir, write(dir) },
		Loopback: loopback,
		Calls:    tryCalls,
		Isolate:  isolation.Probe,
		Lockstep: func(ctx context.Context) error { _, err := timeshift.Probe(ctx); return err },
		Lead:     tryLead,
		Docker:   dockercli.CLI{}.Check,
		NodeImage: func(ctx context.Context) (string, error) {
			list, err := dockercli.CLI{}.Output(ctx, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "kindest/node")
			first, _, _ := strings.Cut(list, "\n")
			return first, err
		},
	}
}

// setting reads a kernel setting (proc_sys(5)).
func setting(name string) string {
	data, _ := os.ReadFile("/proc/sys/" + name) // there is none on other systems
	return strings.TrimSpace(string(data))
}

func kernel() string { return setting("kernel/osrelease") }

// user says who runs this, as far as that matters here.
func user() string {
	switch os.Geteuid() {
	case -1: // Windows
		return ""
	case 0:
		return "root"
	}
	return "not root"
}

// inside names the container or the like that this process is in, by what its runtime leaves.
func inside() string {
	for file, what := range map[string]string{"/.dockerenv": "in a Docker container", "/run/.containerenv": "in a Podman container"} {
		if _, err := os.Stat(file); err == nil {
			return what
		}
	}
	if os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		return "in a pod"
	}
	if strings.Contains(kernel(), "microsoft") { // WSL2: 5.15.153.1-microsoft-standard-WSL2
		return "in WSL2"
	}
	return ""
}

// version runs a program and returns the first line of what it prints, on either output: Java 8
// writes its version on standard error.
func version(ctx context.Context, path string, arguments ...string) string {
	cmd := exec.CommandContext(ctx, path, arguments...)
	cmd.WaitDelay = time.Second
	text, err := cmd.CombinedOutput()
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "Picked up ") { // JAVA_TOOL_OPTIONS
			return line
		}
	}
	return ""
}

func writeState(path string) (string, error) {
	d, err := userstate.Open(path)
	if err != nil {
		return "", err
	}
	return d.Path(), write(d.Path())
}

func writeKeys(state string) (string, error) {
	dir := userstate.KeyDir()
	if dir == "" { // the user has no cache directory
		d, err := userstate.Open(state)
		if err != nil {
			return "", err
		}
		dir = d.KeyDir()
	}
	d, err := statedir.Open(dir)
	if err != nil {
		return dir, err
	}
	return dir, errors.Join(write(dir), d.Close())
}

// write creates a file, and removes it.
func write(dir string) error {
	f, err := os.CreateTemp(dir, ".wiemu-doctor-")
	if err != nil {
		return err
	}
	_, err = f.WriteString("a full disk refuses this")
	return errors.Join(err, f.Close(), os.Remove(f.Name()))
}

// loopback connects to a listener on a free port of 127.0.0.1.
func loopback(ctx context.Context) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
	if err == nil {
		err = conn.Close()
	}
	return errors.Join(err, l.Close())
}
