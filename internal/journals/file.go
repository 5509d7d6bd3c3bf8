package journals

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/wiemu/wiemu/emulator/journal"
)

const defaultFileBytes = 32 << 20

// OlderFile returns the name of the file that holds the older half of a large journal.
func OlderFile(file string) string { return file + ".older" }

// file is a journal on disk: the newest events; those before them are in OlderFile. A nil
// *file discards events.
type file struct {
	name   string
	half   int64 // bytes after which the file becomes the older one
	file   *os.File
	size   int64
	failed error // the first failure to write
}

func openFile(name string, most int64) (*file, error) {
	if most <= 0 {
		most = defaultFileBytes
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("journal: make its directory: %w", err)
	}
	f := &file{name: name, half: most / 2}
	return f, f.open()
}

func (f *file) open() (err error) {
	if f.file, err = os.OpenFile(f.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return fmt.Errorf("journal: open its file: %w", err)
	}
	info, err := f.file.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("journal: open its file: %w", err), f.file.Close())
	}
	f.size = info.Size()
	return nil
}

// write appends an event. After a failure it does nothing.
func (f *file) write(e journal.Event) {
	if f == nil || f.failed != nil {
		return
	}
	line, err := json.Marshal(e)
	if err == nil && f.size > 0 && f.size+int64(len(line)) >= f.half {
		err = f.begin()
	}
	if err == nil {
		_, err = f.file.Write(append(line, '\n'))
		f.size += int64(len(line)) + 1
	}
	if err != nil {
		f.failed = fmt.Errorf("journal: write %s: %w; events are kept in memory only from here on", f.name, err)
	}
}

// begin starts a new file: the current one replaces the older half. It is closed first,
// because Windows does not rename open files.
func (f *file) begin() error {
	if err := f.file.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.name, OlderFile(f.name)); err != nil {
		return err
	}
	return f.open()
}

func (f *file) close() error {
	if f == nil {
		return nil
	}
	err := f.file.Close()
	if f.failed != nil {
		err = f.failed
	}
	return err
}

// ReadFile returns the events of a journal's file and of its older half, even while they
// are being written. Open opens them, as [os.Open] does.
func ReadFile(open func(name string) (*os.File, error), name string) ([]journal.Event, error) {
	newest, err := open(name) // first: it may become the older half now
	if err != nil {
		return nil, fmt.Errorf("read a journal: %w", err)
	}
	defer newest.Close()
	var older []journal.Event
	half, err := open(OlderFile(name))
	switch {
	case err == nil:
		defer half.Close()
		if older, err = Read(half); err != nil {
			return nil, fmt.Errorf("%s: %w", half.Name(), err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read a journal: %w", err)
	}
	events, err := Read(newest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(older) > 0 && len(events) > 0 && older[0].ID == events[0].ID {
		return events, nil // it has become the older half meanwhile, and was read twice
	}
	return append(older, events...), nil
}

// Read returns the events of a journal file. It ignores an incomplete last line, which a
// killed process may leave.
func Read(r io.Reader) ([]journal.Event, error) {
	var events []journal.Event
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return events, nil // a complete line ends in a newline
		}
		if err != nil {
			return events, fmt.Errorf("journal: read: %w", err)
		}
		var e journal.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return events, fmt.Errorf("journal: line %d: expected an event in JSON: %w", n, err)
		}
		events = append(events, e)
	}
}
