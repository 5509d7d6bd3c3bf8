package yamlfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/yamlfile"
)

func do(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatWasFoundBelongsToTheCaller(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() != 0 {
		t.Skip("files of another owner are made by root")
	}
	const stranger = 54321
	for name, row := range map[string]struct {
		plant func(folder, file string) error
		sudo  string // SUDO_UID
		want  string // "": it is read
	}{
		"one's own":           {plant: func(string, string) error { return nil }},
		"another's":           {plant: func(_, file string) error { return os.Chown(file, stranger, 0) }, want: "found that it belongs to user 54321"},
		"in another's folder": {plant: func(folder, _ string) error { return os.Chown(folder, stranger, 0) }, want: "found that its folder belongs to user 54321"},
		"of who called sudo": {plant: func(folder, file string) error {
			return errors.Join(os.Chown(file, stranger, 0), os.Chown(folder, stranger, 0))
		}, sudo: "54321"},
		"of another, with sudo": {plant: func(_, file string) error { return os.Chown(file, stranger, 0) }, sudo: "54322", want: "found that it belongs to user 54321"},
		"SUDO_UID is no number": {plant: func(_, file string) error { return os.Chown(file, stranger, 0) }, sudo: "54321x", want: "belongs to user 54321"},
		"a link that another set": {plant: func(folder, file string) error {
			return errors.Join(os.Rename(file, folder+"/x"), os.Symlink("x", file), os.Lchown(file, stranger, 0))
		}, want: "found that it belongs to user 54321"},
		"a link to another's": {plant: func(folder, file string) error {
			return errors.Join(os.Rename(file, folder+"/x"), os.Symlink("x", file), os.Chown(folder+"/x", stranger, 0))
		}, want: "found that what it links to belongs to user 54321"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SUDO_UID", row.sudo)
			folder := t.TempDir()
			file := filepath.Join(folder, "wiemu.yaml")
			do(t, os.WriteFile(file, []byte("a: 1\n"), 0o644), row.plant(folder, file))
			data, err := yamlfile.ReadFound(yamlfile.MaxBytes, file)
			switch {
			case row.want == "":
				if err != nil || string(data) != "a: 1\n" {
					t.Errorf("%q, %v", data, err)
				}
			case err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), "name it: -f "+file):
				t.Errorf("%v, want %q and what to do", err, row.want)
			}
			if _, err := yamlfile.Read(file); err != nil {
				t.Errorf("a file that was named: %v", err)
			}
		})
	}
	if _, err := yamlfile.ReadFound(yamlfile.MaxBytes, filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// TestAFileThatIsTooLargeIsNotRead: 50 MB kept a command busy for half a minute. The
// file here has no blocks and would take a terabyte of memory.
func TestAFileThatIsTooLargeIsNotRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "wiemu.yaml")
	f, err := os.Create(file)
	do(t, err)
	if err := f.Truncate(1 << 40); err != nil {
		do(t, f.Truncate(1<<30)) // a file system with smaller limits
	}
	do(t, f.Close())
	if _, err := yamlfile.Read(file); err == nil || !strings.Contains(err.Error(), file+": expected at most 1 MiB, found 1") {
		t.Errorf("%v", err)
	}
	do(t, os.Truncate(file, yamlfile.MaxBytes))
	if data, err := yamlfile.Read(file); err != nil || len(data) != yamlfile.MaxBytes {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}
