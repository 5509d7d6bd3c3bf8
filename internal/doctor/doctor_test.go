package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wiemu/wiemu/internal/ca"
	"github.com/wiemu/wiemu/internal/docker/dockercli"
	"github.com/wiemu/wiemu/internal/isolation"
	"github.com/wiemu/wiemu/internal/lead"
	"github.com/wiemu/wiemu/internal/process"
	"github.com/wiemu/wiemu/internal/timeshift"
)

var update = flag.Bool("update", false, "write the golden files")

// sound is a machine that permits everything.
func sound() Machine {
	return Machine{
		System: "linux", Kernel: "6.18.0", Arch: "amd64", User: "not root",
		Environ:  []string{"PATH=/bin", "HOME=/home/jo"},
		Setting:  func(string) string { return "" },
		Program:  func(name string) string { return "/opt/wiemu/" + name },
		LookPath: func(name string) (string, error) { return "/usr/bin/" + name, nil },
		Version: func(_ context.Context, path string, _ ...string) string {
			return map[string]string{"go": "go version go1.26.8 linux/amd64", "node": "v24.1.0", "python3": "Python 3.13.1", "java": `openjdk version "21.0.2" 2024-01-16`}[filepath.Base(path)]
		},
		State:    func() (string, error) { return "/home/jo/.local/state/wiemu", nil },
		Keys:     func() (string, error) { return "/home/jo/.cache/wiemu/keys", nil },
		Memory:   func() (string, error) { return "/run/user/1000", nil },
		Loopback: func(context.Context) error { return nil },
		Calls:    func(context.Context) (Calls, error) { return Calls{}, nil },
		Isolate:  func(context.Context) error { return nil },
		Lockstep: func(context.Context) error { return nil },
		Lead:     func(context.Context) (lead.Way, error) { return lead.Getfd, nil },
		Docker: func(context.Context) (dockercli.Engine, error) {
			return dockercli.Engine{Version: "28.2.2", APIVersion: "1.50", OS: "linux", Arch: "amd64"}, nil
		},
		NodeImage: func(context.Context) (string, error) { return "kindest/node:v1.37.0", nil },
	}
}

func examine(t *testing.T, m Machine) Report {
	t.Helper()
	var told []Finding
	r, err := Examine(t.Context(), m, Observer{Found: func(f Finding) { told = append(told, f) }, Waiting: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	if len(told) != len(r.Findings) {
		t.Errorf("%d of %d findings were told", len(told), len(r.Findings))
	}
	for _, f := range r.Findings {
		if (f.Status == OK) != (f.Remedy == "") {
			t.Errorf("%s is %s, its remedy %q", f.Check, f.Status, f.Remedy)
		}
		if f.For == "" {
			t.Errorf("%s is for nothing", f.Check)
		}
	}
	return r
}

func finding(t *testing.T, r Report, check string) Finding {
	t.Helper()
	i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Check == check })
	if i < 0 {
		t.Fatalf("nothing is said of %s", check)
	}
	return r.Findings[i]
}

// The fields and names are what programs read: they do not change.
func TestJSON(t *testing.T) {
	m := sound()
	m.Environ = append(m.Environ, "https_proxy=http://jo:secret@proxy.example:8080", "NODE_EXTRA_CA_CERTS=/etc/corp.pem", "JAVA_TOOL_OPTIONS=-Xmx1g", "AZURE_CLIENT_SECRET=secret")
	m.Program = func(name string) string { return strings.ReplaceAll("/opt/"+name, "/opt/wiemu-server", "") }
	m.LookPath = func(name string) (string, error) {
		if slices.Contains([]string{"node", "java", "kubectl"}, name) {
			return "/usr/bin/" + name, nil
		}
		return "", os.ErrNotExist
	}
	report, err := json.MarshalIndent(examine(t, m), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(report), "secret@") || strings.Contains(string(report), "corp.pem") {
		t.Errorf("values of variables are printed: %s", report)
	}
	golden := filepath.Join("testdata", "report.json")
	report = append(report, '\n')
	if *update {
		if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(golden, report, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(report) != string(want) {
		t.Errorf("expected what %s says (go test ./internal/doctor -update writes it), found\n%s", golden, report)
	}
}

func TestASoundMachine(t *testing.T) {
	r := examine(t, sound())
	for _, f := range r.Findings {
		if f.Status != OK {
			t.Errorf("%+v", f)
		}
	}
	if !r.Ready || r.Error() != nil {
		t.Errorf("ready: %v, %v", r.Ready, r.Error())
	}
}

func calls(c Calls) func(*Machine) {
	return func(m *Machine) { m.Calls = func(context.Context) (Calls, error) { return c, nil } }
}

// What is refused is said in words, with what to change.
func TestRefusals(t *testing.T) {
	everything := func(err error) Calls { return Calls{err, err, err, err, err} }
	yamaIs := func(value string, c Calls) func(*Machine) {
		return func(m *Machine) {
			calls(c)(m)
			m.Setting = func(name string) string { return map[string]string{"kernel/yama/ptrace_scope": value}[name] }
		}
	}
	for _, row := range []struct {
		name          string
		change        func(*Machine)
		check         string
		status        Status
		found, remedy string
	}{
		{"macOS", func(m *Machine) { m.System = "darwin" }, "system", Limited, "darwin", "Linux, such as WSL2"},
		{"a state directory of another user", func(m *Machine) {
			m.State = func() (string, error) { return "", errors.New("/var/wiemu: permission denied") }
		}, "state-directory", Missing, "/var/wiemu: permission denied", "--state-dir or WIEMU_STATE_DIR"},
		{"a full disk", func(m *Machine) { m.Keys = func() (string, error) { return "/c", syscall.ENOSPC } }, "key-cache", Limited, "no space", "XDG_CACHE_HOME"},
		{"a cache that is not writable", func(m *Machine) {
			m.Keys = func() (string, error) {
				return "", fmt.Errorf("make the state directory: %w", &fs.PathError{Op: "mkdir", Path: "/.cache", Err: syscall.EROFS})
			}
		}, "key-cache", Limited, "mkdir /.cache: read-only file system", "XDG_CACHE_HOME"},
		{"no place for tokens", func(m *Machine) { m.Memory = func() (string, error) { return "/tmp", syscall.EROFS } }, "token-directory", Missing, "read-only", "TMPDIR"},
		{"lo is down", func(m *Machine) {
			m.Loopback = func(context.Context) error { return syscall.EADDRNOTAVAIL }
		}, "loopback", Missing, "cannot assign", "ip link set lo up"},

		{"seccomp: not permitted", calls(Calls{Listener: syscall.EPERM}), "seccomp-listener", Missing, "not permitted", "--security-opt seccomp=unconfined"},
		{"seccomp: another supervisor", calls(Calls{Listener: syscall.EBUSY}), "seccomp-listener", Missing, "another supervisor", "in lockstep"},
		{"seccomp: gVisor", calls(Calls{Listener: syscall.EINVAL}), "seccomp-listener", Missing, "no seccomp user notification", "Linux 5.5"},
		{"seccomp: before 5.19", calls(Calls{WaitKillable: syscall.EINVAL}), "seccomp-listener", Limited, "signals interrupt", "Linux 5.19"},
		{"seccomp: killed for it", calls(everything(errors.New("signal: bad system call"))), "seccomp-listener", Missing, "bad system call", "seccomp=unconfined"},
		{"seccomp: macOS", calls(everything(errNotLinux)), "seccomp-listener", Missing, "only Linux", "Run wiemu on Linux"},

		{"memory: by the file only", calls(Calls{Memory: syscall.EPERM}), "read-memory", OK, "/proc/PID/mem read the memory", ""},
		{"memory: neither", calls(Calls{Memory: syscall.EPERM, MemoryFile: syscall.EPERM}), "read-memory", Missing, "operation not permitted", "--cap-add SYS_PTRACE"},
		{"memory: Yama 2", yamaIs("2", Calls{Memory: syscall.EPERM, MemoryFile: syscall.EPERM}), "read-memory", Missing, "operation not permitted", "sudo sysctl -w kernel.yama.ptrace_scope=1"},
		{"memory: Yama 3", yamaIs("3", Calls{Memory: syscall.EPERM, MemoryFile: syscall.EPERM}), "read-memory", Missing, "operation not permitted", "restart it"},
		{"memory: macOS", calls(everything(errNotLinux)), "read-memory", Missing, "only Linux", "Run wiemu on Linux"},

		{"pidfd_getfd: Docker's profile", calls(Calls{GetFD: syscall.EPERM}), "pidfd-getfd", Missing, "not permitted", "--cap-add SYS_PTRACE"},
		{"pidfd_getfd: before 5.6", calls(Calls{GetFD: syscall.ENOSYS}), "pidfd-getfd", Missing, "no pidfd_getfd(2)", "Linux 5.6"},
		{"pidfd_getfd: macOS", calls(everything(errNotLinux)), "pidfd-getfd", Missing, "only Linux", "Run wiemu on Linux"},

		{"leading: by rewriting", leads(lead.Rewrite, nil), "transparent-network", Limited, "c-ares", "--cap-add SYS_PTRACE"},
		{"leading: a step fails", leads("", &lead.Error{Step: "read the program's memory", Err: syscall.EPERM, Remedy: "in a container, start it otherwise"}), "transparent-network", Missing, "read the program's memory: operation not permitted", "In a container, start it otherwise."},
		{"leading: nobody knows why", leads("", &lead.Error{Step: "connect", Err: syscall.EPERM}), "transparent-network", Missing, "connect: operation not permitted", "through its proxy"},
		{"leading: macOS", leads("", errors.ErrUnsupported), "transparent-network", Missing, "unsupported", "through its proxy"},

		{"lockstep: a step fails", func(m *Machine) {
			m.Lockstep = func(context.Context) error {
				return &timeshift.Error{Step: "trace the program", Err: syscall.EPERM, Remedy: "ptrace(2) is not allowed here"}
			}
		}, "lockstep", Missing, "trace the program: operation not permitted", "Ptrace(2) is not allowed here."},
		{"lockstep: macOS", func(m *Machine) { m.Lockstep = func(context.Context) error { return errors.ErrUnsupported } }, "lockstep", Missing, "unsupported", "programs keep the clock"},
		{"lockstep: Yama is told of", yamaIs("1", Calls{}), "lockstep", OK, "kernel.yama.ptrace_scope is 1", ""},
		{"isolation: a step fails", func(m *Machine) {
			m.Isolate = func(context.Context) error {
				return &isolation.Error{Step: "mount a new /run", Err: syscall.EACCES, Remedy: "AppArmor keeps programs from it."}
			}
		}, "user-namespaces", Missing, "mount a new /run: permission denied", "AppArmor keeps programs from it."},
		{"isolation: no temporary directory", func(m *Machine) { m.Isolate = func(context.Context) error { return fs.ErrNotExist } }, "user-namespaces", Missing, "not exist", "TMPDIR"},
		{"isolation: otherwise", func(m *Machine) { m.Isolate = func(context.Context) error { return syscall.ENOSPC } }, "user-namespaces", Missing, "no space", "without --isolate"},

		{"no wiemu-containers", without("wiemu-containers"), "wiemu-containers", Missing, "not found beside wiemu", "go install github.com/wiemu/wiemu/cmd/...@latest"},
		{"no wiemu-workload", without("wiemu-workload"), "wiemu-workload", Missing, "not found beside wiemu", "make build-all"},
		{"no wiemu-server", without("wiemu-server"), "kind", Missing, "not possible without wiemu-server", "see above"},
		{"Docker is not there", dockerIs(&dockercli.Unreachable{Why: "docker is not installed", Next: "install Docker"}), "docker", Missing, "docker is not installed", "Install Docker."},
		{"Docker is old", dockerIs(errors.New("the Docker engine is 19.03 (API 1.40): expected API 1.41; update Docker")), "docker", Missing, "expected API 1.41", "Update Docker."},
		{"Docker says something else", dockerIs(errors.New("odd")), "docker", Missing, "odd", "DOCKER_HOST"},
		{"kind without Docker", dockerIs(errors.New("odd")), "kind", Missing, "without docker", "see above"},
		{"kind without an image", func(m *Machine) { m.NodeImage = func(context.Context) (string, error) { return "", nil } }, "kind", Limited, "no image kindest/node", "make node-image"},
		{"kind: Docker fails", func(m *Machine) { m.NodeImage = func(context.Context) (string, error) { return "", errors.New("odd") } }, "kind", Limited, "odd", "docker image ls"},
		{"kind without kubectl", func(m *Machine) {
			m.LookPath = func(name string) (string, error) {
				return name, map[bool]error{name == "kubectl": os.ErrNotExist}[true]
			}
		}, "kind", Limited, "no kubectl", "make kubectl"},

		{"an identity", environ("AZURE_CLIENT_CERTIFICATE_PATH=/c", "ARM_CLIENT_ID=x"), "identity-variables", OK, "ARM_CLIENT_ID, AZURE_CLIENT_CERTIFICATE_PATH: not passed on", ""},
		{"a proxy", environ("HTTPS_PROXY=http://proxy", "no_proxy=.corp"), "proxy-variables", Limited, "HTTPS_PROXY, no_proxy: not passed on", "--allow-host"},
		{"certificates", environ("PIP_CERT=/corp.pem", "SSL_CERT_FILE=/roots.pem"), "certificate-variables", Limited, "PIP_CERT: not passed on", "SSL_CERT_FILE names"},
		{"certificates of one file", environ("PIP_CERT=/roots.pem", "SSL_CERT_FILE=/roots.pem", "SSL_CERT_DIR=/etc/ssl"), "certificate-variables", OK, "none is set that", ""},
		{"certificates are not verified", environ("NODE_TLS_REJECT_UNAUTHORIZED=0"), "certificate-variables", Limited, "NODE_TLS_REJECT_UNAUTHORIZED", ""},
		{"node with a file", environ("NODE_EXTRA_CA_CERTS=/corp.pem"), "runtime-node", OK, "24.1.0 trusts the lab by NODE_EXTRA_CA_CERTS; wiemu run replaces your NODE_EXTRA_CA_CERTS", ""},
		{"java with options", environ("JAVA_TOOL_OPTIONS=-Xmx1g"), "runtime-java", OK, "21.0.2 trusts the lab by JAVA_TOOL_OPTIONS; wiemu run adds to your JAVA_TOOL_OPTIONS", ""},
		{"a runtime that says no version", func(*Machine) {}, "runtime-curl", OK, "/usr/bin/curl trusts the lab by CURL_CA_BUNDLE", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := sound()
			row.change(&m)
			r := examine(t, m)
			f := finding(t, r, row.check)
			if f.Status != row.status || !strings.Contains(f.Found, row.found) || !strings.Contains(f.Remedy, row.remedy) {
				t.Errorf("expected %s, %q and %q, found %+v", row.status, row.found, row.remedy, f)
			}
			required := f.Status == Missing && slices.Contains([]string{"state-directory", "token-directory", "loopback"}, row.check)
			if r.Ready == required {
				t.Errorf("ready is %v", r.Ready)
			}
			if err := r.Error(); required && (err == nil || !strings.Contains(err.Error(), row.found) || !strings.Contains(err.Error(), row.remedy)) {
				t.Errorf("nothing can run, and what is said is %v", err)
			}
		})
	}
}

func without(program string) func(*Machine) {
	return func(m *Machine) {
		m.Program = func(name string) string {
			if name == program {
				return ""
			}
			return "/opt/" + name
		}
	}
}

func leads(way lead.Way, err error) func(*Machine) {
	return func(m *Machine) { m.Lead = func(context.Context) (lead.Way, error) { return way, err } }
}

func dockerIs(err error) func(*Machine) {
	return func(m *Machine) {
		m.Docker = func(context.Context) (dockercli.Engine, error) { return dockercli.Engine{}, err }
	}
}

func environ(variables ...string) func(*Machine) {
	return func(m *Machine) { m.Environ = append(m.Environ, variables...) }
}

func TestRuntimesThatAreNotThereAreNotNamed(t *testing.T) {
	m := sound()
	m.LookPath = func(string) (string, error) { return "", os.ErrNotExist }
	for _, f := range examine(t, m).Findings {
		if f.Runtime != nil {
			t.Errorf("%+v", f)
		}
	}
}

// A check that takes long is named each second, one that hangs ends, and one that ends the
// examination leaves nothing behind.
func TestChecksThatTakeLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := sound()
		m.Loopback = func(ctx context.Context) error { // does not heed it
			time.Sleep(2 * patience)
			return nil
		}
		waited := map[string]int{}
		r, err := Examine(t.Context(), m, Observer{Found: func(Finding) {}, Waiting: func(check string) { waited[check]++ }})
		if err != nil {
			t.Fatal(err)
		}
		if f := finding(t, r, "loopback"); f.Status != Missing || !strings.Contains(f.Found, "no answer within 20s") || f.Remedy == "" {
			t.Errorf("%+v", f)
		}
		if len(waited) != 1 || waited["loopback"] < 19 {
			t.Errorf("told of waiting: %v", waited)
		}
		time.Sleep(2 * patience) // of the bubble: until the check has ended
	})
}

func TestExamineEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		interrupted := errors.New("interrupted")
		m := sound()
		m.State = func() (string, error) { cancel(interrupted); time.Sleep(time.Hour); return "", nil }
		began := time.Now()
		if _, err := Examine(ctx, m, Observer{Found: func(Finding) {}, Waiting: func(string) {}}); !errors.Is(err, interrupted) {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took > settling {
			t.Errorf("it took %v", took)
		}
		time.Sleep(time.Hour) // of the bubble: until the check has ended
	})
}

// Each variable of package ca is a runtime's, and no runtime has others.
func TestRuntimesTrustByWhatPackageCASets(t *testing.T) {
	of := map[string]bool{}
	for _, r := range runtimes() {
		for _, name := range r.trust {
			of[name] = true
		}
	}
	for _, entry := range ca.BundleIn("/lab", ca.BundleOptions{}).Environ(nil) {
		name, _, _ := strings.Cut(entry, "=")
		if !of[name] {
			t.Errorf("no runtime trusts by %s", name)
		}
		delete(of, name)
	}
	if len(of) > 0 {
		t.Errorf("package ca does not set %v", of)
	}
}

// docs/doctor.md has a row for each check.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks() {
		name := c.name
		if strings.HasPrefix(name, "runtime-") {
			name = "runtime-*"
		}
		if !strings.Contains(string(page), "| `"+name+"` |") {
			t.Errorf("docs/doctor.md has no row for %s", c.name)
		}
	}
}

// What programs do not inherit is about identities, proxies or certificates.
func TestVariablesAreSorted(t *testing.T) {
	for names, of := range map[string]func(variables) []string{
		"ACTIONS_ID_TOKEN_REQUEST_URL ARM_CLIENT_CERTIFICATE AZURE_CLIENT_CERTIFICATE_PATH AZURE_CLIENT_ID IDENTITY_ENDPOINT KUBECONFIG MSI_SECRET SYSTEM_ACCESSTOKEN":                                                                                          func(v variables) []string { return v.identities },
		"ALL_PROXY HTTPS_PROXY NO_PROXY http_proxy npm_config_https_proxy":                                                                                                                                                                                      func(v variables) []string { return v.proxies },
		"AWS_CA_BUNDLE CARGO_HTTP_CAINFO CURL_CA_BUNDLE DENO_CERT DENO_TLS_CA_STORE GIT_SSL_CAINFO GIT_SSL_NO_VERIFY HTTPLIB2_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED PIP_CERT PYTHONHTTPSVERIFY REQUESTS_CA_BUNDLE SSL_CERT_DIR npm_config_ca npm_config_cafile": func(v variables) []string { return v.certificates },
	} {
		var environ []string
		for name := range strings.FieldsSeq(names) {
			environ = append(environ, name+"=x")
		}
		if left := process.CleanEnviron(environ); len(left) > 0 {
			t.Errorf("%v is inherited: this test looks for the wrong names", left)
		}
		if got := strings.Join(of(notInherited(environ)), " "); got != names {
			t.Errorf("expected %s, found %s", names, got)
		}
	}
}

// What is not installed because nobody asked for it is no fault of the machine; what lacks
// something else is.
func TestOptional(t *testing.T) {
	m := sound()
	m.Program = func(name string) string { return strings.ReplaceAll("/opt/"+name, "/opt/wiemu-server", "") }
	r := examine(t, m)
	for check, want := range map[string]bool{"wiemu-server": true, "kind": true, "wiemu-workload": false} {
		if f := finding(t, r, check); f.Optional != want {
			t.Errorf("%s: optional %v, want %v", check, f.Optional, want)
		}
	}
	m.Docker = func(context.Context) (dockercli.Engine, error) { return dockercli.Engine{}, errors.New("odd") }
	if f := finding(t, examine(t, m), "kind"); f.Optional {
		t.Error("kind without Docker is said to be a choice")
	}
}
