package file_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/file"
)

func TestReplace(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.txt")
	for _, content := range []string{"old", "new"} {
		if err := file.Replace(name, strings.NewReader(content), 0o640); err != nil {
			t.Fatal(err)
		}
		if found, err := os.ReadFile(name); err != nil || string(found) != content {
			t.Errorf("expected %q, found %q, %v", content, found, err)
		}
	}
	if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	alone(t, dir, "a.txt")
}

// What cannot be written to its end leaves the old file, and nothing beside it.
func TestReplaceFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.txt")
	if err := os.WriteFile(name, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := file.Replace(name, io.MultiReader(strings.NewReader("ne"), broken{}), 0o600); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("found %v", err)
	}
	r, err := file.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Abandon(); err != nil {
		t.Error(err)
	}
	if found, _ := os.ReadFile(name); string(found) != "old" {
		t.Errorf("found %q", found)
	}
	alone(t, dir, "a.txt")
	if _, err := file.Create(filepath.Join(dir, "missing", "a.txt")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("found %v", err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func alone(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("expected %s alone, found %v, %v", name, entries, err)
	}
}

func TestLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	held, err := file.TryLock(name)
	if err != nil {
		t.Fatal(err)
	}
	for what, take := range map[string]func(string) (*file.Lock, error){"exclusive": file.TryLock, "shared": file.TryShare} {
		if _, err := take(name); !errors.Is(err, file.ErrLocked) {
			t.Errorf("%s: %v", what, err)
		}
	}
	waited := make(chan error)
	go func() {
		l, err := file.WaitForLock(name)
		if err == nil {
			err = l.Release()
		}
		waited <- err
	}()
	if err := held.Release(); err != nil {
		t.Error(err)
	}
	if err := <-waited; err != nil {
		t.Error(err)
	}
	one, err := file.TryShare(name)
	if err != nil {
		t.Fatal(err)
	}
	other, err := file.TryShare(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(one.Release(), other.Release()); err != nil {
		t.Error(err)
	}
	if _, err := file.TryLock(filepath.Join(name, "below")); err == nil || !strings.Contains(err.Error(), "below") {
		t.Errorf("found %v", err)
	}
}

// late is a context that is asked whether it has ended when what is read is there already.
type late struct {
	context.Context
	read chan struct{}
}

func (l late) Done() <-chan struct{} {
	<-l.read
	runtime.Gosched()
	return l.Context.Done()
}

// Whoever was interrupted is told so, also if what was read is there as well: a select takes either.
func TestReadContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 1000 {
		l := late{ctx, make(chan struct{})}
		if _, err := file.ReadContext(l, func() (int, error) { close(l.read); return 1, nil }); !errors.Is(err, context.Canceled) {
			t.Fatalf("expected that it was interrupted, found %v", err)
		}
	}
}
