package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wiemu/wiemu/internal/backend"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wiemu": main, "offline": offline})
}

// Scripts are the command line as people use it: testdata/script/*.txtar. Each
// has a home and a state directory of its own; keys that were made ahead are shared.
func TestScript(t *testing.T) {
	programs, keys := buildPrograms(t), t.TempDir()
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
			env.Setenv("XDG_CACHE_HOME", keys)
			env.Setenv("WIEMU_STATE_DIR", filepath.Join(env.WorkDir, "state"))
			runtime := filepath.Join(env.WorkDir, "runtime") // what runs leave behind would be here
			env.Setenv("XDG_RUNTIME_DIR", runtime)
			env.Setenv("PATH", env.Getenv("PATH")+string(os.PathListSeparator)+programs)
			return errors.Join(os.MkdirAll(home, 0o755), os.Mkdir(runtime, 0o700))
		},
	})
}

// buildPrograms builds the programs that the tests run as workloads, and wiemu-containers.
func buildPrograms(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	build := exec.Command("go", "build", "-o", dir+string(os.PathSeparator), "../../docs/examples/readsecret", "../../docs/examples/usevault", "../wiemu-workload", "../wiemu-containers", "./testdata/noproxy")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the workloads: %v\n%s", err, out)
	}
	return dir
}

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
