// Package file replaces files in one step and locks them against other processes. It
// does not ask who may have written a file; see statedir.
package file

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Replacement is a file that is written beside another one, whose place Commit gives
// it. Until then readers see the old file, and so they do if the process is killed.
type Replacement struct {
	*os.File
	name string
}

// Create starts the replacement of a file. It is hidden, has mode 0600 and is in the
// same directory, so that an error now says that the file cannot be written later.
func Create(name string) (*Replacement, error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return nil, err
	}
	return &Replacement{f, name}, nil
}

// Commit puts the replacement in the place of the file, which may be running, or a
// symbolic link, which is not followed. If it fails the replacement is removed.
func (r *Replacement) Commit() error {
	err := r.Close()
	if err == nil {
		err = os.Rename(r.Name(), r.name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(r.Name()))
	}
	return nil
}

// Abandon removes the replacement; the file stays as it is.
func (r *Replacement) Abandon() error { return errors.Join(r.Close(), os.Remove(r.Name())) }

// Replace replaces a file by one with this content and mode, whatever the umask is.
func Replace(name string, content io.Reader, mode fs.FileMode) error {
	r, err := Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(r, content)
	if err == nil {
		err = r.Chmod(mode)
	}
	if err != nil {
		return errors.Join(err, r.Abandon())
	}
	return r.Commit()
}
