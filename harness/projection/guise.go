package projection

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// guise is what readers find where the file should be.
type guise int

const (
	linked    guise = iota // the link to the file: what a kubelet makes
	absent                 // nothing
	directory              // a directory, which nobody can read as a file
	mounted                // the file as it was when it was mounted: it does not follow ..data
)

// wear changes what readers find. What the volume holds stays as it is.
func (w *writer) wear(g guise) (changed bool, err error) {
	if w.guise == g {
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
		w.guise = g
	}
	return true, w.failed(err)
}

// mount puts the file as it is now where readers find it, as a bind mount of it
// would be.
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
	if w.first() != w.file || w.guise == directory { // no rename replaces a directory by a file
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
