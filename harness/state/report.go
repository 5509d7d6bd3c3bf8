package state

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

var notInFileName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// CreateReport makes a file for the report of a test with this name, in the folder
// reports, and removes all but the newest 50 there.
func (d *Dir) CreateReport(test string) (*os.File, error) {
	dir := d.files.Path("reports")
	if err := d.files.MkdirAll("reports"); err != nil {
		return nil, fmt.Errorf("make the directory of reports: %w; choose another state directory with WIEMU_STATE_DIR", err)
	}
	if err := keepNewest(dir, "*.html", kept-1); err != nil {
		return nil, err
	}
	name := notInFileName.ReplaceAllString(test, "-")
	return os.CreateTemp(dir, name[:min(len(name), 150)]+"-*.html") // 150: names have 255 bytes at most
}

// keepNewest removes the oldest files. Their age is what the file system says: a
// test may live on another time.
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
