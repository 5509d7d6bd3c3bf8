package harness_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/harness"
)

func TestTryIsATestOfItsOwn(t *testing.T) {
	t.Setenv("WIEMU_TRY", "before")
	var order []string
	var dir string
	passed := harness.Try(func(t harness.TB) {
		dir = t.TempDir()
		t.Setenv("WIEMU_TRY", "inside")
		t.Setenv("WIEMU_TRY_NEW", "inside")
		order = append(order, os.Getenv("WIEMU_TRY")+os.Getenv("WIEMU_TRY_NEW"))
		t.Cleanup(func() { order = append(order, "first") })
		t.Cleanup(func() {
			if t.Context().Err() == nil {
				t.Errorf("the context outlives the test")
			}
			t.Cleanup(func() { order = append(order, "third") })
			order = append(order, "second")
		})
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Fatalf("%v", err)
		}
		t.Logf("nobody hears of it")
	})
	if passed != nil {
		t.Error(passed)
	}
	if got := strings.Join(order, " "); got != "insideinside second third first" {
		t.Error(got)
	}
	if _, there := os.LookupEnv("WIEMU_TRY_NEW"); os.Getenv("WIEMU_TRY") != "before" || there {
		t.Error("the environment stays changed")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s: %v", dir, err)
	}
	failed := harness.Try(func(t harness.TB) {
		t.Cleanup(func() { t.Logf("and cleans up: %v", t.Failed()) })
		t.Errorf("it says %d", 1)
		t.Fatalf("it says %d", 2)
		t.Errorf("it goes on")
	})
	if failed == nil || failed.Error() != "it says 1\nit says 2\nand cleans up: true" {
		t.Errorf("%q", failed)
	}
}
