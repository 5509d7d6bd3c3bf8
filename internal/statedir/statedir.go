// Package statedir opens directories with files that wiemu trusts: keys, tokens, CAs
// and the state of a lab. It refuses those that another user can have written,
// and writes without following symbolic links. It does not know what the files hold.
//
// A directory and each file in it must belong to this process's user or to root,
// and other users must not be able to write them. The exception is a Kubernetes volume, which the
// pod's other containers alone can reach: its top directory is root's, and either
// the fsGroup's as well (drwxrwsrwx root fsGroup: an emptyDir is made with 0777 and
// fsGroup adds 02770; pkg/volume/emptydir/empty_dir.go, pkg/volume/volume_linux.go)
// or writable for everybody and a mount point (local-path-provisioner: mkdir -m 0777).
// What is in it still has to belong to this user or root; the fsGroup may write it,
// because kubelet lets it do so whenever it mounts the volume.
//
// On Windows a file's owner is not looked at: profiles have access lists of their own.
package statedir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/wiemu/wiemu/internal/file"
)

// Dir is a directory that was found to be trustworthy. Its methods take names of
// files below it, with slashes, and work on the directory that was opened, whatever
// its path has come to mean since.
type Dir struct {
	path   string
	root   *os.Root
	volume bool // a Kubernetes volume, or a directory in one
}

// Open opens a directory, which it makes (0700) if there is none.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open the state directory: %w", err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	found, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("open the state directory: %w", err)
	}
	if !found.IsDir() {
		return nil, notA("directory", path, found)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("open the state directory: %w", err)
	}
	d := &Dir{path: path, root: root}
	opened, err := root.Stat(".")
	switch {
	case err != nil:
		err = fmt.Errorf("open the state directory: %w", err)
	case !os.SameFile(found, opened):
		err = replaced(path)
	default:
		if d.volume = isVolume(path, opened); !d.volume {
			err = verify(path, opened, false)
		}
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return d, nil
}

// Close closes the directory.
func (d *Dir) Close() error { return d.root.Close() }

// Path is the path of a file; of the directory itself for "".
func (d *Dir) Path(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }

// MkdirAll makes a directory below this one (0700) if there is none, and verifies
// each on the way to it.
func (d *Dir) MkdirAll(name string) error { return d.parents(name+"/", true) }

// parents verifies the directories above a file. Those that are missing are made, or
// are for whoever opens the file to report.
func (d *Dir) parents(name string, create bool) error {
	for n, c := range name {
		if c != '/' {
			continue
		}
		dir := name[:n]
		info, err := d.root.Lstat(dir)
		if errors.Is(err, fs.ErrNotExist) {
			if !create {
				return nil
			}
			if err := d.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) { // another process may be as far
				return err
			}
			info, err = d.root.Lstat(dir)
		}
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return notA("directory", d.Path(dir), info)
		}
		if err := verify(d.Path(dir), info, d.volume); err != nil {
			return err
		}
	}
	return nil
}

// ReadFile returns what a file holds; the error of one that is missing is
// [fs.ErrNotExist].
func (d *Dir) ReadFile(name string) ([]byte, error) {
	f, err := d.OpenFile(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// OpenFile opens a file with the flags of [os.OpenFile]; with O_CREATE a missing one
// is made (0600), and so are the directories above it.
func (d *Dir) OpenFile(name string, flags int) (*os.File, error) {
	f, err := d.openFile(name, flags)
	if at := (*fs.PathError)(nil); errors.As(err, &at) && !filepath.IsAbs(at.Path) {
		return nil, &fs.PathError{Op: at.Op, Path: d.Path(at.Path), Err: at.Err}
	}
	return f, err
}

func (d *Dir) openFile(name string, flags int) (*os.File, error) {
	if err := d.parents(name, flags&os.O_CREATE != 0); err != nil {
		return nil, err
	}
	truncate := flags & os.O_TRUNC
	flags &^= os.O_TRUNC // only what has been verified is changed
	for range 2 {
		found, err := d.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) && flags&os.O_CREATE != 0 {
			f, err := d.root.OpenFile(name, flags|os.O_EXCL, 0o600)
			if errors.Is(err, fs.ErrExist) {
				continue // another process was faster
			}
			return f, err
		}
		if err != nil {
			return nil, err
		}
		if flags&os.O_EXCL != 0 {
			return nil, &fs.PathError{Op: "open", Path: d.Path(name), Err: fs.ErrExist}
		}
		return d.openFound(name, found, flags&^os.O_CREATE, truncate != 0)
	}
	return nil, replaced(d.Path(name))
}

func (d *Dir) openFound(name string, found fs.FileInfo, flags int, truncate bool) (*os.File, error) {
	if !found.Mode().IsRegular() {
		return nil, notA("file", d.Path(name), found)
	}
	if err := verify(d.Path(name), found, d.volume); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, flags, 0)
	if err != nil {
		return nil, err
	}
	opened, err := f.Stat()
	if err == nil && !os.SameFile(found, opened) {
		err = replaced(d.Path(name))
	}
	if err == nil && truncate {
		err = f.Truncate(0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// WriteFile puts a file with this content (0600) in the place of another, which it
// neither follows nor opens. When it returns nil the file is on disk; a process that
// is killed leaves the old one. One process at a time may write a name.
func (d *Dir) WriteFile(name string, data []byte) error {
	if err := d.parents(name, true); err != nil {
		return err
	}
	next := path.Join(path.Dir(name), "."+path.Base(name)+".new")
	if err := d.root.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) { // what a killed process has begun
		return err
	}
	f, err := d.root.OpenFile(next, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = d.root.Rename(next, name)
	}
	if err != nil {
		return errors.Join(err, d.root.Remove(next))
	}
	return d.sync(path.Dir(name))
}

// Stat describes a file, which is not followed if it is a symbolic link.
func (d *Dir) Stat(name string) (fs.FileInfo, error) { return d.root.Lstat(name) }

// Link gives a file a second name, which nothing may have.
func (d *Dir) Link(name, second string) error { return d.root.Link(name, second) }

// Rename puts a file in the place of another.
func (d *Dir) Rename(name, to string) error { return d.root.Rename(name, to) }

// Remove removes a file.
func (d *Dir) Remove(name string) error { return d.root.Remove(name) }

// notA says of a path what was expected there.
func notA(expected, path string, found fs.FileInfo) error {
	kind := "something else (" + found.Mode().String() + ")"
	switch {
	case found.Mode()&fs.ModeSymlink != 0:
		kind = "a symbolic link, which is not followed"
	case found.IsDir():
		kind = "a directory"
	case found.Mode().IsRegular():
		kind = "a file"
	}
	return fmt.Errorf("%s: expected a %s, found %s; remove it, or choose another directory", path, expected, kind)
}

// replaced says that a path has changed its meaning under us.
func replaced(path string) error {
	return fmt.Errorf("%s: expected the file that was verified, found another in its place: somebody is changing the state directory; choose one that only you can write", path)
}

// WaitForLock is [file.WaitForLock] on a file of the directory.
func (d *Dir) WaitForLock(name string) (*file.Lock, error) { return d.lock(name, file.WaitForLock) }

// TryLock is [file.TryLock] on a file of the directory.
func (d *Dir) TryLock(name string) (*file.Lock, error) { return d.lock(name, file.TryLock) }

// TryShare is [file.TryShare] on a file of the directory.
func (d *Dir) TryShare(name string) (*file.Lock, error) { return d.lock(name, file.TryShare) }

// lock verifies a file, which it makes if there is none, and locks that very file.
func (d *Dir) lock(name string, take func(path string) (*file.Lock, error)) (*file.Lock, error) {
	f, err := d.OpenFile(name, os.O_CREATE|os.O_RDWR)
	if err != nil {
		return nil, err
	}
	verified, err := f.Stat()
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	l, err := take(d.Path(name))
	if err != nil {
		return nil, err
	}
	locked, err := l.Stat()
	if err == nil && !os.SameFile(verified, locked) {
		err = replaced(d.Path(name))
	}
	if err != nil {
		return nil, errors.Join(err, l.Release())
	}
	return l, nil
}
