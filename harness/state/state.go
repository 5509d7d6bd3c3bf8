// Package state is the directory that outlives a command: the CA, the journals
// of past runs, the reports of tests that failed, and where the running server is. It holds no key that signs
// tokens; those are the key pool's, in the user's cache directory.
package state

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wiemu/wiemu/emulator/journal"
	"github.com/wiemu/wiemu/emulator/statedir"
)

// kept is how many past runs keep their journal.
const kept = 50

// Dir is a state directory.
type Dir struct {
	path  string
	files *statedir.Dir
}

// Open makes the directory if it is missing (0700), removes what killed runs
// left behind and the journals of all but the newest 50 runs, or of fewer that have
// more than 256 MB together. An empty path is
// $WIEMU_STATE_DIR, else wiemu in the user's state directory (XDG Base
// Directory Specification: ~/.local/state; elsewhere the user's cache directory).
func Open(path string) (*Dir, error) {
	if path == "" {
		var err error
		if path, err = defaultPath(); err != nil {
			return nil, err
		}
	}
	files, err := statedir.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w (the state directory is --state-dir, else WIEMU_STATE_DIR)", err)
	}
	d := &Dir{path: files.Path(""), files: files}
	if err := d.files.MkdirAll("runs"); err != nil {
		return nil, errors.Join(fmt.Errorf("make the state directory: %w", err), files.Close())
	}
	return d, d.sweep()
}

func defaultPath() (string, error) {
	if path := os.Getenv("WIEMU_STATE_DIR"); path != "" {
		return path, nil
	}
	if path := os.Getenv("XDG_STATE_HOME"); path != "" {
		return filepath.Join(path, "wiemu"), nil
	}
	if runtime.GOOS == "linux" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the state directory: %w; set WIEMU_STATE_DIR", err)
		}
		return filepath.Join(home, ".local", "state", "wiemu"), nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the state directory: %w; set WIEMU_STATE_DIR", err)
	}
	return filepath.Join(cache, "wiemu", "state"), nil
}

// KeyDir is where signing keys that were made ahead are kept: wiemu/keys in the
// user's cache directory, or keys in the state directory if there is no such.
func (d *Dir) KeyDir() string { return cmp.Or(KeyDir(), filepath.Join(d.path, "keys")) }

// KeyDir is where signing keys are kept without a state directory: wiemu/keys in
// the user's cache directory; "" if there is no such.
func KeyDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "wiemu", "keys")
}

// MkdirAll makes a directory in it, if there is none, for files that are believed.
func (d *Dir) MkdirAll(name string) error { return d.files.MkdirAll(name) }

// Path is the directory.
func (d *Dir) Path() string { return d.path }

func (d *Dir) runs() string { return filepath.Join(d.path, "runs") }

// MemoryDir is a directory whose files are in memory, as those of projected
// volumes are: $XDG_RUNTIME_DIR, else /dev/shm, else the temporary directory.
func MemoryDir() string {
	for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		if info, err := os.Stat(dir); err == nil && info.IsDir() && writable(dir) {
			return dir
		}
	}
	return os.TempDir()
}

func writable(dir string) bool {
	probe, err := os.MkdirTemp(dir, "wiemu-probe-")
	return err == nil && os.Remove(probe) == nil
}

// Run is the place of one run: a directory for what lives only as long as the
// run, and a journal that stays.
type Run struct {
	ID      string // start time and process id
	Dir     string // in MemoryDir; removed by Close
	Journal string // file
}

// runDir begins the names of runs' directories, which end in a process id: what
// a killed process leaves is found and removed by the next Open.
const runDir = "wiemu-run-"

// MakeTemp makes a directory in MemoryDir for this process's own use.
func MakeTemp() (string, error) {
	return os.MkdirTemp(MemoryDir(), runDir+time.Now().UTC().Format("20060102T150405")+".*-"+strconv.Itoa(os.Getpid())) // wall time: names a run of this machine
}

// NewRun makes the place of a run that starts now.
func (d *Dir) NewRun() (*Run, error) {
	id := time.Now().UTC().Format("20060102T150405.000000000") + "-" + strconv.Itoa(os.Getpid()) // wall time: names a run of this machine
	r := &Run{ID: id, Dir: filepath.Join(MemoryDir(), runDir+id), Journal: filepath.Join(d.runs(), id+".jsonl")}
	if err := os.Mkdir(r.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the run's directory: %w", err)
	}
	return r, nil
}

// Close removes everything of the run, but its journal if it is to be kept.
func (r *Run) Close(keepJournal bool) error {
	err := os.RemoveAll(r.Dir)
	if keepJournal {
		return err
	}
	return errors.Join(err, removeJournal(r.Journal))
}

// removeJournal removes the file of a journal and its older half.
func removeJournal(file string) error {
	for _, name := range []string{file, journal.OlderFile(file)} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a journal: %w", err)
		}
	}
	return nil
}

// keptBytes is how much the journals of past runs take together, but for the newest.
const keptBytes = 256 << 20

// superfluous are the journals that are not kept, oldest first: those of all but the
// newest runs, and of those that are too large together.
func superfluous(journals []string) []string {
	var total int64
	for i, file := range slices.Backward(journals) {
		for _, name := range []string{file, journal.OlderFile(file)} {
			if info, err := os.Stat(name); err == nil {
				total += info.Size()
			}
		}
		if n := len(journals) - i; n > kept || n > 1 && total > keptBytes {
			return journals[:i+1]
		}
	}
	return nil
}

// sweep removes the directories of runs whose process is gone, and old journals.
func (d *Dir) sweep() error {
	left, err := filepath.Glob(filepath.Join(MemoryDir(), runDir+"*"))
	if err != nil {
		return err
	}
	live := map[string]bool{}
	for _, path := range left {
		live[strings.TrimPrefix(filepath.Base(path), runDir)] = true
		_, pid, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), runDir), "-")
		if n, err := strconv.Atoi(pid); err == nil && !alive(n) {
			if err := os.RemoveAll(path); err != nil && !errors.Is(err, fs.ErrPermission) { // another user's
				return fmt.Errorf("remove what a killed run left: %w", err)
			}
			delete(live, strings.TrimPrefix(filepath.Base(path), runDir))
		}
	}
	journals, err := filepath.Glob(filepath.Join(d.runs(), "*.jsonl")) // sorted by name, so by age
	if err != nil {
		return err
	}
	for _, old := range superfluous(journals) {
		if live[strings.TrimSuffix(filepath.Base(old), ".jsonl")] {
			continue
		}
		if err := removeJournal(old); err != nil {
			return err
		}
	}
	return nil
}

// An UnknownError says that an id names no run or event that is kept, or several.
type UnknownError struct{ text string }

func (e *UnknownError) Error() string { return e.text }

func unknown(format string, args ...any) error {
	return &UnknownError{fmt.Sprintf(format, args...)}
}

// Find returns the event that an id names, and all events of its run: the newest
// run that has one. An empty id is what journal.Find returns of the newest run.
func (d *Dir) Find(id string) (journal.Event, []journal.Event, error) {
	files, err := filepath.Glob(filepath.Join(d.runs(), "*.jsonl"))
	if err != nil {
		return journal.Event{}, nil, err
	}
	for _, file := range slices.Backward(files) {
		events, err := d.readJournal(file)
		if err != nil {
			return journal.Event{}, nil, err
		}
		if e, found := journal.Find(events, id); found {
			return e, events, nil
		}
		if id == "" {
			name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
			return journal.Event{}, nil, fmt.Errorf("the newest run, %s: %s; %s. wiemu explain ID explains an event of an earlier run", name, journal.NoRequest, journal.NoRequestRemedy)
		}
	}
	if id == "" {
		return journal.Event{}, nil, fmt.Errorf("no run in %s has exchanged a token or been refused; start one with wiemu run", d.path)
	}
	return journal.Event{}, nil, unknown("no event with id %q in the %d runs that %s keeps; give an event number, a trace id, a correlation id, a jti or a uti", id, len(files), d.path)
}

// ReadRun returns the name and the events of a run: the one whose id begins with
// id, the one whose journal is the file of that name, or for "" the newest that has
// events.
func (d *Dir) ReadRun(id string) (string, []journal.Event, error) {
	files, err := filepath.Glob(filepath.Join(d.runs(), "*.jsonl"))
	if err != nil {
		return "", nil, err
	}
	var ids []string
	for _, file := range slices.Backward(files) {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		if !strings.HasPrefix(name, id) {
			continue
		}
		events, err := d.readJournal(file)
		if err != nil {
			return "", nil, err
		}
		if name == id || id == "" && len(events) > 0 {
			return name, events, nil
		}
		ids = append(ids, name)
	}
	switch {
	case id == "":
		return "", nil, fmt.Errorf("no run in %s has a journal with events; start one with wiemu run", d.path)
	case len(ids) > 1:
		return "", nil, unknown("run %q: expected one, found %d: %s", id, len(ids), strings.Join(ids, ", "))
	case len(ids) == 1:
		events, err := d.readJournal(ids[0] + ".jsonl")
		return ids[0], events, err
	}
	events, err := journal.ReadFile(os.Open, id)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, unknown("run %q: expected the id of one of the %d runs in %s, its beginning, or a file with a journal", id, len(files), d.runs())
	}
	return strings.TrimSuffix(filepath.Base(id), filepath.Ext(id)), events, err
}

// readJournal reads the journal of a run here: files in runs.
func (d *Dir) readJournal(file string) ([]journal.Event, error) {
	return journal.ReadFile(func(name string) (*os.File, error) {
		return d.files.OpenFile("runs/"+filepath.Base(name), os.O_RDONLY)
	}, file)
}
