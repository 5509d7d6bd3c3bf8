//go:build unix

package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/wiemu/wiemu/internal/resource/postgres/local"
)

// PostgreSQL ends with a wiemu that is killed, and so do its files.
func TestItEndsWithItsParent(t *testing.T) {
	if _, err := local.Find(); err != nil {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	if os.Getenv("WIEMU_TEST_PARENT") != "" {
		own, err := local.Start(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		cfg, _ := pgconn.ParseConfig(own.ConnString())
		fmt.Println("directory", cfg.Host)
		select {}
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestItEndsWithItsParent$")
	parent.Env = append(os.Environ(), "WIEMU_TEST_PARENT=1")
	out, err := parent.StdoutPipe()
	if err == nil {
		err = parent.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := ""
	for lines := bufio.NewScanner(out); dir == "" && lines.Scan(); {
		_, _ = fmt.Sscanf(lines.Text(), "directory %s", &dir)
	}
	if dir == "" {
		t.Fatal("the parent started nothing")
	}
	text, err := os.ReadFile(filepath.Join(dir, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid := 0
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // it was killed
	for range 3000 {
		_, err := os.Stat(dir)
		if errors.Is(err, os.ErrNotExist) && (errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid)) {
			return
		}
		time.Sleep(10 * time.Millisecond) // wall time: a process
	}
	t.Errorf("%s or process %d outlived its parent", dir, pid)
}

// zombie says whether a process has ended and nobody has waited for it.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// Without programs the error names the three ways out.
func TestNoneFound(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	if err := os.WriteFile(filepath.Join(dir, "initdb"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if found, err := local.Find(); err == nil { // the machine has one where packages install it
		if strings.HasPrefix(found, dir) {
			t.Errorf("found %s, where there is no postgres", found)
		}
		return
	} else if !strings.Contains(err.Error(), "apt-get install postgresql") || !strings.Contains(err.Error(), "PATH") || !strings.Contains(err.Error(), "url") {
		t.Error(err)
	}
}

// One that has ended starts again with what it had stored; Close leaves nothing.
func TestRestart(t *testing.T) {
	if _, err := local.Find(); err != nil {
		if os.Getenv("WIEMU_REQUIRE") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Setenv("TMPDIR", t.TempDir())             // of root alone, if it is root that runs this
	t.Setenv("PGTARGETSESSIONATTRS", "standby") // is for another server, as all of libpq's variables
	t.Setenv("PGOPTIONS", "-c default_transaction_read_only=on")
	s, err := local.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cfg, _ := pgconn.ParseConfig(s.ConnString())
	ask := func(sql string) (string, error) {
		conn, err := pgconn.Connect(t.Context(), s.ConnString())
		if err != nil {
			return "", err
		}
		defer func() { _ = conn.Close(context.Background()) }()
		results, err := conn.Exec(t.Context(), sql).ReadAll()
		if err != nil || len(results[0].Rows) == 0 {
			return "", err
		}
		return string(results[0].Rows[0][0]), nil
	}
	if _, err := ask("create table stored (n int); insert into stored values (7)"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(cfg.Host, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid := 0
	if _, err := fmt.Sscan(string(text), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	found := ""
	for tries := 0; found == "" && tries < 1000; tries++ {
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if found, err = ask("select n from stored"); err != nil {
			time.Sleep(10 * time.Millisecond) // wall time: a process
		}
	}
	if found != "7" {
		t.Errorf("found %q, %v", found, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(cfg.Host); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its data is still there: %v", err)
	}
	if err := syscall.Kill(pid, 0); err == nil && !zombie(pid) {
		t.Error("it runs")
	}
}
