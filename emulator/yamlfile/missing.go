package yamlfile

import (
	"fmt"
	"os"
	"path/filepath"
)

// NotThere says of a file that somebody named and that does not exist what to do: which
// one may have been meant, or which directory is missing.
func NotThere(path string) string {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Sprintf("there is no directory %s for %s; check the path", dir, filepath.Base(path))
	}
	return fmt.Sprintf("there is no %s; %s", path, MeantFile(path))
}

// MeantFile says which file of the same directory may have been meant.
func MeantFile(path string) string {
	entries, err := os.ReadDir(filepath.Dir(path))
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	if meant := Nearest(filepath.Base(path), names); err == nil && meant != "" {
		return fmt.Sprintf("did you mean %s?", filepath.Join(filepath.Dir(path), meant))
	}
	return "check the path"
}
