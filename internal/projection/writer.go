package projection

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/wiemu/wiemu/internal/lazyregexp"
)

// The layout of a volume. Kubernetes: pkg/volume/util/atomic_writer.go.
//
//	..2026_11_23_10_04_05.1234567890/azure-identity-token   the file
//	..data -> ..2026_11_23_10_04_05.1234567890              swapped by rename
//	azure-identity-token -> ..data/azure-identity-token     what is read
const (
	dataLink    = "..data"
	newDataLink = "..data_tmp"
	stampLayout = "..2006_01_02_15_04_05."
)

// A writer replaces one file of a volume so that readers see the old bytes or
// the new ones. It is not safe for concurrent use.
type writer struct {
	dir     string
	file    string      // relative to dir
	mode    fs.FileMode // of the file as it is laid out now
	view    view        // what readers find
	made    bool        // dir was not there before
	plain   bool        // the file system has no symbolic links
	grace   time.Duration
	retired retired

	// The two calls that fail first: on a full disk, and without symbolic links.
	writeFile func(name string, data []byte, mode fs.FileMode) error
	symlink   func(target, link string) error
}

func openWriter(dir, file string, mode fs.FileMode) (*writer, error) {
	w := &writer{dir: dir, file: file, mode: mode, grace: grace, writeFile: os.WriteFile, symlink: os.Symlink}
	_, err := os.Stat(dir)
	w.made = errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, w.failed(err)
	}
	return w, nil
}

func (w *writer) path(name string) string { return filepath.Join(w.dir, name) }

// write puts data in place of the file's content and reports whether that changed
// anything. When it fails the old content is still there, and nothing else. Where
// readers do not find the file by its link, it is written where they do not see it.
func (w *writer) write(data []byte, mode fs.FileMode, now time.Time, random *rand.Rand) (changed bool, err error) {
	if old, err := os.ReadFile(w.path(w.held())); err == nil && bytes.Equal(old, data) && mode == w.mode {
		return false, nil
	}
	before := w.mode
	w.mode = mode
	defer func() {
		if err != nil {
			w.mode = before
		}
	}()
	if w.plain && w.view != linked {
		return false, nil // without links there is no place that readers do not see
	}
	if !w.plain {
		err = w.swap(data, now, random)
		if !lacksSymlinks(err) {
			return err == nil, w.failed(err)
		}
		w.plain = true
	}
	return true, w.failed(w.replace(data))
}

// swap writes a new directory, turns ..data to it and retires the old one.
func (w *writer) swap(data []byte, now time.Time, random *rand.Rand) error {
	old, _ := os.Readlink(w.path(dataLink)) // "": the first time
	stamp, err := w.stampDir(now, random)
	if err != nil {
		return err
	}
	if err := w.fill(stamp, data); err != nil {
		return errors.Join(err, os.RemoveAll(w.path(stamp)))
	}
	if old != "" {
		w.retired.add(w.path(old), w.grace)
	}
	return w.show()
}

// fill writes the file in a directory and turns ..data to the directory.
func (w *writer) fill(stamp string, data []byte) error {
	if err := makeDirs(w.path(stamp), filepath.Dir(w.file)); err != nil {
		return err
	}
	name := filepath.Join(w.path(stamp), w.file)
	if err := w.writeFile(name, data, w.mode); err != nil {
		return err
	}
	if err := setMode(name, w.mode); err != nil {
		return err
	}
	return w.turn(stamp)
}

// stampDir makes ..TIMESTAMP.RANDOM.
func (w *writer) stampDir(now time.Time, random *rand.Rand) (string, error) {
	for {
		name := now.UTC().Format(stampLayout) + fmt.Sprint(1_000_000_000+random.Uint32N(3_000_000_000))
		err := os.Mkdir(w.path(name), 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = setMode(w.path(name), 0o755)
		}
		return name, err
	}
}

// makeDirs makes the directories of a path below base, readable by all.
func makeDirs(base, path string) error {
	if path == "." {
		return nil
	}
	for _, step := range strings.Split(filepath.ToSlash(path), "/") {
		base = filepath.Join(base, step)
		if err := os.Mkdir(base, 0o755); err != nil {
			return err
		}
		if err := setMode(base, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// setMode makes up for the umask. It looks first, because on a journaling file
// system a change costs as much as a file.
func setMode(name string, mode fs.FileMode) error {
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() == mode.Perm() {
		return err
	}
	return os.Chmod(name, mode)
}

// turn points ..data to a directory in one step.
func (w *writer) turn(stamp string) error {
	if err := os.Remove(w.path(newDataLink)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // left by a process that was killed
	}
	if err := w.symlink(stamp, w.path(newDataLink)); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // rename does not replace a link to a directory there
		_ = os.Remove(w.path(dataLink))
	}
	if err := os.Rename(w.path(newDataLink), w.path(dataLink)); err != nil {
		return errors.Join(err, os.Remove(w.path(newDataLink)))
	}
	return nil
}

// show makes the link by which readers find the file, or its directory.
func (w *writer) show() error {
	if w.view != linked {
		return nil
	}
	if _, err := os.Lstat(w.path(w.first())); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return w.symlink(filepath.Join(dataLink, w.first()), w.path(w.first()))
}

// first is the name by which readers enter the volume.
func (w *writer) first() string {
	name, _, _ := strings.Cut(filepath.ToSlash(w.file), "/")
	return name
}

// held is where the volume keeps the file, whatever readers find.
func (w *writer) held() string {
	if w.plain || w.view == linked {
		return w.file
	}
	return filepath.Join(dataLink, w.file)
}

// lacksSymlinks reports whether an error means that symbolic links cannot be made
// here: on Windows without the privilege, on a file system that has none.
func lacksSymlinks(err error) bool {
	var link *os.LinkError
	if !errors.As(err, &link) || link.Op != "symlink" {
		return false
	}
	return runtime.GOOS == "windows" || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM)
}

// replace writes the file beside its place and renames it over the old one.
func (w *writer) replace(data []byte) (err error) {
	name := w.path(w.file)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	fresh := w.path(newDataLink)
	defer func() {
		if err != nil {
			_ = os.Remove(fresh)
		}
	}()
	if err := w.writeFile(fresh, data, w.mode); err != nil {
		return err
	}
	if err := setMode(fresh, w.mode); err != nil {
		return err
	}
	return os.Rename(fresh, name)
}

// failed says what could not be written and what to do about it.
func (w *writer) failed(err error) error {
	if err == nil {
		return nil
	}
	fix := ""
	for _, cause := range []struct {
		is  error
		fix string
	}{
		{syscall.ENOSPC, "the disk is full: free some space, or use a directory on another disk"},
		{syscall.EDQUOT, "the disk quota is used up: free some space, or use a directory on another disk"},
		{syscall.EROFS, "the file system is read-only: use another directory"},
		{syscall.ENOTDIR, "part of the path is a file: use another directory"},
		{fs.ErrPermission, "the directory must be writable by the user that runs wiemu: change its owner or use another one"},
	} {
		if errors.Is(err, cause.is) {
			fix = "; " + cause.fix
			break
		}
	}
	return fmt.Errorf("projection: write the token file %s: %w%s", w.path(w.file), err, fix)
}

var stampName = lazyregexp.New(`^\.\.\d{4}(_\d\d){5}\.\d+$`)

func (w *writer) close() error {
	w.retired.close()
	entries, err := os.ReadDir(w.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	first := w.first()
	errs := []error{err}
	for _, entry := range entries {
		name := entry.Name()
		if name == first || name == dataLink || name == newDataLink || stampName().MatchString(name) {
			errs = append(errs, os.RemoveAll(w.path(name)))
		}
	}
	if w.made {
		_ = os.Remove(w.dir) // stays if somebody put something into it
	}
	return errors.Join(errs...)
}

// view is what readers find where the file should be.
type view int

const (
	linked    view = iota // the link to the file: what a kubelet makes
	absent                // nothing
	directory             // a directory, which cannot be read as a file
	mounted               // the file as it was when it was mounted: it does not follow ..data
)

// setView changes what readers find, and nothing of what the volume holds.
func (w *writer) setView(g view) (changed bool, err error) {
	if w.view == g {
		return false, nil
	}
	switch g {
	case linked:
		err = w.unmask()
	case absent:
		err = os.RemoveAll(w.path(w.first()))
	case directory:
		err = errors.Join(os.RemoveAll(w.path(w.first())), os.MkdirAll(w.path(w.file), 0o755))
	case mounted:
		err = w.mount()
	}
	if err == nil {
		w.view = g
	}
	return true, w.failed(err)
}

// mount puts the file as it is now where readers find it, as a bind mount of it would be.
func (w *writer) mount() error {
	seen, err := os.ReadFile(w.path(w.file))
	if err != nil {
		if seen, err = os.ReadFile(w.path(filepath.Join(dataLink, w.file))); err != nil {
			return err
		}
	}
	fresh := w.path(newDataLink)
	if err := errors.Join(w.writeFile(fresh, seen, w.mode), setMode(fresh, w.mode)); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	if w.first() != w.file || w.view == directory { // no rename replaces a directory by a file
		if err := errors.Join(os.RemoveAll(w.path(w.first())), os.MkdirAll(filepath.Dir(w.path(w.file)), 0o755)); err != nil {
			return err
		}
	}
	return os.Rename(fresh, w.path(w.file))
}

// unmask lets readers find the file that the volume holds.
func (w *writer) unmask() error {
	if w.plain { // the next write puts it there
		return os.RemoveAll(w.path(w.first()))
	}
	link := w.path(newDataLink)
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := w.symlink(filepath.Join(dataLink, w.first()), link); err != nil {
		return err
	}
	if info, err := os.Lstat(w.path(w.first())); err == nil && info.IsDir() { // no rename replaces it
		if err := os.RemoveAll(w.path(w.first())); err != nil {
			return err
		}
	}
	return os.Rename(link, w.path(w.first()))
}
