package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
)

// minCompact is how many bytes of changes a log takes before it is compacted.
const minCompact = 1 << 20

// Log keeps a value that changes often: a file with the whole value, and beside it, with the
// ending .log in place of .json, one line for each change since. When the changes have become
// longer than the value, the value is written anew and the log begins again. What a killed
// process wrote of a line is dropped by the next.
//
// Both files name the generation of the value. Changes of an earlier one are in it already; those
// of a later one mean that the file of the value was taken away, which is an error.
type Log struct {
	dir        *Dir
	name, log  string
	value      func() any
	generation int
	exists     bool // the file of the value does

	mu      sync.Mutex
	file    *os.File // open for appending; nil: a log is to be begun
	size    int64    // bytes of the log
	changes int      // lines of it
	limit   int64    // bytes from which on it is compacted
}

// Torn is what a process that was killed wrote of a change.
type Torn struct {
	Path  string
	Bytes int
}

type header struct {
	Version    int `json:"version"`
	Generation int `json:"generation"`
}

// OpenLog reads the value that was kept under a name into a value, calls apply with each change
// since then in order, and returns the log for the changes that follow. value is called by Append
// and Close, and returns the value with all changes that were appended. torn is what was dropped;
// nil if nothing was.
func (d *Dir) OpenLog(name string, into any, apply func(change json.RawMessage) error, value func() any) (l *Log, torn *Torn, err error) {
	l = &Log{dir: d, name: name, log: strings.TrimSuffix(name, path.Ext(name)) + ".log", value: value, limit: minCompact}
	data, err := d.files.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, nil, fmt.Errorf("read what was kept: %w", err)
	default:
		if l.generation, err = decode(data, into); err != nil {
			return nil, nil, d.Damaged(name, err)
		}
		l.exists, l.limit = true, max(minCompact, int64(len(data)))
	}
	torn, err = l.replay(apply)
	if err != nil {
		return nil, nil, err
	}
	return l, torn, nil
}

// replay applies the changes that are in the log, if there is one of this generation, and opens
// it for more.
func (l *Log) replay(apply func(json.RawMessage) error) (*Torn, error) {
	data, err := l.dir.files.ReadFile(l.log)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read what was kept: %w", err)
	}
	first, rest, whole := bytes.Cut(data, []byte("\n"))
	var of header
	err = strictly(first, &of)
	if err == nil && !whole {
		err = errors.New("expected a line feed at its end, found the end of the file")
	}
	if err != nil {
		return nil, l.dir.Damaged(l.log, fmt.Errorf("line 1: %w", err))
	}
	switch {
	case of.Version != version:
		return nil, l.dir.Damaged(l.log, fmt.Errorf("version: expected %d, found %d; another release of wiemu wrote it", version, of.Version))
	case of.Generation > l.generation:
		return nil, fmt.Errorf("%s: it has the changes since generation %d of %s, which is of generation %d or missing; put that one back, or remove both to begin anew without what they kept",
			l.dir.Path(l.log), of.Generation, l.dir.Path(l.name), l.generation)
	case of.Generation < l.generation:
		return nil, nil // the process ended after it had written the value anew
	}
	good := len(first) + 1
	for n := 2; len(rest) > 0; n++ {
		line, more, whole := bytes.Cut(rest, []byte("\n"))
		change, ok := checked(line)
		if !whole || !ok {
			if whole && (len(more) > 0 || !bytes.ContainsRune(line, 0)) {
				return nil, l.dir.Damaged(l.log, fmt.Errorf("line %d: expected a change with its checksum, found another text", n))
			}
			break // what a process wrote that was killed, or what a disk has of it after a power cut
		}
		if err := apply(change); err != nil {
			return nil, l.dir.Damaged(l.log, fmt.Errorf("line %d: %w", n, err))
		}
		good += len(line) + 1
		l.changes++
		rest = more
	}
	if err := l.open(int64(good)); err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return &Torn{l.dir.Path(l.log), len(rest)}, nil
	}
	return nil, nil
}

// open opens the log for appending behind its first bytes.
func (l *Log) open(size int64) error {
	f, err := l.dir.files.OpenFile(l.log, os.O_WRONLY|os.O_APPEND)
	if err == nil {
		err = f.Truncate(size)
	}
	if err != nil {
		err = fmt.Errorf("keep %s: %w", l.dir.Path(l.log), err)
		if f != nil {
			err = errors.Join(err, f.Close())
		}
		return err
	}
	l.file, l.size = f, size
	return nil
}

// Append keeps a change, which is written as JSON. When it returns nil, the change is on disk; if
// it returns an error, the change is not kept.
func (l *Log) Append(change any) error {
	data, err := json.Marshal(change)
	if err != nil {
		return fmt.Errorf("encode what is to be kept: %w", err)
	}
	line := fmt.Appendf(nil, "%08x %s\n", crc32.ChecksumIEEE(data), data)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.ready(); err != nil {
		return err
	}
	_, err = l.file.Write(line)
	if err == nil {
		err = syncData(l.file)
	}
	if err != nil {
		err = fmt.Errorf("keep %s: %w", l.dir.Path(l.log), err)
		if cut := l.file.Truncate(l.size); cut != nil { // half a line would damage those behind it
			err = errors.Join(err, cut, l.file.Close())
			l.file = nil
		}
		return err
	}
	l.size += int64(len(line))
	l.changes++
	return nil
}

// ready has the log open, and not longer than it may be; l.mu is held. A log that somebody took
// away is begun anew, with the whole value.
func (l *Log) ready() error {
	if l.file != nil && l.size < l.limit {
		there, err := l.dir.files.Stat(l.log)
		opened, failed := l.file.Stat()
		if err == nil && failed == nil && os.SameFile(there, opened) {
			return nil
		}
	}
	if l.file == nil && l.changes == 0 && l.generation == 0 && !l.exists {
		return l.begin() // nothing was ever kept
	}
	if err := l.compact(); err != nil {
		return err
	}
	return l.begin()
}

// begin makes a log without changes; l.mu is held.
func (l *Log) begin() error {
	data, err := json.Marshal(header{version, l.generation})
	if err == nil {
		err = l.dir.files.WriteFile(l.log, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", l.dir.Path(l.log), err)
	}
	return l.open(int64(len(data)) + 1)
}

// compact writes the whole value; l.mu is held. The log counts no more from then on.
func (l *Log) compact() error {
	size, err := l.dir.write(l.name, l.generation+1, l.value())
	if err != nil {
		return err
	}
	l.generation++
	l.exists, l.limit, l.changes = true, max(minCompact, size), 0
	if l.file != nil {
		err = l.file.Close()
		l.file = nil
	}
	return err
}

// Close writes the whole value if there are changes, and removes the log.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil && l.changes == 0 {
		return nil
	}
	if l.changes > 0 {
		if err := l.compact(); err != nil {
			return err
		}
	}
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			return err
		}
		l.file = nil
	}
	if err := l.dir.files.Remove(l.log); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what is in %s: %w", l.dir.Path(l.name), err)
	}
	return nil
}

// checked is the change of a line, if it has the checksum that stands before it.
func checked(line []byte) (change json.RawMessage, ok bool) {
	var sum uint32
	if _, err := fmt.Sscanf(string(line[:min(len(line), 9)]), "%08x ", &sum); err != nil || len(line) < 9 {
		return nil, false
	}
	change = line[9:]
	return change, crc32.ChecksumIEEE(change) == sum
}

// Decode reads a change, in which no member may be unknown.
func Decode(change json.RawMessage, into any) error { return strictly(change, into) }
