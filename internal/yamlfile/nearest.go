package yamlfile

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Nearest returns the known name that someone who wrote name most likely meant,
// or "" when none is close. Case, '-' and '_' do not count as differences; two
// letters exchanged, one missing, added or replaced count as one.
func Nearest(name string, known []string) string {
	plain := fold(name)
	// A third of a name may be wrong; a longer name does not excuse more than three slips.
	best, least := "", min(max(len(plain)/3, 1), 3)+1
	for _, candidate := range known {
		other := fold(candidate)
		if plain == "" || other == "" {
			continue
		}
		if d := distance(plain, other, least); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// DidYouMean suggests the known name that someone who wrote name most likely meant: "did
// you mean …?", or "" if none is close.
func DidYouMean(name string, known []string) string {
	if near := Nearest(name, known); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

// DidYouMeanAside is [DidYouMean] in parentheses, with a space before them.
func DidYouMeanAside(name string, known []string) string {
	if fix := DidYouMean(name, known); fix != "" {
		return " (" + fix + ")"
	}
	return ""
}

func fold(name string) string {
	return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name))
}

// distance is the number of single slips between a and b (optimal string
// alignment), or limit when it is that or more.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], limit)
}

// NotThere returns what to do about a file that was named and does not exist: which
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
