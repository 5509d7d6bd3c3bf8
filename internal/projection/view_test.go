package projection

import (
	"os"
	"syscall"
	"testing"
)

// Readers find what the view is, with symbolic links and without.
func TestViews(t *testing.T) {
	for _, plain := range []bool{false, true} {
		for _, file := range []string{"token", "token/azure-identity-token"} {
			w := newWriter(t, file)
			if plain {
				w.symlink = func(target, link string) error {
					return &os.LinkError{Op: "symlink", Old: target, New: link, Err: syscall.EPERM}
				}
			}
			for i, step := range []struct {
				view  view
				put   string
				reads string
				is    bool
			}{
				{linked, "first", "first", true},
				{absent, "second one", "", false},
				{linked, "third one's", "third one's", true},
				{mounted, "fourth one is", "third one's", true},
				{mounted, "fifth one's data", "third one's", true},
				{linked, "sixth one's content", "sixth one's content", true},
				{directory, "seventh one's content", "", false},
				{linked, "eighth one's whole content", "eighth one's whole content", true},
				{directory, "ninth one's whole content", "", false},
				{absent, "tenth one's whole content is", "", false},
				{linked, "eleventh one's whole content", "eleventh one's whole content", true},
			} {
				if _, err := w.setView(step.view); err != nil {
					t.Fatalf("%s, plain %v, step %d: %v", file, plain, i, err)
				}
				w.put(t, step.put)
				if data, err := os.ReadFile(w.path(file)); (err == nil) != step.is || string(data) != step.reads {
					t.Errorf("%s, plain %v, step %d: a reader finds %q %v, want %q", file, plain, i, data, err, step.reads)
				}
			}
			if err := w.close(); err != nil {
				t.Error(err)
			}
			if names, err := os.ReadDir(w.dir); err == nil {
				t.Errorf("left behind: %v", names)
			}
		}
	}
}
