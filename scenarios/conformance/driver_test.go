package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// need fails the test, or leaves it out where nobody demands it.
func need(t *testing.T, program string) {
	t.Helper()
	_, err := exec.LookPath(program)
	switch {
	case err == nil:
	case os.Getenv("WIEMU_REQUIRE") != "":
		t.Fatalf("%s is missing (WIEMU_REQUIRE is set)", program)
	default:
		t.Skipf("left out, because %s is missing", program)
	}
}

// build builds wiemu as people have it: no option means that programs are led. make test-proxy
// links another default by GOFLAGS, which -ldflags takes back; without symbols it is linked in half the time.
func build(t *testing.T) (wiemu string) {
	t.Helper()
	wiemu = filepath.Join(t.TempDir(), "wiemu")
	if out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", wiemu, "github.com/wiemu/wiemu/cmd/wiemu").CombinedOutput(); err != nil {
		t.Fatalf("build wiemu: %v\n%s", err, out)
	}
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	return wiemu
}

// The curl client, and what the driver says of ones that are not as they should be.
func TestDriverTellsWhatAClientDoes(t *testing.T) {
	need(t, "bash")
	need(t, "curl")
	wiemu := build(t)
	script, err := os.ReadFile(filepath.Join("clients", "curl", "client.sh"))
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		old, new string // in the script
		want     string // "": it passes
	}{
		"as it should be":       {"", "", ""},
		"a token kept":          {"token() {", "assertion=$(cat \"$AZURE_FEDERATED_TOKEN_FILE\")\ncat() { echo \"$assertion\"; }\ntoken() {", "was used again, although the token file was rotated"},
		"no token for Graph":    {"answer=$(token graph.microsoft.com)", "answer=$(token vault.azure.net)", "expected a token for Microsoft Graph in the journal, found none"},
		"another secret":        {"secret $(field value", "secret not $(field value", `expected "secret the secret of wiemu" before "round done"`},
		"a host outside":        {`echo "graph ok"`, "echo 'graph ok'; curl -s https://example.com/", "the client tried to reach example.com"},
		"an early end":          {`echo "round done"`, "echo 'no, thanks'; echo of course >&2; exit 3", "the client ended; standard output:\ngraph ok\nsecret the secret of wiemu\nno, thanks\nstandard error:\n"},
		"an end with an error":  {"while read -r _; do round; done", "while read -r _; do round; done; exit 3", "expected that the client ends with its input: exit status 3"},
		"a refusal kept back":   {`echo "$answer"; exit 1`, "echo 'something went wrong'; exit 1", `expected "AADSTS700213" in the client's own output`},
		"a refusal passed over": {`echo "$answer"; exit 1`, "exit 0", "refused: the client exited with 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := strings.ReplaceAll(string(script), row.old, row.new)
			if row.old != "" && changed == string(script) {
				t.Fatalf("the client's script has no %q", row.old)
			}
			clients := write(t, map[string]string{"curl/client.yaml": good, "curl/client.sh": changed})
			var out, progress bytes.Buffer
			err := run(context.Background(), []string{"-o", "json", "-root", filepath.Join("..", ".."), "-wiemu", wiemu, "-clients", clients, "-cache", t.TempDir()}, &out, &progress)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(unindent(progress.String()), row.want)) {
				t.Errorf("%v; said\n%s\nwant %s", err, progress.String(), row.want)
			}
			if row.want == "" && !strings.Contains(out.String(), `"rotated": true`) {
				t.Errorf("printed %s", out.String())
			}
		})
	}
}

// A machine on which wiemu cannot isolate leaves that mode out and says why; on
// one where it can, both the trusted and the refused run are isolated.
func TestIsolation(t *testing.T) {
	need(t, "bash")
	need(t, "curl")
	t.Setenv("WIEMU_REQUIRE", "") // one row is about what is left out
	wiemu := build(t)
	for name, row := range map[string]struct{ probe, want, said string }{
		"cannot": {"echo 'no user namespaces here' >&2; exit 125", "nothing was run", "left out: curl, isolate: wiemu run --isolate does not work here: no user namespaces here"},
		"can":    {"exit 0", "", "1 passed, 0 failed, 0 skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			// A wiemu that takes --isolate for nothing, but tells that it was there.
			dir := write(t, map[string]string{"wiemu": `#!/bin/bash
[[ "$*" != *--namespace\ probe* ]] || { ` + row.probe + `; }
[[ "$1 $2" != "run --isolate" ]] || { echo isolated >> "$(dirname "$0")/runs"; set -- run "${@:3}"; }
exec ` + wiemu + ` "$@"
`})
			if err := os.Chmod(filepath.Join(dir, "wiemu"), 0o755); err != nil {
				t.Fatal(err)
			}
			clients := filepath.Join(dir, "clients")
			if err := os.CopyFS(filepath.Join(clients, "curl"), os.DirFS(filepath.Join("clients", "curl"))); err != nil {
				t.Fatal(err)
			}
			var progress bytes.Buffer
			err := run(t.Context(), []string{"-mode", "isolate", "-root", filepath.Join("..", ".."), "-wiemu", filepath.Join(dir, "wiemu"), "-clients", clients, "-cache", t.TempDir()}, &bytes.Buffer{}, &progress)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) || !strings.Contains(progress.String(), row.said) {
				t.Errorf("%v; said\n%s\nwant %s", err, progress.String(), row.said)
			}
			if runs, _ := os.ReadFile(filepath.Join(dir, "runs")); row.want == "" && string(runs) != "isolated\nisolated\n" {
				t.Errorf("isolated runs: %q, want two", runs)
			}
		})
	}
}

// A client plays its scenarios as the program client, in its directory and with the
// arguments of the scenario; what fails there fails the client.
func TestLockstep(t *testing.T) {
	need(t, "bash")
	t.Setenv("WIEMU_REQUIRE", "") // one row is about what is left out
	wiemu := build(t)
	dir := write(t, map[string]string{"wiemu": `#!/bin/bash
[[ "$1" != timeshift || ! -e "$(dirname "$0")/cannot" ]] || { echo 'no ptrace here' >&2; exit 125; }
[[ "$1" != timeshift ]] || exit 0
exec ` + wiemu + ` "$@"
`})
	if err := os.Chmod(filepath.Join(dir, "wiemu"), 0o755); err != nil {
		t.Fatal(err)
	}
	scenario := func(says string) string {
		return "apiVersion: wiemu.dev/v1\nkind: Scenario\nmetadata: {name: day}\nworkloads: [{name: a, namespace: a, serviceAccount: a, clientId: b96d264b-7053-4465-a4a7-32be5b0fec49}]\n" +
			"steps:\n  - {name: app, run: {workload: a, command: [client, watch, \"5\"]}}\n  - expect: [\"results.app.stdout == '" + says + "'\"]\n"
	}
	for name, row := range map[string]struct{ says, cannot, want, said string }{
		"as it should be":  {`it is here, watch 5\\n`, "", "", "passed   curl, federated"},
		"a scenario fails": {"something else", "", "1 of 1 runs failed", "expectation failed"},
		"not here":         {"", "yes", "nothing was run", "left out: curl, lockstep: wiemu timeshift does not work here: no ptrace here"},
	} {
		t.Run(name, func(t *testing.T) {
			if row.cannot != "" {
				if err := os.WriteFile(filepath.Join(dir, "cannot"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
				defer os.Remove(filepath.Join(dir, "cannot"))
			}
			root := write(t, map[string]string{
				"scenarios/conformance/lockstep/day.yaml": scenario(row.says),
				"clients/curl/client.yaml":                strings.Replace(good, "[proxy]", "[lockstep]\nlockstep: [day]", 1),
				"clients/curl/client.sh":                  `echo "it is $(cat note), $*"`,
				"clients/curl/note":                       "here",
			})
			var progress bytes.Buffer
			err := run(t.Context(), []string{"-root", root, "-wiemu", filepath.Join(dir, "wiemu"), "-clients", filepath.Join(root, "clients"), "-cache", t.TempDir()}, &bytes.Buffer{}, &progress)
			if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) || !strings.Contains(progress.String(), row.said) {
				t.Errorf("%v; said\n%s\nwant %s, %s", err, progress.String(), row.want, row.said)
			}
		})
	}
}

func unindent(text string) string { return strings.ReplaceAll(text, "\n    ", "\n") }

func TestAClientThatNeedsAnotherProgramIsLeftOut(t *testing.T) {
	clients := write(t, map[string]string{"curl/client.yaml": strings.Replace(good, "[curl]", "[curl, libc.so.6, no-such-program, libno-such.so.1]", 1)})
	for require, want := range map[string]string{"": "nothing was run", "1": "which WIEMU_REQUIRE"} {
		t.Setenv("WIEMU_REQUIRE", require)
		var progress bytes.Buffer
		err := run(t.Context(), []string{"-wiemu", "driver_test.go", "-clients", clients, "-cache", t.TempDir()}, &bytes.Buffer{}, &progress)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(progress.String(), "this machine has no no-such-program, libno-such.so.1") {
			t.Errorf("WIEMU_REQUIRE=%s: %v; said\n%s", require, err, progress.String())
		}
	}
}

func TestInstalledOnceUntilSomethingChanges(t *testing.T) {
	need(t, "bash")
	dir := write(t, map[string]string{"go.sum": "1", "curl/client.yaml": good, "curl/client.sh": "true"})
	count := filepath.Join(t.TempDir(), "count")
	client := Client{Dir: filepath.Join(dir, "curl"), With: []string{"../go.sum"}, Install: "echo x >> " + count + "; pwd > here; cp \"$WIEMU_CONFORMANCE_SOURCE\"/client.sh there"}
	cache, err := openCache(filepath.Join(t.TempDir(), "cache"), os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	times := 0
	for _, step := range []struct {
		what   string
		change func(t *testing.T)
		runs   bool
	}{
		{"the first time", func(*testing.T) {}, true},
		{"again", func(*testing.T) {}, false},
		{"another description", change(dir, "curl/client.yaml", good+"note: x\n"), false},
		{"another program", change(dir, "curl/client.sh", "false"), true},
		{"another file beside it", change(dir, "go.sum", "2"), true},
		{"as it was before", change(dir, "go.sum", "1"), false},
		{"another installation", func(*testing.T) { client.Install += "\n" }, true},
	} {
		step.change(t)
		if step.runs {
			times++
		}
		at, before, err := cache.installed(t.Context(), client, "Go 1.26")
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		ran, _ := os.ReadFile(count)
		here, _ := os.ReadFile(filepath.Join(at, "here"))
		if before == step.runs || len(ran) != 2*times || string(here) != at+"\n" {
			t.Errorf("%s: installed %d times, want %d; in %s, found %s", step.what, len(ran)/2, times, at, here)
		}
	}
	if _, before, err := cache.installed(t.Context(), client, "Go 1.27"); before || err != nil {
		t.Errorf("another runtime: not installed anew (%v)", err)
	}
	client.Install = "echo no disk; false"
	entries, _ := os.ReadDir(cache.Dir)
	if _, _, err := cache.installed(t.Context(), client, ""); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("an installation that fails: %v", err)
	}
	if after, _ := os.ReadDir(cache.Dir); len(after) != len(entries) {
		t.Errorf("an installation that failed is still there: %v", after)
	}
}

func change(dir, name, content string) func(*testing.T) {
	return func(t *testing.T) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUpdateRunsWhereThePinsAre(t *testing.T) {
	need(t, "bash")
	dir := write(t, map[string]string{"curl/client.yaml": good + "update: echo newest > pins\n"})
	clients, err := readClients(dir)
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDriver(options{wiemu: "driver_test.go", cache: t.TempDir()}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.update(t.Context(), clients); err != nil {
		t.Fatal(err)
	}
	if pins, err := os.ReadFile(filepath.Join(dir, "curl", "pins")); err != nil || string(pins) != "newest\n" {
		t.Errorf("%q, %v", pins, err)
	}
	clients[0].Update = fmt.Sprintf("echo %s; false", "no registry")
	if err := d.update(t.Context(), clients); err == nil || !strings.Contains(err.Error(), "no registry") {
		t.Errorf("an update that fails: %v", err)
	}
}
