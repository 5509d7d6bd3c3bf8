package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/wiemu/wiemu/internal/store"
)

type value struct {
	Name  string            `json:"name"`
	Count int               `json:"count"`
	Of    map[string]string `json:"of,omitempty"`
}

func open(t *testing.T, path string) *store.Dir {
	t.Helper()
	dir, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

func TestValuesComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	dir := open(t, path)
	var got value
	if found, err := dir.Read("rings/local", &got); found || err != nil {
		t.Fatalf("before it was written: %v %v", found, err)
	}
	for _, want := range []value{{Name: "first"}, {Name: "second", Count: 2, Of: map[string]string{"a": "b"}}} {
		if err := dir.Write("rings/local", want); err != nil {
			t.Fatal(err)
		}
		got = value{}
		if found, err := dir.Read("rings/local", &got); !found || err != nil || got.Name != want.Name || got.Count != want.Count || got.Of["a"] != want.Of["a"] {
			t.Errorf("%+v %v %v, want %+v", got, found, err, want)
		}
	}
	if info, err := os.Stat(dir.Path("rings/local")); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v %v, want 0600", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(path, "rings", ".local.new"), []byte("half a fi"), 0o600); err != nil { // a killed process's
		t.Fatal(err)
	}
	if err := dir.Write("rings/local", value{Name: "third"}); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(path, "rings", ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestADamagedFileIsAnErrorThatSaysWhatToDo(t *testing.T) {
	dir := open(t, t.TempDir())
	for name, row := range map[string]struct{ file, want string }{
		"nothing":         {"", "expected a JSON document, found nothing"},
		"cut short":       {`{"version": 1, "value": {"na`, "expected a JSON document: unexpected EOF"},
		"another thing":   {`hello`, "expected a JSON document"},
		"more behind it":  {`{"version": 1, "value": {}} {}`, "expected one JSON document"},
		"another type":    {`{"version": 1, "value": {"count": "two"}}`, "count: expected a int, found a string"},
		"another field":   {`{"version": 1, "value": {"colour": 1}}`, `unknown field "colour"`},
		"another version": {`{"version": 7, "value": {}}`, "version: expected 1, found 7"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(dir.Path("file"), []byte(row.file), 0o600); err != nil {
				t.Fatal(err)
			}
			var got value
			_, err := dir.Read("file", &got)
			if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), dir.Path("file")+": ") || !strings.Contains(err.Error(), "put a copy back, or remove the file") {
				t.Errorf("%v, want the file, %q and what to do", err, row.want)
			}
			if data, err := os.ReadFile(dir.Path("file")); err != nil || string(data) != row.file {
				t.Errorf("the file was touched: %q %v", data, err)
			}
		})
	}
}

func TestOneProcessAtATime(t *testing.T) {
	path := t.TempDir()
	dir := open(t, path)
	if _, err := store.Open(path); !errors.Is(err, store.ErrHeld) || !strings.Contains(err.Error(), path) {
		t.Errorf("a second one: %v", err)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

// TestAPlantedLinkIsNotFollowed is an attack: root then wrote signing keys over any file.
func TestAPlantedLinkIsNotFollowed(t *testing.T) {
	path, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	if err := errors.Join(os.WriteFile(victim, []byte("intact"), 0o600), os.Mkdir(filepath.Join(path, "rings"), 0o700), os.Symlink(victim, filepath.Join(path, "rings", ".local.new"))); err != nil {
		t.Fatal(err)
	}
	dir := open(t, path)
	if err := dir.Write("rings/local", value{Name: "key"}); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "intact" {
		t.Errorf("the victim holds %q, %v", data, err)
	}
}

func TestWhereNothingCanBeKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(filepath.Join(file, "state")); !errors.Is(err, syscall.ENOTDIR) || !strings.Contains(err.Error(), file) {
		t.Errorf("a directory below a file: %v", err)
	}
	dir := open(t, t.TempDir())
	if err := os.MkdirAll(filepath.Join(dir.Path("taken"), "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := dir.Write("taken", value{}); err == nil || !strings.Contains(err.Error(), dir.Path("taken")) {
		t.Errorf("a directory in the file's place: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"version": 1, "value": {"name": "a", "count": 1}}`))
	f.Add([]byte(`{"version": 1, "value": null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := open(t, t.TempDir())
		if err := os.WriteFile(dir.Path("file"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		var got, again value
		if _, err := dir.Read("file", &got); err != nil {
			return
		}
		if err := dir.Write("file", got); err != nil {
			t.Fatal(err)
		}
		if _, err := dir.Read("file", &again); err != nil || again.Name != got.Name || again.Count != got.Count {
			t.Errorf("%+v comes back as %+v: %v", got, again, err)
		}
	})
}
