package programkind_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/wiemu/wiemu/internal/programkind"
)

func TestOf(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		own:                              "Go " + strings.TrimPrefix(runtime.Version(), "go"),
		script:                           "a program",
		filepath.Join(script, "nothing"): "a program",
	} {
		if kind := programkind.Of(file); kind != want {
			t.Errorf("%s is %q, want %q", file, kind, want)
		}
	}
}

func TestOfAProgramInC(t *testing.T) {
	const shell = "/bin/sh"
	if runtime.GOOS != "linux" {
		t.Skip("its programs are not in ELF")
	}
	if kind := programkind.Of(shell); !strings.HasPrefix(kind, "an ELF program, ") {
		t.Errorf("%s is %q", shell, kind)
	}
}
