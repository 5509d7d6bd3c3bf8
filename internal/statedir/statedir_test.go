package statedir_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/statedir"
)

// stranger is somebody who is neither root nor runs the tests.
const stranger = 54321

// needsOwners leaves out what only root can set up, and what Windows does not have.
func needsOwners(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" || os.Geteuid() != 0 {
		t.Skip("files of another owner are made by root")
	}
}

func do(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *statedir.Dir {
	t.Helper()
	dir, err := statedir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

func TestDirectoriesThatOthersCanHaveWrittenAreRefused(t *testing.T) {
	needsOwners(t)
	for name, row := range map[string]struct {
		plant func(path string) error
		want  string // "": it is opened
	}{
		"missing":              {func(string) error { return nil }, ""},
		"one's own":            {func(p string) error { return os.Mkdir(p, 0o755) }, ""},
		"another's":            {func(p string) error { return errors.Join(os.Mkdir(p, 0o755), os.Chown(p, stranger, stranger)) }, "expected it to belong to root, who runs this, found that it belongs to user 54321"},
		"writable for a group": {func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o775)) }, "expected that only its owner can write it, found mode drwxrwxr-x"},
		"writable for all":     {func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o777)) }, "found mode drwxrwxrwx"},
		"as /tmp is":           {func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o777|fs.ModeSticky)) }, "found mode dtrwxrwxrwx"},
		"a symbolic link":      {func(p string) error { return os.Symlink(t.TempDir(), p) }, "expected a directory, found a symbolic link"},
		"a file":               {func(p string) error { return os.WriteFile(p, nil, 0o600) }, "not a directory"},
		"a team's": {func(p string) error {
			return errors.Join(os.Mkdir(p, 0o700), os.Chown(p, 0, stranger), os.Chmod(p, 0o775|fs.ModeSetgid))
		}, "found mode dgrwxrwxr-x"},
		"an emptyDir with fsGroup": {func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o777|fs.ModeSetgid)) }, ""},
		"a claim with fsGroup":     {func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o775|fs.ModeSetgid)) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			do(t, row.plant(path))
			dir, err := statedir.Open(path)
			if err == nil {
				defer dir.Close()
			}
			switch {
			case row.want == "":
				if err != nil {
					t.Fatal(err)
				}
			case err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), path):
				t.Errorf("%v, want %s and %q", err, path, row.want)
			}
		})
	}
}

func TestFilesThatOthersCanHaveWrittenAreRefused(t *testing.T) {
	needsOwners(t)
	const secret = "somebody's file"
	for name, row := range map[string]struct {
		plant  func(path, victim string) error
		volume bool
		want   string
	}{
		"one's own": {plant: func(p, _ string) error { return os.WriteFile(p, []byte("token"), 0o600) }},
		"another's": {plant: func(p, _ string) error {
			return errors.Join(os.WriteFile(p, nil, 0o600), os.Chown(p, stranger, stranger))
		}, want: "found that it belongs to user 54321"},
		"another's, volume":    {plant: func(p, _ string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Chown(p, stranger, 0)) }, volume: true, want: "found that it belongs to user 54321"},
		"writable for a group": {plant: func(p, _ string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Chmod(p, 0o660)) }, want: "found mode -rw-rw----"},
		"the fsGroup's": {plant: func(p, _ string) error {
			return errors.Join(os.WriteFile(p, []byte("token"), 0o600), os.Chmod(p, 0o660))
		}, volume: true},
		"everybody's, volume": {plant: func(p, _ string) error { return errors.Join(os.WriteFile(p, nil, 0o600), os.Chmod(p, 0o666)) }, volume: true, want: "found mode -rw-rw-rw-"},
		"a symbolic link":     {plant: func(p, v string) error { return os.Symlink(v, p) }, want: "expected a file, found a symbolic link"},
		"a link to nothing":   {plant: func(p, v string) error { return os.Symlink(v+".missing", p) }, want: "expected a file, found a symbolic link"},
		"a directory":         {plant: func(p, _ string) error { return os.Mkdir(p, 0o700) }, want: "expected a file, found a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			victim := filepath.Join(t.TempDir(), "victim")
			do(t, os.Mkdir(path, 0o700), os.WriteFile(victim, []byte(secret), 0o600))
			if row.volume {
				do(t, os.Chmod(path, 0o777|fs.ModeSetgid))
			}
			dir := open(t, path)
			do(t, row.plant(dir.Path("file"), victim))
			check := func(verb string, err error) {
				t.Helper()
				switch {
				case row.want == "":
					if err != nil {
						t.Errorf("%s: %v", verb, err)
					}
				case err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), dir.Path("file")):
					t.Errorf("%s: %v, want %s and %q", verb, err, dir.Path("file"), row.want)
				}
			}
			_, err := dir.ReadFile("file")
			check("read", err)
			for _, flags := range []int{os.O_RDWR, os.O_RDWR | os.O_CREATE, os.O_WRONLY | os.O_CREATE | os.O_TRUNC} {
				f, err := dir.OpenFile("file", flags)
				if err == nil {
					defer f.Close()
				}
				check("open", err)
			}
			if err := dir.WriteFile("file", []byte("new")); err != nil && name != "a directory" {
				t.Errorf("what is not followed can be replaced: %v", err)
			}
			for _, file := range []string{victim, victim + ".missing"} {
				if data, err := os.ReadFile(file); err == nil && string(data) != secret {
					t.Errorf("%s was overwritten: %q", file, data)
				}
			}
		})
	}
}

// TestAWriteFollowsNoLink is the attack that had root overwrite any file.
func TestAWriteFollowsNoLink(t *testing.T) {
	path, elsewhere := t.TempDir(), t.TempDir()
	victim := filepath.Join(elsewhere, "victim")
	do(t, os.Mkdir(filepath.Join(path, "rings"), 0o700), os.WriteFile(victim, []byte("intact"), 0o600),
		os.Symlink(victim, filepath.Join(path, "rings", ".a.json.new")), os.Symlink(elsewhere, filepath.Join(path, "linked")))
	dir := open(t, path)
	do(t, dir.WriteFile("rings/a.json", []byte("{}")))
	if data, err := dir.ReadFile("rings/a.json"); err != nil || string(data) != "{}" {
		t.Errorf("%q, %v", data, err)
	}
	if err := dir.WriteFile("linked/victim", nil); err == nil || !strings.Contains(err.Error(), "expected a directory, found a symbolic link") {
		t.Errorf("a linked directory: %v", err)
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != "intact" {
		t.Errorf("the victim's file holds %q, %v", data, err)
	}
}

func TestADirectoryOfSomebodyElsesBelowIsRefused(t *testing.T) {
	needsOwners(t)
	path := t.TempDir()
	do(t, os.Mkdir(filepath.Join(path, "rings"), 0o755), os.Chown(filepath.Join(path, "rings"), stranger, stranger))
	if err := open(t, path).WriteFile("rings/a.json", nil); err == nil || !strings.Contains(err.Error(), "belongs to user 54321") {
		t.Errorf("%v", err)
	}
}

// TestADirectoryInAVolumeIsOpenedByItself: so is the CA's, after kubelet has given it
// to the fsGroup.
func TestADirectoryInAVolumeIsOpenedByItself(t *testing.T) {
	needsOwners(t)
	volume := t.TempDir()
	below := filepath.Join(volume, "ca")
	do(t, os.Mkdir(below, 0o700), os.Chmod(volume, 0o777|fs.ModeSetgid), os.Chmod(below, 0o770|fs.ModeSetgid))
	open(t, below)
}

func TestWhatIsMissingIsSaidToBe(t *testing.T) {
	dir := open(t, t.TempDir())
	if _, err := dir.ReadFile("rings/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := dir.OpenFile("file", os.O_WRONLY|os.O_CREATE|os.O_EXCL); err != nil {
		t.Error(err)
	}
	if _, err := dir.OpenFile("file", os.O_WRONLY|os.O_CREATE|os.O_EXCL); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
}

func TestADirectoryThatChangesItsMeaningIsNotFollowed(t *testing.T) {
	parent := t.TempDir()
	dir := open(t, filepath.Join(parent, "state"))
	other := filepath.Join(parent, "other")
	do(t, os.Mkdir(other, 0o700), os.Rename(filepath.Join(parent, "state"), filepath.Join(parent, "moved")), os.Symlink(other, filepath.Join(parent, "state")))
	do(t, dir.WriteFile("file", []byte("mine")))
	if left, err := os.ReadDir(other); err != nil || len(left) > 0 {
		t.Errorf("written elsewhere: %v %v", left, err)
	}
}
