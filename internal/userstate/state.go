// Package userstate opens the user's state directory, which outlives a command: the CA, the
// journals of past runs, the reports of failed tests, and the address of the running server. Keys
// that sign tokens are not in it but in the user's cache directory; see package keyring.
package userstate

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
	"github.com/wiemu/wiemu/internal/explain"
	"github.com/wiemu/wiemu/internal/journals"
	"github.com/wiemu/wiemu/internal/lazyregexp"
	"github.com/wiemu/wiemu/internal/statedir"
)

// keptRuns is how many past runs keep their journal, and keptReports how many reports are kept.
const (
	keptRuns    = 50
	keptReports = 50
)

// Dir is a state directory.
type Dir struct {
	path  string
	files *statedir.Dir
}

// Open opens the directory at path and creates it if it is missing (0700). It removes
// what killed runs left behind, and old journals: it keeps those of the newest 50
// runs, and fewer if they take more than 256 MB together. If path is empty, it defaults
// to $WIEMU_STATE_DIR, else to wiemu in the user's state directory (XDG Base Directory
// Specification: ~/.local/state; elsewhere the user's cache directory).
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

// KeyDir returns the directory of signing keys that were generated in advance: wiemu/keys in the
// user's cache directory, or keys in the state directory if the user has no cache directory.
func (d *Dir) KeyDir() string { return cmp.Or(KeyDir(), filepath.Join(d.path, "keys")) }

// KeyDir returns the directory of signing keys for programs without a state directory:
// wiemu/keys in the user's cache directory, or "" if the user has no cache directory.
func KeyDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "wiemu", "keys")
}

// Path returns the absolute path of the directory.
func (d *Dir) Path() string { return d.path }
func (d *Dir) runs() string { return filepath.Join(d.path, "runs") }

// MemoryDir returns a directory whose files are in memory, as those of projected
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

// Run holds the paths of one run: a directory that is removed when it ends, and a
// journal that can outlive it.
type Run struct {
	ID      string // start time and process id
	Dir     string // in MemoryDir; removed by Close
	Journal string // file
}

// runDir begins the names of runs' directories; after a process id, Open finds abandoned ones.
const runDir = "wiemu-run-"

// MakeTemp creates a directory in MemoryDir for this process. The caller removes it; if
// the process is killed, the next Open does.
func MakeTemp() (string, error) {
	return os.MkdirTemp(MemoryDir(), runDir+time.Now().UTC().Format("20060102T150405")+".*-"+strconv.Itoa(os.Getpid())) // wall time: names a run of this machine
}

// NewRun creates the directory of a run that starts now.
func (d *Dir) NewRun() (*Run, error) {
	id := time.Now().UTC().Format("20060102T150405.000000000") + "-" + strconv.Itoa(os.Getpid()) // wall time: names a run of this machine
	r := &Run{ID: id, Dir: filepath.Join(MemoryDir(), runDir+id), Journal: filepath.Join(d.runs(), id+".jsonl")}
	if err := os.Mkdir(r.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the run's directory: %w", err)
	}
	return r, nil
}

// Close removes the directory of the run, and its journal unless keepJournal is set.
func (r *Run) Close(keepJournal bool) error {
	err := os.RemoveAll(r.Dir)
	if keepJournal {
		return err
	}
	return errors.Join(err, removeJournal(r.Journal))
}

// removeJournal removes the file of a journal and the older one that it was rotated to.
func removeJournal(file string) error {
	for _, name := range []string{file, journals.OlderFile(file)} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a journal: %w", err)
		}
	}
	return nil
}

// keptBytes is the space for journals of past runs, besides the newest.
const keptBytes = 256 << 20

// expired returns the journals beyond keptRuns or keptBytes, oldest first.
func expired(files []string) []string {
	var total int64
	for i, file := range slices.Backward(files) {
		for _, name := range []string{file, journals.OlderFile(file)} {
			if info, err := os.Stat(name); err == nil {
				total += info.Size()
			}
		}
		if n := len(files) - i; n > keptRuns || n > 1 && total > keptBytes {
			return files[:i+1]
		}
	}
	return nil
}

// sweep removes the directories of runs whose process has ended, and old journals.
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
	for _, old := range expired(journals) {
		if live[strings.TrimSuffix(filepath.Base(old), ".jsonl")] {
			continue
		}
		if err := removeJournal(old); err != nil {
			return err
		}
	}
	return nil
}

// An UnknownError means that an id names no run or event in the directory, or several.
type UnknownError struct{ text string }

func (e *UnknownError) Error() string { return e.text }

func unknown(format string, args ...any) error {
	return &UnknownError{fmt.Sprintf(format, args...)}
}

// Find returns the event with the given id from the newest run that has one, and all events of that
// run. If id is empty, it returns what journal.Find selects in the newest run.
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
		if e, found := explain.Find(events, id); found {
			return e, events, nil
		}
		if id == "" {
			name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
			return journal.Event{}, nil, fmt.Errorf("the newest run, %s: %s; %s. wiemu explain ID explains an event of an earlier run", name, explain.NoRequest, explain.NoRequestRemedy)
		}
	}
	if id == "" {
		return journal.Event{}, nil, fmt.Errorf("no run in %s has exchanged a token or been refused; start one with wiemu run", d.path)
	}
	return journal.Event{}, nil, unknown("no event with id %q in the %d runs that %s keeps; give an event number, a trace id, a correlation id, a jti or a uti", id, len(files), d.path)
}

// ReadRun returns the name and the events of the run whose id is or begins with id, or whose
// journal is the file id. If id is empty, it returns the newest run that has events.
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
	events, err := journals.ReadFile(os.Open, id)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, unknown("run %q: expected the id of one of the %d runs in %s, its beginning, or a file with a journal", id, len(files), d.runs())
	}
	return strings.TrimSuffix(filepath.Base(id), filepath.Ext(id)), events, err
}

// readJournal reads a journal in the directory of runs, by the base name of its file.
func (d *Dir) readJournal(file string) ([]journal.Event, error) {
	return journals.ReadFile(func(name string) (*os.File, error) {
		return d.files.OpenFile("runs/"+filepath.Base(name), os.O_RDONLY)
	}, file)
}

var notInFileName = lazyregexp.New(`[^A-Za-z0-9._-]+`)

// CreateReport creates a file for the report of a test in the folder reports, and
// removes all but the newest 50 there.
func (d *Dir) CreateReport(test string) (*os.File, error) {
	dir := d.files.Path("reports")
	if err := d.files.MkdirAll("reports"); err != nil {
		return nil, fmt.Errorf("make the directory of reports: %w; choose another state directory with WIEMU_STATE_DIR", err)
	}
	if err := keepNewest(dir, "*.html", keptReports-1); err != nil {
		return nil, err
	}
	name := notInFileName().ReplaceAllString(test, "-")
	return os.CreateTemp(dir, name[:min(len(name), 150)]+"-*.html") // 150: names have 255 bytes at most
}

// keepNewest removes all but the newest files, by modification time: a test's clock may differ.
func keepNewest(dir, pattern string, keep int) error {
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return err
	}
	age := map[string]time.Time{}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			age[file] = info.ModTime()
		}
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(age[a].Compare(age[b]), cmp.Compare(a, b)) })
	for _, old := range files[:max(0, len(files)-keep)] {
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an old report: %w", err)
		}
	}
	return nil
}
