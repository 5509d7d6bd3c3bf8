package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wiemu/wiemu/internal/backend"
)

func TestMain(m *testing.M) {
	testscript.Main(withPrograms{m}, map[string]func(){"wiemu": main, "offline": offline})
}

// withPrograms removes what programs built, and the keys beside it, when the tests have run.
type withPrograms struct{ *testing.M }

func (m withPrograms) Run() int {
	defer func() { os.RemoveAll(programsDir) }()
	return m.M.Run()
}

// Scripts are the command line as people use it: testdata/script/*.txtar. Each
// has a home and a state directory of its own; keys that were made ahead are shared.
func TestScript(t *testing.T) {
	programs := linkPrograms(t, workloads...)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Condition: func(name string) (bool, error) {
			switch name {
			case "root": // who can make programs of other users
				return os.Getuid() == 0, nil
			case "led": // without --network
				return backend.DefaultNetwork() == backend.Auto, nil
			case "offline": // the command works
				err := canBeOffline()
				if err != nil && runtime.GOOS == "linux" && os.Getenv("WIEMU_REQUIRE") != "" {
					return false, fmt.Errorf("programs cannot run offline (WIEMU_REQUIRE is set): %w", err)
				}
				return err == nil, nil
			}
			return false, fmt.Errorf("expected root, offline or led, found %s", name)
		},
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("HOME", home)
			env.Setenv("XDG_CACHE_HOME", filepath.Join(programsDir, "cache"))
			env.Setenv("WIEMU_STATE_DIR", filepath.Join(env.WorkDir, "state"))
			runtime := filepath.Join(env.WorkDir, "runtime") // what runs leave behind would be here
			env.Setenv("XDG_RUNTIME_DIR", runtime)
			env.Setenv("PATH", programs+string(os.PathListSeparator)+env.Getenv("PATH")) // before any that go install has put there
			return errors.Join(os.MkdirAll(home, 0o755), os.Mkdir(runtime, 0o700))
		},
	})
}

// programs builds wiemu, wiemu-containers and the programs that the tests run as
// workloads, once: linking them takes seconds.
var programs = sync.OnceValues(func() (dir string, err error) {
	if programsDir, err = os.MkdirTemp("", "wiemu-programs"); err != nil {
		return "", err
	}
	args := []string{"build", "-o", programsDir + string(os.PathSeparator)}
	if !strings.Contains(os.Getenv("GOFLAGS"), "-ldflags") { // make test-proxy sets them
		args = append(args, "-ldflags=-s -w") // half the time
	}
	build := exec.Command("go", append(args, ".", "../wiemu-workload", "../wiemu-containers", "../../docs/examples/readsecret", "../../docs/examples/usevault", "./testdata/noproxy")...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return programsDir, nil
})

var programsDir string // empty before programs ran

// linkPrograms gives a test the programs of these names in a directory of its own.
func linkPrograms(t *testing.T, names ...string) (dir string) {
	t.Helper()
	built, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, name := range names {
		if runtime.GOOS == "windows" {
			name += ".exe"
		}
		if err := os.Link(filepath.Join(built, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// workloads are the programs beside wiemu.
var workloads = []string{"wiemu-workload", "wiemu-containers", "readsecret", "usevault", "noproxy"}

// need leaves a test out when something that it needs is missing, or fails it
// where everything must run.
func need(t *testing.T, missing error, what string) {
	t.Helper()
	if missing == nil {
		return
	}
	message := fmt.Sprintf("left out, because %s is missing: %v", what, missing)
	if os.Getenv("WIEMU_REQUIRE") != "" {
		t.Fatal(message + " (WIEMU_REQUIRE is set)")
	}
	t.Skip(message)
}
