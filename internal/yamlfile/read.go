package yamlfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Read reads a file that the user named. One that is larger than [MaxBytes] is
// refused before it is read.
func Read(name string) ([]byte, error) { return ReadUpTo(MaxBytes, name) }

// ReadUpTo is [Read] for files that may be larger: most is the limit in bytes.
func ReadUpTo(most int64, name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() && info.Size() > most {
		return nil, tooLarge(name, int(most), info.Size())
	}
	data, err := io.ReadAll(io.LimitReader(f, most+1)) // a pipe has no size
	if err == nil && int64(len(data)) > most {
		return nil, tooLarge(name, int(most), int64(len(data)))
	}
	return data, err
}

// ReadOrStdin is [Read], or reads stdin if the name is -; nil: there is none. Of what is
// too large it returns enough for [Decode] to refuse it.
func ReadOrStdin(name string, stdin io.Reader) ([]byte, error) {
	if name != "-" {
		return Read(name)
	}
	if stdin == nil {
		return nil, errors.New("-: there is no standard input")
	}
	return io.ReadAll(io.LimitReader(stdin, MaxBytes+1))
}

// ReadFound is [ReadUpTo] for a file that the user did not name, but that was found in a
// folder: see [CheckFound].
func ReadFound(most int64, name string) ([]byte, error) {
	if err := CheckFound(name); err != nil {
		return nil, err
	}
	return ReadUpTo(most, name)
}

// CheckFound refuses a file that the user did not name and that another user can have
// put there: such a file says which programs run and where credentials go. It, what it
// links to, and its folder must belong to the caller or to root; under sudo also to
// the user who called sudo. Git treats the configuration of a repository so
// (safe.directory, git-compat-util.h). On Windows every file is taken.
func CheckFound(name string) error {
	for _, look := range []struct {
		what string
		path string
		stat func(string) (os.FileInfo, error)
	}{
		{"it", name, os.Lstat},
		{"what it links to", name, os.Stat},
		{"its folder", filepath.Dir(name), os.Stat},
	} {
		info, err := look.stat(look.path)
		if err != nil {
			return err
		}
		if owner, trusted := ownedByCaller(info); !trusted {
			return Problem{
				File: name, Expected: "that it belongs to you, since it was found here and not named", Found: fmt.Sprintf("that %s belongs to user %d", look.what, owner),
				Fix: fmt.Sprintf("read it, and if you trust it, name it: -f %s", name),
			}
		}
	}
	return nil
}
