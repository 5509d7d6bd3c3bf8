// Package store stores values in the files of a directory, so that they survive the
// process, however it ends: a file is complete or absent, and on disk
// before a change takes effect. What changes often has a log of its changes: see [Log]. It does not know what the values mean; package statedir
// checks the owner and mode of the files. A file that cannot be
// read is an error and never ignored, so that no stored value is lost unnoticed.
package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/wiemu/wiemu/internal/file"
	"github.com/wiemu/wiemu/internal/statedir"
)

const version = 1

// readable is up to how many bytes a value is written with line ends, for people who look at it.
const readable = 1 << 20

// ErrHeld says that another process has a directory open.
var ErrHeld = errors.New("another process has it open; stop that one, or give this one a directory of its own")

// Dir is a directory that one process at a time has open.
type Dir struct {
	files *statedir.Dir
	held  *file.Lock
}

// Open opens a directory, which it makes (0700) if there is none, and holds it
// until Close. One that another process holds is an error.
func Open(path string) (*Dir, error) {
	files, err := statedir.Open(path)
	if err != nil {
		return nil, err
	}
	held, err := files.TryLock(".held")
	if errors.Is(err, file.ErrLocked) {
		err = ErrHeld
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the state directory %s: %w", path, err), files.Close())
	}
	return &Dir{files, held}, nil
}

// Close lets go of the directory.
func (d *Dir) Close() error { return errors.Join(d.held.Release(), d.files.Close()) }

// Path is the path of a file.
func (d *Dir) Path(name string) string { return d.files.Path(name) }

type document struct {
	Version    int             `json:"version"`
	Generation int             `json:"generation,omitempty"` // of a value with a log beside it: see Log
	Value      json.RawMessage `json:"value"`
}

// Read reads what was written under a name into a value, and reports whether
// anything was. The error of a damaged file names the file and, if known, the
// field; wrap errors in the value itself with [Dir.Damaged].
func (d *Dir) Read(name string, into any) (found bool, err error) {
	data, err := d.files.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read what was kept: %w", err)
	}
	if _, err := decode(data, into); err != nil {
		return false, d.Damaged(name, err)
	}
	return true, nil
}

func decode(data []byte, into any) (generation int, err error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return 0, errors.New("expected a JSON document, found nothing")
	}
	var doc document
	if err := strictly(data, &doc); err != nil {
		return 0, err
	}
	if doc.Version != version {
		return 0, fmt.Errorf("version: expected %d, found %d; another release of wiemu wrote it", version, doc.Version)
	}
	return doc.Generation, strictly(doc.Value, into)
}

func strictly(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		wrong := (*json.UnmarshalTypeError)(nil)
		if errors.As(err, &wrong) && wrong.Field != "" {
			return fmt.Errorf("%s: expected a %s, found a %s", wrong.Field, wrong.Type, wrong.Value)
		}
		return fmt.Errorf("expected a JSON document: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("expected one JSON document, found more behind it")
	}
	return nil
}

// Damaged says of a file what is wrong with it and what can be done.
func (d *Dir) Damaged(name string, err error) error {
	return fmt.Errorf("%s: %w; put a copy back, or remove the file to begin anew without what it kept", d.Path(name), err)
}

// Write keeps a value under a name, which may have slashes. When it returns nil
// the value is on disk.
func (d *Dir) Write(name string, value any) error {
	_, err := d.write(name, 0, value)
	return err
}

func (d *Dir) write(name string, generation int, value any) (size int64, err error) {
	data, err := json.Marshal(value)
	if err != nil {
		return 0, fmt.Errorf("encode what is to be kept: %w", err)
	}
	made := document{version, generation, data}
	if len(data) < readable {
		data, err = json.MarshalIndent(made, "", "  ")
	} else {
		data, err = json.Marshal(made)
	}
	if err != nil {
		return 0, fmt.Errorf("encode what is to be kept: %w", err)
	}
	if err := d.files.WriteFile(name, append(data, '\n')); err != nil {
		return 0, fmt.Errorf("keep %s: %w", d.Path(name), err)
	}
	return int64(len(data)), nil
}
