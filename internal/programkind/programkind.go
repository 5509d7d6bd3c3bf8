// Package programkind tells of a program what made it, for reports that people read. It does
// not run it. Package timeshift does not ask by itself: to read the formats of every system
// takes code that few of the programs need which put others on the lab clock.
package programkind

import (
	"debug/buildinfo"
	"debug/elf"
	"path/filepath"
	"strings"
)

// Of returns the kind of the program in a file, such as "Go 1.26.8" or "an ELF program,
// statically linked"; "a program" if it is not known.
func Of(file string) string {
	if info, err := buildinfo.ReadFile(file); err == nil {
		return "Go " + strings.TrimPrefix(info.GoVersion, "go")
	}
	f, err := elf.Open(file)
	if err != nil {
		return "a program"
	}
	defer func() { _ = f.Close() }() // it was only read
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			name := make([]byte, p.Filesz)
			if _, err := p.ReadAt(name, 0); err == nil && len(name) > 1 {
				return "an ELF program, linked by " + filepath.Base(string(name[:len(name)-1]))
			}
		}
	}
	return "an ELF program, statically linked"
}
