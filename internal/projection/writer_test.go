package projection

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var stamp = time.Date(2026, 11, 23, 11, 4, 5, 0, time.FixedZone("CET", 3600))

func newWriter(t *testing.T, file string) *writer {
	t.Helper()
	w, err := openWriter(filepath.Join(t.TempDir(), "volume"), file, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	w.grace = 0
	return w
}

func (w *writer) put(t *testing.T, data string) bool {
	t.Helper()
	changed, err := w.write([]byte(data), w.mode, stamp, rand.New(rand.NewPCG(1, uint64(len(data)))))
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func listing(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestTheLayoutIsAKubelets(t *testing.T) {
	for _, file := range []string{"azure-identity-token", "token/azure-identity-token"} {
		t.Run(file, func(t *testing.T) {
			w := newWriter(t, file)
			w.put(t, "first")
			before := listing(t, w.dir)
			w.put(t, "second one")
			after := listing(t, w.dir)
			visible, _, _ := strings.Cut(file, "/")
			// A directory for the time in UTC, the link to it, the name that is read.
			if len(after) != 3 || !strings.HasPrefix(after[0], "..2026_11_23_10_04_05.") || !stampName().MatchString(after[0]) || after[1] != "..data" || after[2] != visible {
				t.Fatalf("volume holds %v", after)
			}
			if before[0] == after[0] {
				t.Error("the directory was written to in place")
			}
			for link, want := range map[string]string{"..data": after[0], visible: "..data/" + visible} {
				if target, err := os.Readlink(w.path(link)); err != nil || target != want {
					t.Errorf("%s -> %s, want %s, error %v", link, target, want, err)
				}
			}
			for name, want := range map[string]fs.FileMode{after[0]: 0o755 | fs.ModeDir, filepath.Join(after[0], file): 0o640} {
				if info, err := os.Lstat(w.path(name)); err != nil || info.Mode() != want {
					t.Errorf("%s has mode %v, want %v, error %v", name, info.Mode(), want, err)
				}
			}
			if data, err := os.ReadFile(w.path(file)); err != nil || string(data) != "second one" {
				t.Errorf("content %q, error %v", data, err)
			}
		})
	}
}

func TestEqualBytesAreNotWrittenAgain(t *testing.T) {
	w := newWriter(t, "token")
	if !w.put(t, "same") {
		t.Error("the first write changed nothing")
	}
	before := listing(t, w.dir)
	if w.put(t, "same") {
		t.Error("equal bytes were written")
	}
	if after := listing(t, w.dir); after[0] != before[0] {
		t.Errorf("directory %s became %s", before[0], after[0])
	}
}

func TestAnOpenFileKeepsItsContent(t *testing.T) {
	w := newWriter(t, "token")
	w.put(t, "first")
	file, err := os.Open(w.path("token"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w.put(t, "second one")
	data := make([]byte, 20)
	if n, _ := file.Read(data); string(data[:n]) != "first" {
		t.Errorf("read %q", data[:n])
	}
}

func TestAFailedWriteLeavesTheOldContentAndNoLitter(t *testing.T) {
	for _, test := range []struct {
		name  string
		cause error
		want  string
	}{
		{"a full disk", syscall.ENOSPC, "no space left on device; the disk is full: free some space"},
		{"a quota", syscall.EDQUOT, "the disk quota is used up"},
		{"a read-only file system", syscall.EROFS, "the file system is read-only"},
		{"a directory of somebody else", syscall.EACCES, "the directory must be writable by the user that runs wiemu"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWriter(t, "token")
			w.put(t, "first")
			before := listing(t, w.dir)
			w.writeFile = func(name string, data []byte, mode fs.FileMode) error {
				_ = os.WriteFile(name, data[:2], mode) // a part fits
				return &fs.PathError{Op: "write", Path: name, Err: test.cause}
			}
			_, err := w.write([]byte("second one"), w.mode, stamp, rand.New(rand.NewPCG(2, 2)))
			if !errors.Is(err, test.cause) || !strings.Contains(err.Error(), "projection: write the token file "+w.path("token")) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
			if after := listing(t, w.dir); strings.Join(after, " ") != strings.Join(before, " ") {
				t.Errorf("volume holds %v, before %v", after, before)
			}
			if data, err := os.ReadFile(w.path("token")); err != nil || string(data) != "first" {
				t.Errorf("content %q, error %v", data, err)
			}
			w.writeFile = os.WriteFile
			if !w.put(t, "second one") {
				t.Error("the next write changed nothing")
			}
		})
	}
}

func TestADirectoryThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openWriter(filepath.Join(file, "volume"), "token", 0o644)
	if err == nil || !strings.Contains(err.Error(), "part of the path is a file: use another directory") {
		t.Errorf("error %v", err)
	}
}

func TestWhatAKilledProcessLeftIsReplaced(t *testing.T) {
	w := newWriter(t, "token")
	w.put(t, "first")
	if err := os.Symlink("nowhere", w.path(newDataLink)); err != nil {
		t.Fatal(err)
	}
	again, err := openWriter(w.dir, "token", 0o640)
	if err != nil {
		t.Fatal(err)
	}
	again.grace = 0
	again.put(t, "second one")
	if names := listing(t, w.dir); len(names) != 3 {
		t.Errorf("volume holds %v", names)
	}
}

func TestWithoutSymbolicLinksTheFileItselfIsReplaced(t *testing.T) {
	for _, file := range []string{"token", "token/azure-identity-token"} {
		w := newWriter(t, file)
		w.symlink = func(target, link string) error {
			return &os.LinkError{Op: "symlink", Old: target, New: link, Err: syscall.EPERM}
		}
		w.put(t, "first")
		w.put(t, "second one")
		if data, err := os.ReadFile(w.path(file)); err != nil || string(data) != "second one" {
			t.Errorf("content %q, error %v", data, err)
		}
		if names := listing(t, w.dir); len(names) != 1 {
			t.Errorf("volume holds %v", names)
		}
		if err := w.close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(w.dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left behind: %v", err)
		}
	}
}

func TestARetiredDirectoryOutlivesItsReaders(t *testing.T) {
	w := newWriter(t, "token")
	w.grace = time.Hour
	w.put(t, "first")
	old := listing(t, w.dir)[0]
	w.put(t, "second one")
	if _, err := os.Stat(w.path(filepath.Join(old, "token"))); err != nil {
		t.Errorf("a reader that has followed the link finds %v", err)
	}
	if err := w.close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(w.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("left behind: %v", err)
	}
}
