package userstate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wiemu/wiemu/internal/userstate"
)

func TestTheNewestReportsAreKept(t *testing.T) {
	path := t.TempDir()
	dir, err := userstate.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 60 {
		f, err := dir.CreateReport(fmt.Sprintf("TestX/%d: a/b\\c*", n))
		if err != nil {
			t.Fatal(err)
		}
		age := time.Unix(int64(1_800_000_000-n), 0) // what was made first is the newest
		if err := os.Chtimes(f.Name(), age, age); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(path, "reports", "*.html"))
	if err != nil || len(left) != 50 {
		t.Fatalf("%d reports, %v: want 50", len(left), err)
	}
	for _, file := range left {
		if !strings.HasPrefix(filepath.Base(file), "TestX-") {
			t.Error(file)
		}
	}
	if first, _ := filepath.Glob(filepath.Join(path, "reports", "TestX-0-*")); len(first) != 1 {
		t.Error("the newest is gone")
	}
	if f, err := dir.CreateReport(strings.Repeat("long", 100)); err != nil {
		t.Error(err)
	} else if err := f.Close(); err != nil {
		t.Error(err)
	}
}
