package run_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/emulator/config"
	"github.com/wiemu/wiemu/internal/backend"
	"github.com/wiemu/wiemu/internal/run"
	"github.com/wiemu/wiemu/internal/session"
	"github.com/wiemu/wiemu/internal/workload"
)

// openWorld opens a world of two clusters whose workload has the same service
// account in both.
func openWorld(t *testing.T) (backend.Session, []workload.Spec) {
	t.Helper()
	c, err := config.Config{Issuers: []config.Issuer{{Name: "old"}, {Name: "new"}}}.Complete("")
	if err != nil {
		t.Fatal(err)
	}
	account := workload.Workload{Namespace: "shop", ServiceAccount: "web-sa", ClientID: "b96d264b-7053-4465-a4a7-32be5b0fec49"}
	declared := []workload.Spec{{Workload: account, TokenOptions: workload.TokenOptions{Issuer: "old"}}, {Workload: account, TokenOptions: workload.TokenOptions{Issuer: "new"}}}
	program := filepath.Join(t.TempDir(), "wiemu-workload")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"i am $0: $*\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	site, err := run.Processes{Program: program}.Open(t.Context(), backend.Spec{
		Name: "test", Config: c, Dir: t.TempDir(), Start: time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC), Workloads: declared,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := site.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return site, declared
}

func admitted(t *testing.T, site backend.Session, d workload.Spec) backend.Workload {
	t.Helper()
	r, err := site.Workload(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tokenOf(t *testing.T, r backend.Workload) string {
	t.Helper()
	token, err := r.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(token)
}

// ran is what a program writes until its end.
func ran(t *testing.T, r backend.Workload, p backend.Program) string {
	t.Helper()
	var out bytes.Buffer
	p.Stdout, p.Stderr = &out, &out
	started, err := r.Start(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if code, err := started.Wait(t.Context()); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v: %s", code, err, &out)
	}
	return out.String()
}

func TestProcessesAreAPlace(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the programs of this test are shell scripts")
	}
	site, declared := openWorld(t)
	old, moved := admitted(t, site, declared[0]), admitted(t, site, declared[1])
	mine, other := tokenOf(t, old), tokenOf(t, moved)
	if mine == other || strings.Count(mine, ".") != 2 {
		t.Fatalf("the tokens are %q and %q", mine, other)
	}
	cat := []string{"sh", "-c", `cat "$AZURE_FEDERATED_TOKEN_FILE"`}
	for name, row := range map[string]struct {
		program backend.Program
		want    string
	}{
		"its own token":       {backend.Program{Command: cat}, mine},
		"another's":           {backend.Program{Command: cat, TokenOf: moved}, other},
		"one that was kept":   {backend.Program{Command: cat, Token: []byte("kept")}, "kept"},
		"a variable":          {backend.Program{Command: []string{"sh", "-c", "echo $ONE"}, Env: map[string]string{"ONE": "1"}}, "1\n"},
		"our own program":     {backend.Program{Command: []string{backend.WorkloadProgram, "a"}}, "wiemu-workload: a\n"},
		"the same by a shell": {backend.Program{Command: []string{"sh", "-c", "wiemu-workload b"}}, "wiemu-workload: b\n"},
	} {
		if got := ran(t, old, row.program); !strings.HasSuffix(got, row.want) {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
	if _, err := site.Control().Advance(t.Context(), "1h"); err != nil {
		t.Fatal(err)
	}
	if tokenOf(t, old) == mine {
		t.Error("an hour later the token is the same one")
	}
}

// A workload that moves leaves another one of the same service account where it is.
func TestOneWorkloadMovesAlone(t *testing.T) {
	site, declared := openWorld(t)
	old, stays := admitted(t, site, declared[0]), admitted(t, site, declared[1])
	before, other := tokenOf(t, old), tokenOf(t, stays)
	moved, err := session.Move(t.Context(), site.Control(), session.Moving{Namespace: "shop", ServiceAccount: "web-sa", Issuer: "new", Only: &declared[0]})
	if err != nil || len(moved) != 1 || !strings.Contains(moved[0].From, "old") {
		t.Fatalf("moved %+v, %v", moved, err)
	}
	if tokenOf(t, old) == before || tokenOf(t, stays) != other {
		t.Error("the wrong one has moved")
	}
}

func TestProgramsThatGoOnAreStopped(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the programs of this test are shell scripts")
	}
	site, declared := openWorld(t)
	r := admitted(t, site, declared[0])
	var out bytes.Buffer
	ready := make(chan struct{})
	started, err := r.Start(context.Background(), backend.Program{
		Command: []string{"sh", "-c", `trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done`}, Stdout: writer(func(p []byte) { out.Write(p); close(ready) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	<-ready
	select {
	case <-started.Done():
		t.Fatal("it has ended by itself")
	default:
	}
	started.Stop()
	if code, err := started.Wait(t.Context()); code != 3 || err != nil {
		t.Errorf("exit code %d, %v; want that of its trap", code, err)
	}
	missing, err := r.Start(t.Context(), backend.Program{Command: []string{"no-such-program"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := missing.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "start no-such-program") {
		t.Error(err)
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }
